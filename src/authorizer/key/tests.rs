#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

/// Reads what `encode` wrote. That there is a way back proves that no two lists of values share their bytes.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, count: usize) -> &[u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn eight(&mut self) -> [u8; 8] {
        self.take(8).try_into().unwrap()
    }

    fn length(&mut self) -> usize {
        usize::try_from(u64::from_be_bytes(self.eight())).unwrap()
    }

    fn text(&mut self) -> Arc<str> {
        let length = self.length();
        std::str::from_utf8(self.take(length)).unwrap().into()
    }

    fn values(&mut self) -> Vec<Value> {
        (0..self.length()).map(|_| self.value()).collect()
    }

    fn value(&mut self) -> Value {
        match self.take(1)[0] {
            b'0' => Value::Null,
            b'b' => Value::Bool(self.take(1)[0] == 1),
            b'i' => Value::Int(i64::from_be_bytes(self.eight())),
            b'u' => Value::UInt(u64::from_be_bytes(self.eight())),
            b'f' => Value::Float(f64::from_bits(u64::from_be_bytes(self.eight()))),
            b's' => Value::String(self.text()),
            b'l' => Value::List(self.values()),
            b'm' => {
                let count = self.length();
                Value::Map((0..count).map(|_| (self.text(), self.value())).collect())
            }
            other => unreachable!("{other}"),
        }
    }
}

/// Texts made of what joins and separates, beside ordinary ones.
fn some_text() -> impl Strategy<Value = Arc<str>> {
    prop_oneof!["[a-c:|/,\u{0}\"\\[\\]{}0-9 ]{0,6}", ".{0,12}"].prop_map(Arc::from)
}

fn some_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (i64::MAX as u64 + 1..).prop_map(Value::UInt),
        proptest::num::f64::NORMAL.prop_map(Value::Float),
        some_text().prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map(some_text(), inner, 0..4).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn what_was_told_can_be_read_back_from_its_bytes(told in prop::collection::vec(some_value(), 0..5)) {
        let mut bytes = Vec::new();
        encode_all(&told, &mut bytes);
        let mut reader = Reader(&bytes);
        prop_assert_eq!(reader.values(), told);
        prop_assert!(reader.0.is_empty());
    }

    #[test]
    fn different_questions_have_different_keys(
        one in prop::collection::vec(some_value(), 0..3),
        two in prop::collection::vec(some_value(), 0..3),
    ) {
        prop_assert_eq!(Key::of(1, &one) == Key::of(1, &two), one == two);
        prop_assert_ne!(Key::of(1, &one), Key::of(2, &one));
    }
}

#[test]
fn neighbours_that_joining_would_confuse_are_told_apart() {
    let text = |text: &str| Value::from(text);
    let map = |name: &str, value: Value| Value::Map(BTreeMap::from([(Arc::from(name), value)]));
    let questions = [
        vec![text("a"), text("b")],
        vec![text("ab")],
        vec![text("ab"), text("")],
        vec![text(""), text("ab")],
        vec![text("a:b")],
        vec![text("a|b")],
        vec![text("1")],
        vec![Value::Int(1)],
        vec![Value::Float(1.0)],
        vec![Value::Bool(true)],
        vec![text("true")],
        vec![Value::Null],
        vec![text("null")],
        vec![],
        vec![Value::List(vec![])],
        vec![Value::List(vec![text("a"), text("b")])],
        vec![Value::List(vec![text("a")]), text("b")],
        vec![map("a", text("b"))],
        vec![map("ab", text(""))],
        vec![Value::Map(BTreeMap::new())],
    ];
    let keys: std::collections::HashSet<Key> = questions.iter().map(|told| Key::of(7, told)).collect();
    assert_eq!(keys.len(), questions.len());
}
