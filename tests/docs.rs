//! What the documentation says is so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use shapegate_core::code::Code;

#[test]
fn every_error_code_is_documented_with_its_status_and_no_other_is() {
    let page = include_str!("../docs/errors.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.contains("| `")).collect();
    for code in Code::ALL {
        let start = format!("| {} | `{code}` | ", code.status());
        assert!(rows.iter().any(|row| row.starts_with(&start)), "{code}");
    }
    assert_eq!(rows.len(), Code::ALL.len());
}
