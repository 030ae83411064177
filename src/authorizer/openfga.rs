//! `OpenFGA`: a check of one relation, and a list of the objects that a user has it to.

use std::sync::Arc;

use shapegate_core::code::Refusal;
use shapegate_core::json;
use shapegate_core::value::Value;

use super::object::take_id;
use super::service::{Exchange, Json};
use super::{ObjectSetting, Question, SubjectSetting, Tools, answer, ndjson, relation};

/// What is asked. What is told is, in this order: the ids of the check's object and user, and that of the list's
/// user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFga {
    /// The store.
    pub store: Arc<str>,
    /// The authorisation model; the store's latest without one.
    pub model: Option<Arc<str>>,
    /// Whether answers may not come from `OpenFGA`'s caches.
    pub higher_consistency: bool,
    /// One relation to one object.
    pub check: Option<OpenFgaCheck>,
    /// All objects of a type that a user has a relation to.
    pub list: Option<OpenFgaList>,
}

/// One relation to one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFgaCheck {
    /// To what.
    pub object: ObjectSetting,
    /// Which.
    pub relation: Arc<str>,
    /// Whose.
    pub user: SubjectSetting,
}

/// All objects of a type that a user has a relation to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFgaList {
    /// The type.
    pub object: Arc<str>,
    /// Which relation.
    pub relation: Arc<str>,
    /// Whose.
    pub user: SubjectSetting,
    /// How many ids a decision may be made from; more deny.
    pub ids_max: usize,
}

impl OpenFga {
    pub(super) fn question(&self, told: &[Value], tools: &Tools<'_>) -> Result<Question, Refusal> {
        let mut told = told.iter();
        let check = self
            .check
            .as_ref()
            .map(|check| self.check_exchange(check, &mut told, tools));
        let check = check.transpose()?;
        let list = self.list.as_ref();
        let listed = list
            .map(|list| self.list_exchange(list, &mut told, tools))
            .transpose()?;
        let wanted = list.map(|list| (Arc::clone(&list.object), list.ids_max));
        let (kind, ids_max) = wanted.unwrap_or_else(|| (Arc::from(""), 0));
        let ids = move |body: &[u8]| ids(body, &kind, ids_max);
        Ok(Box::pin(relation::ask(check, listed, allowed, ids)))
    }

    fn check_exchange(
        &self,
        check: &OpenFgaCheck,
        told: &mut std::slice::Iter<'_, Value>,
        tools: &Tools<'_>,
    ) -> Result<Exchange, Refusal> {
        let object = object(&check.object, told)?;
        let tuple = Json::object([
            ("user", user(&check.user, told)?),
            ("relation", Json::text(&check.relation)),
            ("object", object),
        ]);
        let message = self.with_terms(Json::object([("tuple_key", tuple)]));
        Ok(tools.post(&format!("/stores/{}/check", self.store), &message))
    }

    fn list_exchange(
        &self,
        list: &OpenFgaList,
        told: &mut std::slice::Iter<'_, Value>,
        tools: &Tools<'_>,
    ) -> Result<Exchange, Refusal> {
        let message = self.with_terms(Json::object([
            ("user", user(&list.user, told)?),
            ("relation", Json::text(&list.relation)),
            ("type", Json::text(&list.object)),
        ]));
        Ok(tools.post(&format!("/stores/{}/streamed-list-objects", self.store), &message))
    }

    fn with_terms(&self, message: Json) -> Json {
        let message = match &self.model {
            Some(model) => message.with("authorization_model_id", Json::text(model)),
            None => message,
        };
        if self.higher_consistency {
            message.with("consistency", Json::text("HIGHER_CONSISTENCY"))
        } else {
            message
        }
    }
}

/// `type:id`, of which neither part has a colon.
fn object(setting: &ObjectSetting, told: &mut std::slice::Iter<'_, Value>) -> Result<Json, Refusal> {
    let id = take_id(setting, told)?;
    Ok(Json::text(&format!("{}:{id}", setting.kind)))
}

/// `type:id`, or `type:id#relation`.
fn user(setting: &SubjectSetting, told: &mut std::slice::Iter<'_, Value>) -> Result<Json, Refusal> {
    let id = take_id(&setting.object, told)?;
    let object = format!("{}:{id}", setting.object.kind);
    Ok(Json::text(&match &setting.relation {
        Some(relation) => format!("{object}#{relation}"),
        None => object,
    }))
}

fn allowed(body: &[u8]) -> Result<bool, String> {
    let said = json::parse(body, answer::LIMITS).map_err(|error| error.to_string())?;
    match said.get("allowed") {
        Some(Value::Bool(allowed)) => Ok(*allowed),
        _ => Err("its answer lacks `allowed`".to_owned()),
    }
}

/// The ids of the objects in a stream, without their type; none when there are more than may be.
fn ids(body: &[u8], kind: &str, ids_max: usize) -> Result<Option<Vec<Value>>, String> {
    let results = ndjson::results(body)?;
    if results.len() > ids_max {
        return Ok(None);
    }
    let id = |result: &Value| {
        let object = result.get("object").and_then(Value::as_str)?;
        let id = object.strip_prefix(kind)?.strip_prefix(':')?;
        (!id.is_empty()).then(|| Arc::<str>::from(id))
    };
    let ids: Option<std::collections::BTreeSet<_>> = results.iter().map(id).collect();
    let ids = ids.ok_or_else(|| format!("a result is no {kind}"))?;
    Ok(Some(ids.into_iter().map(Value::from).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_the_type_that_was_asked_for_are_taken_and_no_others() {
        let lines = |objects: &[&str]| -> Vec<u8> {
            let line = |object: &&str| format!("{{\"result\":{{\"object\":\"{object}\"}}}}\n");
            objects.iter().map(line).collect::<String>().into_bytes()
        };
        let found = ids(&lines(&["doc:b", "doc:a", "doc:b"]), "doc", 3);
        assert_eq!(found, Ok(Some(vec!["a".into(), "b".into()])));
        assert_eq!(ids(&lines(&["doc:b", "doc:a"]), "doc", 1), Ok(None));
        for other in ["docs:a", "doc:", "doc", "a", ""] {
            assert!(ids(&lines(&[other]), "doc", 3).is_err(), "{other}");
        }
    }

    #[test]
    fn a_check_says_true_or_false_or_nothing() {
        assert_eq!(allowed(br#"{"allowed":true,"resolution":""}"#), Ok(true));
        assert_eq!(allowed(br#"{"allowed":false}"#), Ok(false));
        for broken in ["{}", r#"{"allowed":"true"}"#, r#"{"result":true}"#, "<html>"] {
            assert!(allowed(broken.as_bytes()).is_err(), "{broken}");
        }
    }
}
