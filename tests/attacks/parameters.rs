//! E: what a client says about the shape never becomes part of it.

use crate::world::{ask, assert_clean, assert_refused, clean_target, start, users_with};

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
