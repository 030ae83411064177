//! Whoever is asked about users, from checked values to what can be asked.

use super::{CompileError, Shared};
use crate::config::{
    Authority, IdentitySettings, IntrospectionServer, PostgresMethod, ProviderKind, ProviderSettings,
    Spanned, TenantConfig,
};
use crate::identity::Carrier;
use crate::identity::api_keys::ApiKey;
use crate::identity::provider::{CONCURRENCY_MAX, Lookup, Provider, ProviderSource};
use crate::identity::sessions::{
    Introspection, IntrospectionSettings, SessionEndpoint, SessionTable, SessionTableSettings,
};
use crate::outbound::{Outbound, OutboundSettings};
use crate::postgres::PostgresSettings;
use rustls::pki_types::CertificateDer;
use std::sync::Arc;

/// Answers that one provider's memory holds, and their bytes by estimate.
const REMEMBERED_MAX: usize = 65_536;
const REMEMBERED_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Bytes of an answer: what claims may have.
const ANSWER_BYTES_MAX: usize = shapegate_core::limits::CLAIMS_BYTES_MAX;

pub(super) fn providers(config: &TenantConfig, shared: &Shared) -> Result<Vec<Arc<Provider>>, CompileError> {
    let settings = config.identity.providers.iter();
    settings
        .map(|Spanned { value: settings, .. }| {
            let book = &shared.providers;
            book.provider(&config.id, settings, || source(settings, shared))
        })
        .collect()
}

pub(super) fn api_keys(settings: &IdentitySettings) -> Option<(Vec<Carrier>, Vec<ApiKey>)> {
    let keys = &settings.api_keys.as_ref()?.value;
    Some((keys.from.clone(), keys.keys.clone()))
}

fn source(settings: &ProviderSettings, shared: &Shared) -> Result<ProviderSource, CompileError> {
    let (name, lookup) = match &settings.kind {
        ProviderKind::Session { url, subject, ca } => {
            let endpoint = SessionEndpoint {
                outbound: outbound(settings, ca.as_ref())?,
                url: url.clone(),
                from: settings.from.clone(),
                subject: subject.clone(),
            };
            ("session", Arc::new(endpoint) as Arc<dyn Lookup>)
        }
        ProviderKind::Postgres(method) => ("postgres", Arc::new(table(settings, method, shared)?) as _),
        ProviderKind::Introspection(server) => {
            let outbound = outbound(settings, server.ca.as_ref())?;
            ("introspection", Arc::new(introspection(server, outbound)) as _)
        }
    };
    Ok(ProviderSource {
        name: name.into(),
        from: settings.from.clone(),
        lookup,
        ttl: settings.ttl,
        timeout: settings.timeout,
        claims: settings.claims.clone(),
        remembered_max: REMEMBERED_MAX,
        remembered_bytes_max: REMEMBERED_BYTES_MAX,
    })
}

fn table(
    settings: &ProviderSettings,
    method: &PostgresMethod,
    shared: &Shared,
) -> Result<SessionTable, CompileError> {
    let postgres = shared.pools.pool(&PostgresSettings {
        url: method.url.clone(),
        authorities: certificates(method.ca.as_ref()),
        pool_size: method.pool_size,
        connect_timeout: settings.timeout,
        statement_timeout: settings.timeout,
    });
    let postgres = postgres.map_err(|error| CompileError::Provider(error.to_string()))?;
    let settings = SessionTableSettings {
        query: method.query.clone(),
        hash: method.hash,
        notify: method.notify.clone(),
    };
    Ok(SessionTable::new(postgres, settings))
}

fn introspection(server: &IntrospectionServer, outbound: Outbound) -> Introspection {
    let settings = IntrospectionSettings {
        url: server.url.clone(),
        client_id: server.client_id.clone(),
        client_secret: server.client_secret.text.clone(),
        authentication: server.authentication,
        audience: server.audience.clone(),
        issuer: server.issuer.clone(),
    };
    Introspection::new(outbound, settings)
}

/// The operator wrote the URL out, and redirects are not followed: it may be a neighbour's, and plain HTTP.
fn outbound(settings: &ProviderSettings, ca: Option<&Authority>) -> Result<Outbound, CompileError> {
    let outbound = Outbound::new(&OutboundSettings {
        timeout: settings.timeout,
        answer_bytes_max: ANSWER_BYTES_MAX,
        concurrency_max: CONCURRENCY_MAX,
        allow_private_addresses: true,
        allow_http: true,
        authorities: certificates(ca),
    });
    outbound.map_err(|error| CompileError::Provider(error.to_string()))
}

fn certificates(ca: Option<&Authority>) -> Option<Vec<CertificateDer<'static>>> {
    ca.map(|authority| authority.certificates.clone())
}
