//! Open Policy Agent: a POST of `{"input": …}` to `/v1/data/<path>`, whose path is the configuration's alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use shapegate_core::code::Refusal;
use shapegate_core::json;
use shapegate_core::value::Value;

use super::http::with_defaults;
use super::service::Json;
use super::{Denial, Found, Question, Reply, Tools, answer};

/// A policy that is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Opa {
    /// Its path below `/v1/data`: `/app/shapes/allow`.
    pub path: Arc<str>,
    /// The names of what is told, in `input`.
    pub input: Vec<Arc<str>>,
    /// Facts that are put where the answer has none.
    pub defaults: BTreeMap<Arc<str>, Value>,
}

impl Opa {
    #[allow(clippy::unnecessary_wraps, reason = "as for those who refuse some values")]
    pub(super) fn question(&self, told: &[Value], tools: &Tools<'_>) -> Result<Question, Refusal> {
        let named = self.input.iter().zip(told);
        let input = Value::Map(
            named
                .map(|(name, value)| (Arc::clone(name), value.clone()))
                .collect(),
        );
        let message = Json::object([("input", Json::from(&input))]);
        let exchange = tools.post(&format!("/v1/data{}", self.path), &message);
        let defaults = self.defaults.clone();
        Ok(Box::pin(async move {
            let body = exchange.json().await?;
            let said = json::parse(&body, answer::LIMITS).map_err(|error| error.to_string())?;
            Ok(with_defaults(verdict(&said)?, &defaults))
        }))
    }
}

/// What the policy gives: a boolean, or an answer in our form. One that is undefined says no, as OPA has it.
fn verdict(said: &Value) -> Result<Reply, String> {
    let Value::Map(members) = said else {
        return Err(format!("its answer is {}, not an object", said.kind()));
    };
    match members.get("result") {
        Some(Value::Bool(true)) => Ok(Reply::Found(Found::default())),
        None | Some(Value::Bool(false)) => Ok(Reply::Denied(Denial::Forbidden)),
        Some(result) => answer::read(result),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Option<Reply> {
        verdict(&json::parse(text.as_bytes(), answer::LIMITS).ok()?).ok()
    }

    #[test]
    fn a_boolean_or_an_answer_in_our_form_is_taken_and_undefined_is_no() {
        let denied = Some(Reply::Denied(Denial::Forbidden));
        assert_eq!(said(r#"{"result":true}"#), Some(Reply::Found(Found::default())));
        assert_eq!(said(r#"{"result":false}"#), denied);
        assert_eq!(said(r#"{"decision_id":"x"}"#), denied);
        assert_eq!(said("{}"), denied);
        assert_eq!(said(r#"{"result":{"allow":false}}"#), denied);
        assert_eq!(
            said(r#"{"result":{"allow":true},"decision_id":"x"}"#),
            Some(Reply::Found(Found::default()))
        );
        for broken in [
            r#"{"result":"true"}"#,
            r#"{"result":{}}"#,
            r#"{"result":[true]}"#,
            "true",
            r#"{"result":null}"#,
        ] {
            assert_eq!(said(broken), None, "{broken}");
        }
    }
}
