//! Secrets: named in the configuration, never written in it.

use super::files::{KEY_FILE_BYTES_MAX, NamedFile};
use super::problem::Problem;
use super::reading::{Reading, Section};
use super::source::{Span, Spanned};
use super::yaml::Node;
use std::fmt;

/// Longest secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 4096;
const SOURCES: &str = "write `{ env: NAME }`, `{ file: path }` or `{ credential: name }` (systemd)";

/// A secret's text and where it came from. `Debug` and [`SecretOrigin`] never show the text.
#[derive(Clone)]
pub struct SecretSetting {
    /// The text. Handle with care: hand it only to types that redact themselves.
    pub text: String,
    /// Where it came from, to be printed.
    pub origin: SecretOrigin,
    /// Where the configuration names it.
    pub span: Span,
}

/// Two are the same when their texts are, wherever they stand.
impl PartialEq for SecretSetting {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for SecretSetting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SecretSetting({:?})", self.origin)
    }
}

/// Where a secret came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretOrigin {
    /// An environment variable.
    Variable(String),
    /// A file, as written.
    File(String),
    /// A systemd credential.
    Credential(String),
    /// The configuration itself, under `insecure_value`.
    Written,
}

impl Reading<'_> {
    /// `{ env }`, `{ file }`, `{ credential }` or `{ insecure_value }`.
    pub(super) fn secret(&mut self, node: &Node, name: &str) -> Option<SecretSetting> {
        if matches!(node.kind, super::yaml::Kind::Scalar { .. }) {
            let message = format!("`{name}` is written in the configuration, where it does not stay secret");
            return self.refuse(node.span, message, SOURCES);
        }
        let mut section = Section::open(self, node, name)?;
        let written = ["env", "file", "credential", "insecure_value"].map(|key| section.get(self, key));
        if section.has("default") {
            let message = format!("`{name}` cannot have a default: that would not stay secret");
            return self.refuse(section.span(), message, "remove `default`, and set the variable");
        }
        section.finish(self);
        let found = match written {
            [Some(entry), None, None, None] => self.secret_of_variable(entry),
            [None, Some(entry), None, None] => self.secret_of_file(&entry.value),
            [None, None, Some(entry), None] => self.secret_of_credential(&entry.value),
            [None, None, None, Some(entry)] => self.written_secret(&entry.value, name),
            _ => return self.refuse(node.span, format!("`{name}` must name one source"), SOURCES),
        };
        let (text, origin) = found?;
        self.checked_secret(
            SecretSetting {
                text,
                origin,
                span: node.span,
            },
            name,
        )
    }

    fn secret_of_variable(&mut self, entry: &super::yaml::Entry) -> Option<(String, SecretOrigin)> {
        let variable = self.variable_name(entry)?;
        match self.surroundings.variable(&variable.value) {
            Some(text) => Some((text, SecretOrigin::Variable(variable.value))),
            None => {
                let message = format!("the environment variable {} is not set", variable.value);
                self.refuse(variable.span, message, "set it where shapegate is started")
            }
        }
    }

    fn secret_of_file(&mut self, node: &Node) -> Option<(String, SecretOrigin)> {
        let named = self.text(node, "file")?;
        let path = self.sources.resolve(named.span, &named.value);
        let file = self.file_at(path, named.span, SECRET_BYTES_MAX)?;
        self.warn_if_world_readable(&file);
        self.secret_text(file)
            .map(|text| (text, SecretOrigin::File(named.value)))
    }

    fn secret_of_credential(&mut self, node: &Node) -> Option<(String, SecretOrigin)> {
        let named = self.text(node, "credential")?;
        let file = self.credential(&named, SECRET_BYTES_MAX)?;
        self.secret_text(file)
            .map(|text| (text, SecretOrigin::Credential(named.value)))
    }

    /// A key that systemd hands over.
    pub(super) fn credential_file(&mut self, node: &Node) -> Option<NamedFile> {
        let named = self.text(node, "credential")?;
        self.credential(&named, KEY_FILE_BYTES_MAX)
    }

    /// systemd itself guards the folder of credentials, so a file's own mode says nothing.
    fn credential(&mut self, named: &Spanned<String>, bytes_max: usize) -> Option<NamedFile> {
        let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
        if !named.value.chars().all(plain) || named.value.starts_with('.') {
            let message = format!("`{}` is no name of a credential", named.value);
            return self.refuse(named.span, message, "use letters, digits, `-`, `_` and `.`");
        }
        let Some(path) = self.surroundings.credential(&named.value) else {
            let help = format!(
                "start shapegate by systemd with `LoadCredential={}:/path`",
                named.value
            );
            return self.refuse(
                named.span,
                "there are no credentials: CREDENTIALS_DIRECTORY is not set",
                help,
            );
        };
        self.file_at(path, named.span, bytes_max)
    }

    fn secret_text(&mut self, file: NamedFile) -> Option<String> {
        match String::from_utf8(file.content.bytes) {
            Ok(text) => Some(text),
            Err(_) => self.refuse(
                file.span,
                format!("{} is no text", file.path.display()),
                "it must be UTF-8",
            ),
        }
    }

    fn written_secret(&mut self, node: &Node, name: &str) -> Option<(String, SecretOrigin)> {
        // Not through `leaf`: its messages may show the value.
        let super::yaml::Kind::Scalar { text, .. } = &node.kind else {
            return self.refuse(node.span, "`insecure_value` must be a single value", SOURCES);
        };
        self.shown.secrets.insert(node.span);
        let message = format!("insecure_value: `{name}` is written in the configuration");
        self.warn(node.span, message, SOURCES);
        Some((text.clone(), SecretOrigin::Written))
    }

    /// One line end at the end is an editor's doing; anything else unusual is refused.
    fn checked_secret(&mut self, mut secret: SecretSetting, name: &str) -> Option<SecretSetting> {
        let trimmed = secret
            .text
            .strip_suffix('\n')
            .map(|text| text.strip_suffix('\r').unwrap_or(text));
        if let Some(trimmed) = trimmed.map(str::len) {
            secret.text.truncate(trimmed);
        }
        let fault = if secret.text.trim().is_empty() {
            "is blank"
        } else if secret.text.len() > SECRET_BYTES_MAX {
            "is longer than 4 KiB"
        } else if secret.text.chars().any(char::is_control) {
            "has control characters in it"
        } else if secret.text.trim() != secret.text {
            "begins or ends with a space"
        } else {
            return Some(secret);
        };
        let help = "put the bare secret there, on one line";
        self.problems
            .push(Problem::error(secret.span, format!("the secret `{name}` {fault}")).help(help));
        None
    }
}
