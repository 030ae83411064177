//! What expressions may name: the roots, their members, and the functions.
use super::check::{UserPresence, Vocabulary, guarded};
use super::error::Fault;
use super::guard::Known;
use super::path::{Path, Step};
use super::scope;

/// Who asks.
pub(super) const USER: &str = "user";
pub(super) const REQUEST: &str = "request";
const ASKED: &str = "asked";
/// What authorisers found out.
pub(super) const DECISION: &str = "decision";
const TENANT: &str = "tenant";
const ROOTS: [&str; 5] = [USER, REQUEST, ASKED, DECISION, TENANT];

/// Members of `user` that are always there, whatever its claims.
const USER_MEMBERS: [&str; 2] = ["id", "claims"];

/// Names of types, for `type(x) == string`.
const TYPES: [&str; 10] = [
    "bool",
    "bytes",
    "double",
    "dyn",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "uint",
];

/// Functions and operators whose cost is bounded by what they are given. `&&`, `||` and `?:` are not among
/// them because what they prove is looked at, nor is indexing because it is a read.
const FUNCTIONS: [&str; 28] = [
    "!_",
    "-_",
    "_+_",
    "_-_",
    "_*_",
    "_/_",
    "_%_",
    "_==_",
    "_!=_",
    "_<_",
    "_<=_",
    "_>_",
    "_>=_",
    "@in",
    "@not_strictly_false",
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];

pub(super) fn is_function(name: &str) -> bool {
    FUNCTIONS.contains(&name)
}

/// Whether a comprehension's variable of that name would hide something.
pub(super) fn is_taken(name: &str) -> bool {
    ROOTS.contains(&name) || TYPES.contains(&name)
}

/// Whether a name is one of those that everything else hangs from.
pub(super) fn is_root(name: &str) -> bool {
    ROOTS.contains(&name)
}

/// Whether whoever sends the request chooses what stands there, or may have: authorisers are told of requests.
pub(super) fn is_chosen_by_client(path: &Path) -> bool {
    path.root == REQUEST || path.root == ASKED || path.root == DECISION
}

/// `request.headers`, or a header.
pub(super) fn is_headers(path: &Path) -> bool {
    path.root == REQUEST && path.steps.first() == Some(&Step::Name("headers".to_owned()))
}

/// Whether `has()` may ask for members of this that no guard vouches for.
pub(super) fn has_optional_members(path: &Path) -> bool {
    let names = path.names().unwrap_or_default();
    match path.root.as_str() {
        REQUEST => matches!(names.as_slice(), ["query" | "headers"]),
        ASKED => names.is_empty(),
        _ => false,
    }
}

/// Whether the member that `has()` asks for is one that there can be.
pub(super) fn check_asked_for(path: &Path, vocabulary: &Vocabulary) -> Result<(), Fault> {
    let known = Known::default();
    let names = path.names().unwrap_or_default();
    match (path.root.as_str(), names.as_slice()) {
        (REQUEST, ["headers", name]) => check_header(name, vocabulary),
        (ASKED, ["columns" | "replica" | "log"]) => Ok(()),
        _ => check(path, vocabulary, &known),
    }
}

/// Whether a path may be read, given what is known to be there.
pub(super) fn check(path: &Path, vocabulary: &Vocabulary, known: &Known) -> Result<(), Fault> {
    match path.root.as_str() {
        USER => check_user(path, vocabulary, known),
        REQUEST => check_request(path, vocabulary, known),
        ASKED => check_asked(path, known),
        DECISION => check_decision(path, vocabulary, known),
        TENANT => match path.names().as_deref() {
            Some(["id"]) => Ok(()),
            _ => Err(Fault::new(
                format!("there is no {path}"),
                "of a tenant there is tenant.id",
            )),
        },
        name if TYPES.contains(&name) && path.steps.is_empty() => Ok(()),
        _ => Err(Fault::new(
            format!("nothing is called {path}"),
            "there are user, request.method, request.path, request.query, request.headers, asked, decision \
             and tenant.id",
        )),
    }
}

pub(super) fn check_user_is_readable(vocabulary: &Vocabulary) -> Result<(), Fault> {
    if vocabulary.user == UserPresence::Unread {
        return Err(Fault::new(
            "a public shape gives everybody the same, and this reads who asks",
            "use `access: optional`, which lets `user` be null",
        ));
    }
    Ok(())
}

fn check_user(path: &Path, vocabulary: &Vocabulary, known: &Known) -> Result<(), Fault> {
    check_user_is_readable(vocabulary)?;
    if vocabulary.unguarded {
        return Ok(());
    }
    guarded(path, known, |prefix| match prefix.names().as_deref() {
        Some([]) => vocabulary.user == UserPresence::Always,
        Some([name]) => USER_MEMBERS.contains(name) || vocabulary.certain.contains(*name),
        _ => false,
    })
}

fn check_decision(path: &Path, vocabulary: &Vocabulary, known: &Known) -> Result<(), Fault> {
    vocabulary.decision.check_name(path)?;
    guarded(path, known, |prefix| vocabulary.decision.is_certain(prefix))
}

fn check_request(path: &Path, vocabulary: &Vocabulary, known: &Known) -> Result<(), Fault> {
    match path.names().unwrap_or_default().as_slice() {
        ["method"] => Ok(()),
        ["path", name] if vocabulary.path.contains(*name) => Ok(()),
        ["path", name] => Err(Fault::new(
            format!("the path captures no {name}"),
            format!("write {{{name}}} into the shape's path"),
        )),
        ["query", name] if vocabulary.query.contains(*name) => Ok(()),
        ["query", name] => Err(Fault::new(
            format!("the route declares no query name {name}"),
            format!("declare it with its type: `query: {{ {name}: text }}`"),
        )),
        ["headers", name] => {
            check_header(name, vocabulary)?;
            guarded(path, known, |prefix| prefix.steps.len() < 2)
        }
        _ => Err(Fault::new(
            format!("{path} cannot be read"),
            "name what you read: request.method, request.path.<name>, request.query.<name> or \
             request.headers[\"<name>\"]",
        )),
    }
}

pub(super) fn check_header_is_readable(vocabulary: &Vocabulary) -> Result<(), Fault> {
    if vocabulary.user == UserPresence::Unread {
        return Err(Fault::new(
            "a public shape gives everybody the same, and this reads a header",
            "use `access: optional`",
        ));
    }
    Ok(())
}

fn check_header(name: &str, vocabulary: &Vocabulary) -> Result<(), Fault> {
    check_header_is_readable(vocabulary)?;
    let lawful =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if name.is_empty() || !name.bytes().all(lawful) {
        return Err(Fault::new(
            format!("no header is called {name:?}"),
            "write its name in lower case: request.headers[\"x-name\"]",
        ));
    }
    Ok(())
}

fn check_asked(path: &Path, known: &Known) -> Result<(), Fault> {
    match path.names().unwrap_or_default().as_slice() {
        ["table"] => Ok(()),
        ["columns" | "replica" | "log"] => guarded(path, known, |prefix| prefix.steps.is_empty()),
        _ => Err(Fault::new(
            format!("{path} cannot be read"),
            "there are asked.table, asked.columns, asked.replica and asked.log",
        )),
    }
}

/// Patterns are compiled once here, so that one that is not a pattern is found at load.
pub(super) fn check_pattern(pattern: &str) -> Result<(), Fault> {
    if scope::is_pattern(pattern) {
        return Ok(());
    }
    Err(Fault::new(
        format!("{pattern:?} is not a regular expression"),
        "see https://docs.rs/regex for the syntax",
    ))
}
