//! A raw query string as names and values, decoded exactly once.

use std::borrow::Cow;

use crate::code::{Code, Refusal};
use crate::limits::{PARAMETER_NAME_BYTES_MAX, QUERY_BYTES_MAX, QUERY_PARAMETERS_MAX};

/// Characters of a client's parameter name that a refusal repeats.
const NAME_CHARACTERS_SHOWN: usize = 64;

/// A name and its value, decoded.
pub(super) type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The names and values of `raw`, form-decoded (`+` is a space), in order. Empty pairs are skipped.
pub(super) fn pairs(raw: &str) -> Result<impl Iterator<Item = Result<Pair<'_>, Refusal>>, Refusal> {
    if raw.len() > QUERY_BYTES_MAX {
        let text = format!("The query string is longer than {QUERY_BYTES_MAX} bytes.");
        return Err(Refusal::new(Code::TargetTooLong, text));
    }
    let pairs = raw.split('&').filter(|pair| !pair.is_empty()).enumerate();
    Ok(pairs.map(|(index, pair)| {
        if index < QUERY_PARAMETERS_MAX {
            read_pair(pair)
        } else {
            Err(too_many())
        }
    }))
}

fn read_pair(pair: &str) -> Result<Pair<'_>, Refusal> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    let name =
        decode(name).map_err(|fault| malformed(Code::MalformedRequest, "A parameter's name", fault))?;
    if name.is_empty() || name.len() > PARAMETER_NAME_BYTES_MAX {
        let text = format!("A parameter's name must have 1 to {PARAMETER_NAME_BYTES_MAX} bytes.");
        return Err(Refusal::new(Code::MalformedRequest, text));
    }
    let value = decode(value).map_err(|fault| malformed(Code::ParameterMalformed, &shown(&name), fault))?;
    Ok((name, value))
}

/// A parameter's name as a sentence shows it: at most so many characters of it.
pub(super) fn shown(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(NAME_CHARACTERS_SHOWN) {
        Some((end, _)) => Cow::Owned(format!("{}…", name.get(..end).unwrap_or_default())),
        None => Cow::Borrowed(name),
    }
}

fn too_many() -> Refusal {
    Refusal::new(
        Code::MalformedRequest,
        format!("The query string has more than {QUERY_PARAMETERS_MAX} parameters."),
    )
}

fn malformed(code: Code, what: &str, fault: Fault) -> Refusal {
    let how = match fault {
        Fault::Escape => "holds a malformed percent escape",
        Fault::Utf8 => "is not valid UTF-8",
        Fault::Control => "holds a control character",
    };
    Refusal::new(code, format!("{what} {how}."))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Escape,
    Utf8,
    Control,
}

/// Decodes `application/x-www-form-urlencoded` text; borrows when nothing is encoded.
fn decode(raw: &str) -> Result<Cow<'_, str>, Fault> {
    let text = if raw.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        Cow::Owned(String::from_utf8(decode_bytes(raw)?).map_err(|_| Fault::Utf8)?)
    } else {
        Cow::Borrowed(raw)
    };
    if text.chars().any(char::is_control) {
        Err(Fault::Control)
    } else {
        Ok(text)
    }
}

fn decode_bytes(raw: &str) -> Result<Vec<u8>, Fault> {
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex(bytes.next())? << 4 | hex(bytes.next())?,
            other => other,
        });
    }
    Ok(decoded)
}

fn hex(digit: Option<u8>) -> Result<u8, Fault> {
    match digit {
        Some(digit @ b'0'..=b'9') => Ok(digit - b'0'),
        Some(digit @ b'a'..=b'f') => Ok(digit - b'a' + 10),
        Some(digit @ b'A'..=b'F') => Ok(digit - b'A' + 10),
        _ => Err(Fault::Escape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_is_a_space_and_an_escape_is_decoded_once() {
        assert_eq!(decode("a+b%20c%2Bd").unwrap(), "a b c+d");
        assert_eq!(decode("%2525").unwrap(), "%25");
        assert!(matches!(decode("plain_1-2.3~"), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn what_two_decoders_could_read_differently_is_refused() {
        for raw in ["%", "%1", "%zz", "%+1", "a%", "%u0041"] {
            assert_eq!(decode(raw), Err(Fault::Escape), "{raw}");
        }
        for raw in ["%ff", "%c0%80", "%ed%a0%80"] {
            assert_eq!(decode(raw), Err(Fault::Utf8), "{raw}");
        }
        for raw in ["%00", "a%0Ab", "%7f", "%c2%85", "a\tb"] {
            assert_eq!(decode(raw), Err(Fault::Control), "{raw}");
        }
    }

    #[test]
    fn a_long_name_is_shown_cut_at_a_character() {
        assert_eq!(shown(&"é".repeat(65)), format!("{}…", "é".repeat(64)));
        assert_eq!(shown("table"), "table");
    }
}
