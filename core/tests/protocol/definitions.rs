//! Definitions compared with what a client asks for, and as logs see them.

use shapegate_core::definition::{Columns, Log, Replica, Rows, ShapeDefinition};
use shapegate_core::identifier::{ColumnSet, TableName};
use shapegate_core::request::{Asked, AskedDefinition, Declared, ParameterName, Verb};

use super::support::{definition, filter};

fn asked(query: &str) -> AskedDefinition {
    Asked::parse(Verb::Get, &format!("offset=-1&{query}"), &Declared::default())
        .unwrap()
        .definition
}

fn permitted() -> ShapeDefinition {
    let rows = Rows::Where(filter(
        "org_id = $1 AND kind IN (SELECT kind FROM kinds WHERE owner = $2)",
        &["7", "myself"],
    ));
    let columns = Columns::Only(ColumnSet::parse("id,\"Name\"").unwrap());
    ShapeDefinition::new(
        TableName::parse("app.items").unwrap(),
        rows,
        columns,
        Replica::Full,
        Log::Full,
    )
}

#[test]
fn the_same_in_other_words_does_not_differ() {
    for query in [
        "",
        "table=App.Items",
        "table=%22app%22.items",
        "columns=%22Name%22,ID",
        "replica=full",
        "params[2]=myself",
        "params[1]=7&params[2]=myself",
        "where=((ORG_ID=$1))+and+kind+in+(select+kind+from+public.kinds+where+owner%3D$2)&params[1]=7&params[2]=myself",
        "where=org_id+%3D+'7'+AND+kind+IN+(SELECT+kind+FROM+kinds+WHERE+owner+%3D+'myself')",
    ] {
        assert_eq!(asked(query).differs_from(&permitted()), None, "{query}");
    }
}

#[test]
fn another_value_is_named() {
    for (query, name) in [
        ("table=items", ParameterName::Table),
        ("table=app.%22Items%22", ParameterName::Table),
        ("columns=id", ParameterName::Columns),
        ("columns=id,name", ParameterName::Columns),
        ("columns=id,%22Name%22,ssn", ParameterName::Columns),
        ("replica=default", ParameterName::Replica),
        ("params[1]=8", ParameterName::Params(1)),
        ("params[1]=7&params[2]=you", ParameterName::Params(2)),
        ("params[3]=x", ParameterName::Params(3)),
        ("where=true", ParameterName::Where),
        ("where=org_id+%3D+$1&params[1]=7", ParameterName::Where),
        ("where=nonsense+(", ParameterName::Where),
        (
            "where=org_id=$1+AND+kind+IN+(SELECT+kind+FROM+kinds+WHERE+owner=$2)&params[1]=8&params[2]=myself",
            ParameterName::Where,
        ),
        (
            "where=org_id=$1+AND+kind+IN+(SELECT+kind+FROM+kinds+WHERE+owner=$2)",
            ParameterName::Where,
        ),
        (
            "where=kind+IN+(SELECT+kind+FROM+kinds+WHERE+owner='myself')+AND+org_id='7'",
            ParameterName::Where,
        ),
    ] {
        assert_eq!(asked(query).differs_from(&permitted()), Some(name), "{query}");
    }
    assert_eq!(ParameterName::Params(12).to_string(), "params[12]");
}

#[test]
fn all_and_none_compare_with_themselves_alone() {
    let all = definition("items", Rows::All);
    let none = definition("items", Rows::None);
    assert_eq!(asked("where=true").differs_from(&all), Some(ParameterName::Where));
    assert_eq!(
        asked("columns=id").differs_from(&all),
        Some(ParameterName::Columns)
    );
    assert_eq!(
        asked("params[1]=x").differs_from(&all),
        Some(ParameterName::Params(1))
    );
    assert_eq!(asked("where=FALSE").differs_from(&none), None);
    assert_eq!(
        asked("where=false").differs_from(&all),
        Some(ParameterName::Where)
    );
    assert_eq!(asked("where=").differs_from(&all), None);
}

#[test]
fn a_clients_filter_is_read_with_its_values() {
    let read = asked("where=a+%3D+$1+AND+b+%3D+'x'&params[1]=1")
        .filter()
        .unwrap()
        .unwrap();
    assert_eq!(read.parameters().len(), 2);
    assert_eq!(asked("").filter(), Ok(None));
    for query in [
        "params[1]=x",
        "where=a=$1",
        "where=a=$1&params[2]=x",
        "where=a=$1&params[1]=x&params[3]=y",
        "where=a=$1&params[1]=x&params[2]=y",
        "where=a+IN+(SELECT+1)",
        "where=a=",
    ] {
        let refusal = asked(query).filter().expect_err(query);
        assert_eq!(refusal.status(), 400, "{query}");
    }
}

#[test]
fn logs_see_the_definition_without_its_values() {
    let shape = permitted();
    let json = serde_json::to_value(&shape).unwrap();
    assert_eq!(json["table"], r#""app"."items""#);
    assert_eq!(json["params_count"], 2);
    assert_eq!(json["columns"], r#""Name","id""#);
    assert_eq!(
        (json["replica"].as_str(), json["log"].as_str()),
        (Some("full"), Some("full"))
    );
    for text in [json.to_string(), shape.to_string()] {
        assert!(!text.contains("myself") && text.contains("org_id"), "{text}");
    }
    let shown = serde_json::to_value(shape.with_values()).unwrap();
    assert_eq!(shown["params"], serde_json::json!(["7", "myself"]));
    assert_eq!(
        serde_json::to_value(definition("items", Rows::None)).unwrap()["rows"],
        "none"
    );
}
