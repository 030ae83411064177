//! The key under which an answer is remembered: everything that decided it.
//!
//! Keys that are built by joining texts have been a hole in more than one authoriser's cache. Here every part
//! has its kind and its length before it, so that no two different lists of values give the same bytes.

use aws_lc_rs::digest;
use shapegate_core::value::Value;

/// A digest of whom was asked and of all that it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// The key of a question.
    pub(super) fn of(authorizer: u64, told: &[Value]) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&authorizer.to_be_bytes());
        encode_all(told, &mut bytes);
        let mut key = [0; 32];
        let digest = digest::digest(&digest::SHA256, &bytes);
        key.iter_mut()
            .zip(digest.as_ref())
            .for_each(|(to, from)| *to = *from);
        Self(key)
    }
}

fn encode_all(values: &[Value], bytes: &mut Vec<u8>) {
    length(values.len(), bytes);
    values.iter().for_each(|value| encode(value, bytes));
}

fn encode(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Null => bytes.push(b'0'),
        Value::Bool(truth) => bytes.extend_from_slice(&[b'b', u8::from(*truth)]),
        Value::Int(number) => {
            bytes.push(b'i');
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        Value::UInt(number) => {
            bytes.push(b'u');
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        Value::Float(number) => {
            bytes.push(b'f');
            bytes.extend_from_slice(&number.to_bits().to_be_bytes());
        }
        Value::String(string) => {
            bytes.push(b's');
            text(string, bytes);
        }
        Value::List(items) => {
            bytes.push(b'l');
            encode_all(items, bytes);
        }
        Value::Map(members) => {
            bytes.push(b'm');
            length(members.len(), bytes);
            for (name, value) in members {
                text(name, bytes);
                encode(value, bytes);
            }
        }
    }
}

fn text(text: &str, bytes: &mut Vec<u8>) {
    length(text.len(), bytes);
    bytes.extend_from_slice(text.as_bytes());
}

fn length(length: usize, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(&(length as u64).to_be_bytes());
}

#[cfg(test)]
mod tests;
