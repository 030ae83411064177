//! What our reader and printer make of a text, against what a real Postgres makes of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

#[path = "support/grammar.rs"]
mod grammar;
#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/tables.rs"]
mod tables;

use std::cell::{Cell, RefCell};

use postgres::{Database, Server, Verdict};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use shapegate_core::clause::{Clause, Filter, ParameterText};
use sqlparser::keywords::ALL_KEYWORDS;

/// What Postgres calls a syntax error.
const SYNTAX_ERROR: &str = "42601";

/// Compares a text with what we print of it. Says whether we accept it.
fn agrees(database: &mut Database, table: &str, text: &str) -> Result<bool, String> {
    let Ok(clause) = Clause::read_policy(text) else {
        return Ok(false);
    };
    let printed = clause.to_string();
    let (original, ours) = (database.parse(table, text), database.parse(table, &printed));
    if original == Verdict::Refused(SYNTAX_ERROR.into()) {
        return Err(format!("{text:?} is no SQL, yet read as {printed}"));
    }
    if original != ours {
        return Err(format!("{text:?} printed as {printed}:\n{original:?}\n{ours:?}"));
    }
    match Clause::read_policy(&printed) {
        Ok(again) if again == clause => Ok(true),
        other => Err(format!("{printed} read again is {other:?}")),
    }
}

/// Runs this many cases; at least this share of them must be accepted, or the test would prove nothing.
fn all_agree(table: &str, texts: &impl Strategy<Value = String>, cases: u32, accepted_min: f64) {
    let server = Server::shared();
    let script = if table == "soup" {
        tables::SOUP
    } else {
        tables::EVERYTHING
    };
    let name = format!("{table}_{cases}");
    let database = RefCell::new(server.database(&name, script));
    let accepted = Cell::new(0_u32);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(texts, |text| {
            let agreed = agrees(&mut database.borrow_mut(), table, &text).map_err(TestCaseError::fail)?;
            accepted.set(accepted.get() + u32::from(agreed));
            Ok(())
        })
        .unwrap();
    let share = f64::from(accepted.get()) / f64::from(cases);
    assert!(share >= accepted_min, "only {share} of the texts were accepted");
}

#[test]
fn a_soup_of_operators_is_read_as_postgres_reads_it_or_not_at_all() {
    all_agree("soup", &grammar::soup(), 8000, 0.1);
}

#[test]
fn sentences_are_read_as_postgres_reads_them() {
    all_agree("everything", &grammar::sentence(), 2500, 0.5);
}

#[test]
fn texts_that_readers_disagree_about_are_read_as_postgres_reads_them_or_not_at_all() {
    let server = Server::shared();
    let mut database = server.database("nasties", tables::EVERYTHING);
    let disagreements: Vec<String> = grammar::nasties()
        .filter_map(|text| match text.contains('\0') {
            // The driver cannot send NUL; that we refuse it is enough.
            true => Clause::read_policy(&text)
                .is_ok()
                .then(|| format!("{text:?} is read")),
            false => agrees(&mut database, "everything", &text).err(),
        })
        .collect();
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n\n"));
}

/// Where a word that means something to somebody may stand.
const AROUND_WORDS: &[&str] = &[
    "@",
    "@ = a",
    "a = @",
    "@ IS NULL",
    "(@)",
    "NOT @",
    "- @",
    "@ AND a",
    "a OR @",
    "@ IN (a)",
    "a IN (@)",
    "@ LIKE 'x'",
    "@::text = a",
    "@ 'x' = a",
    "@ (a) = a",
    "@(a,a) = a",
    "@[1] = a",
    "a @ b",
    "a = b @",
    "@ a",
    "a::@ = a",
    "lower(@) = a",
    "@ BETWEEN a AND @",
    "a IN (SELECT @ FROM words)",
    "a IN (SELECT a FROM @)",
    "a IN (SELECT a FROM words @)",
    "a IN (SELECT a FROM words WHERE @)",
    "a IN (SELECT a FROM words WHERE a @)",
    "a IN (SELECT @ a FROM words)",
];

/// Where a reader may take a word and forget it.
const BETWEEN_WORDS: &[&str] = &[
    "a @ b",
    "a = b @",
    "@ a",
    "@ 'x' = a",
    "a @ 'x'",
    "a = @ b",
    "a IN (SELECT a FROM words @)",
    "a IN (SELECT a FROM @ words)",
    "a IN (SELECT @ a FROM words)",
    "a IN (SELECT a @ FROM words)",
    "a IN (SELECT a FROM words WHERE a @)",
    "a IN (@ SELECT a FROM words)",
    "lower(@ a) = a",
    "lower(a @) = a",
];

#[test]
fn words_of_postgres_are_read_as_it_reads_them_or_not_at_all() {
    let server = Server::shared();
    let mut database = server.database("keywords", tables::SOUP);
    let words = database.column("SELECT word FROM pg_get_keywords()");
    let mut accepted = 0;
    // Wide tables are slow.
    for some in words.chunks(30) {
        let columns: Vec<String> = some.iter().map(|word| format!("\"{word}\" u")).collect();
        database.execute(&format!(
            "DROP TABLE IF EXISTS words; CREATE TABLE words (a u, b u, {})",
            columns.join(",")
        ));
        for (word, around) in some
            .iter()
            .flat_map(|word| AROUND_WORDS.iter().map(move |around| (word, around)))
        {
            let text = around.replace('@', word);
            accepted += usize::from(agrees(&mut database, "words", &text).unwrap());
        }
    }
    assert!(
        accepted > 5 * words.len(),
        "only {accepted} of the texts were accepted"
    );
}

#[test]
fn no_word_of_any_dialect_is_read_and_forgotten() {
    let server = Server::shared();
    let mut database = server.database("dialects", tables::SOUP);
    database.execute("CREATE TABLE words (a u, b u)");
    for word in ALL_KEYWORDS {
        for between in BETWEEN_WORDS {
            agrees(&mut database, "words", &between.replace('@', word)).unwrap();
        }
    }
}

#[test]
fn every_word_that_postgres_reserves_is_no_column_without_quotes() {
    let server = Server::shared();
    let mut database = server.database("reserved", "");
    let words = database.column("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')");
    assert!(words.len() > 90, "{words:?}");
    for word in words {
        let quoted = format!("\"{word}\" = 1");
        assert!(Clause::read_policy(&quoted).is_ok(), "{quoted}");
        for text in [
            format!("{word} = 1"),
            format!("1 = {word}"),
            format!("{} = 1", word.to_uppercase()),
        ] {
            // TRUE and its kind are read, only not as columns.
            let read = Clause::read_policy(&text);
            assert!(
                read.ok().is_none_or(|clause| clause.columns().next().is_none()),
                "{text}"
            );
        }
    }
}

#[test]
fn a_clients_filter_narrows_a_policys_and_nothing_else() {
    let server = Server::shared();
    let mut database = server.database("narrowing", tables::EVERYTHING);
    let policy = Filter::new(
        Clause::read_policy("i4 = $1 OR t = $2").unwrap(),
        values(&["2", "a"]),
    )
    .unwrap();
    let accepted = Cell::new(0_u32);
    let config = Config {
        cases: 1000,
        failure_persistence: None,
        ..Config::default()
    };
    let database = RefCell::new(&mut database);
    TestRunner::new(config)
        .run(&grammar::sentence(), |text| {
            let mut database = database.borrow_mut();
            let Ok(clause) = Clause::read_client(&text) else {
                return Ok(());
            };
            // With a type for each use, as here, the text without parameters says more than theirs.
            if (1..=2).any(|number| text.matches(&format!("${number}")).count() > 1) {
                return Ok(());
            }
            let given = vec!["1"; usize::from(clause.parameters_max())];
            let Ok(client) = Filter::client(clause, values(&given)) else {
                return Ok(());
            };
            let both = policy.and(&client).unwrap();
            let parameters: Vec<&str> = both.parameters().iter().map(ParameterText::as_str).collect();
            let asked = database.rows("everything", both.text(), &parameters);
            let inlined = given
                .iter()
                .enumerate()
                .fold(text.clone(), |text, (index, value)| {
                    text.replace(&format!("${}", index + 1), &format!("'{value}'"))
                });
            let expected = database.rows(
                "everything",
                &format!("(i4 = '2' OR t = 'a') AND ({inlined})"),
                &[],
            );
            // Of several mistakes, they may meet another one first.
            prop_assert_eq!(
                asked.as_ref().ok(),
                expected.as_ref().ok(),
                "{} as {}: {:?} {:?}",
                text,
                both.text(),
                asked,
                expected
            );
            accepted.set(accepted.get() + u32::from(asked.is_ok()));
            Ok(())
        })
        .unwrap();
    assert!(
        accepted.get() > 300,
        "only {} of the texts were accepted",
        accepted.get()
    );
}

#[test]
fn what_is_added_behind_a_disjunction_narrows_all_of_it() {
    let server = Server::shared();
    let mut database = server.database("disjunction", tables::EVERYTHING);
    for text in [
        "i4 = 1 OR i4 = 2",
        "i4 = 1 OR t = 'a' OR f8 > 0",
        "i4 = 1 OR NULL",
        "i4 = 1 AND t = 'a'",
        "NOT i4 = 1",
    ] {
        let clause = Clause::read_policy(text).unwrap();
        let filter = Filter::new(clause, Vec::new()).unwrap().under_and();
        // Electric drops outer brackets when it writes the text anew.
        let bare = filter
            .text()
            .strip_prefix('(')
            .and_then(|text| text.strip_suffix(')'))
            .unwrap();
        let asked = database
            .rows("everything", &format!("{bare} AND (i4 = 2)"), &[])
            .unwrap();
        let expected = database
            .rows("everything", &format!("({text}) AND (i4 = 2)"), &[])
            .unwrap();
        assert_eq!(asked, expected, "{text}");
        let alone = database.rows("everything", filter.text(), &[]).unwrap();
        assert_eq!(alone, database.rows("everything", text, &[]).unwrap(), "{text}");
    }
}

fn values(texts: &[&str]) -> Vec<ParameterText> {
    texts
        .iter()
        .map(|text| ParameterText::new(text).unwrap())
        .collect()
}
