//! The JSON Schema of the configuration and its reader, held against each other: each knows what the other knows.

#[path = "schema/place.rs"]
mod place;
#[path = "schema/witness.rs"]
mod witness;

use crate::support::{Given, load_in};
use place::{Place, Places, Step};
use serde_json::Value;
use shapegate::config::yaml::Kind;
use shapegate::config::{SchemaOf, schema};
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

/// What nothing shows: the bytes of a secret. [`a_secret_is_text_where_nothing_else_is_said`] does.
const UNSEEN: (&str, &str) = ("#/$defs/verifyingKey", "encoding");

#[test]
fn a_default_that_is_written_changes_nothing_and_another_value_does() {
    let places = places();
    // Of each that there is, whether it was shown that its default changes nothing, and that something else does.
    let mut shown: BTreeMap<(String, String), [bool; 2]> = BTreeMap::new();
    let mut different = Vec::new();
    for witness in &witnesses() {
        let as_it_is = witness.checked(&witness.node);
        for place in places.of_witness(witness) {
            for (key, default) in places.defaults(&place.schema) {
                let is_shown = shown.entry((place.schema.clone(), key.clone())).or_default();
                if *is_shown == [true; 2] {
                    continue;
                }
                let without = witness.changed(&place.path, |node| witness::remove(node, &key));
                let with = witness.changed(&place.path, |node| {
                    witness::remove(node, &key);
                    witness::insert(node, &key, &default);
                });
                let (without, with) = (witness.checked(&without), witness.checked(&with));
                if without.is_none() || with.is_none() {
                    continue;
                }
                if without != with {
                    different.push(format!("{key} at {:?} of {}", place.path, witness.name));
                }
                let tells = as_it_is != without;
                *is_shown = [true, is_shown[1] || tells];
            }
        }
    }
    assert_eq!(different, [""; 0]);
    shown.retain(|(schema, key), is_shown| (&**schema, &**key) != UNSEEN || !is_shown[0]);
    let not: Vec<_> = shown
        .iter()
        .filter(|(_, is_shown)| **is_shown != [true; 2])
        .collect();
    assert!(not.is_empty() && shown.len() > 60, "{not:#?} of {}", shown.len());
}

#[test]
fn a_secret_is_text_where_nothing_else_is_said() {
    let with = |encoding: &str| {
        // Of base64, these would be 24 bytes, and too few.
        let key = format!("{{ alg: HS256, secret: {{ env: TEXT }}{encoding} }}");
        let text = format!(
            "electric: {{ url: http://x, secret: {{ env: ELECTRIC_SECRET }} }}\n\
             identity: [ {{ jwt: {{ issuer: acme, audience: sync, keys: [ {key} ] }} }} ]\n\
             shapes: {{ users: {{ table: users, columns: all, rules: [ {{ rows: all }} ] }} }}\n"
        );
        let given = Given::new().variable("TEXT", "0123456789abcdef0123456789abcdef");
        load_in(&text, &given).is_ok()
    };
    assert_eq!(
        places().at("#/$defs/verifyingKey/properties/encoding")["default"],
        "text"
    );
    assert!(with("") && with(", encoding: text"));
    assert!(!with(", encoding: base64") && !with(", encoding: base64url"));
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
