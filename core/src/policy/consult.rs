//! What authorisers are told: expressions over the same names as the rules', `decision` aside.
use std::collections::BTreeMap;
use std::sync::Arc;

use cel::Context;
use cel::common::types::{
    CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::Val;

use super::ShapePolicy;
use super::check::Vocabulary;
use super::error::{Fault, Part, PolicyError};
use super::expression::Expression;
use super::facts::{Facts, RequestFacts};
use super::guard::Known;
use super::parameter;
use super::source::{AuthorizerSource, InputSource};
use crate::clause::{Clause, Filter};
use crate::code::{Code, Refusal};
use crate::identity::{Identity, prepare};
use crate::limits;
use crate::request::{Asked, Scalar};
use crate::time::Now;
use crate::value::Value;

/// What every authoriser of one shape is told.
#[derive(Debug)]
pub(super) struct Consults(Vec<Consult>);

#[derive(Debug)]
struct Consult {
    /// `authorize`, or `authorize.<name>`
    name: String,
    inputs: Vec<Input>,
}

#[derive(Debug)]
enum Input {
    Computed(Expression),
    Fixed(Value),
    Path,
    Query,
}

impl Consults {
    pub(super) fn compile(
        sources: &[AuthorizerSource],
        vocabulary: &Vocabulary,
    ) -> Result<Self, Vec<PolicyError>> {
        let mut errors: Vec<PolicyError> = list_fault(sources).into_iter().collect();
        let mut consults = Vec::new();
        for (index, source) in sources.iter().enumerate().take(limits::AUTHORIZERS_MAX) {
            match Consult::compile(index, source, vocabulary) {
                Ok(consult) => consults.push(consult),
                Err(faults) => errors.extend(faults),
            }
        }
        if errors.is_empty() {
            Ok(Self(consults))
        } else {
            Err(errors)
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn read_headers(&self) -> bool {
        let inputs = self.0.iter().flat_map(|consult| &consult.inputs);
        inputs.into_iter().any(|input| match input {
            Input::Computed(expression) => expression.reads().headers,
            Input::Fixed(_) | Input::Path | Input::Query => false,
        })
    }
}

fn list_fault(sources: &[AuthorizerSource]) -> Option<PolicyError> {
    let nameless = sources.len() > 1 && sources.iter().any(|source| source.name.is_none());
    let names = sources.iter().filter_map(|source| source.name.as_ref());
    let distinct = names.clone().collect::<std::collections::BTreeSet<_>>().len();
    let fault = if sources.len() > limits::AUTHORIZERS_MAX {
        let message = format!("a shape has at most {} authorisers", limits::AUTHORIZERS_MAX);
        Fault::new(message, "let one of them ask the others")
    } else if nameless || distinct < names.count() {
        Fault::new(
            "of several authorisers each needs a name of its own",
            "write `authorize: { membership: { http: … }, billing: { http: … } }`",
        )
    } else {
        return None;
    };
    Some(fault.at(Part::Authorizer(0)))
}

impl Consult {
    fn compile(
        index: usize,
        source: &AuthorizerSource,
        vocabulary: &Vocabulary,
    ) -> Result<Self, Vec<PolicyError>> {
        let mut errors = Vec::new();
        if source.inputs.len() > limits::AUTHORIZER_INPUTS_MAX {
            let message = format!(
                "an authoriser is told at most {} values",
                limits::AUTHORIZER_INPUTS_MAX
            );
            errors.push(Fault::new(message, "tell it less").at(Part::Authorizer(index)));
        }
        let mut inputs = Vec::new();
        for (place, input) in source
            .inputs
            .iter()
            .enumerate()
            .take(limits::AUTHORIZER_INPUTS_MAX)
        {
            match Input::compile(input, vocabulary) {
                Ok(input) => inputs.push(input),
                Err(fault) => errors.push(fault.at(Part::Input(index, place))),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let name = source
            .name
            .as_ref()
            .map_or_else(|| "authorize".to_owned(), |name| format!("authorize.{name}"));
        Ok(Self { name, inputs })
    }

    fn values(&self, context: &Context<'_, '_>, request: &RequestFacts<'_>) -> Result<Vec<Value>, Refusal> {
        let value = |(place, input): (usize, &Input)| {
            input.value(context, request).map_err(|reason| {
                Refusal::new(
                    Code::DecisionFailed,
                    "Who is asked about you cannot be told what it needs, and that denies.",
                )
                .with_detail(format!("{}, input {place}: {reason}", self.name))
            })
        };
        self.inputs.iter().enumerate().map(value).collect()
    }
}

impl Input {
    fn compile(source: &InputSource, vocabulary: &Vocabulary) -> Result<Self, Fault> {
        match source {
            InputSource::Value(value) => Ok(Self::Fixed(value.clone())),
            InputSource::Path => Ok(Self::Path),
            InputSource::Query => Ok(Self::Query),
            InputSource::Expression(text) => {
                Expression::compile(text, vocabulary, &Known::default()).map(Self::Computed)
            }
        }
    }

    fn value(&self, context: &Context<'_, '_>, request: &RequestFacts<'_>) -> Result<Value, String> {
        match self {
            Self::Fixed(value) => Ok(value.clone()),
            Self::Path => Ok(scalars(request.path)),
            Self::Query => Ok(scalars(request.query)),
            Self::Computed(expression) => {
                let computed = expression.evaluate(context)?;
                plain(computed.as_ref())
                    .ok_or_else(|| "is neither text, a number, a boolean, nor made of them".to_owned())
            }
        }
    }
}

fn scalars(pairs: &[(Arc<str>, Scalar)]) -> Value {
    let scalar = |scalar: &Scalar| match scalar {
        Scalar::Uuid(text) | Scalar::Text(text) => Value::from(&**text),
        Scalar::Int(number) => Value::Int(*number),
        Scalar::Bool(truth) => Value::Bool(*truth),
    };
    Value::Map(
        pairs
            .iter()
            .map(|(name, value)| (Arc::clone(name), scalar(value)))
            .collect(),
    )
}

/// What an expression gave, as a value; none for bytes, moments and other things that JSON lacks.
pub(super) fn plain(value: &dyn Val) -> Option<Value> {
    if value.downcast_ref::<CelNull>().is_some() {
        return Some(Value::Null);
    }
    if let Some(text) = value.downcast_ref::<CelString>() {
        return Some(Value::String(text.inner().into()));
    }
    if let Some(number) = value.downcast_ref::<CelInt>() {
        return Some(Value::Int(*number.inner()));
    }
    if let Some(number) = value.downcast_ref::<CelUInt>() {
        return Some(Value::from(*number.inner()));
    }
    if let Some(truth) = value.downcast_ref::<CelBool>() {
        return Some(Value::Bool(*truth.inner()));
    }
    if let Some(number) = value.downcast_ref::<CelDouble>() {
        return number
            .inner()
            .is_finite()
            .then_some(Value::Float(*number.inner()));
    }
    if let Some(list) = value.downcast_ref::<CelList>() {
        let items = list.inner().iter().map(|item| plain(item.as_ref()));
        return items.collect::<Option<_>>().map(Value::List);
    }
    let map = value.downcast_ref::<CelMap>()?;
    let mut members = BTreeMap::new();
    for (name, value) in map.inner() {
        let CelMapKey::String(name) = name else {
            return None;
        };
        members.insert(Arc::from(name.inner()), plain(value.as_ref())?);
    }
    Some(Value::Map(members))
}

/// A filter that an authoriser returned: SQL as rules have it, and a value for each of `$1`, `$2`, ….
///
/// # Errors
///
/// What is wrong with it, without any of its values.
pub fn returned_filter(text: &str, params: &[Value]) -> Result<Filter, String> {
    let clause = Clause::read_policy(text).map_err(|error| format!("where: {error}"))?;
    let value = |(index, value): (usize, &Value)| {
        let encoded = parameter::encode(prepare(value).as_ref());
        encoded.map_err(|fault| format!("params[{index}] {fault}"))
    };
    let values = params.iter().enumerate().map(value).collect::<Result<_, _>>()?;
    Filter::new(clause, values).map_err(|error| format!("where: {error}"))
}

impl ShapePolicy {
    /// What each authoriser is told about this request, in their order; nothing where there is none.
    ///
    /// # Errors
    ///
    /// As [`ShapePolicy::judge`], for who must be known and which tables there are; 403 when something that an
    /// authoriser must be told cannot be computed.
    pub fn inputs(
        &self,
        identity: Option<&Identity>,
        request: &RequestFacts<'_>,
        asked: &Asked,
        now: Now,
    ) -> Result<Vec<Vec<Value>>, Refusal> {
        let nothing = Facts::none();
        let scope = self.scope(identity, request, asked, Ok(&nothing), now)?;
        scope.enter(|context| {
            self.consults
                .0
                .iter()
                .map(|one| one.values(context, request))
                .collect()
        })
    }
}
