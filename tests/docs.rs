//! What the documentation says is so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

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

/// The pages: those at the top, and all of docs.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let all = files(root.to_owned()).chain(files(root.join("docs")));
    all.filter(|path| path.extension().is_some_and(|kind| kind == "md"))
        .collect()
}

/// A page without its examples.
fn prose(page: &Path) -> String {
    let text = fs::read_to_string(page).unwrap();
    text.split("```").step_by(2).collect()
}

/// What a heading is linked to by.
fn anchor(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn anchors(page: &Path) -> BTreeSet<String> {
    let text = prose(page);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect()
}

/// What is wrong with a link of a page, if anything is.
fn broken(page: &Path, link: &str) -> Option<String> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match path {
        "" => page.to_owned(),
        _ => page.parent().unwrap().join(path),
    };
    let is_page = target.extension().is_some_and(|kind| kind == "md");
    let leads = target.exists() && (anchor.is_empty() || !is_page || anchors(&target).contains(anchor));
    (!leads).then(|| format!("{}: {link}", page.display()))
}

#[test]
fn every_link_leads_somewhere() {
    let mut checked = 0;
    let mut wrong = Vec::new();
    for page in pages() {
        let text = prose(&page);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.starts_with("https://") && !link.starts_with("http://")) {
            checked += 1;
            wrong.extend(broken(&page, link));
        }
    }
    assert!(checked > 80, "{checked}");
    assert_eq!(wrong, [""; 0]);
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    for bad in ["docs/nowhere.md", "docs/metrics.md#nowhere", "#nowhere"] {
        assert!(broken(&page, bad).is_some(), "{bad}");
    }
}
