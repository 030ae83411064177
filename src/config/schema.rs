//! The JSON Schema (2020-12) of the configuration, for editors.
//!
//! It is written by hand, as the readers are: they collect every problem with its place, take `{ env: … }` for any
//! value and decide by what stands beside a key, which no derive tells. What keeps both together are the tests,
//! which ask the readers at each object of the schema which keys they know, and the other way round.

/// With everything that there is below `$defs`; it begins as the configuration.
const SCHEMA: &str = include_str!("schema.json");
/// What stands between the beginning and all else.
const DEFINITIONS: &str = "  \"$defs\": {";

/// What a schema is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaOf {
    /// The configuration, or one of the files that it is merged from.
    Configuration,
    /// A file of the folder of tenants, or of that of templates.
    Tenant,
    /// The file of `api_keys`.
    ApiKeys,
    /// The file of `revocations`.
    Revocations,
}

impl SchemaOf {
    /// Every one.
    pub const ALL: [Self; 4] = [
        Self::Configuration,
        Self::Tenant,
        Self::ApiKeys,
        Self::Revocations,
    ];

    /// What it is called.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Tenant => "tenant or template",
            Self::ApiKeys => "file of API keys",
            Self::Revocations => "file of revocations",
        }
    }

    /// Where its description begins.
    #[must_use]
    pub const fn root(self) -> &'static str {
        match self {
            Self::Configuration => "#/$defs/configuration",
            Self::Tenant => "#/$defs/tenant",
            Self::ApiKeys => "#/$defs/apiKeyFile",
            Self::Revocations => "#/$defs/revocationFile",
        }
    }
}

/// The schema, as text.
#[must_use]
pub fn schema(of: SchemaOf) -> String {
    let (beginning, definitions) = SCHEMA.split_once(DEFINITIONS).unwrap_or((SCHEMA, ""));
    if of == SchemaOf::Configuration {
        return SCHEMA.to_owned();
    }
    let dialect = beginning
        .lines()
        .find(|line| line.contains("$schema"))
        .unwrap_or_default();
    let (title, root) = (of.title(), of.root());
    format!(
        "{{\n{dialect}\n  \"title\": \"shapegate: a {title}\",\n  \"$ref\": \"{root}\",\n{DEFINITIONS}{definitions}"
    )
}
