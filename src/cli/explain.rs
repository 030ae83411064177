//! `shapegate explain`: how a request would be answered, step by step.

use super::ConfigFiles;
use super::check::load_or_complain;
use super::output::{tell, warn};
use super::request::{add_header, add_token, object, question, secret_argument};
use crate::authorizer::{self, AuthorizerMetrics};
use crate::clock::{Clock, SystemClock};
use crate::config::Loaded;
use crate::gateway::explain::{Explainer, Question, Report, Verdict};
use crate::tenant;
use clap::Args;
use std::process::ExitCode;
use std::sync::Arc;

/// The exit code when it cannot be said.
const NEITHER: u8 = 2;

#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    #[command(flatten)]
    files: ConfigFiles,
    /// What is asked for: a path with its query, or a URL, whose host then chooses the tenant. Without an `offset` it
    /// is asked for from the beginning.
    request: String,
    /// Its method.
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    method: String,
    /// A bearer token that comes along; `-` reads it from standard input, where no other account sees it.
    #[arg(long, value_name = "TOKEN", conflicts_with = "claims")]
    token: Option<String>,
    /// The claims of whoever asks, as if a token with them had been verified.
    #[arg(long, value_name = "JSON")]
    claims: Option<String>,
    /// A header that comes along.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The body of a POST.
    #[arg(long, value_name = "JSON", default_value = "")]
    data: String,
    /// What authorisers find out, as rules read it under `decision`, in place of asking them.
    #[arg(long, value_name = "JSON")]
    decision: Option<String>,
    /// Ask issuers for their keys, providers about sessions and authorisers for facts. Otherwise nobody is asked.
    #[arg(long)]
    live: bool,
}

pub(super) fn run(arguments: &ExplainArguments) -> ExitCode {
    let Some(loaded) = load_or_complain(&arguments.files) else {
        return ExitCode::from(NEITHER);
    };
    let report = asked(arguments).and_then(|question| report(&loaded, &question, arguments.live));
    match report {
        Ok(report) => {
            tell(&report.to_string());
            match report.verdict {
                Verdict::Allowed(_) | Verdict::Open => ExitCode::SUCCESS,
                Verdict::Refused(_) | Verdict::MustRefetch => ExitCode::FAILURE,
                Verdict::Undecided(_) => ExitCode::from(NEITHER),
            }
        }
        Err(complaint) => {
            warn(&format!("error: {complaint}\n"));
            ExitCode::from(NEITHER)
        }
    }
}

fn asked(arguments: &ExplainArguments) -> Result<Question, String> {
    let mut question = question(&arguments.method, &arguments.request)?;
    for header in &arguments.headers {
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| format!("{header:?} is no header: write `name: value`"))?;
        add_header(&mut question, name, value)?;
    }
    if let Some(token) = &arguments.token {
        add_token(&mut question, &secret_argument(token)?)?;
    }
    let members =
        |what: &str, text: &Option<String>| text.as_ref().map(|text| object(what, text)).transpose();
    question.claims = members("--claims", &arguments.claims)?;
    question.decision = members("--decision", &arguments.decision)?;
    arguments.data.as_bytes().clone_into(&mut question.body);
    Ok(question)
}

fn report(loaded: &Loaded, question: &Question, live: bool) -> Result<Report, String> {
    let snapshot = tenant::compile(&loaded.config).map_err(|error| error.to_string())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let asking = match live {
        true => {
            let metrics = AuthorizerMetrics::new().map_err(|error| error.to_string())?;
            Some(authorizer::Asking::new(Arc::clone(&clock), metrics))
        }
        false => None,
    };
    let explainer = Explainer {
        snapshot: &snapshot,
        clock: &clock,
        live: asking.as_ref(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    Ok(runtime.block_on(explainer.explain(question)))
}
