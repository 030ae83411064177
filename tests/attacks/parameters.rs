//! E: what a client says about the shape never becomes part of it.

use serde_json::json;

use crate::support::gateway::{ELECTRIC_SECRET, get, request};
use crate::support::token::{member, token};
use crate::world::{
    ask, ask_with, assert_bare_read, assert_clean, assert_refused, clean_target, clean_target_at, start,
    users_with,
};

#[tokio::test]
async fn e1_another_table_is_refused_or_dropped_where_the_route_says_so() {
    let gateway = start().await;
    for table in [
        "items",
        "public.items",
        "%22Users%22",
        "other.users",
        "users%2Citems",
        "users;drop",
    ] {
        let answer = ask(&gateway, &users_with(&format!("&table={table}"))).await;
        assert!(
            matches!(&*answer.code(), "parameter_not_allowed" | "parameter_malformed"),
            "{table}"
        );
        assert_refused(&gateway, &answer, 400, &answer.code(), table);
    }
    let answer = ask(&gateway, "/api/shapes/ignoring?offset=-1&table=items").await;
    assert_clean(&gateway, &answer, "ignored");
}

#[tokio::test]
async fn e1_the_servers_own_values_are_accepted_in_any_spelling_and_not_forwarded() {
    let gateway = start().await;
    for more in [
        "&table=users",
        "&table=public.users",
        "&table=USERS",
        "&table=%22public%22.%22users%22",
        "&columns=name,id,org_id",
        "&columns=%22org_id%22,id,NAME",
        "&where=org_id=$1&params[1]=1",
        "&where=(((%22org_id%22))=%20%20$1)&params%5B1%5D=1",
        "&where=org_id=1",
        "&replica=default",
        "&log=full",
        "&table=&where=&columns=&replica=",
    ] {
        let answer = ask(&gateway, &users_with(more)).await;
        assert_clean(&gateway, &answer, more);
    }
}

#[tokio::test]
async fn e2_a_duplicate_is_refused_in_either_order_and_any_spelling() {
    let gateway = start().await;
    for more in [
        "&table=users&table=items",
        "&table=items&table=users",
        "&table=users&table=users",
        "&table=users&t%61ble=items",
        "&table=&table=items",
        "&offset=-1",
        "&offset=now",
        "&live=false&live=false",
        "&columns=id,name,org_id&columns=ssn",
        "&replica=default&replica=full",
        "&params[1]=1&params%5b1%5d=2",
        "&params[1]=1&params%5B1%5D=1",
        "&x=1&x=2",
    ] {
        for route in ["users", "ignoring", "strict"] {
            let target = users_with(more).replace("/users", &format!("/{route}"));
            let answer = ask(&gateway, &target).await;
            let code = match (route, more) {
                ("strict", "&x=1&x=2") => "parameter_unknown",
                _ => "parameter_duplicate",
            };
            assert_refused(&gateway, &answer, 400, code, &target);
        }
    }
}

#[tokio::test]
async fn e4_a_filter_of_the_clients_own_is_refused() {
    let gateway = start().await;
    for text in [
        "true",
        "1=1",
        "1=1)%20OR%20(1=1",
        "org_id=2",
        "org_id=$1",
        "org_id=$1%20OR%20true",
        "/**/",
        "--",
        "org_id=1--",
        "org_id%20IN%20(SELECT%20id%20FROM%20users)",
        "'%5C''%20OR%201=1%20--'",
        "%24%24",
        "E'%5C''",
        "ssn%20LIKE%20'1%25'",
    ] {
        let answer = ask(&gateway, &users_with(&format!("&where={text}"))).await;
        assert_refused(&gateway, &answer, 400, &answer.code(), text);
        let answer = ask(&gateway, &format!("/api/shapes/ignoring?offset=-1&where={text}")).await;
        assert_clean(&gateway, &answer, text);
    }
}

#[tokio::test]
async fn e4_other_values_for_the_servers_filter_are_refused() {
    let gateway = start().await;
    for more in [
        "&params[1]=2",
        "&params[2]=1",
        "&where=org_id=$1&params[1]=2",
        "&params[1]=1&params[2]=1",
        "&params[1]=",
    ] {
        let answer = ask(&gateway, &users_with(more)).await;
        assert_refused(&gateway, &answer, 400, "parameter_not_allowed", more);
    }
}

#[tokio::test]
async fn e4_bracket_and_array_spellings_are_refused() {
    let gateway = start().await;
    for more in [
        "&where[]=true",
        "&where%5B%5D=true",
        "&where[a]=b",
        "&table[]=items",
        "&columns[]=ssn",
        "&params[]=1",
        "&params[a]=1",
        "&params[0]=1",
        "&params[01]=1",
        "&params[-1]=1",
        "&params[1][2]=1",
        "&params[1=1",
        "&params1]=1",
        "&params=1",
        "&params[99999]=1",
        "&subset[where]=true",
        "&secret[]=x",
        "&x[y]=1",
    ] {
        let answer = ask(&gateway, &users_with(more)).await;
        assert_refused(&gateway, &answer, 400, &answer.code(), more);
    }
}

#[tokio::test]
async fn malformed_escapes_and_control_characters_are_refused() {
    let gateway = start().await;
    for more in [
        "&x=%",
        "&x=%1",
        "&x=%zz",
        "&%ff=1",
        "&x=%c0%80",
        "&x=a%00b",
        "&x=a%0d%0ab",
        "&x%00=1",
        "&table=users%00",
        "&=1",
    ] {
        let answer = ask(&gateway, &users_with(more)).await;
        assert_refused(&gateway, &answer, 400, &answer.code(), more);
    }
}

#[tokio::test]
async fn e6_other_columns_are_refused_or_dropped() {
    let gateway = start().await;
    for more in [
        "&columns=id,ssn",
        "&columns=ssn",
        "&columns=id",
        "&columns=*",
        "&columns=id,,name",
    ] {
        let answer = ask(&gateway, &users_with(more)).await;
        assert_refused(&gateway, &answer, 400, &answer.code(), more);
    }
    let answer = ask(&gateway, "/api/shapes/ignoring?offset=-1&columns=id,ssn").await;
    assert_clean(&gateway, &answer, "ignored");
    let answer = ask(&gateway, "/api/shapes/narrow?offset=-1&columns=id,ssn").await;
    assert_refused(
        &gateway,
        &answer,
        400,
        "parameter_not_allowed",
        "a subset of the columns",
    );
}

#[tokio::test]
async fn e6_e7_names_of_the_servers_own_are_refused_on_every_route() {
    let gateway = start().await;
    for name in [
        "secret",
        "api_secret",
        "queryable_columns",
        "source_id",
        "s%65cret",
    ] {
        for route in ["users", "ignoring", "narrow", "strict"] {
            let target = format!("/api/shapes/{route}?offset=-1&{name}=guess");
            let answer = ask(&gateway, &target).await;
            assert_refused(&gateway, &answer, 400, "parameter_not_allowed", &target);
            assert!(!answer.text().contains("guess"));
        }
    }
}

#[tokio::test]
async fn e7_names_that_only_look_like_the_secrets_leave_exactly_one_secret() {
    let gateway = start().await;
    for name in [
        "Secret",
        "SECRET",
        "secret%20",
        "%20secret",
        "secret.",
        "api-secret",
        "x_secret",
    ] {
        let answer = ask(&gateway, &users_with(&format!("&{name}=guess"))).await;
        assert_clean(&gateway, &answer, name);
    }
    assert_eq!(clean_target().matches("secret=").count(), 1);
}

#[tokio::test]
async fn e8_replica_full_goes_upstream_only_where_the_route_offers_it() {
    let gateway = start().await;
    for replica in ["full", "FULL", "none"] {
        let answer = ask(&gateway, &users_with(&format!("&replica={replica}"))).await;
        assert_refused(&gateway, &answer, 400, &answer.code(), replica);
    }
    let answer = ask(&gateway, "/api/shapes/narrow?offset=-1&replica=full").await;
    assert_eq!(answer.status, 200);
    let expected = clean_target().replace("replica=default", "replica=full");
    assert_eq!(gateway.received_one().target, expected);
}

#[tokio::test]
async fn e8_the_log_mode_passes_canonically() {
    let gateway = start().await;
    let answer = ask(&gateway, &users_with("&log=changes_only")).await;
    assert_eq!(answer.status, 200);
    let expected = clean_target().replace("log=full", "log=changes_only");
    assert_eq!(gateway.received_one().target, expected);
    for log in ["none", "FULL", "", "full%20"] {
        let answer = ask(&gateway, &users_with(&format!("&log={log}"))).await;
        assert_refused(&gateway, &answer, 400, "parameter_malformed", log);
    }
}

#[tokio::test]
async fn e16_a_get_with_a_body_is_refused() {
    let gateway = start().await;
    for method in ["GET", "HEAD"] {
        let bytes = request(
            method,
            &users_with(""),
            Some(&member(1)),
            &[],
            r#"{"table":"items"}"#,
        );
        let answer = gateway.connect().await.ask_as(method, bytes).await;
        assert_eq!(answer.status, 400, "{method}");
        gateway.received_nothing();
    }
}

#[tokio::test]
async fn e17_e19_a_deletion_is_not_passed_on_however_it_is_spelled() {
    let gateway = start().await;
    for method in [
        "DELETE", "PUT", "PATCH", "TRACE", "PURGE", "get", "Get", "PROPFIND", "OPTIONS", "POST",
    ] {
        let bytes = request(method, &users_with(""), Some(&member(1)), &[], "");
        let answer = gateway.connect().await.ask(bytes).await;
        assert_refused(&gateway, &answer, 405, "method_not_allowed", method);
        assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"), "{method}");
    }
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let answer = ask_with(
            &gateway,
            &users_with("&_method=DELETE&method=DELETE"),
            &[(name, "DELETE")],
        )
        .await;
        assert_clean(&gateway, &answer, name);
    }
}

#[tokio::test]
async fn e20_another_shapes_handle_tells_nothing_of_it() {
    let gateway = start().await;
    let other = gateway.get(&users_with(""), Some(&member(2))).await;
    let (handle, offset) = (
        other.header("electric-handle").unwrap(),
        other.header("electric-offset").unwrap(),
    );
    gateway.origin.forget_received();
    let both = users_with(&format!("&live=true&handle={handle}"));
    let answer = ask(&gateway, &both).await;
    assert_refused(
        &gateway,
        &answer,
        400,
        "parameter_malformed",
        "live from the start",
    );
    for live in ["", "&live=true", "&live=true&live_sse=true"] {
        let target = format!("/api/shapes/users?offset={offset}&handle={handle}{live}");
        let answer = ask(&gateway, &target).await;
        assert_eq!(answer.status, 409, "{live}: {}", answer.text());
        assert_eq!(answer.text(), r#"[{"headers":{"control":"must-refetch"}}]"#);
        assert_ne!(answer.header("electric-handle"), Some(handle), "{live}");
        let received = gateway.received_one();
        assert!(
            received.target.contains("params%5B1%5D=1&"),
            "{}",
            received.target
        );
    }
    let from_start = users_with(&format!("&handle={handle}"));
    let answer = ask(&gateway, &from_start).await;
    assert_clean(&gateway, &answer, "from the start no handle is forwarded");
    assert!(!answer.text().contains("Carol"));
}

#[tokio::test]
async fn e20_where_a_client_has_a_say_a_foreign_handle_does_not_reach_the_upstream() {
    let gateway = start().await;
    let narrow = |more: &str| format!("/api/shapes/narrow?where=name='Alice'{more}");
    let answer = ask(&gateway, &narrow("&offset=-1")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let tagged = answer.header("electric-handle").unwrap().to_owned();
    let offset = answer.header("electric-offset").unwrap().to_owned();
    let raw = tagged.rsplit_once('~').expect("a tagged handle").0.to_owned();
    let answer = ask(&gateway, &narrow(&format!("&offset={offset}&handle={tagged}"))).await;
    assert_eq!(answer.status, 200, "its own: {}", answer.text());
    let mut forged = tagged.clone();
    let last = if forged.pop() == Some('A') { 'Q' } else { 'A' };
    forged.push(last);
    gateway.origin.forget_received();
    for handle in [
        &raw,
        &forged,
        &format!("{raw}~"),
        &format!("{raw}~~"),
        &format!("x{tagged}"),
    ] {
        let answer = ask(&gateway, &narrow(&format!("&offset={offset}&handle={handle}"))).await;
        assert_eq!(answer.status, 409, "{handle}: {}", answer.text());
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        gateway.received_nothing();
    }
    let other = format!("/api/shapes/narrow?where=name='Bob'&offset={offset}&handle={tagged}");
    assert_eq!(ask(&gateway, &other).await.status, 409);
    gateway.received_nothing();
}

#[tokio::test]
async fn e22_unknown_names_are_dropped_and_those_of_the_protocol_pass_canonically() {
    let gateway = start().await;
    let answer = ask(
        &gateway,
        &users_with("&foo=1&_=2&utm_source=3&Table=items&WHERE=true&subset="),
    )
    .await;
    assert_refused(
        &gateway,
        &answer,
        400,
        "parameter_malformed",
        "`subset` is a misspelling",
    );
    let answer = ask(
        &gateway,
        &users_with("&foo=1&_=2&utm_source=3&Table=items&WHERE=true"),
    )
    .await;
    assert_clean(&gateway, &answer, "dropped");
    for route in ["users", "strict"] {
        let target = format!(
            "/api/shapes/{route}?cache-buster=b-1&cursor=007&expired_handle=9-9&offset=00_0&handle=1-2&live=false&live_sse=false&experimental_live_sse=false&log=full"
        );
        let answer = ask(&gateway, &target).await;
        assert_eq!(answer.status, 409, "{}", answer.text());
        let received = gateway.received_one();
        let expected = clean_target_at("offset=0_0")
            .replace("?columns", "?cache-buster=b-1&columns")
            .replace("&log=full", "&cursor=7&expired_handle=9-9&handle=1-2&log=full");
        assert_eq!(received.target, expected);
        assert_bare_read(&received, route);
    }
}

#[tokio::test]
async fn positions_outside_their_grammar_are_refused() {
    let gateway = start().await;
    for query in [
        "offset=-2",
        "offset=NOW",
        "offset=0",
        "offset=1_",
        "offset=",
        "offset=1_2%0a",
        "offset=%2D1%20",
        "offset=-1&live=1",
        "offset=-1&live=TRUE",
        "offset=-1&cursor=-1",
        "offset=-1&cursor=x",
        "offset=-1&handle=a/b",
        "offset=-1&handle=",
        "offset=-1&handle=..%2f..",
        "offset=-1&cache-buster=a%26b",
        "offset=-1&live_sse=true",
        "offset=-1&live=true",
        "offset=now&live=true",
        "offset=0_0",
        "offset=-1&expired_handle=a%20b",
    ] {
        let answer = ask(&gateway, &format!("/api/shapes/users?{query}")).await;
        assert_refused(&gateway, &answer, 400, &answer.code(), query);
    }
}

#[tokio::test]
async fn limits_of_the_query_are_refusals() {
    let gateway = start().await;
    let long = users_with(&format!("&x={}", "a".repeat(33 * 1024)));
    let answer = ask(&gateway, &long).await;
    assert_refused(&gateway, &answer, 414, "target_too_long", "33 KiB");
    let many: String = (0..300).map(|n| format!("&x{n}=")).collect();
    let answer = ask(&gateway, &users_with(&many)).await;
    assert_refused(&gateway, &answer, 400, "malformed_request", "300 names");
    let name = users_with(&format!("&{}=1", "n".repeat(200)));
    let answer = ask(&gateway, &name).await;
    assert_refused(&gateway, &answer, 400, "malformed_request", "a long name");
    let handle = format!("/api/shapes/users?offset=0_0&handle={}", "h".repeat(129));
    let answer = ask(&gateway, &handle).await;
    assert_refused(&gateway, &answer, 400, "parameter_malformed", "a long handle");
}

#[tokio::test]
async fn e23_a_claims_text_travels_as_a_value_byte_for_byte() {
    let gateway = start().await;
    for team in [
        "' OR '1'='1",
        "$2",
        "\\",
        "\\'",
        "%",
        "%27",
        "a&b=c#d",
        "x\r\ny",
        "ü€😀",
        "\u{2028}",
        "{a,b}",
        "--",
        " ",
        "Alice",
    ] {
        let asked = token(json!({ "team": team }));
        let answer = gateway.get("/api/shapes/named?offset=-1", Some(&asked)).await;
        assert_eq!(answer.status, 200, "{team:?}: {}", answer.text());
        assert_eq!(answer.text().contains("Alice"), team == "Alice", "{team:?}");
        let received = gateway.received_one();
        let value = received.target.split_once("params%5B1%5D=").unwrap().1;
        let value = value.split('&').next().unwrap();
        assert_eq!(decoded(value), team.as_bytes(), "{team:?}");
        let rest = received.target.replace(&format!("params%5B1%5D={value}&"), "");
        assert_eq!(
            rest,
            format!(
                "/v1/shape?columns=%22id%22%2C%22name%22&log=full&offset=-1&queryable_columns=%22id%22%2C%22name%22\
                 &replica=default&table=%22public%22.%22users%22&where=%28%22name%22%20%3D%20%241%29&secret={ELECTRIC_SECRET}"
            )
        );
    }
    let asked = token(json!({ "team": "a\u{0}b" }));
    let answer = gateway.get("/api/shapes/named?offset=-1", Some(&asked)).await;
    assert_refused(&gateway, &answer, 403, &answer.code(), "NUL");
}

fn decoded(value: &str) -> Vec<u8> {
    let (mut bytes, mut raw) = (Vec::new(), value.bytes());
    while let Some(byte) = raw.next() {
        assert_ne!(byte, b'+', "a space is an escape upstream");
        bytes.push(match byte {
            b'%' => {
                let digits = [raw.next().unwrap(), raw.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            plain => plain,
        });
    }
    bytes
}

#[tokio::test]
async fn e23_a_filter_that_a_client_may_narrow_by_is_lifted_into_values() {
    let gateway = start().await;
    let answer = ask(
        &gateway,
        "/api/shapes/narrow?offset=-1&where=name='it''s'%20OR%20name=$1&params[1]=x'%20OR%20true%20--",
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let target = gateway.received_one().target;
    assert!(
        target.contains("params%5B1%5D=1&params%5B2%5D=it%27s&params%5B3%5D=x%27%20OR%20true%20--&"),
        "{target}"
    );
    assert!(
        target.contains("where=%28%28%22org_id%22%20%3D%20%241%29%20AND%20"),
        "{target}"
    );
    let filter = target.split_once("where=").unwrap().1;
    assert!(!filter.contains("it%27s") && !filter.contains("true"), "{filter}");
}

#[tokio::test]
async fn e23_a_narrowing_filter_reads_no_column_that_is_not_given() {
    let gateway = start().await;
    for text in [
        "ssn%20LIKE%20'1%25'",
        "email%20IS%20NULL",
        "lower(ssn)='1'",
        "id=1%20AND%20(name='x'%20OR%20ssn='1')",
    ] {
        let answer = ask(&gateway, &format!("/api/shapes/narrow?offset=-1&where={text}")).await;
        assert_refused(&gateway, &answer, 400, "parameter_not_allowed", text);
    }
    for text in [
        "id%20IN%20(SELECT%20id%20FROM%20users)",
        "1=1)%20OR%20(1=1",
        "id=1;%20DROP%20TABLE%20users",
        "id=1--",
    ] {
        let answer = ask(&gateway, &format!("/api/shapes/narrow?offset=-1&where={text}")).await;
        assert_refused(&gateway, &answer, 400, "parameter_malformed", text);
    }
}

#[tokio::test]
async fn e24_a_head_is_judged_as_a_get_is() {
    let gateway = start().await;
    let bytes = request("HEAD", &users_with(""), Some(&member(1)), &[], "");
    let answer = gateway.connect().await.ask_as("HEAD", bytes).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    let received = gateway.received_one();
    assert_eq!(
        (received.method.as_str(), received.target),
        ("HEAD", clean_target())
    );
    let bytes = get(&users_with(""), None).replace("GET", "HEAD");
    let answer = gateway.connect().await.ask_as("HEAD", bytes).await;
    assert_eq!((answer.status, answer.body.len()), (401, 0));
    gateway.received_nothing();
}
