//! Tokens for development.

use super::super::ConfigFiles;
use super::super::check::load_telling_warnings;
use super::super::output::warn;
use super::super::request::object;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Machine, Surroundings as _, TenantConfig, read_duration};
use crate::identity::{AudienceRule, CredentialHeaders, IssuerSource, KeySource, install_crypto};
use crate::tenant::{self, Shared};
use clap::Args;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Map, Value};
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, Args)]
pub(in crate::cli) struct SignArguments {
    #[command(flatten)]
    files: ConfigFiles,
    /// What it says; `iss`, `aud`, `iat` and `exp` are added where they are missing.
    #[arg(long, value_name = "JSON")]
    claims: String,
    /// How long it is good.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration)]
    ttl: Duration,
    /// The tenant whose users it is for, where there are several.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
}

fn duration(text: &str) -> Result<Duration, String> {
    read_duration(text).ok_or_else(|| "digits and a unit, as in 10m".to_owned())
}

pub(super) fn run(arguments: &SignArguments) -> Result<(String, ExitCode), String> {
    if Machine.variable("SHAPEGATE_ENV").as_deref() == Some("production") {
        return Err(
            "error: SHAPEGATE_ENV is production: tokens are for whoever knows the users to sign".to_owned(),
        );
    }
    let loaded = load_telling_warnings(&arguments.files)?;
    let tenant = chosen(&loaded.config.tenants, arguments.tenant.as_deref())?;
    let token = sign(arguments, tenant).map_err(|error| format!("error: {error}"))?;
    let user = verified(tenant, &token).map_err(|error| format!("error: {error}"))?;
    warn(&format!(
        "A token for development: until it ends, whoever has it is {user} here.\n"
    ));
    Ok((format!("{token}\n"), ExitCode::SUCCESS))
}

/// The tenant that is named, or the only one.
pub(super) fn chosen<'t>(tenants: &'t [TenantConfig], id: Option<&str>) -> Result<&'t TenantConfig, String> {
    match (tenants, id) {
        ([only], None) => Ok(only),
        (_, None) => Err("error: there are several tenants: name one, as in `--tenant acme`".to_owned()),
        (_, Some(id)) => tenants
            .iter()
            .find(|tenant| *tenant.id == *id)
            .ok_or_else(|| format!("error: there is no tenant `{id}`")),
    }
}

fn sign(arguments: &SignArguments, tenant: &TenantConfig) -> Result<String, String> {
    object("--claims", &arguments.claims)?;
    let mut claims: Map<String, Value> =
        serde_json::from_str(&arguments.claims).map_err(|error| format!("--claims: {error}"))?;
    let issuer = issuer(tenant, claims.get("iss").and_then(Value::as_str))?;
    let (algorithm, secret, kid) = shared_secret(issuer)?;
    let now = SystemClock.now().wall;
    let end = now.plus(arguments.ttl).seconds();
    let (party, name) = match &issuer.audience {
        AudienceRule::Audience(names) => ("aud", names.first()),
        AudienceRule::AuthorizedParties(names) => ("azp", names.first()),
        AudienceRule::InsecureAny => ("aud", None),
    };
    let added = [
        ("iss", Some(issuer.issuer.as_str().into())),
        (party, name.map(|name| name.as_str().into())),
        ("iat", Some(now.seconds().into())),
        ("exp", Some(end.into())),
    ];
    for (name, value) in added {
        if let Some(value) = value {
            claims.entry(name).or_insert(value);
        }
    }
    install_crypto();
    let algorithm = algorithm
        .parse()
        .map_err(|error: jsonwebtoken::errors::Error| error.to_string())?;
    let mut header = Header::new(algorithm);
    header.kid = kid.map(ToOwned::to_owned);
    if let Some(kind) = &issuer.token_type {
        header.typ = Some(kind.clone());
    }
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret))
        .map_err(|error| error.to_string())
}

/// The issuer that is named, or the only one whose key we share.
fn issuer<'t>(tenant: &'t TenantConfig, name: Option<&str>) -> Result<&'t IssuerSource, String> {
    let issuers = || tenant.identity.issuers.iter().map(|issuer| &issuer.value);
    if let Some(name) = name {
        let named = issuers().find(|issuer| issuer.issuer == name);
        return named
            .ok_or_else(|| format!("`iss` is {name:?}, and there is no such issuer in the configuration"));
    }
    let mut sharing = issuers().filter(|issuer| shared_secret(issuer).is_ok());
    match (sharing.next(), sharing.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => Err("there are several issuers: name one as `iss` in --claims".to_owned()),
        (None, _) => Err(
            "no issuer of the configuration has a shared secret (`keys: [{ alg: HS256, secret: … }]`): only its own \
             issuer can sign a token"
                .to_owned(),
        ),
    }
}

/// Algorithm, secret and name of the first key that is one.
fn shared_secret(issuer: &IssuerSource) -> Result<(&'static str, &[u8], Option<&str>), String> {
    let found = issuer.keys.iter().find_map(|key| match key {
        KeySource::Hmac {
            algorithm,
            secret,
            kid,
        } => Some((algorithm.as_str(), secret.as_slice(), kid.as_deref())),
        _ => None,
    });
    found.ok_or_else(|| {
        format!(
            "{} has no shared secret: only it can sign its tokens",
            issuer.issuer
        )
    })
}

/// Whose token it is to the gateway that it is for.
fn verified(tenant: &TenantConfig, token: &str) -> Result<String, String> {
    let compiled = tenant::compile_tenant(tenant, &Shared::default()).map_err(|error| error.to_string())?;
    let header = format!("Bearer {token}");
    let headers = CredentialHeaders::new([header.as_bytes()]);
    let known = compiled.identity().authenticate(&headers, SystemClock.now());
    let refused = |refusal: shapegate_core::code::Refusal| {
        let why = refusal.detail.unwrap_or_else(|| refusal.message.into_owned());
        format!("the gateway would not take it: {why}")
    };
    let identity = known.map_err(refused)?.known();
    let subject = identity.and_then(|identity| identity.subject().cloned());
    Ok(subject.map_or_else(
        || "somebody without a `sub`".to_owned(),
        |subject| format!("{subject:?}"),
    ))
}
