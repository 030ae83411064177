use crate::support::{accepted, with_shapes};
use http::Method;
use shapegate::tenant::{Found, Tenant, compile};
use shapegate_core::request::{Asked, Scalar, Verb};
use std::sync::Arc;

const ROUTES: &str = "\
shapes:
  users: { table: users, columns: all, rules: [{ rows: all }] }
  issues:
    path: /api/projects/{project:uuid}/issues
    table: issues
    columns: all
    client: { subset: { limit_max: 10 } }
    rules: [{ rows: all }]
  item: { path: '/api/items/{n:int}/{tag:text}', table: items, columns: all, delete: true, rules: [{ rows: all }] }
  posts: { path: /blog, table: posts, columns: all, access: public, rules: [{ rows: all }] }
  authors: { path: /blog, table: authors, columns: all, rules: [{ rows: all }] }
  any: { path: /v1/shape, table: { any_of: [public.*] }, where: any, rules: [{ rows: all }] }
";

fn tenant() -> Arc<Tenant> {
    let loaded = accepted(&with_shapes(ROUTES));
    Arc::clone(compile(&loaded.config).unwrap().tenant("default").unwrap())
}

#[test]
fn a_path_is_found_in_its_one_spelling_only() {
    let tenant = tenant();
    for path in [
        "/api/shapes/users",
        "/blog",
        "/v1/shape",
        "/v1/health",
        "/api/items/7/a-b",
    ] {
        assert!(tenant.find(path).is_some(), "{path}");
    }
    for path in [
        "/api/shapes/users/",
        "//api/shapes/users",
        "/api//shapes/users",
        "/api/./shapes/users",
        "/api/x/../shapes/users",
        "/api/shapes/users;x",
        "/api/%73hapes/users",
        "/api/shapes/users%2f",
        "%2e%2e",
        "/api/shapes\\users",
        "/API/shapes/users",
        "/api/shapes/users#x",
        "/api/shapes/users?",
        "",
        "/",
        "api/shapes/users",
        "/v1/health/",
        "/api/shapes",
        "/health",
        "/metrics",
        "/admin",
    ] {
        assert!(tenant.find(path).is_none(), "{path}");
    }
}

#[test]
fn captures_are_typed_and_have_one_spelling() {
    let tenant = tenant();
    let id = "7F9C24E8-3B12-4FEF-91E0-5B2A0C1D2E3F";
    let path = format!("/api/projects/{id}/issues");
    let Some(Found::Shapes(endpoint)) = tenant.find(&path) else {
        panic!("not found")
    };
    assert_eq!(
        endpoint.captures(),
        [("project".into(), Scalar::Uuid(id.to_ascii_lowercase().into()))]
    );
    let Some(Found::Shapes(endpoint)) = tenant.find("/api/items/-12/v1.0~x") else {
        panic!("not found")
    };
    assert_eq!(
        endpoint.captures(),
        [
            ("n".into(), Scalar::Int(-12)),
            ("tag".into(), Scalar::Text("v1.0~x".into()))
        ]
    );
    let long = format!("/api/items/1/{}", "x".repeat(129));
    for path in [
        "/api/projects/7f9c24e8/issues",
        "/api/items/07/x",
        "/api/items/+7/x",
        "/api/items/7/",
        "/api/items//x",
        "/api/items/7/a%20b",
        "/api/items/7/..",
        "/api/items/7/.",
        "/api/items/7/ä",
        "/api/items/9223372036854775808/x",
        "/api/items/7/a@b",
        &long,
    ] {
        assert!(tenant.find(path).is_none(), "{path}");
    }
}

#[test]
fn each_route_names_the_methods_that_it_takes() {
    let tenant = tenant();
    let uuid = "/api/projects/7f9c24e8-3b12-4fef-91e0-5b2a0c1d2e3f/issues";
    for (path, methods) in [
        ("/api/shapes/users", "GET, HEAD, OPTIONS"),
        (uuid, "GET, HEAD, POST, OPTIONS"),
        ("/api/items/7/x", "GET, HEAD, DELETE, OPTIONS"),
        ("/v1/health", "GET, HEAD, OPTIONS"),
    ] {
        let found = tenant.find(path).unwrap();
        assert_eq!(found.methods(), methods, "{path}");
        for (method, verb) in [
            (Method::GET, Verb::Get),
            (Method::HEAD, Verb::Head),
            (Method::POST, Verb::Post),
            (Method::DELETE, Verb::Delete),
        ] {
            assert_eq!(
                found.verb(&method),
                methods.contains(method.as_str()).then_some(verb),
                "{method} {path}"
            );
        }
        for method in [
            Method::PUT,
            Method::PATCH,
            Method::TRACE,
            Method::CONNECT,
            Method::OPTIONS,
        ] {
            assert_eq!(found.verb(&method), None, "{method} {path}");
        }
    }
}

#[test]
fn the_table_selects_among_shapes_that_share_a_path() {
    let tenant = tenant();
    let Some(Found::Shapes(endpoint)) = tenant.find("/blog") else {
        panic!("not found")
    };
    let choose = |query: &str| {
        let asked = Asked::parse(Verb::Get, query, endpoint.declared()).unwrap();
        endpoint
            .choose(&asked)
            .map(|shape| (shape.policy().name().to_string(), shape.requires_identity()))
            .map_err(|refusal| refusal.code.as_str())
    };
    assert_eq!(choose("table=posts&offset=-1"), Ok(("posts".to_owned(), false)));
    assert_eq!(
        choose("table=public.authors&offset=-1"),
        Ok(("authors".to_owned(), true))
    );
    assert_eq!(
        choose("table=%22authors%22&offset=-1"),
        Ok(("authors".to_owned(), true))
    );
    assert_eq!(choose("table=secrets&offset=-1"), Err("parameter_not_allowed"));
    assert_eq!(choose("offset=-1"), Err("malformed_request"));
}

#[test]
fn every_compiled_shape_has_a_number_of_its_own() {
    let (one, two) = (tenant(), tenant());
    let number = |tenant: &Tenant| {
        let Some(Found::Shapes(endpoint)) = tenant.find("/api/shapes/users") else {
            panic!("not found")
        };
        let asked = Asked::parse(Verb::Get, "offset=-1", endpoint.declared()).unwrap();
        endpoint.choose(&asked).unwrap().number()
    };
    assert_ne!(number(&one), number(&two));
}
