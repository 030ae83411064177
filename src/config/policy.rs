//! The rules of a shape compiled, and what is wrong with them told at its place.

use super::client::{ClientColumns, ClientWhere, IgnoredName, SubsetSetting};
use super::electric::ElectricSettings;
use super::problem::Problem;
use super::reading::Reading;
use super::rules::{ParamSetting, RowsSetting, RuleSettings};
use super::shapes::{AccessSetting, ShapeSettings, TableSetting};
use super::source::{Span, Spanned};
use aws_lc_rs::hmac;
use shapegate_core::definition::Replica;
use shapegate_core::handle::HandleTagger;
use shapegate_core::permit::SubsetLimits;
use shapegate_core::policy::{
    Access, ClientAllowances, ClientFilter, Ignorable, Membership, ParamSource, Part, RowsSource, RuleSource,
    ShapePolicy, ShapeSource, TablePattern, TableSpec,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The tenant that there is when none are named.
pub const DEFAULT_TENANT: &str = "default";
/// What the key of handle tags is derived for; another version makes clients fetch anew.
const TAG_PURPOSE: &[u8] = b"shapegate handle tags 1";

/// A shape with its compiled rules.
#[derive(Clone, Debug)]
pub struct CheckedShape {
    /// What is written.
    pub settings: ShapeSettings,
    /// What decides.
    pub policy: Arc<ShapePolicy>,
}

/// What all shapes of a tenant have in common.
pub(super) struct Common {
    /// The tenant's id.
    pub(super) tenant: Arc<str>,
    /// Names that `user` has whoever it is.
    pub(super) certain_claims: BTreeSet<Arc<str>>,
    /// Binds handles.
    pub(super) tagger: Option<HandleTagger>,
    /// What must hold of every user.
    pub(super) membership: Option<Arc<Membership>>,
}

/// Compiles a shape, or tells everything that is wrong with its rules.
pub(super) fn compile(
    reading: &mut Reading<'_>,
    settings: ShapeSettings,
    common: &Common,
) -> Option<CheckedShape> {
    let table = table(reading, &settings.table)?;
    let source = ShapeSource {
        name: Arc::clone(&settings.name.value),
        tenant: Arc::clone(&common.tenant),
        table,
        columns: settings.columns.value.clone(),
        access: match settings.access.value {
            AccessSetting::Required => Access::Required,
            AccessSetting::Optional => Access::Optional,
            AccessSetting::Public => Access::Public,
        },
        rules: settings.rules.iter().map(rule).collect(),
        client: allowances(&settings),
        delete: settings.delete,
        certain_claims: common.certain_claims.clone(),
        path_names: settings.path.value.names().cloned().collect(),
        query_names: settings.query.iter().map(|(name, _)| Arc::clone(name)).collect(),
        authorizers: settings
            .authorizers
            .iter()
            .map(|one| one.source.clone())
            .collect(),
        tagger: common.tagger.clone(),
    };
    match ShapePolicy::compile(source) {
        Ok(policy) => Some(CheckedShape {
            settings,
            policy: Arc::new(policy.for_members(common.membership.clone())),
        }),
        Err(errors) => {
            for error in errors {
                let problem = Problem::error(span_of(&settings, error.part), error.message);
                reading.problems.push(problem.help(error.advice));
            }
            None
        }
    }
}

/// What handles are tagged with. It is derived from Electric's secret, so that all instances and restarts
/// agree without another secret to hand out; without one it is random, and a restart makes clients fetch anew.
pub(super) fn tagger(electric: &ElectricSettings) -> Option<HandleTagger> {
    let mut key = [0_u8; 32];
    match &electric.secret {
        Some(secret) => {
            let signing = hmac::Key::new(hmac::HMAC_SHA256, secret.text.as_bytes());
            let tag = hmac::sign(&signing, TAG_PURPOSE);
            key.iter_mut()
                .zip(tag.as_ref())
                .for_each(|(to, from)| *to = *from);
        }
        None => getrandom::fill(&mut key).ok()?,
    }
    Some(HandleTagger::new(&key))
}

fn table(reading: &mut Reading<'_>, table: &Spanned<TableSetting>) -> Option<TableSpec> {
    let patterns = match &table.value {
        TableSetting::Fixed(name) => return Some(TableSpec::Fixed(name.clone())),
        TableSetting::AnyOf(patterns) => patterns,
    };
    let read: Vec<Option<TablePattern>> = patterns
        .iter()
        .map(|pattern| match TablePattern::parse(&pattern.value) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let message = format!("`{}` is no table or pattern: {error}", pattern.value);
                reading.refuse(
                    pattern.span,
                    message,
                    "write `public.items`, or `public.*` for all of a schema",
                )
            }
        })
        .collect();
    read.into_iter().collect::<Option<_>>().map(TableSpec::AnyOf)
}

fn rule(rule: &RuleSettings) -> RuleSource {
    let rows = match &rule.rows {
        RowsSetting::All => RowsSource::All,
        RowsSetting::None => RowsSource::None,
        RowsSetting::Where { filter, params } => RowsSource::Where {
            text: filter.value.clone(),
            params: params
                .iter()
                .map(|param| match &param.value {
                    ParamSetting::Expression(text) => ParamSource::Expression(text.clone()),
                    ParamSetting::Value(value) => ParamSource::Value(value.clone()),
                })
                .collect(),
        },
    };
    RuleSource {
        when: rule.when.as_ref().map(|when| when.value.clone()),
        rows,
    }
}

fn allowances(settings: &ShapeSettings) -> ClientAllowances {
    let client = &settings.client;
    let filter = match client.filter {
        _ if settings.any_where => ClientFilter::Any,
        ClientWhere::Forbidden => ClientFilter::Forbidden,
        ClientWhere::Narrow => ClientFilter::Narrow,
    };
    let columns = match client.columns {
        ClientColumns::Fixed => shapegate_core::policy::ClientColumns::Fixed,
        ClientColumns::Subset => shapegate_core::policy::ClientColumns::Subset,
    };
    let subset = match client.subset {
        SubsetSetting::Off => None,
        SubsetSetting::LimitMax(limit) => Some(SubsetLimits {
            limit_max: Some(limit),
        }),
        SubsetSetting::Unlimited => Some(SubsetLimits { limit_max: None }),
    };
    let ignorable = |name: &IgnoredName| match name {
        IgnoredName::Table => Ignorable::Table,
        IgnoredName::Where => Ignorable::Where,
        IgnoredName::Columns => Ignorable::Columns,
        IgnoredName::Replica => Ignorable::Replica,
    };
    // The default alone is no choice.
    let replica = if client.replica == [Replica::Default] {
        Vec::new()
    } else {
        client.replica.clone()
    };
    ClientAllowances {
        filter,
        columns,
        replica,
        subset,
        ignore: client.ignore.iter().map(ignorable).collect(),
    }
}

/// Where the part of a shape is written that an error is about.
fn span_of(settings: &ShapeSettings, part: Part) -> Span {
    let rule = |index: usize| settings.rules.get(index);
    let rule_span = |index: usize| rule(index).map(|rule| rule.span);
    let found = match part {
        Part::Table => Some(settings.table.span),
        Part::Columns => Some(settings.columns.span),
        Part::Access => Some(settings.access.span),
        Part::Client => Some(settings.client_span),
        Part::Authorizer(index) => settings.authorizers.get(index).map(|one| one.span),
        Part::Input(index, place) => settings
            .authorizers
            .get(index)
            .map(|one| one.input_spans.get(place).copied().unwrap_or(one.span)),
        Part::Rules => Some(settings.rules_span),
        Part::When(index) => rule(index)
            .and_then(|rule| rule.when.as_ref())
            .map(|when| when.span)
            .or(rule_span(index)),
        Part::Where(index) => rule(index).and_then(filter_span).or(rule_span(index)),
        Part::Parameter(index, place) => rule(index)
            .and_then(|rule| param_span(rule, place))
            .or(rule_span(index)),
        _ => None,
    };
    found.unwrap_or(settings.name.span)
}

fn filter_span(rule: &RuleSettings) -> Option<Span> {
    match &rule.rows {
        RowsSetting::Where { filter, .. } => Some(filter.span),
        _ => None,
    }
}

fn param_span(rule: &RuleSettings, place: usize) -> Option<Span> {
    match &rule.rows {
        RowsSetting::Where { params, .. } => params.get(place).map(|param| param.span),
        _ => None,
    }
}
