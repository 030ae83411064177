//! A machine that exists in memory only.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shapegate::config::{FileContent, Loaded, Problems, Surroundings, load_texts};
use shapegate::gatekeeper::{SigningAlgorithm, generate_private_key};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

/// What every example needs: both secrets are long enough.
pub(crate) const SECRETS: [(&str, &str); 2] = [
    ("ELECTRIC_SECRET", "electric-secret"),
    ("JWT_SECRET", "0123456789abcdef0123456789abcdef"),
];

#[derive(Default)]
pub(crate) struct Given {
    variables: HashMap<String, String>,
    files: HashMap<PathBuf, FileContent>,
    folders: Vec<PathBuf>,
}

impl Given {
    /// With the variables that the examples in `conf` name.
    pub(crate) fn with_what_examples_name() -> Self {
        Self::new()
            .variable("SHAPEGATE_DEMO_ELECTRIC_URL", "http://127.0.0.1:3001")
            .variable("SHAPEGATE_DEMO_ELECTRIC_SECRET", "demo")
            .variable("SHAPEGATE_DEMO_JWT_SECRET", "0123456789abcdef0123456789abcdef")
            .variable("OTLP_AUTHORIZATION", "Bearer 0123456789abcdef")
            .variable("REDIS_URL", "rediss://:secret@redis.internal:6379/0")
            .variable("SHAPEGATE_ADMIN_TOKEN", "0123456789abcdef0123456789abcdef")
            .variable("AUTH_SECRET", "0123456789abcdef0123456789abcdef")
            .variable("DATABASE_URL", "postgres://shapegate@127.0.0.1/app")
    }

    pub(crate) fn new() -> Self {
        SECRETS.into_iter().fold(Self::default(), |given, (name, value)| {
            given.variable(name, value)
        })
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn file(mut self, path: &str, text: &str) -> Self {
        let content = FileContent {
            bytes: text.as_bytes().to_vec(),
            world_readable: false,
        };
        self.files.insert(path.into(), content);
        self
    }

    /// A folder, with those of the files that are in it.
    pub(crate) fn folder(mut self, path: &str) -> Self {
        self.folders.push(path.into());
        self
    }

    pub(crate) fn world_readable_file(mut self, path: &str, text: &str) -> Self {
        let content = FileContent {
            bytes: text.as_bytes().to_vec(),
            world_readable: true,
        };
        self.files.insert(path.into(), content);
        self
    }
}

impl Surroundings for Given {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn file(&self, path: &Path, bytes_max: usize) -> io::Result<FileContent> {
        let content = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        if content.bytes.len() > bytes_max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(content.clone())
    }

    fn folder(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let known = self.folders.iter().any(|folder| folder == path);
        let within = self.files.keys().filter(|file| file.parent() == Some(path));
        let files = || within.cloned().collect();
        known.then(files).ok_or(io::ErrorKind::NotFound.into())
    }
}

pub(crate) fn load_in(text: &str, given: &Given) -> Result<Loaded, Problems> {
    load_texts(&[(Path::new("/etc/shapegate.yaml"), text)], given)
}

/// The rendered problems of a configuration that must be refused.
pub(crate) fn refused(text: &str) -> String {
    refused_in(text, &Given::new())
}

pub(crate) fn refused_in(text: &str, given: &Given) -> String {
    match load_in(text, given) {
        Err(problems) => problems.render(),
        Ok(_) => panic!("this was accepted:\n{text}"),
    }
}

pub(crate) fn accepted(text: &str) -> Loaded {
    accepted_in(text, &Given::new())
}

pub(crate) fn accepted_in(text: &str, given: &Given) -> Loaded {
    load_in(text, given).unwrap_or_else(|problems| panic!("this was refused:\n{text}\n{problems}"))
}

pub(crate) const ELECTRIC: &str =
    "electric: { url: http://127.0.0.1:3000, secret: { env: ELECTRIC_SECRET } }\n";
pub(crate) const IDENTITY: &str = "identity: [{ jwt: { issuer: acme, audience: sync, keys: [{ alg: HS256, secret: { env: JWT_SECRET } }] } }]\n";
pub(crate) const SHAPES: &str =
    "shapes: { users: { table: users, columns: [id], rules: [{ rows: all }] } }\n";

/// A right configuration in whose place of `shapes` (from line 3 on) stands something else.
pub(crate) fn with_shapes(shapes: &str) -> String {
    format!("{ELECTRIC}{IDENTITY}{shapes}")
}

/// A right configuration whose one shape has these lines, from line 5 on, indented by four.
pub(crate) fn with_shape(lines: &str) -> String {
    let indented: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    with_shapes(&format!("shapes:\n  users:\n{indented}"))
}

/// A right configuration with more below.
pub(crate) fn and(more: &str) -> String {
    format!("{ELECTRIC}{IDENTITY}{SHAPES}{more}")
}

/// A set of one public key (RFC 7517, appendix A.1).
pub(crate) const PUBLIC_KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"sig","kid":"1"}]}"#;

/// A fresh private key in PEM.
pub(crate) fn private_key(algorithm: SigningAlgorithm) -> String {
    let der = STANDARD.encode(generate_private_key(algorithm).unwrap());
    format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n")
}
