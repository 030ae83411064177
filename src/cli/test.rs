//! `shapegate test`: policy tests. Who asks for what, and what is to come of it, as the gateway would decide.

mod case;
mod expectation;

use super::output::{count, tell, warn};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, FileContent, Machine, Surroundings};
use crate::gateway::explain::Explainer;
use crate::tenant;
use case::PolicyTests;
use clap::Args;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// The exit code of a file that is none.
const UNUSABLE: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct TestArguments {
    /// Files of policy tests.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Configuration files in place of those that the tests name.
    #[arg(short, long = "config", value_name = "FILE")]
    config: Vec<PathBuf>,
}

/// How many tests came out how.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

pub(super) fn run(arguments: &TestArguments) -> ExitCode {
    let mut tally = Tally::default();
    for file in &arguments.files {
        if let Err(complaint) = run_file(file, &arguments.config, &mut tally) {
            warn(&format!("{complaint}\n"));
            return ExitCode::from(UNUSABLE);
        }
    }
    tell(&format!(
        "{} passed, {} failed\n",
        count(tally.passed, "test"),
        tally.failed
    ));
    if tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run_file(file: &Path, instead: &[PathBuf], tally: &mut Tally) -> Result<(), String> {
    let tests = PolicyTests::read(file)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let paths = match instead {
        [] => tests.config.iter().map(|path| folder.join(path)).collect(),
        paths => paths.to_vec(),
    };
    let loaded = config::load(&paths, &Given(&tests.environment)).map_err(|problems| problems.render())?;
    let snapshot = tenant::compile(&loaded.config).map_err(|error| format!("error: {error}"))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let explainer = Explainer {
        snapshot: &snapshot,
        clock: &clock,
        live: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| format!("error: {error}"))?;
    for case in &tests.cases {
        let at_fault = |what: String| format!("error: {}: {:?}: {what}", file.display(), case.name);
        let question = case.question().map_err(at_fault)?;
        let expected = case.expect.read().map_err(at_fault)?;
        let report = runtime.block_on(explainer.explain(&question));
        match expected.differs(&report.verdict) {
            None => {
                tally.passed += 1;
                tell(&format!("ok      {}\n", case.name));
            }
            Some(difference) => {
                tally.failed += 1;
                let told = format!("{difference}\n\n{report}");
                tell(&format!("FAILED  {}\n{}", case.name, indented(&told)));
            }
        }
    }
    Ok(())
}

fn indented(text: &str) -> String {
    let lines = text.lines().map(|line| match line {
        "" => "\n".to_owned(),
        line => format!("        {line}\n"),
    });
    lines.collect()
}

/// The machine, with variables of the tests' own.
struct Given<'t>(&'t BTreeMap<String, String>);

impl Surroundings for Given<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned().or_else(|| Machine.variable(name))
    }

    fn file(&self, path: &Path, bytes_max: usize) -> io::Result<FileContent> {
        Machine.file(path, bytes_max)
    }
}
