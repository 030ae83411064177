//! A service that speaks our JSON: a POST of who asks for what, an answer of what they may have.

use std::collections::BTreeMap;
use std::sync::Arc;

use shapegate_core::code::Refusal;
use shapegate_core::json;
use shapegate_core::value::Value;

use super::service::Json;
use super::{Question, Reply, Tools, answer};

/// What is sent, and what is known of the answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpAuthorizer {
    /// The members of the message, in the order of what is told. Those of `claims` and `headers` have these
    /// names there; what is null of them is left out.
    pub members: Vec<Member>,
    /// Facts that are put where the answer has none.
    pub defaults: BTreeMap<Arc<str>, Value>,
}

/// Where a value stands in the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// At its top, by this name.
    Top(&'static str),
    /// In the object `claims`.
    Claim(Arc<str>),
    /// In the object `headers`.
    Header(Arc<str>),
}

impl HttpAuthorizer {
    #[allow(clippy::unnecessary_wraps, reason = "as for those who refuse some values")]
    pub(super) fn question(&self, told: &[Value], tools: &Tools<'_>) -> Result<Question, Refusal> {
        let exchange = tools.post("", &self.message(told));
        let defaults = self.defaults.clone();
        Ok(Box::pin(async move {
            let body = exchange.json().await?;
            let said = json::parse(&body, answer::LIMITS).map_err(|error| error.to_string())?;
            Ok(with_defaults(answer::read(&said)?, &defaults))
        }))
    }

    fn message(&self, told: &[Value]) -> Json {
        let group = |wanted: fn(&Member) -> Option<&Arc<str>>| {
            let given = self.members.iter().zip(told);
            let named = given.filter_map(|(member, value)| Some((wanted(member)?, value)));
            let present = named.filter(|(_, value)| **value != Value::Null);
            Value::Map(
                present
                    .map(|(name, value)| (Arc::clone(name), value.clone()))
                    .collect(),
            )
        };
        let claims = group(|member| match member {
            Member::Claim(name) => Some(name),
            _ => None,
        });
        let headers = group(|member| match member {
            Member::Header(name) => Some(name),
            _ => None,
        });
        let nested = Json::object([("claims", Json::from(&claims)), ("headers", Json::from(&headers))]);
        let top = self.members.iter().zip(told);
        top.fold(nested, |message, (member, value)| match member {
            Member::Top(name) => message.with(name, Json::from(value)),
            Member::Claim(_) | Member::Header(_) => message,
        })
    }
}

/// Facts that are not in the answer have their defaults.
pub(super) fn with_defaults(reply: Reply, defaults: &BTreeMap<Arc<str>, Value>) -> Reply {
    match reply {
        Reply::Found(mut found) => {
            for (name, value) in defaults {
                found
                    .facts
                    .entry(Arc::clone(name))
                    .or_insert_with(|| value.clone());
            }
            Reply::Found(found)
        }
        denied @ Reply::Denied(_) => denied,
    }
}
