//! `shapegate keys`: keys that sign shape tokens, made and replaced; keys that programs send.

mod api;
mod rotation;

use super::ConfigFiles;
use super::check::load_or_complain;
use super::output::{tell, warn};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{TenantConfig, read_duration};
use crate::gatekeeper::{JWKS_MAX_AGE, SigningAlgorithm, SigningKeyError, generate_private_key};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use clap::{Args, Subcommand};
use rotation::{Rotation, RotationError};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Characters of a line of PEM (RFC 7468 §2).
const PEM_LINE_CHARS: usize = 64;

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a private key, and print its line for `gatekeeper.mint.keys`.
    Generate(GenerateArguments),
    /// Make the next key, and print the `keys` with which it takes over in time.
    Rotate(RotateArguments),
    /// Print the hash of the API key on standard input, for a file of `api_keys`.
    Hash,
    /// Make an API key: it is printed once, and its line for a file of `api_keys` on standard error.
    ApiKey(api::ApiKeyArguments),
}

#[derive(Debug, Args)]
pub(super) struct GenerateArguments {
    #[command(flatten)]
    key: NewKey,
}

#[derive(Debug, Args)]
pub(super) struct RotateArguments {
    #[command(flatten)]
    files: ConfigFiles,
    #[command(flatten)]
    key: NewKey,
    /// The tenant whose keys are meant, where there are several.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// When the next key takes over, from now. Until then others learn it from the published keys.
    #[arg(long = "in", value_name = "DURATION", default_value = "10m", value_parser = duration)]
    delay: Duration,
}

/// A key to be made.
#[derive(Debug, Args)]
struct NewKey {
    /// What it signs with: ES256, EdDSA, RS256 or HS256.
    #[arg(long, value_name = "ALGORITHM", default_value = "ES256", value_parser = algorithm)]
    alg: SigningAlgorithm,
    /// Its name, which tokens and published keys carry.
    #[arg(long, value_name = "NAME")]
    kid: Option<String>,
    /// The file to write it to, which must not exist. Only its owner will be able to read it.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

fn algorithm(text: &str) -> Result<SigningAlgorithm, String> {
    let named = SigningAlgorithm::ALL.into_iter().find(|one| one.as_str() == text);
    named.ok_or_else(|| "one of ES256, EdDSA, RS256 and HS256".to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    read_duration(text).ok_or_else(|| "digits and a unit, as in 10m".to_owned())
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
enum KeysError {
    #[error(transparent)]
    Key(#[from] SigningKeyError),
    #[error(transparent)]
    Rotation(#[from] RotationError),
    #[error("{} cannot be written: {error}", path.display())]
    Write { path: PathBuf, error: io::Error },
    #[error(
        "the next key must be published for more than {} s before it signs: that long others keep the published keys",
        JWKS_MAX_AGE.as_secs()
    )]
    TooSoon,
    #[error(transparent)]
    Api(#[from] api::ApiKeyError),
    #[error("the configuration mints no tokens: it has no `gatekeeper.mint`")]
    NothingMinted,
    #[error("the configuration has several tenants: name one, as in `--tenant acme`")]
    SeveralTenants,
    #[error("there is no tenant `{0}`")]
    NoTenant(String),
}

pub(super) fn run(command: &KeysCommand) -> ExitCode {
    let done = match command {
        KeysCommand::Generate(arguments) => generate(&arguments.key),
        KeysCommand::Hash => api::hash().map_err(KeysError::from),
        KeysCommand::ApiKey(arguments) => match api::make(arguments) {
            Ok((key, line)) => {
                warn(&line);
                Ok(key)
            }
            Err(error) => Err(error.into()),
        },
        KeysCommand::Rotate(arguments) => match load_or_complain(&arguments.files) {
            Some(loaded) => rotate(arguments, &loaded.config.tenants),
            None => return ExitCode::FAILURE,
        },
    };
    match done {
        Ok(text) => {
            tell(&text);
            ExitCode::SUCCESS
        }
        Err(error) => {
            warn(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn generate(key: &NewKey) -> Result<String, KeysError> {
    write_key(key)?;
    Ok(format!(
        "- {}\n",
        rotation::line(key.alg, &key.out, key.kid.as_deref())
    ))
}

fn rotate(arguments: &RotateArguments, tenants: &[TenantConfig]) -> Result<String, KeysError> {
    if arguments.delay <= JWKS_MAX_AGE {
        return Err(KeysError::TooSoon);
    }
    let config = chosen(arguments, tenants)?;
    let settings = config.gatekeeper.as_ref().ok_or(KeysError::NothingMinted)?;
    let mint = settings.mint.as_ref().ok_or(KeysError::NothingMinted)?;
    let now = SystemClock.now().wall;
    let rotation = Rotation {
        now,
        from: now.plus(arguments.delay),
        ttl_max: rotation::longest_ttl(config, mint),
    };
    let kid = arguments.key.kid.clone().unwrap_or_else(|| rotation.kid());
    let text = rotation.keys(&mint.keys, arguments.key.alg, &arguments.key.out, &kid)?;
    write_key(&arguments.key)?;
    Ok(text)
}

/// The tenant whose keys are meant: the one that is named, or the only one.
fn chosen<'t>(
    arguments: &RotateArguments,
    tenants: &'t [TenantConfig],
) -> Result<&'t TenantConfig, KeysError> {
    match (tenants, &arguments.tenant) {
        ([only], None) => Ok(only),
        (_, None) => Err(KeysError::SeveralTenants),
        (_, Some(id)) => tenants
            .iter()
            .find(|tenant| *tenant.id == **id)
            .ok_or_else(|| KeysError::NoTenant(id.clone())),
    }
}

fn write_key(key: &NewKey) -> Result<(), KeysError> {
    let material = generate_private_key(key.alg)?;
    let text = match key.alg {
        SigningAlgorithm::Hs256 => format!("{}\n", URL_SAFE_NO_PAD.encode(&material)),
        _ => pem(&material),
    };
    write_private(&key.out, &text).map_err(|error| KeysError::Write {
        path: key.out.clone(),
        error,
    })
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn pem(der: &[u8]) -> String {
    let base64 = STANDARD.encode(der);
    let mut text = String::from("-----BEGIN PRIVATE KEY-----\n");
    for (index, char) in base64.chars().enumerate() {
        if index > 0 && index % PEM_LINE_CHARS == 0 {
            text.push('\n');
        }
        text.push(char);
    }
    text + "\n-----END PRIVATE KEY-----\n"
}
