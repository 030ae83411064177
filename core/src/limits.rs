//! The limits of the core, each named with its unit.

/// The header or the claims of a token, as JSON text, in bytes.
pub const CLAIMS_BYTES_MAX: usize = 16 * 1024;
/// How deep claims may nest, in levels.
pub const CLAIMS_DEPTH_MAX: usize = 8;
/// Values in a token's claims at every level together; it also bounds what one comprehension of a rule walks.
pub const CLAIMS_VALUES_MAX: usize = 2048;
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
