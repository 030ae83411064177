//! Subsets: read strictly, rebuilt, always sent as a POST.

use shapegate_core::code::{Code, Refusal};
use shapegate_core::limits::SUBSET_BODY_BYTES_MAX;
use shapegate_core::request::{Asked, Declared, Subset, Verb};

use super::support::{DEFINITION, definition_pairs, get, send, todos};

fn rebuilt(body: &str) -> String {
    let subset = Subset::parse_body(body.as_bytes()).unwrap_or_else(|refusal| panic!("{body}: {refusal}"));
    String::from_utf8(subset.to_body()).unwrap()
}

fn refused(body: impl AsRef<[u8]>) -> Refusal {
    let body = body.as_ref();
    let refusal =
        Subset::parse_body(body).expect_err(&String::from_utf8_lossy(body.get(..200).unwrap_or(body)));
    assert_eq!(refusal.status(), 400);
    assert!(
        refusal.message.len() < 500 && refusal.message.ends_with('.'),
        "{}",
        refusal.message
    );
    refusal
}

#[test]
fn both_forms_of_a_body_are_rebuilt_alike() {
    let inner = r#"{"where": "Name = $1", "params": {"1": "Alice"}, "limit": 2, "offset": 0, "order_by": "name desc"}"#;
    let expected = r#"{"subset":{"where":"(\"name\" = $1)","params":{"1":"Alice"},"limit":2,"offset":0,"order_by":"\"name\" DESC"}}"#;
    assert_eq!(rebuilt(inner), expected);
    assert_eq!(rebuilt(&format!(r#"{{"subset":{inner}}}"#)), expected);
}

#[test]
fn what_the_typescript_client_sends_is_understood() {
    let body = r#"{"where":"\"id\" > $1","where_expr":{"type":"func","name":"gt","args":[{"type":"ref","column":"id"}]},
        "params":{"1":5},"limit":10,"order_by":"\"id\" ASC NULLS FIRST","order_by_expr":[{"column":"id"}]}"#;
    assert_eq!(
        rebuilt(body),
        r#"{"subset":{"where":"(\"id\" > $1)","params":{"1":"5"},"limit":10,"order_by":"\"id\" ASC NULLS FIRST"}}"#
    );
}

#[test]
fn nulls_and_blanks_are_left_out() {
    let nothing = r#"{"subset":{}}"#;
    assert_eq!(
        rebuilt(r#"{"where":null,"params":null,"limit":null,"offset":null,"order_by":null}"#),
        nothing
    );
    assert_eq!(rebuilt(r#"{"where":" ","order_by":"","params":{}}"#), nothing);
    assert_eq!(rebuilt(nothing), nothing);
}

#[test]
fn values_of_every_scalar_kind_become_texts() {
    let body = r#"{"where":"a=$1 AND b=$2 AND c=$3 AND d=$4 AND e=$5",
        "params":{"1":"x","2":true,"3":-9223372036854775808,"4":18446744073709551615,"5":1.5}}"#;
    let expected =
        r#""params":{"1":"x","2":"true","3":"-9223372036854775808","4":"18446744073709551615","5":"1.5"}"#;
    assert!(rebuilt(body).contains(expected), "{}", rebuilt(body));
}

#[test]
fn literals_are_lifted_so_that_no_value_is_sql() {
    let rebuilt = rebuilt(r#"{"where":"name = 'x'' OR 1=1 --'"}"#);
    assert_eq!(
        rebuilt,
        r#"{"subset":{"where":"(\"name\" = $1)","params":{"1":"x' OR 1=1 --"}}}"#
    );
}

#[test]
fn every_other_key_is_refused_by_name() {
    for key in [
        "table",
        "columns",
        "queryable_columns",
        "replica",
        "log",
        "handle",
        "offset_",
        "live",
        "secret",
        "Where",
        "cursor",
        "experimental_compaction",
        "",
    ] {
        for body in [
            format!(r#"{{"{key}":null}}"#),
            format!(r#"{{"limit":1,"order_by":"id","{key}":"other"}}"#),
            format!(r#"{{"subset":{{"where":"a = 1","{key}":1}}}}"#),
            format!(r#"{{"subset":{{"where":"a = 1"}},"{key}":1}}"#),
            format!(r#"{{"subset":{{}},"{key}":null}}"#),
        ] {
            let refusal = refused(&body);
            assert_eq!(refusal.code, Code::BodyMalformed, "{body}");
            assert!(refusal.message.starts_with(key), "{body}: {}", refusal.message);
        }
    }
    for key in ["where", "params", "limit", "offset", "order_by"] {
        let refusal = refused(format!(r#"{{"subset":{{}},"{key}":null}}"#));
        assert!(refusal.message.starts_with(key), "{}", refusal.message);
    }
    assert_eq!(refused(r#"{"subset":{"subset":{}}}"#).code, Code::BodyMalformed);
    let escaped = "{\"subset\":{\"where\":\"true\"},\"t\\u0061ble\":\"secrets\"}";
    assert!(refused(escaped).message.starts_with("table"));
}

#[test]
fn a_body_that_is_not_the_one_json_object_is_refused() {
    for body in [
        "",
        " ",
        "{}",
        "[]",
        "null",
        "true",
        "1",
        "\"{}\"",
        "{nope",
        "{\"where\":\"a\"",
        "where=a",
        "{\"where\":\"a = 1\"} x",
        "{\"where\":\"a = 1\"}{}",
        "{\"where\":\"a = 1\",\"where\":\"b = 1\"}",
        "{\"where\":\"a = 1\",\"wher\\u0065\":\"b = 1\"}",
        "{\"subset\":{\"limit\":1,\"limit\":2,\"order_by\":\"a\"}}",
        "{\"subset\":{},\"subset\":{}}",
        "\u{feff}{\"where\":\"a = 1\"}",
        "{\"params\":{\"1\":NaN}}",
        "{'where':'a'}",
        "{\"where\":\"a = 1\",}",
        "{\"where\":\"a = 1\"/**/}",
        "{\"where\":\"a = 1\"}\0",
        "{\"subset\":null}",
        "{\"subset\":[]}",
        "{\"subset\":\"{}\"}",
    ] {
        refused(body);
    }
    let utf16: Vec<u8> = "{\"where\":\"a = 1\"}"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    refused(utf16);
    refused(b"{\"where\":\"a = \xff\"}");
    refused("[".repeat(10_000));
    refused(format!(
        "{{\"where_expr\":{}{}}}",
        "[".repeat(100),
        "]".repeat(100)
    ));
    refused(format!("{{\"where\":\"{}\"}}", "a".repeat(SUBSET_BODY_BYTES_MAX)));
    let duplicate = "k".repeat(10_000);
    refused(format!("{{\"{duplicate}\":1,\"{duplicate}\":2}}"));
    refused(format!("{{\"{duplicate}\":1}}"));
}

#[test]
fn values_out_of_their_kind_or_bounds_are_refused() {
    for body in [
        r#"{"where":1}"#,
        r#"{"where":["a"]}"#,
        r#"{"where":"a = 1","params":[1]}"#,
        r#"{"where":"a = $1","params":{"1":null}}"#,
        r#"{"where":"a = $1","params":{"1":{"x":1}}}"#,
        r#"{"where":"a = $1","params":{"1":[1]}}"#,
        r#"{"where":"a = $1","params":{"01":"x"}}"#,
        r#"{"where":"a = $1","params":{"a":"x"}}"#,
        r#"{"where":"a = $1","params":{"0":"x"}}"#,
        r#"{"where":"a = $1","params":{"2":"x"}}"#,
        r#"{"where":"a = $1","params":{"1":"x","3":"y"}}"#,
        r#"{"where":"a = $1","params":{"1":"x","2":"y"}}"#,
        r#"{"where":"a = $1","params":{"1":"x","99999999999":"y"}}"#,
        r#"{"where":"a = $1"}"#,
        r#"{"where":"a = $1","params":{"1":"x\u0000"}}"#,
        r#"{"params":{"1":"x"}}"#,
        r#"{"limit":1}"#,
        r#"{"offset":1}"#,
        r#"{"limit":1,"order_by":""}"#,
        r#"{"limit":0,"order_by":"a"}"#,
        r#"{"limit":-1,"order_by":"a"}"#,
        r#"{"limit":1.0,"order_by":"a"}"#,
        r#"{"limit":"1","order_by":"a"}"#,
        r#"{"limit":true,"order_by":"a"}"#,
        r#"{"limit":1e2,"order_by":"a"}"#,
        r#"{"limit":4294967297,"order_by":"a"}"#,
        r#"{"offset":2147483648,"order_by":"a"}"#,
        r#"{"offset":-1,"order_by":"a"}"#,
        r#"{"order_by":1}"#,
        r#"{"order_by":"a; drop table b"}"#,
        r#"{"order_by":"(select 1)"}"#,
        r#"{"where":"a IN (SELECT b FROM c)"}"#,
        r#"{"where":"true UNION SELECT 2"}"#,
        r#"{"where":"a = 1) OR (1 = 1"}"#,
        r#"{"where":"a = 1; drop table b"}"#,
    ] {
        refused(body);
    }
}

#[test]
fn a_subset_in_the_query_goes_up_as_the_same_post() {
    let by_query = send(
        todos(),
        Verb::Get,
        "offset=0_0&handle=1-1&subset__where=title+%3D+%241&subset__params=%7B%221%22%3A%22a%22%7D&subset__limit=2\
         &subset__offset=&subset__order_by=id&subset__where_expr=%7B&subset__order_by_expr=x",
        b"",
    )
    .unwrap();
    let body = br#"{"where":"title = $1","params":{"1":"a"},"limit":2,"order_by":"id"}"#;
    let by_body = send(todos(), Verb::Post, "offset=0_0&handle=1-1", body).unwrap();
    assert_eq!(by_query, by_body);
    assert_eq!(
        (by_body.verb(), by_body.key(), by_body.waits()),
        (Verb::Post, None, false)
    );
    assert_eq!(
        by_body.body().unwrap(),
        r#"{"subset":{"where":"(\"title\" = $1)","params":{"1":"a"},"limit":2,"order_by":"\"id\" ASC"}}"#
    );
    assert!(
        definition_pairs(&by_body)
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .eq(DEFINITION)
    );
    assert_eq!(
        by_body.target_with(None),
        get("offset=0_0&handle=1-1").target_with(None)
    );
}

#[test]
fn any_subset_parameter_makes_a_subset_even_a_blank_one() {
    let request = send(todos(), Verb::Get, "offset=-1&subset__where=", b"").unwrap();
    assert_eq!(
        (request.verb(), request.body().unwrap().as_ref()),
        (Verb::Post, &br#"{"subset":{}}"#[..])
    );
    for unknown in [
        "subset__table=x",
        "subset__=x",
        "subset__columns=x",
        "subset__queryable_columns=",
    ] {
        assert!(
            send(todos(), Verb::Get, &format!("offset=-1&{unknown}"), b"").is_err(),
            "{unknown}"
        );
    }
}

#[test]
fn query_and_body_cannot_both_describe_a_subset() {
    let body = br#"{"limit":1,"order_by":"id"}"#;
    let refusal = send(todos(), Verb::Post, "offset=-1&subset__where=true", body).unwrap_err();
    assert_eq!((refusal.code, refusal.status()), (Code::BodyMalformed, 400));
    assert!(send(todos(), Verb::Post, "offset=-1&subset__where=", b"").is_ok());
    assert!(send(todos(), Verb::Post, "offset=-1", b"").is_err());
    assert!(send(todos(), Verb::Post, "offset=-1", b"{}").is_err());
}

#[test]
fn a_subset_neither_waits_nor_comes_by_another_method() {
    let at = "offset=0_0&handle=1-1&live=true";
    let live = Asked::parse(
        Verb::Get,
        &format!("{at}&subset__limit=1&subset__order_by=id"),
        &Declared::default(),
    );
    assert!(live.unwrap_err().message.contains("live"));
    let mut posted = Asked::parse(Verb::Post, at, &Declared::default()).unwrap();
    assert!(posted.take_body(br#"{"limit":1,"order_by":"id"}"#).is_err());
    assert!(Asked::parse(Verb::Head, "offset=-1&subset__where=", &Declared::default()).is_err());
}

#[test]
fn a_subset_cannot_read_a_hidden_column() {
    for body in [r#"{"where":"ssn LIKE '1%'"}"#, r#"{"order_by":"ssn","limit":1}"#] {
        let refusal = send(todos(), Verb::Post, "offset=-1", body.as_bytes()).unwrap_err();
        assert_eq!(refusal.status(), 400, "{body}");
    }
    assert!(send(todos(), Verb::Get, "offset=-1&subset__where=ssn+LIKE+'1%25'", b"").is_err());
}
