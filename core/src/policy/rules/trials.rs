//! What becomes of each rule, for who asks why. Deciding is the business of [`ShapePolicy::judge`] alone.
use std::sync::Arc;

use cel::Context;

use super::{Rule, Rules};
use crate::code::Refusal;
use crate::identity::Identity;
use crate::policy::ShapePolicy;
use crate::policy::expression::Reading;
use crate::policy::facts::{Facts, RequestFacts};
use crate::request::Asked;
use crate::time::Now;

/// What becomes of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialOutcome {
    /// Its condition holds, and it is the first one.
    Decides,
    /// Its condition does not hold.
    DoesNotHold,
    /// Its condition cannot be evaluated, and that denies.
    Fails(String),
    /// An earlier one decides.
    NotTried,
}

/// One rule, tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its name in logs: `rules[0]`.
    pub rule: Arc<str>,
    /// Its condition as written; none: always.
    pub when: Option<String>,
    /// What became of it.
    pub outcome: TrialOutcome,
    /// What its condition reads, and what stands there. Claims are about people: this is for whoever may see them.
    pub readings: Vec<Reading>,
}

impl ShapePolicy {
    /// Tries the rules in their order, as [`ShapePolicy::judge`] does.
    ///
    /// # Errors
    ///
    /// As [`ShapePolicy::judge`], for what is decided before any rule.
    pub fn trials(
        &self,
        identity: Option<&Identity>,
        request: &RequestFacts<'_>,
        asked: &Asked,
        facts: &Facts,
        now: Now,
    ) -> Result<Vec<Trial>, Refusal> {
        let scope = self.scope(identity, request, asked, self.complete(facts, now), now)?;
        Ok(scope.enter(|context| self.rules.trials(context)))
    }
}

impl Rules {
    fn trials(&self, context: &Context<'_, '_>) -> Vec<Trial> {
        let mut over = false;
        let each = self.0.iter().map(|rule| {
            let trial = if over { rule.untried() } else { rule.tried(context) };
            over |= trial.outcome != TrialOutcome::DoesNotHold;
            trial
        });
        each.collect()
    }
}

impl Rule {
    fn tried(&self, context: &Context<'_, '_>) -> Trial {
        let outcome = match self.holds(context) {
            Ok(true) => TrialOutcome::Decides,
            Ok(false) => TrialOutcome::DoesNotHold,
            Err(refusal) => TrialOutcome::Fails(refusal.detail.unwrap_or_default()),
        };
        let readings = self.when.as_ref().map(|when| when.readings(context));
        Trial {
            outcome,
            readings: readings.unwrap_or_default(),
            ..self.untried()
        }
    }

    fn untried(&self) -> Trial {
        Trial {
            rule: Arc::clone(&self.name),
            when: self.when.as_ref().map(|when| when.text().to_owned()),
            outcome: TrialOutcome::NotTried,
            readings: Vec::new(),
        }
    }
}
