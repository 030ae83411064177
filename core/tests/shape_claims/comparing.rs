use shapegate_core::code::Code;
use shapegate_core::definition::{Log, Replica};
use shapegate_core::permit::SubsetLimits;
use shapegate_core::shape_claims::Unsigned;

use crate::support::{allow, signed};

const ITEMS: &str = r#"{"namespace":null,"table":"items","where":null,"columns":null}"#;
const ORG: &str =
    r#"{"table":"items","where":"org_id = $1","columns":"id,title","params":{"1":"a"},"replica":"default"}"#;

fn code(claim: &str, query: &str) -> Result<(), Code> {
    allow(claim, query, &Unsigned::default())
        .map(drop)
        .map_err(|refusal| refusal.code)
}

#[test]
fn the_signed_shape_is_allowed_however_it_is_spelled() {
    for query in [
        "offset=-1&table=items",
        "offset=-1&table=ITEMS",
        "offset=-1&table=public.items&log=full",
        "offset=-1&table=%22public%22.%22items%22&replica=default",
        "offset=-1&table=items&log=changes_only&where=",
    ] {
        assert_eq!(code(ITEMS, query), Ok(()), "{query}");
    }
    for query in [
        "where=org_id%20=%20$1&params[1]=a&columns=id,title",
        "where=(%22org_id%22=$1)&params[1]=a&columns=title,id,id",
        "where=ORG_ID=$1&params%5B1%5D=a&columns=%22title%22,%22id%22",
        "where=org_id='a'&columns=id,title",
    ] {
        assert_eq!(
            code(ORG, &format!("offset=-1&table=items&{query}")),
            Ok(()),
            "{query}"
        );
    }
}

#[test]
fn anything_else_than_the_signed_shape_is_forbidden() {
    for query in [
        "table=secrets",
        "table=app.items",
        "table=%22Items%22",
        "table=items&where=true",
        "table=items&where=1=1",
        "table=items&columns=id",
        "table=items&replica=full",
        "table=items&params[1]=b",
        "table=items&where=id=$1&params[1]=b",
    ] {
        assert_eq!(
            code(ITEMS, &format!("offset=-1&{query}")),
            Err(Code::Forbidden),
            "{query}"
        );
    }
    for query in [
        "",
        "&columns=id,title",
        "&where=org_id=$1&params[1]=b&columns=id,title",
        "&where=org_id=$1&columns=id,title",
        "&where=org_id=$1&params[1]=a&params[2]=b&columns=id,title",
        "&where=org_id=$1&params[1]=a",
        "&where=org_id=$1&params[1]=a&columns=id",
        "&where=org_id=$1&params[1]=a&columns=id,title,secret",
        "&where=org_id=$1&params[1]=a&columns=id,title&replica=full",
        "&where=org_id=$1 OR true&params[1]=a&columns=id,title",
        "&where=org_id=$1 OR org_id=$1&params[1]=a&columns=id,title",
        "&where=org_id='b'&columns=id,title",
        "&where=not a filter (&params[1]=a&columns=id,title",
    ] {
        let query = format!("offset=-1&table=items{}", query.replace(' ', "%20"));
        assert_eq!(code(ORG, &query), Err(Code::Forbidden), "{query}");
    }
}

#[test]
fn a_shape_that_is_signed_without_values_takes_none() {
    let literal = r#"{"table":"items","where":"org_id = 'a'"}"#;
    assert_eq!(code(literal, "offset=-1&table=items&where=org_id='a'"), Ok(()));
    assert_eq!(
        code(literal, "offset=-1&table=items&where=org_id=$1&params[1]=a"),
        Err(Code::Forbidden)
    );
}

#[test]
fn no_table_is_no_shape_whatever_the_token_says() {
    assert_eq!(code(ITEMS, "offset=-1"), Err(Code::ShapeMissing));
    assert_eq!(code(ITEMS, "offset=-1&table="), Err(Code::ShapeMissing));
}

#[test]
fn what_is_not_signed_is_what_the_operator_says() {
    let strict = Unsigned {
        replica: vec![Replica::Default, Replica::Full],
        log: vec![Log::Full],
        subset: Some(SubsetLimits { limit_max: Some(10) }),
    };
    let code = |claim, query| {
        allow(claim, query, &strict)
            .map(drop)
            .map_err(|refusal| refusal.code)
    };
    assert_eq!(code(ITEMS, "offset=-1&table=items&replica=full"), Ok(()));
    assert_eq!(
        code(ITEMS, "offset=-1&table=items&log=changes_only"),
        Err(Code::Forbidden)
    );
    let full = r#"{"table":"items","replica":"full"}"#;
    assert_eq!(code(full, "offset=-1&table=items&replica=full"), Ok(()));
    assert_eq!(code(full, "offset=-1&table=items"), Err(Code::Forbidden));
}

#[test]
fn what_goes_upstream_is_the_signed_definition_and_its_handles_are_bound() {
    let query = "offset=-1&table=ITEMS&where=ORG_ID%20=%20'a'&columns=title,id&log=changes_only";
    let allowed = allow(ORG, query, &Unsigned::default()).unwrap();
    let ours = signed(ORG);
    assert_eq!(allowed.definition().rows(), ours.rows());
    assert_eq!(allowed.definition().columns(), ours.columns());
    assert_eq!(allowed.definition().log(), Log::ChangesOnly);
    assert!(allowed.handles().is_tagged());
    assert!(allowed.until().is_some());
}
