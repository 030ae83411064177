//! Handles are good for the tenant and the definition that they were given for.

use std::collections::BTreeMap;

use proptest::prelude::*;
use shapegate_core::answer::{etag_for_client, if_none_match_for_upstream};
use shapegate_core::definition::{Columns, Log, Replica, Rows, ShapeDefinition};
use shapegate_core::handle::{BadTag, ClientHandle, HandleBinding, HandleTagger, UpstreamHandle};
use shapegate_core::identifier::{ColumnSet, Identifier, TableName};

use super::support::{definition, filter};

const RAW: &str = "3921433-1795406660845691";

fn tagger() -> HandleTagger {
    HandleTagger::new(&[1; 32])
}

fn raw() -> UpstreamHandle {
    UpstreamHandle::parse(RAW).unwrap()
}

#[test]
fn a_tagged_handle_comes_back_as_it_went_out() {
    let binding = tagger().bind("acme", &definition("items", Rows::All));
    let client = binding.tag(&raw());
    assert!(
        client.as_str().starts_with(&format!("{RAW}~")),
        "{}",
        client.as_str()
    );
    assert_eq!(client.as_str().len(), RAW.len() + 23);
    assert_eq!(
        binding.untag(&ClientHandle::parse(client.as_str()).unwrap()),
        Ok(raw())
    );
    let longest = UpstreamHandle::parse(&"~".repeat(105)).unwrap();
    let client = binding.tag(&longest);
    assert_eq!(
        binding.untag(&ClientHandle::parse(client.as_str()).unwrap()),
        Ok(longest)
    );
}

#[test]
fn a_handle_of_another_tenant_definition_key_or_shape_is_refused() {
    let items = definition("items", Rows::Where(filter("a = $1", &["x"])));
    let client = tagger().bind("acme", &items).tag(&raw());
    let others = [
        tagger().bind("acm", &items),
        tagger().bind("acme2", &items),
        tagger().bind(
            "acme",
            &definition("items", Rows::Where(filter("a = $1", &["y"]))),
        ),
        tagger().bind(
            "acme",
            &definition("items", Rows::Where(filter("b = $1", &["x"]))),
        ),
        tagger().bind(
            "acme",
            &definition("items2", Rows::Where(filter("a = $1", &["x"]))),
        ),
        tagger().bind("acme", &definition("items", Rows::All)),
        HandleTagger::new(&[2; 32]).bind("acme", &items),
    ];
    for other in others {
        assert_eq!(other.untag(&client), Err(BadTag));
    }
}

#[test]
fn a_tag_that_is_missing_short_long_or_bent_is_refused() {
    let binding = tagger().bind("acme", &definition("items", Rows::All));
    let good = binding.tag(&raw()).as_str().to_owned();
    let (handle, tag) = good.split_once('~').unwrap();
    let mut bent = vec![
        handle.to_owned(),
        format!("{handle}~"),
        format!("~{tag}"),
        format!("{handle}0~{tag}"),
        format!("{handle}~{tag}~"),
        format!("{handle}~{tag}A"),
        format!("{handle}~{}", tag.get(..21).unwrap()),
        format!("{handle}~{tag}{tag}"),
        format!("{handle}~{tag}~{tag}"),
    ];
    // Every other character in every place of the tag, the unused bits of the last among them.
    for at in 0..tag.len() {
        for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
            let mut changed: Vec<char> = tag.chars().collect();
            if std::mem::replace(&mut changed[at], other) != other {
                bent.push(format!("{handle}~{}", changed.into_iter().collect::<String>()));
            }
        }
    }
    for text in bent {
        assert_eq!(
            binding.untag(&ClientHandle::parse(&text).unwrap()),
            Err(BadTag),
            "{text}"
        );
    }
}

#[test]
fn untagged_handles_pass_as_they_are() {
    let binding = HandleBinding::untagged();
    let client = binding.tag(&raw());
    assert_eq!(client.as_str(), RAW);
    assert_eq!(binding.untag(&client), Ok(raw()));
    assert!(!binding.is_tagged());
}

#[test]
fn handles_keep_to_their_grammar_and_are_cut_in_debug_forms() {
    for text in ["", "a b", "a/b", "a&b", "a%20", "é", "a\n", "a~b+c"] {
        assert_eq!(
            (ClientHandle::parse(text), UpstreamHandle::parse(text)),
            (None, None),
            "{text}"
        );
    }
    assert!(
        ClientHandle::parse(&"h".repeat(128)).is_some() && ClientHandle::parse(&"h".repeat(129)).is_none()
    );
    assert!(
        UpstreamHandle::parse(&"h".repeat(105)).is_some()
            && UpstreamHandle::parse(&"h".repeat(106)).is_none()
    );
    let shown = format!("{:?} {:?}", raw(), ClientHandle::parse(RAW).unwrap());
    assert!(!shown.contains("845691"), "{shown}");
    assert_eq!(format!("{:?}", UpstreamHandle::parse("1-1").unwrap()), "…");
}

#[test]
fn entity_tags_are_rewritten_with_the_handles_in_them() {
    let binding = tagger().bind("acme", &definition("items", Rows::All));
    let upstream = format!("\"{RAW}:0_0:0_inf\"");
    let client = etag_for_client(&upstream, &binding).unwrap();
    assert_eq!(client, format!("\"{}:0_0:0_inf\"", binding.tag(&raw()).as_str()));
    assert_eq!(
        if_none_match_for_upstream(&format!("W/{client}"), &binding),
        Some(upstream.clone())
    );
    assert_eq!(
        if_none_match_for_upstream(&upstream, &binding),
        None,
        "an untagged one is not of this shape"
    );
}

fn names() -> impl Strategy<Value = String> {
    proptest::sample::select(vec![
        "a", "b", "ab", "a.b", "a\"b", "c", "a,b", " ", "A", "\u{e9}",
    ])
    .prop_map(String::from)
}

prop_compose! {
    fn definitions()(
        schema in names(), table in names(), kind in 0..4_u8, columns in proptest::collection::vec(names(), 0..3),
        first in "[ab:,1]{0,3}", second in "[ab:,1]{0,3}", full in any::<bool>(), changes in any::<bool>(),
    ) -> ShapeDefinition {
        let exact = |name: &str| Identifier::exact(name).unwrap();
        let rows = match kind {
            0 => Rows::All,
            1 => Rows::None,
            2 => Rows::Where(filter("a = $1", &[&first])),
            _ => Rows::Where(filter("a = $1 AND b = $2", &[&first, &second])),
        };
        let columns = ColumnSet::from_iter(columns.iter().map(|name| exact(name))).map_or(Columns::All, Columns::Only);
        let replica = if full { Replica::Full } else { Replica::Default };
        let log = if changes { Log::ChangesOnly } else { Log::Full };
        ShapeDefinition::new(TableName::new(exact(&schema), exact(&table)), rows, columns, replica, log)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn different_definitions_never_have_the_same_bytes(
        all in proptest::collection::vec(definitions(), 2..40)
    ) {
        let mut seen: BTreeMap<Vec<u8>, ShapeDefinition> = BTreeMap::new();
        for definition in all {
            let bytes = definition.canonical_bytes();
            if let Some(same) = seen.insert(bytes, definition.clone()) {
                prop_assert_eq!(same, definition);
            }
        }
    }

    #[test]
    fn equal_definitions_have_the_same_bytes_and_different_tenants_different_tags(
        definition in definitions(), one in "[a-c:\\x00]{0,4}", other in "[a-c:\\x00]{0,4}"
    ) {
        prop_assert_eq!(definition.canonical_bytes(), definition.clone().canonical_bytes());
        let handle = tagger().bind(&one, &definition).tag(&raw());
        let accepted = tagger().bind(&other, &definition).untag(&handle).is_ok();
        prop_assert_eq!(accepted, one == other);
    }

    #[test]
    fn a_handle_serves_for_its_own_definition_alone(one in definitions(), other in definitions()) {
        let handle = tagger().bind("t", &one).tag(&raw());
        prop_assert_eq!(tagger().bind("t", &other).untag(&handle).is_ok(), one == other);
    }

    #[test]
    fn no_text_of_a_client_is_a_good_handle_by_chance(text in "[A-Za-z0-9._~-]{1,128}") {
        let binding = tagger().bind("acme", &definition("items", Rows::All));
        prop_assert_eq!(binding.untag(&ClientHandle::parse(&text).unwrap()), Err(BadTag));
    }
}
