//! The limits of the core, each named with its unit.

/// The header or the claims of a token, as JSON text, in bytes.
pub const CLAIMS_BYTES_MAX: usize = 16 * 1024;
/// How deep claims may nest, in levels.
pub const CLAIMS_DEPTH_MAX: usize = 8;
/// Values in a token's claims at every level together; it also bounds what one comprehension of a rule walks.
pub const CLAIMS_VALUES_MAX: usize = 2048;

// What a client may send.

/// Bytes of a raw query string, as it came.
pub const QUERY_BYTES_MAX: usize = 32 * 1024;
/// Parameters in one query string, whatever their names.
pub const QUERY_PARAMETERS_MAX: usize = 256;
/// Bytes of a parameter's name, decoded.
pub const PARAMETER_NAME_BYTES_MAX: usize = 128;
/// Bytes of a client's `table`, decoded: two quoted names of nothing but doubled quotes.
pub const TABLE_TEXT_BYTES_MAX: usize = 2 * (2 * IDENTIFIER_BYTES_MAX + 2) + 1;
/// Bytes of a client's `cache-buster`.
pub const CACHE_BUSTER_BYTES_MAX: usize = 64;
/// Bytes of a handle as a client sends it, its tag included.
pub const CLIENT_HANDLE_BYTES_MAX: usize = 128;
/// Bytes of a handle as the upstream sends it: leaves room for `~` and a tag.
pub const UPSTREAM_HANDLE_BYTES_MAX: usize = CLIENT_HANDLE_BYTES_MAX - 1 - HANDLE_TAG_CHARACTERS;
/// Characters of a handle's tag: 128 bits in unpadded base64url.
pub const HANDLE_TAG_CHARACTERS: usize = 22;
/// Digits of an offset's part or of a cursor.
pub const NUMBER_DIGITS_MAX: usize = 20;
/// Query names that one endpoint may declare.
pub const DECLARED_NAMES_MAX: usize = 32;
/// Bytes of a declared query name.
pub const DECLARED_NAME_BYTES_MAX: usize = 64;
/// Bytes of a declared text value, decoded.
pub const DECLARED_TEXT_BYTES_MAX: usize = 256;

// Subsets.

/// Bytes of a subset body, or of `subset__params`.
pub const SUBSET_BODY_BYTES_MAX: usize = 256 * 1024;
/// Nesting of a subset body: the body, `subset`, `params`, and what the ignored `*_expr` hold.
pub const SUBSET_BODY_DEPTH_MAX: usize = 32;
/// Values in a subset body at every level together.
pub const SUBSET_BODY_VALUES_MAX: usize = 4096;
/// Bytes of a subset's `order_by`.
pub const ORDER_BY_TEXT_BYTES_MAX: usize = 4 * 1024;
/// Columns in a subset's `order_by`.
pub const ORDER_BY_TERMS_MAX: usize = 32;
/// Rows: the largest `limit` or `offset` of a subset that is a number at all here.
pub const SUBSET_ROWS_MAX: u32 = i32::MAX.unsigned_abs();

// What goes upstream.

/// Bytes of a request line to Electric without its position. Electric takes 10,000 in all.
pub const REQUEST_LINE_BYTES_MAX: usize = 9_500;
/// Bytes of a request line that Electric takes, at most.
pub const REQUEST_LINE_BYTES_ELECTRIC: usize = 10_000;
/// Bytes of a `source_id`.
pub const SOURCE_ID_BYTES_MAX: usize = 128;
/// Entity tags of a client's `if-none-match` that are passed on.
pub const ENTITY_TAGS_MAX: usize = 8;

// What comes back.

/// Bytes of an upstream error body that are read for the log.
pub const ERROR_BODY_BYTES_MAX: usize = 4 * 1024;
/// Bytes of a body that decide whether its `content-encoding` is true.
pub const ENCODING_PROBE_BYTES: usize = 8;
/// Seconds of a `retry-after` that are believed, at most.
pub const RETRY_AFTER_SECONDS_MAX: u64 = 3600;

// Identifiers.

/// The longest identifier, in bytes: Postgres' own `NAMEDATALEN - 1`. Nothing longer can exist.
pub const IDENTIFIER_BYTES_MAX: usize = 63;

/// The longest text of a column list, in bytes.
pub const COLUMNS_TEXT_BYTES_MAX: usize = 64 * 1024;

/// The most columns that a column set holds: as many as a Postgres table can have.
pub const COLUMNS_MAX: usize = 1600;

// Filters.

/// The longest text of a filter, in bytes. Electric itself refuses about four times as much.
pub const CLAUSE_TEXT_BYTES_MAX: usize = 16 * 1024;

/// The most nodes of a filter, counted over its whole tree.
pub const CLAUSE_NODES_MAX: usize = 2048;

/// The most nodes of a filter, one inside the other, brackets included.
pub const CLAUSE_DEPTH_MAX: usize = 48;

/// The most keywords, names and operators in the text of a filter. It bounds how long a chain of operations
/// can grow, and with that the depth of the tree that the parser builds without recursing.
pub const CLAUSE_WORDS_MAX: usize = 768;

/// The most items of one list: `IN (…)`, `ARRAY[…]`, arguments of a function.
pub const CLAUSE_LIST_ITEMS_MAX: usize = 512;

/// The most parameters of a filter, which is also the highest number that one may have.
pub const PARAMETERS_MAX: u16 = 512;

/// The longest value of one parameter, in bytes.
pub const PARAMETER_BYTES_MAX: usize = 64 * 1024;

// Rules.

/// Bytes of the text of one expression.
pub const EXPRESSION_BYTES_MAX: usize = 4096;
/// How deep an expression may nest, in operations. Evaluating recurses that deep.
pub const EXPRESSION_DEPTH_MAX: usize = 48;
/// Bytes of a pattern of `matches()`; it is compiled at every evaluation.
pub const PATTERN_BYTES_MAX: usize = 128;
/// Rules of one shape.
pub const RULES_MAX: usize = 64;
/// Patterns of one `any_of`.
pub const TABLE_PATTERNS_MAX: usize = 256;

// Authorisers.

/// Authorisers of one shape.
pub const AUTHORIZERS_MAX: usize = 8;
/// Values that one authoriser is told.
pub const AUTHORIZER_INPUTS_MAX: usize = 64;
