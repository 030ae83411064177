//! The configuration as it was understood: merged, variables filled in, defaults written out, secrets not.

mod identity;

use super::GatekeeperSettings;
use super::client::{ClientColumns, ClientSettings, ClientWhere, SubsetSetting};
use super::limits::Limits;
use super::opened::Opened;
use super::quotas;
use super::reading::Shown;
use super::scalar::{duration_text, size_text};
use super::server::{AdminListen, ServerSettings};
use super::shapes::{ShapeSettings, TableSetting};
use super::tenant::{LoadedTenant, TenantConfig};
use super::yaml::{Kind, Node};
use crate::authorizer::{AuthorizerSettings, Kind as AuthorizerKind};
use shapegate_core::coding::Coding;
use std::fmt::Write as _;

/// What stands where a secret was written.
pub const REDACTED: &str = "<redacted>";

/// A printed value.
#[derive(Clone, Debug)]
enum Out {
    Plain(String),
    Text(String),
    List(Vec<Out>),
    Map(Vec<(String, Out)>),
}

/// YAML that reads back as the same configuration, secrets written in it aside.
pub(super) fn print(opened: &Opened, server: &ServerSettings, tenants: &[LoadedTenant]) -> String {
    let mut root = as_read(&opened.root, &opened.shown);
    if opened.is_shared() {
        take(&mut root, "templates");
        take(&mut root, "tenants");
    } else if let [only] = tenants {
        root = as_read(&only.merged, &only.shown.with(&opened.shown));
    }
    server_defaults(&mut root, server);
    if opened.is_shared() {
        let named = tenants.iter().map(|tenant| {
            let mut out = as_read(&tenant.merged, &tenant.shown);
            tenant_defaults(&mut out, &tenant.config);
            (tenant.config.id.to_string(), out)
        });
        put(&mut root, "tenants", Out::Map(named.collect()));
    } else if let [only] = tenants {
        tenant_defaults(&mut root, &only.config);
    }
    let mut text = String::new();
    write_block(&mut text, &root, 0);
    text
}

fn tenant_defaults(root: &mut Out, config: &TenantConfig) {
    identity::identity_defaults(root, &config.identity);
    put_in(root, "cors", |cors| {
        put(cors, "origins", plain("any"));
        put(cors, "credentials", plain("false"));
    });
    if !config.shapes.is_empty() {
        put_in(root, "shapes", |shapes| {
            for shape in &config.shapes {
                put_in(shapes, &shape.settings.name.value, |out| {
                    shape_defaults(out, &shape.settings);
                });
            }
        });
    }
    if let Some(gatekeeper) = &config.gatekeeper {
        put_in(root, "gatekeeper", |out| {
            gatekeeper_defaults(out, gatekeeper);
        });
    }
}

fn gatekeeper_defaults(out: &mut Out, gatekeeper: &GatekeeperSettings) {
    if let Some(mint) = &gatekeeper.mint {
        put_in(out, "mint", |out| {
            put(out, "path", Out::Text(mint.path.value.to_string()));
            put(out, "issuer", Out::Text(mint.issuer.value.clone()));
            put(out, "audience", plain("own"));
            put(out, "ttl", Out::Plain(duration_text(mint.ttl)));
        });
    }
    if let Some(verify) = &gatekeeper.verify {
        put_in(out, "verify", |out| {
            put_in(out, "unsigned", |out| {
                let words = |words: Vec<&str>| Out::List(words.into_iter().map(plain).collect());
                let unsigned = &verify.unsigned;
                let replica = unsigned.replica.iter().map(|mode| mode.as_str()).collect();
                let log = unsigned.log.iter().map(|log| log.as_str()).collect();
                put(out, "replica", words(replica));
                put(out, "log", words(log));
                put(out, "subset", plain("off"));
            });
        });
    }
}

fn as_read(node: &Node, shown: &Shown) -> Out {
    if shown.secrets.contains(&node.span) {
        return Out::Text(REDACTED.to_owned());
    }
    if let (Kind::Map(_), Some((text, quoted))) = (&node.kind, shown.resolved.get(&node.span)) {
        return if *quoted {
            Out::Text(text.clone())
        } else {
            Out::Plain(text.clone())
        };
    }
    match &node.kind {
        Kind::Null => plain("null"),
        Kind::Scalar { text, quoted: true } => Out::Text(text.clone()),
        Kind::Scalar { text, quoted: false } => Out::Plain(text.clone()),
        Kind::List(items) => Out::List(items.iter().map(|item| as_read(item, shown)).collect()),
        Kind::Map(entries) => Out::Map(
            entries
                .iter()
                .map(|entry| (entry.key.clone(), as_read(&entry.value, shown)))
                .collect(),
        ),
    }
}

fn admin_defaults(root: &mut Out, admin: &AdminListen) {
    let listen = match admin {
        AdminListen::Off => plain("off"),
        AdminListen::Tcp(address) => Out::Map(vec![("listen".to_owned(), Out::Text(address.to_string()))]),
        AdminListen::Unix(path) => Out::Map(vec![(
            "listen".to_owned(),
            Out::Text(format!("unix:{}", path.display())),
        )]),
    };
    match listen {
        Out::Map(listen) => put_in(root, "admin", |out| {
            for (key, value) in listen {
                put(out, &key, value);
            }
        }),
        off => put(root, "admin", off),
    }
}

fn server_defaults(root: &mut Out, server: &ServerSettings) {
    put_in(root, "server", |out| {
        put(
            out,
            "listen",
            Out::List(
                server
                    .listen
                    .iter()
                    .map(|address| Out::Text(address.to_string()))
                    .collect(),
            ),
        );
        put(out, "trusted_proxies", Out::List(Vec::new()));
        put(out, "cache_status", Out::Plain(server.cache_status.to_string()));
        put(out, "encode", codings(&server.encode));
        let leaving = &server.leaving;
        put(
            out,
            "shutdown_delay",
            Out::Plain(duration_text(leaving.shutdown_delay)),
        );
        put(
            out,
            "grace_period",
            Out::Plain(duration_text(leaving.grace_period)),
        );
        if let Some(path) = &leaving.upgrade_socket {
            put(out, "upgrade_socket", Out::Text(path.display().to_string()));
        }
    });
    admin_defaults(root, &server.admin);
    seeing_defaults(root, server);
    state_defaults(root, server);
    put_in(root, "limits", |out| limits_defaults(out, &server.limits));
}

/// Logs, metrics and traces.
fn seeing_defaults(root: &mut Out, server: &ServerSettings) {
    put_in(root, "logs", |out| {
        put(out, "access", plain("off"));
        put(out, "decisions", plain("off"));
    });
    put_in(root, "metrics", |out| {
        put(
            out,
            "tenant_label",
            Out::Plain(server.metrics.tenant_label.to_string()),
        );
        put(
            out,
            "series_max",
            Out::Plain(server.metrics.series_max.to_string()),
        );
    });
    if let Some(traces) = &server.traces {
        put_in(root, "traces", |out| {
            put_in(out, "otlp", |out| {
                put(
                    out,
                    "timeout",
                    Out::Plain(duration_text(traces.collector.timeout)),
                );
            });
            put(out, "sample_ratio", Out::Plain(traces.sample_ratio.to_string()));
            put(out, "sampled_flag", plain("ignored"));
            put(out, "service_name", Out::Text(traces.service_name.clone()));
        });
    }
}

/// What outlives the process, here and in a cluster.
fn state_defaults(root: &mut Out, server: &ServerSettings) {
    if let Some(state) = &server.revocation_state {
        put_in(root, "revocations", |out| {
            put(out, "state", Out::Text(state.display().to_string()));
        });
    }
    if let Some(cluster) = &server.cluster {
        put_in(root, "cluster", |out| {
            put_in(out, "redis", |out| {
                put(out, "prefix", Out::Text(cluster.prefix.clone()));
                put(out, "timeout", Out::Plain(duration_text(cluster.timeout)));
            });
        });
    }
}

fn codings(codings: &[Coding]) -> Out {
    let names = codings.iter().map(|coding| coding.as_str().to_owned());
    match codings {
        [] => Out::Plain("off".to_owned()),
        _ => Out::List(names.map(Out::Plain).collect()),
    }
}

fn limits_defaults(out: &mut Out, limits: &Limits) {
    let size = |bytes: usize| Out::Plain(size_text(u64::try_from(bytes).unwrap_or(u64::MAX)));
    put(out, "body_bytes_max", size(limits.body_bytes_max));
    put(out, "header_bytes_max", size(limits.header_bytes_max));
    put(out, "hub_bytes_max", size(limits.hub_bytes_max));
    put(
        out,
        "connections_max",
        Out::Plain(limits.connections_max.to_string()),
    );
    put(
        out,
        "connections_per_address_max",
        Out::Plain(limits.connections_per_address_max.to_string()),
    );
    for (key, count) in [
        ("upstream_requests_max", limits.upstream_requests_max),
        ("upstream_new_shapes_max", limits.upstream_new_shapes_max),
    ] {
        put(out, key, Out::Plain(count.to_string()));
    }
    for (key, quota) in [
        ("per_subject", limits.per_subject),
        ("per_tenant", limits.per_tenant),
        ("per_address", limits.per_address),
    ] {
        put_in(out, key, |out| {
            quotas::written(quota).for_each(|(name, text)| put(out, name, Out::Plain(text)));
        });
    }
    put(
        out,
        "head_deadline",
        Out::Plain(duration_text(limits.head_deadline)),
    );
    put(
        out,
        "body_deadline",
        Out::Plain(duration_text(limits.body_deadline)),
    );
}

fn shape_defaults(out: &mut Out, shape: &ShapeSettings) {
    put(out, "path", Out::Plain(shape.path.value.to_string()));
    put(out, "columns", plain("all"));
    put(out, "access", plain(shape.access.value.as_str()));
    if matches!(shape.table.value, TableSetting::AnyOf(_)) {
        put(out, "where", plain("none"));
    }
    put_in(out, "client", |client| client_defaults(client, &shape.client));
    for authorizer in &shape.authorizers {
        put_in(out, "authorize", |out| {
            authorizer_defaults(out, &authorizer.settings);
        });
    }
    put(out, "delete", plain("false"));
    put(out, "strict", plain("false"));
    put(out, "hub", plain("on"));
}

fn authorizer_defaults(out: &mut Out, settings: &AuthorizerSettings) {
    let fill = |out: &mut Out| {
        put_in(out, settings.kind.name(), |out| {
            let terms = &settings.terms;
            put(out, "ttl", Out::Plain(duration_text(terms.ttl)));
            put(out, "deny_ttl", Out::Plain(duration_text(terms.deny_ttl)));
            put(out, "timeout", Out::Plain(duration_text(terms.timeout)));
            put(out, "concurrency", Out::Plain(terms.concurrency.to_string()));
            if let AuthorizerKind::Postgres(postgres) = &settings.kind {
                put(
                    out,
                    "pool_size",
                    Out::Plain(postgres.database.pool_size.to_string()),
                );
            }
        });
    };
    match &settings.name {
        Some(name) => put_in(out, name, fill),
        None => fill(out),
    }
}

fn client_defaults(out: &mut Out, client: &ClientSettings) {
    put(
        out,
        "where",
        plain(match client.filter {
            ClientWhere::Forbidden => "forbidden",
            ClientWhere::Narrow => "narrow",
        }),
    );
    put(
        out,
        "columns",
        plain(match client.columns {
            ClientColumns::Fixed => "fixed",
            ClientColumns::Subset => "subset",
        }),
    );
    put(
        out,
        "replica",
        Out::List(
            client
                .replica
                .iter()
                .map(|replica| plain(replica.as_str()))
                .collect(),
        ),
    );
    put(
        out,
        "subset",
        match client.subset {
            SubsetSetting::Off => plain("off"),
            SubsetSetting::LimitMax(limit) => {
                Out::Map(vec![("limit_max".to_owned(), Out::Plain(limit.to_string()))])
            }
            SubsetSetting::Unlimited => Out::Map(vec![("limit_max".to_owned(), plain("none"))]),
        },
    );
    put(
        out,
        "ignore",
        Out::List(client.ignore.iter().map(|name| plain(name.as_str())).collect()),
    );
}

fn plain(text: &str) -> Out {
    Out::Plain(text.to_owned())
}

/// Adds a key that is not written.
fn put(map: &mut Out, key: &str, value: Out) {
    if let Out::Map(entries) = map
        && !entries.iter().any(|(known, _)| known == key)
    {
        entries.push((key.to_owned(), value));
    }
}

/// Removes a key.
fn take(map: &mut Out, key: &str) {
    if let Out::Map(entries) = map {
        entries.retain(|(known, _)| known != key);
    }
}

/// Works on the map under a key, which is made where it is missing.
fn put_in(map: &mut Out, key: &str, fill: impl FnOnce(&mut Out)) {
    put(map, key, Out::Map(Vec::new()));
    if let Out::Map(entries) = map
        && let Some((_, value)) = entries.iter_mut().find(|(known, _)| known == key)
    {
        fill(value);
    }
}

fn write_block(text: &mut String, out: &Out, depth: usize) {
    let margin = depth * 2;
    match out {
        Out::Map(entries) if !entries.is_empty() => {
            for (key, value) in entries {
                _ = write!(text, "{:margin$}{}:", "", scalar(key, false));
                write_value(text, value, depth);
            }
        }
        Out::List(items) if !items.is_empty() => {
            for item in items {
                _ = write!(text, "{:margin$}-", "");
                write_value(text, item, depth);
            }
        }
        other => {
            _ = writeln!(text, "{:margin$}{}", "", flow(other));
        }
    }
}

/// What follows `key:` or `-`: on the same line when it is short, else below.
fn write_value(text: &mut String, value: &Out, depth: usize) {
    let simple = match value {
        Out::Plain(_) | Out::Text(_) => true,
        Out::List(items) => items
            .iter()
            .all(|item| matches!(item, Out::Plain(_) | Out::Text(_))),
        Out::Map(entries) => entries.is_empty(),
    };
    if simple {
        _ = writeln!(text, " {}", flow(value));
        return;
    }
    text.push('\n');
    write_block(text, value, depth + 1);
}

fn flow(out: &Out) -> String {
    match out {
        Out::Plain(text) => scalar(text, false),
        Out::Text(text) => scalar(text, true),
        Out::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Out::Map(entries) => {
            let pairs: Vec<_> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", scalar(key, false), flow(value)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

/// Plain where that cannot be misread, else as a JSON string, which is YAML too.
fn scalar(text: &str, quoted: bool) -> String {
    let harmless = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '/' | '-' | '@');
    let starts =
        text.starts_with(|char: char| char.is_ascii_alphanumeric() || matches!(char, '/' | '_' | '.'));
    if !quoted && starts && text.chars().all(harmless) {
        return text.to_owned();
    }
    serde_json::to_string(text).unwrap_or_default()
}
