//! What the upstream receives.

use shapegate_core::code::Code;
use shapegate_core::definition::Columns;
use shapegate_core::identifier::TableName;
use shapegate_core::limits::{REQUEST_LINE_BYTES_ELECTRIC, REQUEST_LINE_BYTES_MAX};
use shapegate_core::policy::{
    ClientFilter, ParamSource, RowsSource, RuleSource, ShapePolicy, TablePattern, TableSpec,
};
use shapegate_core::request::Verb;
use shapegate_core::upstream::{BaseError, Secret, UpstreamBase};
use shapegate_core::value::Value;

use super::support::{
    DEFINITION, base, definition_pairs, get, ignoring, pairs, secret, send, send_as, todos, user,
};

fn expected() -> Vec<(String, String)> {
    DEFINITION
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn a_request_is_written_in_one_canonical_form() {
    let request = get("offset=-1");
    let target = "/v1/shape?columns=%22id%22%2C%22title%22&log=full&offset=-1&params%5B1%5D=acme\
                  &queryable_columns=%22id%22%2C%22title%22&replica=default&table=%22public%22.%22todos%22\
                  &where=%28%22org_id%22%20%3D%20%241%29";
    assert_eq!(request.key().map(|key| &**key), Some(&*format!("GET {target}")));
    assert_eq!(request.target_with(None), target);
    assert_eq!(
        request.target_with(Some(&secret())),
        format!("{target}&secret=s3cr%26t%20canary")
    );
    assert_eq!((request.verb(), request.body()), (Verb::Get, None));
}

#[test]
fn the_order_in_which_a_client_writes_its_parameters_makes_no_difference() {
    let one = get(
        "offset=07_0&handle=a&live=true&live_sse=true&cursor=012&log=full&expired_handle=b&cache-buster=c-1",
    );
    let other = get(
        "cache-buster=c-1&foo=x&cursor=12&expired%5Fhandle=b&experimental_live_sse=true&live=true&offset=7_0&handle=a",
    );
    assert_eq!(one, other);
    let names: Vec<String> = pairs(&one.target_with(Some(&secret())))
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        names,
        [
            "cache-buster",
            "columns",
            "cursor",
            "expired_handle",
            "handle",
            "live",
            "live_sse",
            "log",
            "offset",
            "params[1]",
            "queryable_columns",
            "replica",
            "table",
            "where",
            "secret"
        ]
    );
    assert!(one.waits() && one.is_sse());
}

#[test]
fn the_secret_is_in_no_key_and_in_no_debug_form() {
    let request = get("offset=-1");
    let secret = secret();
    let base = base();
    for text in [
        request.key().unwrap().to_string(),
        format!("{request:?}"),
        format!("{secret:?}"),
        format!("{base:?}"),
        request.target_with(None),
    ] {
        assert!(!text.contains("s3cr"), "{text}");
    }
    assert!(
        !format!("{request:?}").contains("acme"),
        "values are not for logs"
    );
    assert_eq!(request.target_with(Some(&secret)).matches("secret=").count(), 1);
}

#[test]
fn a_value_travels_byte_by_byte_in_its_parameter() {
    let policy = ShapePolicy::compile(todos()).unwrap();
    for value in [
        "' OR '1'='1",
        "$2",
        "\\",
        "%",
        "%27",
        "a+b c",
        "a&where=true",
        "é😀",
        "x) OR (1=1",
        "{1,2}",
    ] {
        let request = send_as(&policy, &user(value), &base(), Verb::Get, "offset=-1", b"").unwrap();
        let mut definition = expected();
        definition[1].1 = value.to_owned();
        assert_eq!(definition_pairs(&request), definition, "{value}");
    }
    for value in ["a\0b", ""] {
        let refusal = send_as(&policy, &user(value), &base(), Verb::Get, "offset=-1", b"").unwrap_err();
        assert_eq!(refusal.status(), 403, "{value:?}");
    }
}

#[test]
fn parameters_go_up_in_the_order_of_their_numbers() {
    let values: Vec<String> = (1..=12).map(|number| format!("v{number}")).collect();
    let params = values
        .iter()
        .map(|value| ParamSource::Value(Value::from(value.as_str())))
        .collect();
    let text = (1..=12)
        .map(|number| format!("a <> ${number}"))
        .collect::<Vec<_>>()
        .join(" AND ");
    let source = shapegate_core::policy::ShapeSource {
        rules: vec![RuleSource {
            when: None,
            rows: RowsSource::Where { text, params },
        }],
        ..todos()
    };
    let request = send(source, Verb::Get, "offset=-1", b"").unwrap();
    let sent = definition_pairs(&request)
        .into_iter()
        .filter(|(name, _)| name.starts_with("params"));
    let expected = (1..=12)
        .zip(values)
        .map(|(number, value)| (format!("params[{number}]"), value));
    assert!(sent.eq(expected));
}

#[test]
fn no_rows_is_asked_for_as_such_and_all_as_nothing() {
    let rows = |rows| {
        let rules = vec![RuleSource { when: None, rows }];
        let source = shapegate_core::policy::ShapeSource {
            rules,
            columns: Columns::All,
            ..todos()
        };
        let request = send(source, Verb::Get, "offset=-1&log=changes_only", b"").unwrap();
        request.target_with(None)
    };
    let all = "/v1/shape?log=changes_only&offset=-1&replica=default&table=%22public%22.%22todos%22";
    assert_eq!(rows(RowsSource::All), all);
    assert_eq!(rows(RowsSource::None), format!("{all}&where=false"));
}

#[test]
fn nothing_of_a_definition_is_ever_sent_blank() {
    for (query, verb) in [
        ("offset=-1", Verb::Get),
        ("offset=0_inf&handle=h&live=true", Verb::Get),
        ("", Verb::Delete),
    ] {
        let request = send(todos(), verb, query, b"").unwrap();
        assert!(
            pairs(&request.target_with(None))
                .iter()
                .all(|(_, value)| !value.trim().is_empty())
        );
    }
}

#[test]
fn a_head_goes_up_as_a_head_and_under_a_key_of_its_own() {
    let head = send(todos(), Verb::Head, "offset=-1", b"").unwrap();
    assert_eq!(head.verb(), Verb::Head);
    assert_eq!(head.target_with(None), get("offset=-1").target_with(None));
    assert_ne!(head.key(), get("offset=-1").key());
}

#[test]
fn a_deletion_carries_the_definition_whether_or_not_it_has_a_handle() {
    let bare = send(todos(), Verb::Delete, "", b"").unwrap();
    let handled = send(
        todos(),
        Verb::Delete,
        "handle=1-1&offset=3_3&cursor=1&cache-buster=x",
        b"",
    )
    .unwrap();
    assert_eq!((bare.verb(), bare.key(), bare.body()), (Verb::Delete, None, None));
    assert_eq!(definition_pairs(&bare), expected());
    let with_handle = bare.target_with(None).replacen("&log=", "&handle=1-1&log=", 1);
    assert_eq!(handled.target_with(None), with_handle);
    assert!(!bare.target_with(None).contains("offset"));
}

#[test]
fn the_upstreams_own_path_and_source_are_constant() {
    let policy = ShapePolicy::compile(todos()).unwrap();
    let base = UpstreamBase::new("/electric", Some("0a b"), Some(&secret())).unwrap();
    let request = send_as(&policy, &user("acme"), &base, Verb::Get, "offset=-1", b"").unwrap();
    let target = request.target_with(Some(&secret()));
    assert!(target.starts_with("/electric/v1/shape?columns="));
    assert!(target.ends_with("&source_id=0a%20b&secret=s3cr%26t%20canary"));
    assert!(request.key().unwrap().ends_with("&source_id=0a%20b"));
    for path in [
        "/", "x", "/a/", "//a", "/a?b", "/a#b", "/../a", "/./a", "/a b", "/%41", "/é",
    ] {
        assert_eq!(
            UpstreamBase::new(path, None, None),
            Err(BaseError::Path),
            "{path}"
        );
    }
    for source in ["", " ", "a\nb", &"x".repeat(129)] {
        assert_eq!(
            UpstreamBase::new("", Some(source), None),
            Err(BaseError::SourceId),
            "{source}"
        );
    }
    assert_eq!(Secret::new(""), None);
    assert_eq!(Secret::new(" \n"), None);
}

/// A user whose organisation makes the longest line that fits, and one byte more.
fn at_the_limit() -> (usize, UpstreamBase) {
    let line = |bytes: usize| {
        let target = get("offset=-1").target_with(Some(&secret()));
        "DELETE ".len() + target.len() - "acme".len() + bytes + " HTTP/1.1".len()
    };
    (REQUEST_LINE_BYTES_MAX - line(0), base())
}

#[test]
fn a_definition_that_does_not_fit_is_refused_with_the_count_and_the_way_out() {
    let policy = ShapePolicy::compile(todos()).unwrap();
    let (most, base) = at_the_limit();
    let org = |bytes: usize| user(&"o".repeat(bytes));
    assert!(send_as(&policy, &org(most), &base, Verb::Get, "offset=-1", b"").is_ok());
    for query in ["offset=-1", "offset=0_inf&handle=1-1&live=true"] {
        let refusal = send_as(&policy, &org(most + 1), &base, Verb::Get, query, b"").unwrap_err();
        assert_eq!((refusal.code, refusal.status()), (Code::DefinitionTooLarge, 403));
        assert!(
            refusal.message.contains("9501") && refusal.message.contains("9500"),
            "{}",
            refusal.message
        );
        assert!(refusal.message.contains("subquery"), "{}", refusal.message);
    }
}

#[test]
fn a_definition_that_fits_fits_at_every_position() {
    let policy = ShapePolicy::compile(todos()).unwrap();
    let (most, base) = at_the_limit();
    let handle = "h".repeat(105);
    let number = u64::MAX;
    let query = format!(
        "offset={number}_{number}&handle={handle}&expired_handle={handle}&cursor={number}&live=true&live_sse=true\
         &cache-buster={}",
        "b".repeat(64)
    );
    let request = send_as(&policy, &user(&"o".repeat(most)), &base, Verb::Get, &query, b"").unwrap();
    let target = request.target_with(Some(&secret()));
    assert_eq!(pairs(&target).len(), 15);
    let line = format!("GET {target} HTTP/1.1");
    assert!(
        line.len() > REQUEST_LINE_BYTES_MAX && line.len() <= REQUEST_LINE_BYTES_ELECTRIC,
        "{}",
        line.len()
    );
}

#[test]
fn what_a_client_says_of_the_definition_is_refused_or_ignored_and_never_sent() {
    for query in [
        "table=secrets",
        "where=true",
        "where=1%3D1)+OR+(1%3D1",
        "where=/**/",
        "where=org_id+%3D+%241&params[1]=other",
        "params[1]=other",
        "params[2]=x",
        "columns=id,ssn",
        "columns=id",
        "replica=full",
    ] {
        let query = format!("offset=-1&{query}");
        let refusal = send(todos(), Verb::Get, &query, b"").unwrap_err();
        assert_eq!(
            (refusal.code, refusal.status()),
            (Code::ParameterNotAllowed, 400),
            "{query}"
        );
        let request = send(ignoring(), Verb::Get, &query, b"").unwrap();
        assert_eq!(request, get("offset=-1"), "{query}");
    }
}

#[test]
fn what_equals_the_servers_own_definition_is_accepted_and_not_sent() {
    for query in [
        "table=todos",
        "table=PUBLIC.Todos",
        "table=%22public%22.%22todos%22",
        "columns=title,%22id%22,ID",
        "replica=default",
        "replica=",
        "where=&columns=&table=",
        "where=org_id+%3D+%241&params[1]=acme",
        "where=((+%22org_id%22%3D'acme'))",
        "params[1]=acme",
        "log=full",
    ] {
        let query = format!("offset=-1&{query}");
        assert_eq!(
            send(todos(), Verb::Get, &query, b"").unwrap(),
            get("offset=-1"),
            "{query}"
        );
    }
}

#[test]
fn both_orders_of_a_doubled_table_are_refused_even_where_tables_are_ignored() {
    for query in [
        "table=todos&table=secrets",
        "table=secrets&table=todos",
        "table[]=secrets&table=todos",
    ] {
        let refusal = send(ignoring(), Verb::Get, &format!("offset=-1&{query}"), b"").unwrap_err();
        assert_eq!(refusal.status(), 400, "{query}");
    }
}

#[test]
fn a_narrowing_filter_is_bracketed_and_its_values_are_lifted() {
    let mut source = todos();
    source.client.filter = ClientFilter::Narrow;
    let ask = |filter: &str| {
        let query = format!(
            "offset=-1&where={}",
            percent_encoding::utf8_percent_encode(filter, percent_encoding::NON_ALPHANUMERIC)
        );
        send(source.clone(), Verb::Get, &query, b"")
    };
    let sent: Vec<_> = definition_pairs(&ask("title = 'x'' OR ''1' OR id = 5").unwrap());
    let value = |name: &str| {
        sent.iter()
            .find(|(sent, _)| sent == name)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(value("params[1]"), Some("acme"));
    assert_eq!(value("params[2]"), Some("x' OR '1"));
    assert_eq!(value("params[3]"), Some("5"));
    let text = value("where").unwrap();
    assert!(
        text.starts_with(r#"(("org_id" = $1) AND (("title" = $2) OR "#),
        "{text}"
    );
    for hostile in [
        "1=1) OR (1=1",
        "ssn = '1'",
        "title IN (SELECT x FROM secrets)",
        "title = E'\\') OR 1=1 --'",
        "true; drop table x",
        "title = $$x$$",
        "title = 'a' -- b",
        "title = 'a' UNION SELECT 1",
        "(title = 'a'",
        "$1 = 'acme'",
    ] {
        assert_eq!(ask(hostile).expect_err(hostile).status(), 400, "{hostile}");
    }
}

#[test]
fn an_open_route_sends_the_table_as_we_print_it() {
    let mut source = todos();
    source.table = TableSpec::AnyOf(vec![TablePattern::parse("public.*").unwrap()]);
    source.columns = Columns::All;
    let request = send(source.clone(), Verb::Get, "offset=-1&table=ITEMS", b"").unwrap();
    let table = TableName::parse("items").unwrap().to_string();
    assert!(definition_pairs(&request).contains(&("table".to_owned(), table)));
    let foreign = send(source, Verb::Get, "offset=-1&table=pg_catalog.pg_authid", b"").unwrap_err();
    assert_eq!(foreign.status(), 400);
}
