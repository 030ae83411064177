//! The schema, and where in it the parts of a document are.

use jsonschema::Validator;
use serde_json::{Value, json};
use shapegate::config::yaml::{Kind, Node};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::witness::{Witness, json_of};

/// One step into a document.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// A part of a document, and what the schema says of it.
pub(super) struct Place {
    pub(super) path: Vec<Step>,
    /// A JSON pointer, references followed.
    pub(super) schema: String,
}

/// The schema.
pub(super) struct Places {
    pub(super) root: Value,
    validators: RefCell<HashMap<String, Rc<Validator>>>,
}

impl Places {
    pub(super) fn of(root: &Value) -> Self {
        Self {
            root: root.clone(),
            validators: RefCell::default(),
        }
    }

    pub(super) fn at(&self, pointer: &str) -> &Value {
        self.root.pointer(pointer.strip_prefix('#').unwrap()).unwrap()
    }

    fn validator(&self, pointer: &str) -> Rc<Validator> {
        let mut validators = self.validators.borrow_mut();
        let make = || {
            let schema = json!({ "$ref": pointer, "$defs": self.root["$defs"] });
            Rc::new(jsonschema::draft202012::new(&schema).unwrap())
        };
        Rc::clone(validators.entry(pointer.to_owned()).or_insert_with(make))
    }

    pub(super) fn takes(&self, pointer: &str, json: &Value) -> bool {
        self.validator(pointer).is_valid(json)
    }

    pub(super) fn assert_valid(&self, pointer: &str, json: &Value, name: &str) {
        let validator = self.validator(pointer);
        let errors: Vec<String> = validator
            .iter_errors(json)
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }

    /// Calls for every schema in `$defs` that describes something, with its pointer.
    pub(super) fn each_schema(&self, mut call: impl FnMut(&str, &Value)) {
        fn within(pointer: &str, schema: &Value, call: &mut dyn FnMut(&str, &Value)) {
            call(pointer, schema);
            for key in [
                "properties",
                "items",
                "additionalProperties",
                "anyOf",
                "propertyNames",
            ] {
                let inner = format!("{pointer}/{key}");
                match &schema[key] {
                    Value::Array(list) => {
                        list.iter()
                            .enumerate()
                            .for_each(|(index, one)| within(&format!("{inner}/{index}"), one, call));
                    }
                    Value::Object(map) if key == "properties" => {
                        map.iter()
                            .for_each(|(name, one)| within(&format!("{inner}/{name}"), one, call));
                    }
                    one @ Value::Object(_) => within(&inner, one, call),
                    _ => {}
                }
            }
        }
        for (name, schema) in self.root["$defs"].as_object().unwrap() {
            within(&format!("#/$defs/{name}"), schema, &mut call);
        }
    }

    /// What a property is for: said there, or where it refers to.
    pub(super) fn description<'s>(&'s self, schema: &'s Value) -> Option<&'s str> {
        let here = schema["description"].as_str();
        here.or_else(|| self.description(self.at(schema["$ref"].as_str()?)))
    }

    /// What a schema may be, references and alternatives followed.
    fn alternatives(&self, pointer: &str) -> Vec<String> {
        let schema = self.at(pointer);
        if let Some(next) = schema["$ref"].as_str() {
            return self.alternatives(next);
        }
        match schema["anyOf"].as_array() {
            Some(list) if schema.get("type").is_none() => (0..list.len())
                .flat_map(|index| self.alternatives(&format!("{pointer}/anyOf/{index}")))
                .collect(),
            _ => vec![pointer.to_owned()],
        }
    }

    /// Every part of a witness, the outer ones first.
    pub(super) fn of_witness(&self, witness: &Witness) -> Vec<Place> {
        let mut found = Vec::new();
        self.visit(&witness.node, &witness.root, &mut Vec::new(), &mut found);
        found
    }

    fn visit(&self, node: &Node, pointer: &str, path: &mut Vec<Step>, found: &mut Vec<Place>) {
        let json = json_of(node);
        let fitting = self
            .alternatives(pointer)
            .into_iter()
            .find(|one| self.takes(one, &json));
        let Some(schema) = fitting else {
            panic!("{path:?} fits nothing at {pointer}")
        };
        found.push(Place {
            path: path.clone(),
            schema: self.shown(pointer, &schema, node),
        });
        let here = self.at(&schema);
        match &node.kind {
            Kind::Map(entries) => {
                for entry in entries {
                    let named = format!("{schema}/properties/{}", entry.key);
                    let next = match &here["additionalProperties"] {
                        _ if here["properties"].get(&entry.key).is_some() => named,
                        Value::Object(_) => format!("{schema}/additionalProperties"),
                        _ => continue,
                    };
                    path.push(Step::Key(entry.key.clone()));
                    self.visit(&entry.value, &next, path, found);
                    path.pop();
                }
            }
            Kind::List(items) if here.get("items").is_some() => {
                for (index, item) in items.iter().enumerate() {
                    path.push(Step::Index(index));
                    self.visit(item, &format!("{schema}/items"), path, found);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    /// A map is known by what describes it, wherever that is referred to; anything else by its key.
    fn shown(&self, pointer: &str, schema: &str, node: &Node) -> String {
        match node.kind {
            Kind::Map(_) => schema.to_owned(),
            _ => pointer.to_owned(),
        }
    }

    /// The words that may be chosen at a place, if any.
    pub(super) fn words(&self, pointer: &str) -> BTreeSet<String> {
        let of = |one: String| {
            let schema = self.at(&one);
            let list = schema["enum"].as_array().cloned().unwrap_or_default();
            list.into_iter().chain(schema.get("const").cloned())
        };
        let words = self.alternatives(pointer).into_iter().flat_map(of);
        words
            .filter_map(|word| word.as_str().map(str::to_owned))
            .collect()
    }

    /// The least and the most that a number may be at a place.
    pub(super) fn bounds(&self, pointer: &str) -> Option<(i64, i64)> {
        let number = self
            .alternatives(pointer)
            .into_iter()
            .find(|one| self.at(one)["type"] == "integer")?;
        let schema = self.at(&number);
        Some((schema["minimum"].as_i64()?, schema["maximum"].as_i64()?))
    }

    /// The keys of an object that have a default, and which.
    pub(super) fn defaults(&self, pointer: &str) -> Vec<(String, Value)> {
        let properties = self.at(pointer)["properties"].as_object().into_iter().flatten();
        let with_default = properties.filter_map(|(key, schema)| {
            let mut schema = schema;
            loop {
                if let Some(default) = schema
                    .get("default")
                    .filter(|_| !schema["properties"].is_object())
                {
                    return Some((key.clone(), default.clone()));
                }
                schema = self.at(schema["$ref"].as_str()?);
            }
        });
        with_default.collect()
    }
}
