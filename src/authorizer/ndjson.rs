//! Streams of JSON objects, `{"result": …}` one after the other, as gRPC gateways give them.

use shapegate_core::json::{self, JsonLimits};
use shapegate_core::value::Value;

/// How much of one object is read at all.
const LIMITS: JsonLimits = JsonLimits {
    bytes_max: 8 * 1024,
    depth_max: 8,
    values_max: 128,
};

/// The results of a stream, in their order.
///
/// # Errors
/// What is wrong with it: a stream that broke off with an error has given a part of the results, and a part is
/// none.
pub(super) fn results(body: &[u8]) -> Result<Vec<Value>, String> {
    let lines = body.split(|&byte| byte == b'\n');
    let full = lines.filter(|line| !line.trim_ascii().is_empty());
    full.map(result).collect()
}

fn result(line: &[u8]) -> Result<Value, String> {
    let Value::Map(mut members) = json::parse(line, LIMITS).map_err(|error| error.to_string())? else {
        return Err("a result is no object".to_owned());
    };
    match (members.remove("result"), members.remove("error")) {
        (Some(result), None) => Ok(result),
        (_, Some(_)) => Err("it broke off with an error".to_owned()),
        (None, None) => Err("a line has no result".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_stream_is_its_results_or_nothing() {
        assert_eq!(results(b"").unwrap(), []);
        let two = results(b"{\"result\":1}\n\n{\"result\":{\"a\":2}}\r\n").unwrap();
        assert_eq!(two.len(), 2);
        for broken in [
            &b"{\"result\":1}\n{\"error\":{\"code\":4}}\n"[..],
            b"{\"result\":1}\n{\"resu",
            b"{\"result\":1} {\"result\":2}",
            b"[]",
            b"{}",
            b"<html>",
            b"{\"result\":1,\"result\":2}",
        ] {
            assert!(results(broken).is_err());
        }
    }
}
