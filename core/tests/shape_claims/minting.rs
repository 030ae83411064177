use std::sync::Arc;

use shapegate_core::code::Refusal;
use shapegate_core::definition::Replica;
use shapegate_core::identifier::{ColumnSet, TableName};
use shapegate_core::request::{Asked, Declared, DeclaredType, MintBody, Scalar};

fn to_sign(query: &str, body: MintBody<'_>) -> Result<Asked, Refusal> {
    let names = [("project_id", DeclaredType::Int), ("draft", DeclaredType::Bool)];
    let names = names.map(|(name, kind)| (Arc::from(name), kind));
    Asked::to_sign(
        TableName::parse("items").unwrap(),
        query,
        body,
        &Declared::new(names, false).unwrap(),
    )
}

fn code(query: &str, body: MintBody<'_>) -> &'static str {
    to_sign(query, body).map_or_else(|refusal| refusal.code.as_str(), |_| "taken")
}

#[test]
fn query_form_and_json_say_the_same() {
    let text =
        "where=org_id%20%3D%20%241&params%5B1%5D=a&columns=id,title&replica=full&project_id=7&draft=true";
    let asked = to_sign(text, MintBody::Empty).unwrap();
    assert_eq!(asked, to_sign("", MintBody::Form(text.as_bytes())).unwrap());
    for json in [
        r#"{"where":"org_id = $1","params":{"1":"a"},"columns":"id,title","replica":"full","draft":true,"project_id":7}"#,
        r#"{"where":"org_id = $1","params":["a"],"columns":["title","id"],"replica":"full","draft":"true","project_id":"7"}"#,
        r#"{"where":"org_id = $1","params[1]":"a","columns":["title","id"],"replica":"full","draft":true,"project_id":7}"#,
    ] {
        let mut read = to_sign("", MintBody::Json(json.as_bytes())).unwrap();
        read.query.sort();
        read.query.reverse();
        assert_eq!(read, asked, "{json}");
    }
    assert_eq!(asked.definition.where_text.as_deref(), Some("org_id = $1"));
    assert_eq!(asked.definition.params[&1], "a");
    assert_eq!(
        asked.definition.columns,
        Some(ColumnSet::parse("id,title").unwrap())
    );
    assert_eq!(asked.definition.replica, Some(Replica::Full));
    assert_eq!(asked.query[0], ("project_id".into(), Scalar::Int(7)));
}

#[test]
fn the_path_alone_says_which_table_and_nobody_writes_claims() {
    let body = r#"{"table":"secrets","namespace":"pg_catalog","exp":9e9,"iss":"me","sub":"root","aud":"x","shape":{"table":"secrets"},"secret":"x"}"#;
    let asked = to_sign(
        "table=secrets&exp=9999999999&queryable_columns=x",
        MintBody::Empty,
    )
    .unwrap();
    assert_eq!(asked, to_sign("", MintBody::Json(body.as_bytes())).unwrap());
    assert_eq!(asked.definition.table, Some(TableName::parse("items").unwrap()));
    assert!(asked.definition.where_text.is_none() && asked.query.is_empty());
}

#[test]
fn nothing_is_said_twice() {
    for (query, body) in [
        ("where=a&where=b", MintBody::Empty),
        ("where=a", MintBody::Form(b"where=a")),
        ("where=a", MintBody::Json(br#"{"where":"a"}"#)),
        ("params[1]=a&params%5B1%5D=a", MintBody::Empty),
        ("params[1]=a", MintBody::Json(br#"{"params":["b"]}"#)),
        ("table=a&table=b", MintBody::Empty),
    ] {
        assert_eq!(code(query, body), "parameter_duplicate", "{query} {body:?}");
    }
}

#[test]
fn what_is_malformed_is_told() {
    for query in [
        "params=x",
        "params[0]=x",
        "params[01]=x",
        "columns[]=id",
        "replica=FULL",
        "columns=id,%20title",
        "project_id=x",
        "where=%zz",
    ] {
        assert_eq!(code(query, MintBody::Empty), "parameter_malformed", "{query}");
    }
    for body in [
        "",
        "[]",
        "null",
        "{",
        r#"{"where":1}"#,
        r#"{"where":["a"]}"#,
        r#"{"columns":{}}"#,
        r#"{"columns":[1]}"#,
        r#"{"params":"x"}"#,
        r#"{"params":[null]}"#,
        r#"{"params":[1.5]}"#,
        r#"{"replica":true}"#,
        r#"{"where":"a","where":"b"}"#,
        r#"{"project_id":[1]}"#,
        "{} x",
    ] {
        assert_eq!(
            code("", MintBody::Json(body.as_bytes())),
            "body_malformed",
            "{body}"
        );
    }
    assert_eq!(
        code("", MintBody::Json(br#"{"params":{"01":"x"}}"#)),
        "parameter_malformed"
    );
    let many: Vec<String> = (1..=513).map(|n| format!("\"{n}\":\"x\"")).collect();
    let many = format!("{{\"params\":{{{}}}}}", many.join(","));
    assert_eq!(code("", MintBody::Json(many.as_bytes())), "parameter_malformed");
    let form = format!("where={}", "a".repeat(40_000));
    assert_eq!(code("", MintBody::Form(form.as_bytes())), "body_too_large");
    assert_eq!(code("", MintBody::Form(b"where=\xff")), "body_malformed");
}

#[test]
fn null_and_blank_count_as_nothing() {
    let nothing = to_sign("", MintBody::Empty).unwrap();
    assert_eq!(
        nothing,
        to_sign("where=&columns=&replica=", MintBody::Empty).unwrap()
    );
    let nulls = br#"{"where":null,"columns":null,"params":null,"replica":null}"#;
    assert_eq!(nothing, to_sign("", MintBody::Json(nulls)).unwrap());
}
