//! A file of policy tests.

use super::super::request::{Members, add_header, object, question};
use super::expectation::Expectation;
use crate::config::yaml::FILE_BYTES_MAX;
use crate::config::{Machine, Surroundings as _};
use crate::gateway::explain::Question;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyTests {
    /// The configuration files, relative to this one.
    pub(super) config: Vec<PathBuf>,
    /// Environment variables for them: tests need no real secrets.
    #[serde(default)]
    pub(super) environment: BTreeMap<String, String>,
    /// The tests.
    pub(super) cases: Vec<Case>,
}

/// One test.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    /// What it shows.
    pub(super) name: String,
    /// A path with its query, or a URL.
    request: String,
    #[serde(default = "get")]
    method: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Who asks; nobody without them.
    claims: Option<Map<String, Value>>,
    /// What authorisers find out.
    decision: Option<Map<String, Value>>,
    /// The body of a POST.
    body: Option<Value>,
    /// What is to come of it.
    pub(super) expect: Expectation,
}

fn get() -> String {
    "GET".to_owned()
}

impl PolicyTests {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it, with line and column.
    pub(super) fn read(path: &Path) -> Result<Self, String> {
        let at_fault = |error: String| format!("error: {}: {error}", path.display());
        let content = Machine
            .file(path, FILE_BYTES_MAX)
            .map_err(|error| at_fault(error.to_string()))?;
        let text = String::from_utf8(content.bytes).map_err(|error| at_fault(error.to_string()))?;
        let tests: Self = serde_saphyr::from_str(&text).map_err(|error| at_fault(error.to_string()))?;
        match tests.cases.is_empty() {
            true => Err(at_fault("there is no case in it".to_owned())),
            false => Ok(tests),
        }
    }
}

impl Case {
    /// The request that it is about.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn question(&self) -> Result<Question, String> {
        let mut question = question(&self.method, &self.request)?;
        for (name, value) in &self.headers {
            add_header(&mut question, name, value)?;
        }
        question.claims = self
            .claims
            .as_ref()
            .map(|claims| members("claims", claims))
            .transpose()?;
        question.decision = self
            .decision
            .as_ref()
            .map(|decision| members("decision", decision))
            .transpose()?;
        question.body = self
            .body
            .as_ref()
            .map_or_else(Vec::new, |body| body.to_string().into());
        Ok(question)
    }
}

/// As a token would say it.
fn members(what: &str, map: &Map<String, Value>) -> Result<Members, String> {
    let text = serde_json::to_string(map).map_err(|error| format!("{what}: {error}"))?;
    object(what, &text)
}
