//! The JSON Schema of the configuration and its reader, held against each other: each knows what the other knows.

#[path = "schema/place.rs"]
mod place;
#[path = "schema/witness.rs"]
mod witness;

use crate::support::{Given, load_in};
use place::{Place, Places, Step};
use serde_json::Value;
use shapegate::authorizer::IDS_DEFAULT;
use shapegate::config::yaml::Kind;
use shapegate::config::{LIFETIME_MAX_DEFAULT, SchemaOf, read_duration, schema};
use shapegate::identity::remote::STALE_MAX_DEFAULT;
use std::collections::{BTreeMap, BTreeSet};
use witness::{Said, Witness, json_of, witnesses};

/// A key and a word that nobody knows, and that are like nothing that is known.
const UNKNOWN: &str = "qqqqqqqqqqqq";
/// How often one object or value of the schema is tried.
const TRIES: usize = 2;

fn places() -> Places {
    Places::of(&serde_json::from_str(&schema(SchemaOf::Configuration)).unwrap())
}

#[test]
fn every_schema_is_one_and_says_of_each_key_what_it_is_for() {
    for of in SchemaOf::ALL {
        let printed: Value = serde_json::from_str(&schema(of)).unwrap();
        jsonschema::meta::validate(&printed).unwrap();
        jsonschema::draft202012::new(&printed).unwrap();
        assert!(printed["title"].as_str().unwrap().contains(of.title()), "{of:?}");
    }
    let places = places();
    let mut named: BTreeSet<String> = SchemaOf::ALL.iter().map(|of| of.root().to_owned()).collect();
    places.each_schema(|pointer, schema| {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(
                property.is_boolean() || places.description(property).is_some(),
                "{pointer}: {key}"
            );
        }
        named.extend(schema["$ref"].as_str().map(str::to_owned));
    });
    for name in places.root["$defs"].as_object().unwrap().keys() {
        assert!(
            named.contains(&format!("#/$defs/{name}")),
            "nobody refers to {name}"
        );
    }
}

#[test]
fn what_the_reader_takes_the_schema_takes_as_written_and_as_printed() {
    let places = places();
    for witness in witnesses() {
        assert_eq!(witness.refused(&witness.node), [], "{}", witness.name);
        places.assert_valid(&witness.root, &json_of(&witness.node), &witness.name);
        if let Some(printed) = witness.printed(&witness.node) {
            let node = witness::parsed(&printed);
            places.assert_valid(
                &witness.root,
                &json_of(&node),
                &format!("{} as printed:\n{printed}", witness.name),
            );
        }
    }
}

#[test]
fn at_every_object_the_reader_and_the_schema_know_the_same_keys() {
    let places = places();
    let mut compared: BTreeSet<String> = BTreeSet::new();
    let mut tried: BTreeMap<String, usize> = BTreeMap::new();
    for witness in &witnesses() {
        for place in places.of_witness(witness) {
            let closed = places.at(&place.schema)["additionalProperties"] == false;
            let tries = tried.entry(place.schema.clone()).or_default();
            if !closed || *tries >= TRIES {
                continue;
            }
            let changed = with_unknown_key(&places, witness, &place);
            let at = format!("{} at {:?} ({})", witness.name, place.path, place.schema);
            assert!(
                !places.takes(&witness.root, &json_of(&changed)),
                "the schema takes it: {at}"
            );
            let said = witness.refused(&changed);
            assert_ne!(said, [], "the reader takes it: {at}");
            if let Some(known) = known_keys(&said) {
                *tries += 1;
                assert_eq!(known, expected_keys(&places, &place.schema), "{at}");
                compared.insert(place.schema);
            }
        }
    }
    let mut closed = BTreeSet::new();
    places.each_schema(|pointer, schema| {
        if schema["additionalProperties"] == false {
            closed.insert(pointer.to_owned());
        }
    });
    assert_eq!(
        compared, closed,
        "an object of the schema that no witness has, or the other way round"
    );
}

/// One key more; in the place of the only one where there may be but one.
fn with_unknown_key(places: &Places, witness: &Witness, place: &Place) -> shapegate::config::yaml::Node {
    let single = places.at(&place.schema)["maxProperties"] == 1;
    witness.changed(&place.path, |node| {
        let Kind::Map(entries) = &mut node.kind else {
            panic!("{:?} is no map", place.path)
        };
        let mut entry = entries
            .first()
            .cloned()
            .unwrap_or_else(|| witness::entry(UNKNOWN, "x"));
        UNKNOWN.clone_into(&mut entry.key);
        // The first key of `authorize` decides whether its keys are kinds or names.
        if single && place.schema != "#/$defs/authorizer" {
            entries.clear();
        } else {
            entry.value = witness::entry(UNKNOWN, "x").value;
        }
        entries.push(entry);
    })
}

/// What the reader says that it knows, where it says so.
fn known_keys(said: &[Said]) -> Option<BTreeSet<String>> {
    let about = said.iter().find(|said| {
        let message = &said.message;
        ["unknown key", "unknown method"]
            .iter()
            .any(|start| message.contains(&format!("{start} `{UNKNOWN}`")))
    })?;
    let (_, list) = about.help.split_once("known here: ")?;
    let list = list.lines().next().unwrap_or_default();
    let list = list.split(';').next().unwrap_or_default();
    Some(list.split(", ").map(|key| key.trim().to_owned()).collect())
}

fn expected_keys(places: &Places, schema: &str) -> BTreeSet<String> {
    let properties = places.at(schema)["properties"].as_object().unwrap();
    let mut keys: BTreeSet<String> = properties.keys().cloned().collect();
    // Taken off before the tenant is read.
    if schema == "#/$defs/listedTenant" {
        keys.remove("id");
    }
    keys
}

#[test]
fn a_value_of_another_kind_is_refused_by_both_or_by_none() {
    let places = places();
    let mut tried: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for witness in &witnesses() {
        for place in places.of_witness(witness) {
            for (name, kind) in witness::kinds(UNKNOWN) {
                let tries = tried.entry((place.schema.clone(), name)).or_default();
                let is_tried = *tries >= TRIES || place.path.is_empty() || is_unread(&place);
                if is_tried || means_more(&place.schema, name) {
                    continue;
                }
                *tries += 1;
                let changed = witness.changed(&place.path, |node| node.kind = kind.clone());
                let schema = places.takes(&witness.root, &json_of(&changed));
                let said = witness.refused(&changed);
                let at = format!(
                    "{} in place of {:?} ({}) of {}: {said:#?}",
                    name, place.path, place.schema, witness.name
                );
                assert!(schema || !said.is_empty(), "the schema alone refuses {at}");
                // A word may be refused for what it means, which no schema knows.
                if name != "a word" {
                    assert!(!schema || said.is_empty(), "the reader alone refuses {at}");
                }
            }
        }
    }
    assert!(tried.len() > 500, "{}", tried.len());
}

/// A template is read by those who extend it, and where it is named `folder`, nobody does.
fn is_unread(place: &Place) -> bool {
    matches!(place.path.as_slice(), [Step::Key(key), ..] if key == "templates")
        && place.schema.contains("folder")
}

/// Where a value of that kind may be wrong for what is in it, which no schema knows: a default that does not fit its
/// type, a name without an expression.
fn means_more(schema: &str, kind: &str) -> bool {
    schema == "#/$defs/claimMapping/properties/default"
        || (schema == "#/$defs/askOpa/properties/input" && kind == "a map")
}

#[test]
fn words_that_may_be_chosen_are_the_same_ones() {
    let places = places();
    let mut compared = BTreeSet::new();
    for witness in &witnesses() {
        for place in places.of_witness(witness) {
            let words = places.words(&place.schema);
            if words.is_empty() || compared.contains(&place.schema) {
                continue;
            }
            let changed = witness.changed(&place.path, |node| node.kind = witness::scalar(UNKNOWN));
            let said = witness.refused(&changed);
            let listed = said
                .iter()
                .find_map(|said| said.help.split_once("choose one of: "));
            if let Some((_, listed)) = listed {
                let listed: BTreeSet<String> = listed.split(", ").map(str::to_owned).collect();
                assert_eq!(listed, words, "{} at {:?}", witness.name, place.path);
            }
            for word in &words {
                let changed = witness.changed(&place.path, |node| node.kind = witness::scalar(word));
                let said = witness.refused(&changed);
                let unknown = said
                    .iter()
                    .find(|said| said.message.ends_with(&format!("cannot be `{word}`")));
                assert_eq!(unknown, None, "{} at {:?}", witness.name, place.path);
            }
            compared.insert(place.schema);
        }
    }
    assert!(compared.len() > 15, "{compared:?}");
}

#[test]
fn numbers_have_the_same_bounds() {
    let places = places();
    let mut compared = BTreeSet::new();
    for witness in &witnesses() {
        for place in places.of_witness(witness) {
            let Some((least, most)) = places.bounds(&place.schema) else {
                continue;
            };
            if !compared.insert(place.schema.clone()) {
                continue;
            }
            let range = format!("must be between {least} and {most}");
            for (number, outside) in [(least - 1, true), (least, false), (most, false), (most + 1, true)] {
                let text = number.to_string();
                let changed = witness.changed(&place.path, |node| node.kind = witness::scalar(&text));
                let said = witness
                    .refused(&changed)
                    .iter()
                    .any(|said| said.message.contains(&range));
                assert_eq!(said, outside, "{number} at {:?} of {}", place.path, witness.name);
                assert_eq!(places.takes(&witness.root, &json_of(&changed)), !outside);
            }
        }
    }
    assert!(compared.len() >= 8, "{compared:?}");
}

/// Keys whose defaults `check --print` does not fill in.
const NOT_PRINTED: [&str; 16] = [
    "jwks_stale_max",
    "lifetime_max",
    "insecure_allow_private_addresses",
    "insecure_allow_http",
    "type",
    "encoding",
    "auth",
    "query",
    "claims",
    "headers",
    "anonymous",
    "copy_headers",
    "consistency",
    "limit",
    "issuers",
    "log",
];

#[test]
fn a_default_that_is_written_changes_nothing() {
    let places = places();
    // Whether it was shown of each that there is.
    let mut shown: BTreeMap<(String, String), bool> = BTreeMap::new();
    let mut different = Vec::new();
    for witness in &witnesses() {
        if witness.printed(&witness.node).is_none() {
            continue;
        }
        for place in places.of_witness(witness) {
            for (key, default) in places.defaults(&place.schema) {
                let is_shown = shown.entry((place.schema.clone(), key.clone())).or_default();
                if *is_shown {
                    continue;
                }
                let without = witness.changed(&place.path, |node| witness::remove(node, &key));
                let with = witness.changed(&place.path, |node| {
                    witness::remove(node, &key);
                    witness::insert(node, &key, &default);
                });
                // Keys that are written come first.
                let printed = |node| witness.printed(node).map(|text| json_of(&witness::parsed(&text)));
                let Some(with) = printed(&with) else { continue };
                if printed(&without).as_ref() != Some(&with) && !NOT_PRINTED.contains(&key.as_str()) {
                    different.push(format!("{key} at {:?} of {}", place.path, witness.name));
                }
                *is_shown = true;
            }
        }
    }
    assert_eq!(different, [""; 0]);
    let stale_max = places.at("#/$defs/jwt/properties/jwks_stale_max")["default"].as_str();
    assert_eq!(stale_max.and_then(read_duration), Some(STALE_MAX_DEFAULT));
    let lifetime_max = places.at("#/$defs/shapeTokenIssuer/properties/lifetime_max")["default"].as_str();
    assert_eq!(lifetime_max.and_then(read_duration), Some(LIFETIME_MAX_DEFAULT));
    assert_eq!(places.at("#/$defs/idsMax")["default"], IDS_DEFAULT);
    let never: Vec<_> = shown.iter().filter(|(_, is_shown)| !**is_shown).collect();
    assert!(never.is_empty() && shown.len() > 30, "{never:?} of {shown:?}");
}

#[test]
fn every_example_of_the_documentation_is_right() {
    let places = places();
    let mut checked = 0;
    for (name, text) in witness::documentation() {
        let json = json_of(&witness::parsed(&text));
        if let Some((root, part)) = witness::root_of_example(&places, &json) {
            places.assert_valid(root, part, &name);
            checked += 1;
        } else {
            assert!(
                name.contains("scrape_configs") || text.contains("cases:"),
                "what is {name}?\n{text}"
            );
        }
    }
    assert!(checked > 25, "{checked}");
}

#[test]
fn what_shapegate_init_writes_is_right_for_an_editor() {
    let text = include_str!("../../src/cli/init/shapegate.yaml");
    let given = Given::new();
    assert!(load_in(text, &given).is_ok());
    places().assert_valid("#/$defs/configuration", &json_of(&witness::parsed(text)), "init");
}
