//! `SpiceDB` by its HTTP API: a check of one permission, and a lookup of what a subject has it on.

use std::sync::Arc;

use shapegate_core::code::Refusal;
use shapegate_core::json;
use shapegate_core::value::Value;

use super::object::take_id;
use super::service::{Exchange, Json};
use super::{ObjectSetting, Question, SubjectSetting, Tools, answer, ndjson, relation};

/// What is asked. What is told is, in this order: the ids of the check's resource and subject, that of the
/// lookup's subject, and the token of [`Consistency::AtLeastAsFresh`].
#[derive(Clone, Debug, PartialEq)]
pub struct SpiceDb {
    /// One permission on one resource.
    pub check: Option<SpiceDbCheck>,
    /// All resources of a type that a subject has a permission on.
    pub lookup: Option<SpiceDbLookup>,
    /// How fresh the answer must be.
    pub consistency: Consistency,
}

/// One permission on one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpiceDbCheck {
    /// On what.
    pub resource: ObjectSetting,
    /// Which.
    pub permission: Arc<str>,
    /// Whose.
    pub subject: SubjectSetting,
}

/// All resources of a type that a subject has a permission on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpiceDbLookup {
    /// The type.
    pub resource: Arc<str>,
    /// Which permission.
    pub permission: Arc<str>,
    /// Whose.
    pub subject: SubjectSetting,
    /// How many ids a decision may be made from; more deny.
    pub ids_max: usize,
}

/// How fresh an answer must be (`authzed.api.v1.Consistency`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// As fresh as what is at hand.
    #[default]
    MinimizeLatency,
    /// As fresh as can be.
    FullyConsistent,
    /// At least as fresh as a token says that is told; where it is null, as `MinimizeLatency`.
    AtLeastAsFresh,
}

impl SpiceDb {
    pub(super) fn question(&self, told: &[Value], tools: &Tools<'_>) -> Result<Question, Refusal> {
        let mut told_rest = told.iter();
        let consistency = self.consistency(told.last());
        let check = self
            .check
            .as_ref()
            .map(|check| check.exchange(&mut told_rest, &consistency, tools));
        let check = check.transpose()?;
        let lookup = self
            .lookup
            .as_ref()
            .map(|lookup| lookup.exchange(&mut told_rest, &consistency, tools));
        let lookup = lookup.transpose()?;
        let ids_max = self.lookup.as_ref().map_or(0, |lookup| lookup.ids_max);
        Ok(Box::pin(relation::ask(check, lookup, allowed, move |body| {
            ids(body, ids_max)
        })))
    }

    fn consistency(&self, last: Option<&Value>) -> Json {
        match (self.consistency, last) {
            (Consistency::FullyConsistent, _) => Json::object([("fullyConsistent", Json::truth(true))]),
            (Consistency::AtLeastAsFresh, Some(Value::String(token))) => {
                let token = Json::object([("token", Json::text(token))]);
                Json::object([("atLeastAsFresh", token)])
            }
            _ => Json::object([("minimizeLatency", Json::truth(true))]),
        }
    }
}

impl SpiceDbCheck {
    fn exchange(
        &self,
        told: &mut std::slice::Iter<'_, Value>,
        consistency: &Json,
        tools: &Tools<'_>,
    ) -> Result<Exchange, Refusal> {
        let resource = object(&self.resource, told)?;
        let message = Json::object([
            ("consistency", consistency.clone()),
            ("resource", resource),
            ("permission", Json::text(&self.permission)),
            ("subject", subject(&self.subject, told)?),
        ]);
        Ok(tools.post("/v1/permissions/check", &message))
    }
}

impl SpiceDbLookup {
    fn exchange(
        &self,
        told: &mut std::slice::Iter<'_, Value>,
        consistency: &Json,
        tools: &Tools<'_>,
    ) -> Result<Exchange, Refusal> {
        let message = Json::object([
            ("consistency", consistency.clone()),
            ("resourceObjectType", Json::text(&self.resource)),
            ("permission", Json::text(&self.permission)),
            ("subject", subject(&self.subject, told)?),
            // One more than may be, so that more are noticed.
            ("optionalLimit", Json::number(self.ids_max.saturating_add(1))),
        ]);
        Ok(tools.post("/v1/permissions/resources", &message))
    }
}

fn object(setting: &ObjectSetting, told: &mut std::slice::Iter<'_, Value>) -> Result<Json, Refusal> {
    let id = take_id(setting, told)?;
    Ok(Json::object([
        ("objectType", Json::text(&setting.kind)),
        ("objectId", Json::text(&id)),
    ]))
}

fn subject(setting: &SubjectSetting, told: &mut std::slice::Iter<'_, Value>) -> Result<Json, Refusal> {
    let subject = Json::object([("object", object(&setting.object, told)?)]);
    Ok(match &setting.relation {
        Some(relation) => subject.with("optionalRelation", Json::text(relation)),
        None => subject,
    })
}

/// Whether a check says yes. What depends on a caveat's missing context is no yes.
fn allowed(body: &[u8]) -> Result<bool, String> {
    let said = json::parse(body, answer::LIMITS).map_err(|error| error.to_string())?;
    match said.get("permissionship").and_then(Value::as_str) {
        Some("PERMISSIONSHIP_HAS_PERMISSION") => Ok(true),
        Some("PERMISSIONSHIP_NO_PERMISSION" | "PERMISSIONSHIP_CONDITIONAL_PERMISSION") => Ok(false),
        _ => Err("its answer has no permissionship".to_owned()),
    }
}

/// The ids that a lookup found; none when there are more than may be.
fn ids(body: &[u8], ids_max: usize) -> Result<Option<Vec<Value>>, String> {
    let results = ndjson::results(body)?;
    if results.len() > ids_max {
        return Ok(None);
    }
    let mut ids = std::collections::BTreeSet::new();
    for result in &results {
        match result.get("permissionship").and_then(Value::as_str) {
            Some("LOOKUP_PERMISSIONSHIP_HAS_PERMISSION") => {
                let id = result.get("resourceObjectId").and_then(Value::as_str);
                ids.insert(id.filter(|id| !id.is_empty()).ok_or("a result has no id")?);
            }
            Some("LOOKUP_PERMISSIONSHIP_CONDITIONAL_PERMISSION") => {}
            _ => return Err("a result has no permissionship".to_owned()),
        }
    }
    Ok(Some(ids.into_iter().map(Value::from).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_permission_is_a_yes() {
        let said =
            |permissionship: &str| allowed(format!(r#"{{"permissionship":"{permissionship}"}}"#).as_bytes());
        assert_eq!(said("PERMISSIONSHIP_HAS_PERMISSION"), Ok(true));
        assert_eq!(said("PERMISSIONSHIP_NO_PERMISSION"), Ok(false));
        assert_eq!(said("PERMISSIONSHIP_CONDITIONAL_PERMISSION"), Ok(false));
        assert!(said("PERMISSIONSHIP_UNSPECIFIED").is_err());
        assert!(allowed(b"{}").is_err());
        assert!(allowed(b"{\"allowed\":true}").is_err());
    }

    fn line(id: &str, permissionship: &str) -> String {
        format!(
            "{{\"result\":{{\"resourceObjectId\":\"{id}\",\"permissionship\":\"LOOKUP_PERMISSIONSHIP_{permissionship}\"}}}}\n"
        )
    }

    #[test]
    fn a_lookup_gives_each_id_once_and_none_that_is_conditional() {
        let body = ["b", "a", "b"].map(|id| line(id, "HAS_PERMISSION")).concat()
            + &line("c", "CONDITIONAL_PERMISSION");
        assert_eq!(ids(body.as_bytes(), 4), Ok(Some(vec!["a".into(), "b".into()])));
        assert_eq!(ids(body.as_bytes(), 3), Ok(None), "more than may be");
        assert_eq!(ids(b"", 3), Ok(Some(vec![])));
        assert!(ids(line("", "HAS_PERMISSION").as_bytes(), 3).is_err());
        assert!(ids(line("a", "UNSPECIFIED").as_bytes(), 3).is_err());
    }
}
