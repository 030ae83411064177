//! `postgres`: a query, whose one row is what rules read.

use super::super::electric::Authority;
use super::super::identity::IdentitySettings;
use super::super::providers::{ProviderKind, QUERY_BYTES_MAX, authority, bounded, pool_size, postgres_url};
use super::super::reading::{Reading, Section};
use super::super::rules::ParamSetting;
use super::super::source::Spanned;
use super::super::yaml::{Entry, Node};
use super::{Part, Surrounding, Told, params, terms};
use crate::authorizer::{Kind, PARAMETERS_MAX, PostgresAuthorizer, Terms};
use crate::postgres::{PostgresSettings, PostgresUrl};
use shapegate_core::policy::{FactNames, OtherFacts};
use std::collections::BTreeSet;

/// A database, and whom to trust there.
#[derive(Clone, PartialEq)]
pub(in super::super) struct Database {
    url: PostgresUrl,
    ca: Option<Authority>,
}

/// What is asked where an authoriser names no database.
#[derive(Default)]
pub(in super::super) enum KnownDatabase {
    /// Nothing is.
    #[default]
    None,
    /// That which knows the tenant's sessions.
    One(Box<Database>),
    /// There are several of these.
    Several,
    /// Something is wrong with them, and that is told.
    Wrong,
}

impl KnownDatabase {
    /// The one that `identity` asks.
    pub(in super::super) fn of(identity: Option<&IdentitySettings>) -> Self {
        let Some(identity) = identity else {
            return Self::Wrong;
        };
        let databases = identity
            .providers
            .iter()
            .filter_map(|provider| match &provider.value.kind {
                ProviderKind::Postgres(method) => Some(Database {
                    url: method.url.clone(),
                    ca: method.ca.clone(),
                }),
                _ => None,
            });
        databases.fold(Self::None, |known, database| match known {
            Self::None => Self::One(Box::new(database)),
            Self::One(one) if *one == database => Self::One(one),
            _ => Self::Several,
        })
    }
}

const PARAMS_HELP: &str = "write `params: [user.id, request.path.project_id]`: the values of $1, $2, …";

pub(super) fn postgres(reading: &mut Reading<'_>, entry: &Entry, around: &Surrounding<'_>) -> Option<Part> {
    let mut section = Section::open(reading, &entry.value, "postgres")?;
    let database = database(reading, &mut section, entry, around.database);
    let pool_size = pool_size(reading, &mut section);
    let help = "write `query: \"select role from members where user_id = $1\"`";
    let query = section.require(reading, "query", help);
    let query = query.and_then(|entry| {
        let text = bounded(reading, &entry.value, "query", QUERY_BYTES_MAX)?;
        Some(Spanned::new(text, entry.value.span))
    });
    let params = section.require(reading, "params", PARAMS_HELP);
    let params = params.and_then(|entry| read_params(reading, &entry.value));
    let bounded = section.has("concurrency");
    let terms = terms(reading, &mut section);
    section.finish(reading);
    let (database, query, params, pool_size, terms) = (database?, query?, params?, pool_size?, terms?);
    check_placeholders(reading, &query, params.len())?;
    let mut told = Told::default();
    params.into_iter().for_each(|param| told.add_param(param));
    let facts = FactNames {
        others: OtherFacts::Certain,
        ..FactNames::default()
    };
    let kind = Kind::Postgres(PostgresAuthorizer {
        database: PostgresSettings {
            url: database.url,
            authorities: database.ca.map(|ca| ca.certificates),
            pool_size,
            connect_timeout: terms.timeout,
            statement_timeout: terms.timeout,
        },
        query: query.value.into(),
    });
    // Whoever has no connection to ask with waits for a turn, and not for a connection.
    let terms = Terms {
        concurrency: if bounded { terms.concurrency } else { pool_size },
        ..terms
    };
    Some(Part::new(told, facts, kind, terms))
}

fn database(
    reading: &mut Reading<'_>,
    section: &mut Section<'_>,
    entry: &Entry,
    known: &KnownDatabase,
) -> Option<Database> {
    let ca = authority(reading, section);
    if section.has("url") {
        return Some(Database {
            url: postgres_url(reading, section)?,
            ca: ca?,
        });
    }
    section.know(&["url"]);
    const HELP: &str = "write `url: { env: DATABASE_URL }`";
    let message = match known {
        KnownDatabase::One(_) if section.has("ca") => "`ca` stands without `url`",
        KnownDatabase::One(database) => return Some(Database::clone(database)),
        KnownDatabase::None => "`postgres` names no `url`, and no method of `identity` asks a database",
        KnownDatabase::Several => {
            "`postgres` names no `url`, and the methods of `identity` ask several databases"
        }
        KnownDatabase::Wrong => return None,
    };
    reading.refuse(entry.key_span, message, HELP)
}

fn read_params(reading: &mut Reading<'_>, node: &Node) -> Option<Vec<Spanned<ParamSetting>>> {
    let params = params(reading, node, "params")?;
    if params.len() <= PARAMETERS_MAX {
        return Some(params);
    }
    let message = format!("`params` has more than {PARAMETERS_MAX} entries");
    reading.refuse(node.span, message, "ask with fewer")
}

/// The server counts them, when it is first asked. What is seen here is told now.
fn check_placeholders(reading: &mut Reading<'_>, query: &Spanned<String>, params: usize) -> Option<()> {
    let spoken_of = placeholders(&query.value);
    if let Some(missing) = (1..=params).find(|number| !spoken_of.contains(number)) {
        let message = format!("`query` does not use ${missing}, and there are {params} `params`");
        return reading.refuse(query.span, message, PARAMS_HELP);
    }
    if let Some(excess) = spoken_of.iter().find(|number| **number > params) {
        let message = format!("`query` speaks of ${excess}, and there are {params} `params`");
        reading.warn(query.span, message, PARAMS_HELP);
    }
    Some(())
}

/// Every `$n` in a query, in strings and comments too.
fn placeholders(query: &str) -> BTreeSet<usize> {
    let after = query.split('$').skip(1);
    let numbers = after.filter_map(|rest| {
        let digits = rest.split(|char: char| !char.is_ascii_digit()).next()?;
        digits.parse().ok()
    });
    numbers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_found_wherever_they_stand() {
        let found = |query: &str| placeholders(query).into_iter().collect::<Vec<_>>();
        assert_eq!(found("select $1, $2::uuid where x=$10 or y=$2"), [1, 2, 10]);
        assert_eq!(found("select $$a$$, '$', $tag$ $1 $tag$"), [1]);
        assert_eq!(found("$99999999999999999999999"), [0; 0]);
    }
}
