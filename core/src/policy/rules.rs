//! Rules: compiled at load, tried in order, the first that holds decides.
mod trials;

pub use trials::{Trial, TrialOutcome};

use std::sync::Arc;

use cel::Context;
use cel::common::types::CelBool;

use super::check::Vocabulary;
use super::error::{Fault, Part, PolicyError};
use super::expression::Expression;
use super::guard::Known;
use super::parameter;
use super::path::Path;
use super::scope::Scope;
use super::source::{ParamSource, RowsSource, RuleSource};
use crate::clause::{Clause, Filter, ParameterText};
use crate::code::{Code, Refusal};
use crate::definition::Rows;
use crate::limits;
use crate::value::Value;

/// The rules of one shape, in their order.
#[derive(Debug)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    /// `rules[0]`
    name: Arc<str>,
    when: Option<Expression>,
    rows: RuleRows,
}

#[derive(Debug)]
enum RuleRows {
    All,
    None,
    Where { clause: Clause, params: Vec<Param> },
}

#[derive(Debug)]
enum Param {
    Computed(Expression),
    Fixed(ParameterText),
}

/// What the rules say to one request.
pub(super) struct Verdict<'r> {
    pub(super) rule: &'r Arc<str>,
    pub(super) rows: Rows,
    /// Whether the client chose a value that the rows depend on.
    pub(super) chosen_by_client: bool,
}

impl Rules {
    /// Compiles all of them, and reports everything that is wrong with any.
    pub(super) fn compile(sources: &[RuleSource], vocabulary: &Vocabulary) -> Result<Self, Vec<PolicyError>> {
        let mut errors: Vec<PolicyError> = list_faults(sources).map(|fault| fault.at(Part::Rules)).collect();
        let mut rules = Vec::new();
        for (index, source) in sources.iter().enumerate().take(limits::RULES_MAX) {
            match Rule::compile(index, source, vocabulary) {
                Ok(rule) => rules.push(rule),
                Err(faults) => errors.extend(faults),
            }
        }
        if errors.is_empty() {
            Ok(Self(rules))
        } else {
            Err(errors)
        }
    }

    pub(super) fn read_headers(&self) -> bool {
        self.0
            .iter()
            .any(|rule| rule.expressions().any(|expression| expression.reads().headers))
    }

    /// What the rules read or ask for of `decision`.
    pub(super) fn decision_read(&self) -> Vec<&Path> {
        let expressions = self.0.iter().flat_map(Rule::expressions);
        expressions
            .flat_map(|expression| &expression.reads().decision)
            .collect()
    }

    /// The first rule that holds decides. One that cannot be evaluated denies, and ends the search: a later
    /// rule might give more than it would have.
    pub(super) fn decide(&self, scope: &Scope<'_>) -> Result<Verdict<'_>, Refusal> {
        scope.enter(|context| {
            for rule in &self.0 {
                if rule.holds(context)? {
                    return rule.verdict(context);
                }
            }
            Err(Refusal::new(Code::Forbidden, "No rule gives you this shape.").with_detail("no rule holds"))
        })
    }
}

fn list_faults(sources: &[RuleSource]) -> impl Iterator<Item = Fault> {
    let none = sources.is_empty().then(|| {
        Fault::new(
            "there is no rule, so nobody would get anything",
            "add one: `rules: [{ when: …, rows: all }]`",
        )
    });
    let many = (sources.len() > limits::RULES_MAX).then(|| {
        Fault::new(
            format!("a shape has at most {} rules", limits::RULES_MAX),
            "split the shape, or join rules",
        )
    });
    let before_last = sources.len().saturating_sub(1);
    let always = sources
        .iter()
        .take(before_last)
        .position(|rule| rule.when.is_none());
    let unreachable = always.map(|index| {
        let message = format!("rules[{index}] has no `when`, so that no later rule is ever tried");
        Fault::new(message, "put it last, or give it a `when`")
    });
    none.into_iter().chain(many).chain(unreachable)
}

impl Rule {
    fn compile(index: usize, source: &RuleSource, vocabulary: &Vocabulary) -> Result<Self, Vec<PolicyError>> {
        let when = source.when.as_ref().map(|text| {
            Expression::compile(text, vocabulary, &Known::default())
                .map_err(|fault| vec![fault.at(Part::When(index))])
        });
        let when = when.transpose()?;
        let known = when.as_ref().map(Expression::known_if_true).unwrap_or_default();
        let rows = RuleRows::compile(index, &source.rows, vocabulary, &known)?;
        Ok(Self {
            name: format!("rules[{index}]").into(),
            when,
            rows,
        })
    }

    fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.when
            .iter()
            .chain(self.rows.params().iter().filter_map(|param| match param {
                Param::Computed(expression) => Some(expression),
                Param::Fixed(_) => None,
            }))
    }

    fn holds(&self, context: &Context<'_, '_>) -> Result<bool, Refusal> {
        let Some(when) = &self.when else { return Ok(true) };
        let value = when
            .evaluate(context)
            .map_err(|reason| self.failed("when", &reason))?;
        match value.downcast_ref::<CelBool>() {
            Some(truth) => Ok(*truth.inner()),
            None => Err(self.failed("when", "is not a boolean")),
        }
    }

    fn verdict(&self, context: &Context<'_, '_>) -> Result<Verdict<'_>, Refusal> {
        let rows = match &self.rows {
            RuleRows::All => Rows::All,
            RuleRows::None => Rows::None,
            RuleRows::Where { clause, params } => {
                let values = params.iter().enumerate().map(|(index, param)| {
                    param
                        .value(context)
                        .map_err(|reason| self.failed(&format!("params[{index}]"), &reason))
                });
                let values = values.collect::<Result<Vec<_>, _>>()?;
                let filter = Filter::new(clause.clone(), values);
                Rows::Where(filter.map_err(|error| self.failed("where", &error.to_string()))?)
            }
        };
        Ok(Verdict {
            rule: &self.name,
            rows,
            chosen_by_client: self.rows.chosen_by_client(),
        })
    }

    fn failed(&self, part: &str, reason: &str) -> Refusal {
        Refusal::new(
            Code::DecisionFailed,
            "A rule cannot be decided for you, and that denies.",
        )
        .with_detail(format!("{}.{part}: {reason}", self.name))
    }
}

impl RuleRows {
    fn compile(
        rule: usize,
        source: &RowsSource,
        vocabulary: &Vocabulary,
        known: &Known,
    ) -> Result<Self, Vec<PolicyError>> {
        let (text, sources) = match source {
            RowsSource::All => return Ok(Self::All),
            RowsSource::None => return Ok(Self::None),
            RowsSource::Where { text, params } => (text, params),
        };
        let mut errors = Vec::new();
        let clause =
            compile_clause(text, sources.len()).map_err(|fault| errors.push(fault.at(Part::Where(rule))));
        let mut params = Vec::new();
        for (index, source) in sources
            .iter()
            .enumerate()
            .take(usize::from(limits::PARAMETERS_MAX))
        {
            match Param::compile(source, vocabulary, known) {
                Ok(param) => params.push(param),
                Err(fault) => errors.push(fault.at(Part::Parameter(rule, index))),
            }
        }
        match clause {
            Ok(clause) if errors.is_empty() => Ok(Self::Where { clause, params }),
            _ => Err(errors),
        }
    }

    fn params(&self) -> &[Param] {
        match self {
            Self::All | Self::None => &[],
            Self::Where { params, .. } => params,
        }
    }

    fn chosen_by_client(&self) -> bool {
        self.params().iter().any(Param::is_chosen_by_client)
    }
}

fn compile_clause(text: &str, params: usize) -> Result<Clause, Fault> {
    if let Some(form) = interpolation(text) {
        let message = format!("{form} is not filled in: values never become part of the text");
        return Err(Fault::new(
            message,
            "write $1 there, and the expression into `params`: [user.org_id]",
        ));
    }
    let clause = Clause::read_policy(text)
        .map_err(|error| Fault::new(error.to_string(), "see the reference for what a filter may say"))?;
    let used = usize::from(clause.parameters_max());
    if used != params {
        let message = format!("the filter uses parameters up to ${used}, and `params` has {params}");
        return Err(Fault::new(
            message,
            "give each of $1, $2, … one entry of `params`, in their order",
        ));
    }
    let stand_in = ParameterText::new("0").map_err(|error| Fault::new(error.to_string(), ""))?;
    Filter::new(clause.clone(), vec![stand_in; params])
        .map_err(|error| Fault::new(error.to_string(), "use every one of $1, $2, … at least once"))?;
    Ok(clause)
}

/// The ways in which other tools put values into texts. They would be compared as they stand, so that a filter
/// with one of them would quietly match nothing, or the wrong rows.
fn interpolation(text: &str) -> Option<&'static str> {
    let opens = |mark: &str| {
        let name = |rest: &str| {
            rest.trim_start()
                .starts_with(|c: char| c.is_alphabetic() || c == '_')
        };
        text.match_indices(mark)
            .any(|(at, _)| text.get(at + mark.len()..).is_some_and(name))
    };
    [("{{", "{{…}}"), ("${", "${…}"), ("#{", "#{…}"), ("<%=", "<%=…%>")]
        .into_iter()
        .find_map(|(mark, form)| opens(mark).then_some(form))
}

impl Param {
    fn compile(source: &ParamSource, vocabulary: &Vocabulary, known: &Known) -> Result<Self, Fault> {
        match source {
            ParamSource::Expression(text) => Expression::compile(text, vocabulary, known).map(Self::Computed),
            ParamSource::Value(value) => fixed(value).map(Self::Fixed),
        }
    }

    fn value(&self, context: &Context<'_, '_>) -> Result<ParameterText, String> {
        match self {
            Self::Fixed(text) => Ok(text.clone()),
            Self::Computed(expression) => {
                let value = expression.evaluate(context)?;
                parameter::encode(value.as_ref()).map_err(|fault| fault.to_string())
            }
        }
    }

    fn is_chosen_by_client(&self) -> bool {
        match self {
            Self::Fixed(_) => false,
            Self::Computed(expression) => expression.reads().chosen_by_client,
        }
    }
}

fn fixed(value: &Value) -> Result<ParameterText, Fault> {
    parameter::encode(crate::identity::prepare(value).as_ref()).map_err(|fault| {
        Fault::new(
            format!("the value {fault}"),
            "write a string, an integer, a boolean or a list of them",
        )
    })
}
