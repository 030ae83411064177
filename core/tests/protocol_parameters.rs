//! What a client may send in a query, row by row, and what two parsers could read differently.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use shapegate_core::code::{Code, Refusal};
use shapegate_core::definition::{Log, Replica};
use shapegate_core::identifier::{ColumnSet, TableName};
use shapegate_core::limits;
use shapegate_core::request::{Asked, Declared, DeclaredType, Live, Offset, Op, Scalar, Verb};

const UUID: &str = "0191b6a0-0000-7000-8000-00000000abcd";

fn declared(strict: bool) -> Declared {
    let names = [
        ("organizationId".into(), DeclaredType::Uuid),
        ("page".into(), DeclaredType::Int),
    ];
    Declared::new(names, strict).unwrap()
}

fn parse(query: &str) -> Result<Asked, Refusal> {
    Asked::parse(Verb::Get, query, &declared(false))
}

fn asked(query: &str) -> Asked {
    parse(query).unwrap_or_else(|refusal| panic!("{query}: {refusal}"))
}

/// The refusal of a query; checked to be a 400 that names the parameter in a sentence.
fn refused(query: &str, name: &str) -> Code {
    let refusal = parse(query).expect_err(query);
    assert_eq!(refusal.status(), 400, "{query}");
    assert!(
        refusal.message.contains(name),
        "{query}: {} does not name {name}",
        refusal.message
    );
    assert!(refusal.message.ends_with('.'), "{query}: {}", refusal.message);
    refusal.code
}

#[test]
fn a_request_that_every_client_sends_is_read() {
    let asked = asked("handle=38083685-1729874417404&live=true&log=full&offset=27344208_0&cursor=1674440");
    assert_eq!(
        asked.position.offset,
        Offset::At {
            transaction: 27_344_208,
            operation: Op::At(0)
        }
    );
    assert_eq!(
        asked.position.handle.as_ref().unwrap().as_str(),
        "38083685-1729874417404"
    );
    assert_eq!(asked.position.live, Live::Poll);
    assert_eq!(asked.position.cursor, Some(1_674_440));
    assert_eq!(asked.log, Some(Log::Full));
    assert!(asked.is_plain());
    assert_eq!(asked.dropped, 0);
}

#[test]
fn a_name_sent_twice_is_refused_in_whatever_spelling() {
    let base = "offset=1_0&handle=1-1";
    for (twice, name) in [
        ("table=a&table=b", "table"),
        ("table=a&tabl%65=a", "table"),
        ("%74able=b&table=a", "table"),
        ("offset=1_0", "offset"),
        ("handle=1-1", "handle"),
        ("live=true&live=true", "live"),
        ("live=true&live_sse=true&live_sse=true", "live_sse"),
        (
            "experimental_live_sse=false&experimental_live_sse=false",
            "experimental_live_sse",
        ),
        ("cursor=1&cursor=1", "cursor"),
        ("expired_handle=a&expired_handle=a", "expired_handle"),
        ("cache-buster=a&cache-buster=a", "cache-buster"),
        ("log=full&log=full", "log"),
        ("where=a&where=a", "where"),
        ("columns=a&columns=a", "columns"),
        ("replica=full&replica=default", "replica"),
        ("where=&where=a", "where"),
        ("params[1]=a&params%5B1%5D=b", "params[1]"),
        ("subset__where=&subset__where=", "subset__where"),
        ("subset__where_expr=1&subset__where_expr=2", "subset__where_expr"),
        ("page=1&page=2", "page"),
        ("unknown=1&unknown=2", "unknown"),
        ("a+b=1&a%20b=1", "a b"),
    ] {
        assert_eq!(
            refused(&format!("{base}&{twice}"), name),
            Code::ParameterDuplicate,
            "{twice}"
        );
    }
}

#[test]
fn brackets_are_refused_except_in_canonical_params() {
    for name in [
        "table[]",
        "table[a]",
        "columns[]",
        "columns%5B%5D",
        "subset[where]",
        "params[]",
        "params[0]",
        "params[01]",
        "params[+1]",
        "params[1",
        "params1]",
        "params[1][2]",
        "params[a]",
        "params[1]x",
        "params[-1]",
        "params[1.0]",
        "params[ 1]",
        "params[]]",
        "x[1]",
        "]",
        "where[]",
        "Params[1]",
        "params[١]",
        "params[513]",
        "params[65537]",
        "params[99999999999999999999]",
    ] {
        assert_eq!(
            refused(&format!("offset=-1&{name}=x"), "params[n]"),
            Code::ParameterMalformed,
            "{name}"
        );
    }
    assert_eq!(
        refused("offset=-1&params=x", "params[1]"),
        Code::ParameterMalformed
    );
    assert_eq!(
        refused("offset=-1&params=%7B%221%22%3A1%7D", "params[1]"),
        Code::ParameterMalformed
    );
    assert_eq!(refused("offset=-1&subset=x", "subset"), Code::ParameterMalformed);
    let asked = asked("offset=-1&params%5B2%5D=b&params[1]=a");
    assert_eq!(
        asked.definition.params.into_iter().collect::<Vec<_>>(),
        [(1, "a".into()), (2, "b".into())]
    );
}

#[test]
fn malformed_escapes_bad_utf8_and_control_characters_are_refused() {
    for value in ["%", "%z", "%zz", "%4", "a%", "%%41", "%+4"] {
        assert_eq!(
            refused(&format!("offset=-1&where={value}"), "where"),
            Code::ParameterMalformed,
            "{value}"
        );
        assert_eq!(
            parse(&format!("offset=-1&{value}=x")).unwrap_err().code,
            Code::MalformedRequest,
            "{value}"
        );
    }
    for value in ["%ff", "%c3", "%c0%af", "%ed%a0%80", "%f4%90%80%80"] {
        assert_eq!(
            refused(&format!("offset=-1&where={value}"), "where"),
            Code::ParameterMalformed,
            "{value}"
        );
    }
    for value in [
        "%00", "a%00b", "%0a", "%0d%0a", "%09", "%1b", "%7f", "%c2%80", "\u{1}",
    ] {
        for name in ["where", "table", "unknown", "page", "handle", "subset__where"] {
            let refusal = parse(&format!("offset=-1&{name}={value}")).unwrap_err();
            assert_eq!(
                (refusal.code, refusal.status()),
                (Code::ParameterMalformed, 400),
                "{name}={value}"
            );
        }
        assert_eq!(parse(&format!("offset=-1&{value}=x")).unwrap_err().status(), 400);
    }
}

#[test]
fn what_is_over_its_limit_is_refused() {
    let long = |bytes: usize| "a".repeat(bytes);
    for (query, name) in [
        (format!("handle={}", long(129)), "handle"),
        (format!("expired_handle={}", long(129)), "expired_handle"),
        (format!("cache-buster={}", long(65)), "cache-buster"),
        (format!("cursor={}", "1".repeat(21)), "cursor"),
        (
            format!("where={}", long(limits::CLAUSE_TEXT_BYTES_MAX + 1)),
            "where",
        ),
        (
            format!("table={}", long(limits::TABLE_TEXT_BYTES_MAX + 1)),
            "table",
        ),
        (format!("table={}", long(64)), "table"),
        (format!("columns={}", long(64)), "columns"),
        (
            format!("subset__where={}", long(limits::CLAUSE_TEXT_BYTES_MAX + 1)),
            "where",
        ),
        (
            format!("subset__order_by={}", long(limits::ORDER_BY_TEXT_BYTES_MAX + 1)),
            "order_by",
        ),
        (
            format!("{}=1", long(limits::PARAMETER_NAME_BYTES_MAX + 1)),
            "name",
        ),
    ] {
        refused(&format!("offset=-1&{query}"), name);
    }
    let whole = format!("offset=-1&x={}", long(limits::QUERY_BYTES_MAX));
    assert_eq!(parse(&whole).unwrap_err().status(), 414);
    let many: String = (0..=limits::QUERY_PARAMETERS_MAX)
        .map(|index| format!("&x{index}="))
        .collect();
    assert_eq!(parse(&many).unwrap_err().code, Code::MalformedRequest);
}

#[test]
fn positions_are_read_by_their_grammar_and_no_other() {
    for (query, name) in [
        ("", "offset"),
        ("offset=", "offset"),
        ("offset=x", "offset"),
        ("offset=-2", "offset"),
        ("offset=1", "offset"),
        ("offset=%2B1_2", "offset"),
        ("offset=1_2", "handle"),
        ("offset=1_2&handle=", "handle"),
        ("offset=1_2&handle=a%20b", "handle"),
        ("offset=1_2&handle=a/b", "handle"),
        ("offset=1_2&handle=a%26table=b", "handle"),
        ("offset=-1&live=true", "live"),
        ("offset=now&live=true", "live"),
        ("offset=1_2&handle=a&live", "live"),
        ("offset=1_2&handle=a&live=", "live"),
        ("offset=1_2&handle=a&live=1", "live"),
        ("offset=1_2&handle=a&live=True", "live"),
        ("offset=1_2&handle=a&live_sse=true", "live_sse"),
        (
            "offset=1_2&handle=a&live=false&experimental_live_sse=true",
            "live_sse",
        ),
        ("offset=1_2&handle=a&live=true&live_sse=yes", "live_sse"),
        (
            "offset=1_2&handle=a&live=true&experimental_live_sse=1",
            "experimental_live_sse",
        ),
        ("offset=-1&cursor=-1", "cursor"),
        ("offset=-1&cursor=1e3", "cursor"),
        ("offset=-1&cursor=99999999999999999999", "cursor"),
        ("offset=-1&expired_handle=", "expired_handle"),
        ("offset=-1&cache-buster=", "cache-buster"),
        ("offset=-1&cache-buster=a~b", "cache-buster"),
        ("offset=-1&log=", "log"),
        ("offset=-1&log=FULL", "log"),
        ("offset=-1&log=none", "log"),
        ("offset=-1&replica=all", "replica"),
        ("offset=-1&table=a.b.c", "table"),
        ("offset=-1&table=a%20b", "table"),
        ("offset=-1&columns=a,,b", "columns"),
        ("offset=-1&page=1.0", "page"),
        ("offset=-1&organizationId=1", "organizationId"),
        ("offset=-1&organizationId=", "organizationId"),
    ] {
        refused(query, name);
    }
}

#[test]
fn a_blank_cursor_is_none_as_the_typescript_client_sends_it_on_its_first_live_request() {
    assert_eq!(
        asked("offset=0_inf&handle=a&live=true&cursor=").position.cursor,
        None
    );
}

#[test]
fn both_spellings_of_sse_mean_the_same() {
    let at = "offset=0_inf&handle=a&live=true";
    for (more, live) in [
        ("", Live::Poll),
        ("&live_sse=true", Live::Sse),
        ("&experimental_live_sse=true", Live::Sse),
        ("&experimental_live_sse=true&live_sse=true", Live::Sse),
        ("&live_sse=false&experimental_live_sse=true", Live::Poll),
    ] {
        assert_eq!(asked(&format!("{at}{more}")).position.live, live, "{more}");
    }
    assert_eq!(asked("offset=0_inf&handle=a&live=false").position.live, Live::No);
}

#[test]
fn a_handle_at_the_start_is_checked_and_then_ignored_as_electric_does() {
    assert_eq!(asked("offset=-1&handle=1-1").position.handle, None);
    assert_eq!(asked("offset=now&handle=1-1").position.handle, None);
    refused("offset=-1&handle=%20", "handle");
}

#[test]
fn definition_parameters_are_folded_as_electric_folds_them() {
    let asked = asked(
        "offset=-1&table=PUBLIC.Items&columns=b,%22a%22,B&replica=full&log=changes_only&where=a+%3D+%241",
    );
    assert_eq!(asked.definition.table, Some(TableName::parse("items").unwrap()));
    assert_eq!(asked.definition.columns, Some(ColumnSet::parse("a,b").unwrap()));
    assert_eq!(asked.definition.replica, Some(Replica::Full));
    assert_eq!(asked.definition.where_text.as_deref(), Some("a = $1"));
    assert_eq!(asked.log, Some(Log::ChangesOnly));
    assert!(!asked.is_plain());
}

#[test]
fn a_blank_definition_parameter_says_nothing() {
    for blank in ["", "%20", "+", "%20%20"] {
        let query = format!("offset=-1&table={blank}&where={blank}&columns={blank}");
        assert!(asked(&query).definition.is_empty(), "{query}");
    }
    assert!(asked("offset=-1&replica=").is_plain());
}

#[test]
fn the_servers_own_parameters_are_refused_whatever_they_hold() {
    for name in [
        "secret",
        "api_secret",
        "queryable_columns",
        "source_id",
        "s%65cret",
    ] {
        for value in ["", "=", "=guess", "=*"] {
            let code = refused(&format!("offset=-1&{name}{value}"), "set by the server alone");
            assert_eq!(code, Code::ParameterNotAllowed);
        }
    }
}

#[test]
fn declared_names_are_typed() {
    let asked = asked(&format!(
        "offset=-1&organizationId={}&page=-3",
        UUID.to_uppercase()
    ));
    let expected: [(std::sync::Arc<str>, Scalar); 2] = [
        ("organizationId".into(), Scalar::Uuid(UUID.into())),
        ("page".into(), Scalar::Int(-3)),
    ];
    assert_eq!(asked.query, expected);
    assert!(!asked.is_plain());
}

#[test]
fn unknown_names_are_dropped_and_counted_or_refused_where_the_route_is_strict() {
    let query = "offset=-1&Table=secrets&WHERE=true&database_id=x&experimental_compaction=true&_method=DELETE&foo=1;table=b";
    let asked = asked(query);
    assert_eq!(asked.dropped, 6);
    assert!(asked.is_plain());
    assert!(asked.query.is_empty());
    let strict = Asked::parse(Verb::Get, "offset=-1&foo=1", &declared(true)).unwrap_err();
    assert_eq!((strict.code, strict.status()), (Code::ParameterUnknown, 400));
    assert!(strict.message.contains("foo"));
    let protocol = "offset=0_0&handle=a&cursor=1&expired_handle=b&cache-buster=c&live=true&live_sse=true\
                    &experimental_live_sse=true&log=full";
    assert!(Asked::parse(Verb::Get, protocol, &declared(true)).is_ok());
}

#[test]
fn empty_pairs_are_skipped_and_a_value_may_hold_an_equals_sign() {
    let asked = asked("&&offset=-1&&&where=a=b&");
    assert_eq!(asked.definition.where_text.as_deref(), Some("a=b"));
    refused("offset=-1&=x", "name");
}

#[test]
fn a_deletion_needs_no_offset_and_keeps_its_handle() {
    let asked = Asked::parse(Verb::Delete, "handle=1-1", &declared(false)).unwrap();
    assert_eq!(asked.position.handle.unwrap().as_str(), "1-1");
    assert!(Asked::parse(Verb::Delete, "handle=1-1&live=true", &declared(false)).is_err());
    assert!(
        Asked::parse(
            Verb::Delete,
            "subset__limit=1&subset__order_by=id",
            &declared(false)
        )
        .is_err()
    );
}

#[test]
fn verbs_are_exact() {
    assert_eq!(Verb::of_method("GET"), Some(Verb::Get));
    for other in ["get", "PUT", "PATCH", "OPTIONS", "TRACE", "CONNECT", "", "GET "] {
        assert_eq!(Verb::of_method(other), None);
    }
}

#[test]
fn no_refusal_repeats_a_value_or_a_long_name() {
    let canary = "canary".repeat(40);
    for query in [
        format!("offset={canary}"),
        format!("offset=-1&handle={canary}%20"),
        format!("offset=-1&secret={canary}"),
        format!("offset=-1&page={canary}"),
        format!("offset=-1&{canary}[]=1"),
    ] {
        let refusal = parse(&query).unwrap_err();
        assert!(!refusal.message.contains(&canary), "{}", refusal.message);
    }
}
