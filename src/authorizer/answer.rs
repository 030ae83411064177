//! What a service answers that speaks our JSON, and what a policy of OPA may give:
//! `{"allow": true, "where"?, "params"?, "columns"?, "facts"?, "ttl"?}`, read strictly.

use std::time::Duration;

use shapegate_core::identifier::{ColumnSet, Identifier};
use shapegate_core::json::JsonLimits;
use shapegate_core::policy::returned_filter;
use shapegate_core::value::Value;

use super::service::ANSWER_BYTES_MAX;
use super::{Denial, Found, Reply};

/// How much of an answer is read at all.
pub(super) const LIMITS: JsonLimits = JsonLimits {
    bytes_max: ANSWER_BYTES_MAX,
    depth_max: 10,
    values_max: 8 * 1024,
};

const MEMBERS: [&str; 6] = ["allow", "where", "params", "columns", "facts", "ttl"];

/// Reads an answer. One that cannot be understood in full is none: a restriction may be in what is not.
///
/// # Errors
/// What is wrong with it, without its values.
pub(super) fn read(answer: &Value) -> Result<Reply, String> {
    let Value::Map(members) = answer else {
        return Err(format!("its answer is {}, not an object", answer.kind()));
    };
    if let Some(name) = members.keys().find(|name| !MEMBERS.contains(&&***name)) {
        return Err(format!("its answer has the unknown member {name:?}"));
    }
    let found = Found {
        filter: filter(answer)?,
        columns: answer.get("columns").map(columns).transpose()?,
        facts: match answer.get("facts") {
            None => std::collections::BTreeMap::new(),
            Some(Value::Map(facts)) => facts.clone(),
            Some(other) => return Err(format!("`facts` is {}, not an object", other.kind())),
        },
        ttl: answer.get("ttl").map(ttl).transpose()?,
        refuses: false,
    };
    match answer.get("allow") {
        Some(Value::Bool(true)) => Ok(Reply::Found(found)),
        Some(Value::Bool(false)) => Ok(Reply::Denied(Denial::Forbidden)),
        Some(other) => Err(format!("`allow` is {}, not true or false", other.kind())),
        None => Err("its answer lacks `allow`".to_owned()),
    }
}

fn filter(answer: &Value) -> Result<Option<shapegate_core::clause::Filter>, String> {
    let params = match answer.get("params") {
        None => &[][..],
        Some(Value::List(params)) => params.as_slice(),
        Some(other) => return Err(format!("`params` is {}, not a list", other.kind())),
    };
    match answer.get("where") {
        None if params.is_empty() => Ok(None),
        None => Err("`params` without `where`".to_owned()),
        Some(Value::String(text)) => returned_filter(text, params).map(Some),
        Some(other) => Err(format!("`where` is {}, not a string", other.kind())),
    }
}

/// Names as the configuration has them: folded unless quoted.
fn columns(value: &Value) -> Result<ColumnSet, String> {
    let Value::List(names) = value else {
        return Err(format!("`columns` is {}, not a list", value.kind()));
    };
    let name = |name: &Value| match name {
        Value::String(text) => Identifier::parse(text).map_err(|error| format!("`columns`: {error}")),
        other => Err(format!("`columns` has {} in it", other.kind())),
    };
    let names = names.iter().map(name).collect::<Result<Vec<_>, _>>()?;
    ColumnSet::from_iter(names).map_err(|error| format!("`columns`: {error}"))
}

fn ttl(value: &Value) -> Result<Duration, String> {
    match value {
        Value::Int(seconds) => u64::try_from(*seconds)
            .map(Duration::from_secs)
            .map_err(|_| "`ttl` is negative".to_owned()),
        other => Err(format!(
            "`ttl` is {}, not a whole number of seconds",
            other.kind()
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use shapegate_core::json;

    use super::*;

    fn said(text: &str) -> Result<Reply, String> {
        read(&json::parse(text.as_bytes(), LIMITS).map_err(|error| error.to_string())?)
    }

    #[test]
    fn a_full_answer_is_read_in_full() {
        let answer = r#"{"allow":true,"where":"owner = $1","params":["bob"],"columns":["id","\"Name\""],
            "facts":{"role":"x"},"ttl":7}"#;
        let Ok(Reply::Found(found)) = said(answer) else {
            unreachable!("{:?}", said(answer))
        };
        assert_eq!(found.filter.unwrap().text(), r#"("owner" = $1)"#);
        assert_eq!(found.columns.unwrap().to_string(), r#""Name","id""#);
        assert_eq!(found.facts.get("role"), Some(&Value::from("x")));
        assert_eq!(found.ttl, Some(Duration::from_secs(7)));
        assert_eq!(said(r#"{"allow":true}"#), Ok(Reply::Found(Found::default())));
        assert_eq!(said(r#"{"allow":false}"#), Ok(Reply::Denied(Denial::Forbidden)));
    }

    #[test]
    fn an_answer_that_is_not_understood_in_full_is_none() {
        for text in [
            "",
            "true",
            "null",
            "[]",
            "{}",
            r#"{"allow":"true"}"#,
            r#"{"allow":1}"#,
            r#"{"allow":null}"#,
            r#"{"Allow":true}"#,
            r#"{"allow":true,"wehre":"x = 1"}"#,
            r#"{"allow":false,"allow":true}"#,
            r#"{"allow":true,"where":null}"#,
            r#"{"allow":true,"where":true}"#,
            r#"{"allow":true,"where":"true) OR (true"}"#,
            r#"{"allow":true,"where":"owner = $1"}"#,
            r#"{"allow":true,"where":"owner = $1","params":{"1":"x"}}"#,
            r#"{"allow":true,"where":"owner = $1","params":[null]}"#,
            r#"{"allow":true,"params":["x"]}"#,
            r#"{"allow":true,"columns":[]}"#,
            r#"{"allow":true,"columns":"id"}"#,
            r#"{"allow":true,"columns":[1]}"#,
            r#"{"allow":true,"facts":[]}"#,
            r#"{"allow":true,"ttl":"30s"}"#,
            r#"{"allow":true,"ttl":-1}"#,
            r#"{"allow":true,"ttl":1.5}"#,
            r#"{"allow":true} trailing"#,
            "<html>ok</html>",
        ] {
            assert!(said(text).is_err(), "{text}");
        }
    }
}
