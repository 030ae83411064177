//! Tokens looked into.

use super::super::ConfigFiles;
use super::super::check::load_telling_warnings;
use super::super::request::secret_argument;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{TenantConfig, moment_text};
use crate::identity::{Authentication, CredentialHeaders, Jws, read_claims};
use crate::tenant::{self, Shared};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(in crate::cli) struct DecodeArguments {
    /// The token; `-` reads it from standard input, where no other account sees it.
    token: String,
    /// A configuration that is to say whether it takes the token.
    #[arg(short, long = "config", value_name = "FILE")]
    config: Vec<PathBuf>,
    /// The tenant that is asked, where there are several.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
}

pub(super) fn run(arguments: &DecodeArguments) -> Result<(String, ExitCode), String> {
    let token = secret_argument(&arguments.token)?;
    let mut told = String::new();
    for (name, part) in ["header", "claims"].iter().zip(token.split('.')) {
        told += &format!(
            "{name} {}\n",
            pretty(part).ok_or_else(|| format!("error: the {name} is no JSON in base64url"))?
        );
    }
    if let Some(fault) = malformed(token.as_bytes()) {
        return Ok((
            format!("{told}\nREFUSED everywhere: {fault}\n"),
            ExitCode::FAILURE,
        ));
    }
    if arguments.config.is_empty() {
        told += "\nNothing was verified: anybody can write such a token. `-c` asks a configuration whether it takes it.\n";
        return Ok((told, ExitCode::SUCCESS));
    }
    let files = ConfigFiles {
        config: arguments.config.clone(),
    };
    let loaded = load_telling_warnings(&files)?;
    let tenant = super::sign::chosen(&loaded.config.tenants, arguments.tenant.as_deref())?;
    let (verdict, code) = verdict(tenant, &token)?;
    Ok((format!("{told}\n{verdict}\n"), code))
}

/// A part as JSON, laid out; control characters stay escaped.
fn pretty(part: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    let value: Value = serde_json::from_slice(&bytes).ok()?;
    serde_json::to_string_pretty(&value).ok()
}

/// What no configuration could take.
fn malformed(token: &[u8]) -> Option<String> {
    let read = Jws::read(token).and_then(|jws| read_claims(&jws));
    read.err().map(|fault| fault.to_string())
}

fn verdict(tenant: &TenantConfig, token: &str) -> Result<(String, ExitCode), String> {
    let compiled =
        tenant::compile_tenant(tenant, &Shared::default()).map_err(|error| format!("error: {error}"))?;
    let header = format!("Bearer {token}");
    let headers = CredentialHeaders::new([header.as_bytes()]);
    Ok(
        match compiled.identity().authenticate(&headers, SystemClock.now()) {
            Ok(Authentication::Pending(_)) => (
                "UNDECIDED: its issuer publishes its keys; `shapegate explain --live` asks for them"
                    .to_owned(),
                ExitCode::from(2),
            ),
            Ok(Authentication::Known(None)) => ("It is no credential here".to_owned(), ExitCode::FAILURE),
            Ok(Authentication::Known(Some(identity))) => {
                let subject = identity
                    .subject()
                    .map_or("nobody in particular", |subject| subject);
                let until = identity.valid_until().map(|until| moment_text(until.wall));
                let until = until.map_or_else(String::new, |until| format!(" until {until}"));
                (format!("TAKEN as {subject:?}{until}"), ExitCode::SUCCESS)
            }
            Err(refusal) => {
                let why = refusal.detail.as_deref().unwrap_or_default();
                let text = format!("REFUSED {} {}\n  because: {why}", refusal.status(), refusal.code);
                (text, ExitCode::FAILURE)
            }
        },
    )
}
