//! From names and values to what is asked: every name in its class.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::code::{Code, Refusal};
use crate::definition::{Log, Replica};
use crate::handle::ClientHandle;
use crate::request::definition::AskedDefinition;
use crate::request::position::{CacheBuster, Live, Offset, Position, check_subset, parse_number};
use crate::request::subset::SubsetText;
use crate::request::{Asked, Declared, Scalar, Verb, query};

/// The names of the protocol, as far as a query may hold them, and those that it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Offset,
    Handle,
    Live,
    LiveSse,
    ExperimentalLiveSse,
    Cursor,
    ExpiredHandle,
    CacheBuster,
    Log,
    Table,
    Where,
    Columns,
    Replica,
    SubsetWhere,
    SubsetParams,
    SubsetLimit,
    SubsetOffset,
    SubsetOrderBy,
    SubsetWhereExpr,
    SubsetOrderByExpr,
    /// The server's own: `secret`, `api_secret`, `queryable_columns`, `source_id`.
    Servers,
    /// A prefix or spelling of the protocol's that no client has a use for.
    Misspelt,
}

fn known(name: &str) -> Option<Known> {
    Some(match name {
        "offset" => Known::Offset,
        "handle" => Known::Handle,
        "live" => Known::Live,
        "live_sse" => Known::LiveSse,
        "experimental_live_sse" => Known::ExperimentalLiveSse,
        "cursor" => Known::Cursor,
        "expired_handle" => Known::ExpiredHandle,
        "cache-buster" => Known::CacheBuster,
        "log" => Known::Log,
        "table" => Known::Table,
        "where" => Known::Where,
        "columns" => Known::Columns,
        "replica" => Known::Replica,
        "subset__where" => Known::SubsetWhere,
        "subset__params" => Known::SubsetParams,
        "subset__limit" => Known::SubsetLimit,
        "subset__offset" => Known::SubsetOffset,
        "subset__order_by" => Known::SubsetOrderBy,
        "subset__where_expr" => Known::SubsetWhereExpr,
        "subset__order_by_expr" => Known::SubsetOrderByExpr,
        "secret" | "api_secret" | "queryable_columns" | "source_id" => Known::Servers,
        "params" | "subset" => Known::Misspelt,
        other if other.starts_with("subset__") => Known::Misspelt,
        _ => return None,
    })
}

/// Whether a name belongs to the protocol, so that no route may declare it.
pub(super) fn is_reserved(name: &str) -> bool {
    known(name).is_some() || name.starts_with("params[")
}

pub(super) fn parse(verb: Verb, raw_query: &str, declared: &Declared) -> Result<Asked, Refusal> {
    let mut reading = Reading::default();
    for pair in query::pairs(raw_query)? {
        let (name, value) = pair?;
        reading.take(name, value, declared)?;
    }
    reading.finish(verb)
}

/// What has been read so far.
#[derive(Default)]
struct Reading<'a> {
    seen_known: u32,
    seen_declared: u32,
    seen_unknown: BTreeSet<Cow<'a, str>>,
    offset: Option<Offset>,
    handle: Option<ClientHandle>,
    live: bool,
    live_sse: Option<bool>,
    experimental_live_sse: bool,
    cursor: Option<u64>,
    expired_handle: Option<ClientHandle>,
    cache_buster: Option<CacheBuster>,
    log: Option<Log>,
    definition: AskedDefinition,
    query: Vec<(Arc<str>, Scalar)>,
    subset: Option<Box<SubsetText>>,
}

impl<'a> Reading<'a> {
    fn take(&mut self, name: Cow<'a, str>, value: Cow<'a, str>, declared: &Declared) -> Result<(), Refusal> {
        if let Some(known) = known(&name) {
            return self.take_known(known, &name, &value);
        }
        if name.contains(['[', ']']) {
            return self.definition.take_parameter(&name, value);
        }
        if let Some((index, shared, kind)) = declared.find(&name) {
            once(&mut self.seen_declared, index, &name)?;
            let scalar = kind
                .read(&value)
                .ok_or_else(|| malformed(&name, kind.expectation()))?;
            self.query.push((Arc::clone(shared), scalar));
            return Ok(());
        }
        self.drop_unknown(name, declared)
    }

    fn take_known(&mut self, known: Known, name: &str, value: &str) -> Result<(), Refusal> {
        if matches!(known, Known::Servers | Known::Misspelt) {
            return Err(never(known, name));
        }
        once(&mut self.seen_known, known as usize, name)?;
        match known {
            Known::Offset => self.offset = Some(read(name, Offset::parse(value), "-1, now, N_M or N_inf")?),
            Known::Handle => self.handle = Some(read(name, ClientHandle::parse(value), HANDLE)?),
            Known::Live => self.live = read_bool(name, value)?,
            Known::LiveSse => self.live_sse = Some(read_bool(name, value)?),
            Known::ExperimentalLiveSse => self.experimental_live_sse = read_bool(name, value)?,
            // The first live request of the TypeScript client says `cursor=`.
            Known::Cursor if value.is_empty() => {}
            Known::Cursor => self.cursor = Some(read(name, parse_number(value), "1 to 20 digits")?),
            Known::ExpiredHandle => {
                self.expired_handle = Some(read(name, ClientHandle::parse(value), HANDLE)?);
            }
            Known::CacheBuster => {
                self.cache_buster = Some(read(name, CacheBuster::parse(value), CACHE_BUSTER)?);
            }
            Known::Log => self.log = Some(read(name, Log::named(value), "full or changes_only")?),
            Known::Table => self.definition.take_table(value)?,
            Known::Where => self.definition.take_where(value)?,
            Known::Columns => self.definition.take_columns(value)?,
            Known::Replica if value.is_empty() => {}
            Known::Replica => {
                self.definition.replica = Some(read(name, Replica::named(value), "default or full")?);
            }
            subset => self.take_subset(subset, value),
        }
        Ok(())
    }

    /// Notes a part of the subset: the presence of any makes the request a subset, as for Electric.
    fn take_subset(&mut self, known: Known, value: &str) {
        let subset = self.subset.get_or_insert_default();
        let slot = match known {
            Known::SubsetWhere => &mut subset.where_text,
            Known::SubsetParams => &mut subset.params,
            Known::SubsetLimit => &mut subset.limit,
            Known::SubsetOffset => &mut subset.offset,
            Known::SubsetOrderBy => &mut subset.order_by,
            // The structured forms say the same once more; Electric ignores them, and so they are dropped.
            _ => return,
        };
        *slot = (!is_blank(value)).then(|| value.to_owned());
    }

    fn drop_unknown(&mut self, name: Cow<'a, str>, declared: &Declared) -> Result<(), Refusal> {
        if declared.is_strict() {
            let text = format!("{} is not a parameter of this route.", query::shown(&name));
            return Err(Refusal::new(Code::ParameterUnknown, text));
        }
        if self.seen_unknown.contains(&name) {
            return Err(duplicate(&name));
        }
        self.seen_unknown.insert(name);
        Ok(())
    }

    fn finish(mut self, verb: Verb) -> Result<Asked, Refusal> {
        let dropped = u32::try_from(self.seen_unknown.len()).unwrap_or(u32::MAX);
        let position = self.position(verb)?;
        let subset = self.subset.take().map(|text| text.read()).transpose()?;
        if subset.is_some() {
            check_subset(verb, &position)?;
        }
        let Self {
            log,
            definition,
            query,
            ..
        } = self;
        Ok(Asked {
            verb,
            position,
            log,
            definition,
            query,
            subset,
            dropped,
        })
    }

    fn position(&mut self, verb: Verb) -> Result<Position, Refusal> {
        let live = self.live()?;
        let offset = match self.offset {
            Some(offset) => offset,
            None if verb == Verb::Delete => Offset::Beginning,
            None => {
                return Err(missing(
                    "offset is required: -1, now, or the last electric-offset.",
                ));
            }
        };
        let handle = self.handle.take();
        match (offset.needs_handle(), handle.is_some(), live.waits()) {
            (true, false, _) => Err(missing("handle is required when offset is neither -1 nor now.")),
            (false, _, true) => Err(never_live()),
            _ => Ok(Position {
                offset,
                // Electric ignores a handle at the start; forwarded, it would only split what can be shared.
                handle: handle.filter(|_| offset.needs_handle() || verb == Verb::Delete),
                live,
                cursor: self.cursor,
                expired_handle: self.expired_handle.take(),
                cache_buster: self.cache_buster.take(),
            }),
        }
    }

    fn live(&self) -> Result<Live, Refusal> {
        let sse = self.live_sse.unwrap_or(self.experimental_live_sse);
        match (self.live, sse) {
            (true, true) => Ok(Live::Sse),
            (true, false) => Ok(Live::Poll),
            (false, false) => Ok(Live::No),
            (false, true) => Err(Refusal::new(
                Code::ParameterMalformed,
                "live_sse cannot be true unless live is also true.",
            )),
        }
    }
}

const HANDLE: &str = "1 to 128 of A-Z a-z 0-9 . _ ~ -";
const CACHE_BUSTER: &str = "1 to 64 of A-Z a-z 0-9 . _ -";

/// What Electric takes for absent.
pub(super) fn is_blank(value: &str) -> bool {
    value.trim().is_empty()
}

fn read<T>(name: &str, value: Option<T>, expectation: &str) -> Result<T, Refusal> {
    value.ok_or_else(|| malformed(name, expectation))
}

fn read_bool(name: &str, value: &str) -> Result<bool, Refusal> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(malformed(name, "true or false")),
    }
}

fn once(seen: &mut u32, index: usize, name: &str) -> Result<(), Refusal> {
    let bit = 1_u32
        .checked_shl(u32::try_from(index).unwrap_or(u32::MAX))
        .unwrap_or(0);
    if *seen & bit != 0 {
        return Err(duplicate(name));
    }
    *seen |= bit;
    Ok(())
}

pub(super) fn duplicate(name: &str) -> Refusal {
    Refusal::new(
        Code::ParameterDuplicate,
        format!("{} was sent more than once.", query::shown(name)),
    )
}

pub(super) fn malformed(name: &str, expectation: &str) -> Refusal {
    let text = format!("{} must be {expectation}.", query::shown(name));
    Refusal::new(Code::ParameterMalformed, text)
}

fn never_live() -> Refusal {
    Refusal::new(
        Code::ParameterMalformed,
        "live cannot be true when offset is -1 or now.",
    )
}

fn missing(text: &'static str) -> Refusal {
    Refusal::new(Code::ParameterMissing, text)
}

fn never(known: Known, name: &str) -> Refusal {
    let name = query::shown(name);
    match known {
        Known::Servers => Refusal::new(
            Code::ParameterNotAllowed,
            format!("{name} is set by the server alone."),
        ),
        _ if name == "params" => Refusal::new(
            Code::ParameterMalformed,
            "params must be spelled params[1], params[2] and so on.",
        ),
        _ => Refusal::new(
            Code::ParameterMalformed,
            format!("{name} is not a parameter of subsets."),
        ),
    }
}
