//! From checked values to what requests are served with.

use super::authorizers::ShapeAuthorizers;
use super::gatekeeper::gatekeeper;
use super::{Lease, Router, Shared, Snapshot, Tenant};
use crate::config::{Config, ElectricSettings, TenantConfig};
use crate::gatekeeper::{RingError, VerifierError};
use crate::hub::{Upstream, UpstreamSettings};
use crate::identity::{IdentityError, IdentityMethods, IdentitySources, MemoryLimits};
use aws_lc_rs::digest;
use pingora_core::utils::tls::{WrappedX509, parse_x509};
use shapegate_core::upstream::{BaseError, Secret, UpstreamBase};
use std::sync::{Arc, OnceLock};

/// Why checked values cannot be served. Loading finds all that is in the files before; this is what remains.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Keys or claims.
    #[error("identity: {0}")]
    Identity(#[from] IdentityError),
    /// The path or source id of the upstream.
    #[error("electric: {0}")]
    Base(#[from] BaseError),
    /// The keys that sign tokens.
    #[error("gatekeeper: key {}: {error}", place + 1)]
    SigningKeys {
        /// Its place in `keys`, from 0.
        place: usize,
        /// Why.
        error: RingError,
    },
    /// Those whose tokens sign shapes.
    #[error("gatekeeper: {0}")]
    Verifier(#[from] VerifierError),
    /// Certificates of whoever is asked about users.
    #[error("identity: {0}")]
    Provider(String),
    /// Certificates of whoever a shape asks.
    #[error("{0}: authorize: {1}")]
    Authorizer(String, String),
    /// The host of the upstream.
    #[error("electric: its host does not make a header")]
    Host,
}

/// Compiles all tenants of a configuration.
///
/// # Errors
/// What could not be seen before.
pub fn compile(config: &Config) -> Result<Snapshot, CompileError> {
    let shared = Shared::default();
    let tenants = config
        .tenants
        .iter()
        .map(|tenant| compile_tenant(tenant, &shared).map(Arc::new));
    Ok(Snapshot::of(tenants.collect::<Result<Vec<_>, _>>()?))
}

/// Compiles one tenant.
///
/// # Errors
/// What could not be seen before.
pub fn compile_tenant(config: &TenantConfig, shared: &Shared) -> Result<Tenant, CompileError> {
    let authorizers = ShapeAuthorizers::of(config, shared)?;
    let identity = identity(config, shared)?;
    Ok(Tenant {
        id: Arc::clone(&config.id),
        selection: config.selection.clone(),
        lease: Lease::of(Arc::clone(&config.id)),
        router: Router::new(&config.shapes, &authorizers, config.gatekeeper.as_ref()),
        breakers: authorizers.breakers().chain(identity.breakers()).collect(),
        identity,
        cors: config.cors.clone(),
        upstream: Arc::new(upstream(&config.electric, shared)?),
        gatekeeper: gatekeeper(config, &authorizers)?,
        unrouted: OnceLock::new(),
        signed: OnceLock::new(),
    })
}

fn identity(config: &TenantConfig, shared: &Shared) -> Result<IdentityMethods, CompileError> {
    let sources = IdentitySources {
        issuers: config
            .identity
            .issuers
            .iter()
            .map(|issuer| issuer.value.clone())
            .collect(),
        token_cookies: config
            .identity
            .cookies
            .iter()
            .map(|cookie| cookie.value.clone())
            .collect(),
        dev_user: config.identity.dev_user.as_ref().map(|user| user.value.clone()),
        providers: super::providers::providers(config, shared)?,
        api_keys: super::providers::api_keys(&config.identity),
        memory: MemoryLimits::default(),
    };
    match IdentityMethods::compile(sources) {
        // Keys that are left out were told when the file was checked.
        Ok((methods, _)) => Ok(methods),
        Err(errors) => Err(errors
            .into_iter()
            .next()
            .map_or(CompileError::Host, CompileError::Identity)),
    }
}

fn upstream(electric: &ElectricSettings, shared: &Shared) -> Result<Upstream, CompileError> {
    let secret = electric
        .secret
        .as_ref()
        .and_then(|secret| Secret::new(&secret.text));
    let base = UpstreamBase::new(
        &electric.url.prefix,
        electric.source_id.as_deref(),
        secret.as_ref(),
    )?;
    let settings = UpstreamSettings {
        host: electric.url.host.clone(),
        port: electric.url.port,
        tls: electric.url.tls,
        ca: authority(electric),
        trust_domain: trust_domain(electric),
        base,
        secret,
    };
    let addresses = shared.addresses(&settings.host, settings.port);
    Upstream::new(settings, addresses).map_err(|_| CompileError::Host)
}

/// The certificates in Pingora's form. Its parser gives up on what is none, so that they must have been read
/// as trust anchors before; they were when the configuration was checked.
fn authority(electric: &ElectricSettings) -> Option<Arc<[WrappedX509]>> {
    let authority = electric.ca.as_ref()?;
    Some(
        authority
            .certificates
            .iter()
            .map(|der| WrappedX509::new(der.to_vec(), parse_x509))
            .collect(),
    )
}

/// A number for whom connections trust: the same authorities, the same number; 0 for the public ones.
fn trust_domain(electric: &ElectricSettings) -> u64 {
    let Some(authority) = &electric.ca else { return 0 };
    let mut context = digest::Context::new(&digest::SHA256);
    for der in &authority.certificates {
        context.update(&der.len().to_be_bytes());
        context.update(der);
    }
    let digest = context.finish();
    digest
        .as_ref()
        .iter()
        .take(8)
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}
