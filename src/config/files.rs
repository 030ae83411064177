//! Files that a configuration names: certificates, keys, secrets.

use super::problem::Problem;
use super::reading::Reading;
use super::source::{Span, Spanned};
use super::surroundings::FileContent;
use super::yaml::{FILE_BYTES_MAX, Node};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Largest certificate, key or key set file, in bytes.
pub const KEY_FILE_BYTES_MAX: usize = 256 * 1024;

/// A file that the configuration names, read.
#[derive(Clone)]
pub(super) struct NamedFile {
    pub(super) path: PathBuf,
    pub(super) span: Span,
    pub(super) content: FileContent,
}

impl Reading<'_> {
    /// The file that a node names, relative to the folder of the configuration file.
    pub(super) fn file(&mut self, node: &Node, name: &str) -> Option<NamedFile> {
        let Spanned { value, span } = self.text(node, name)?;
        let path = self.sources.resolve(span, &value);
        self.file_at(path, span, KEY_FILE_BYTES_MAX)
    }

    /// A file's content, or a problem at `span` that says why not.
    pub(super) fn file_at(&mut self, path: PathBuf, span: Span, bytes_max: usize) -> Option<NamedFile> {
        match self.surroundings.file(&path, bytes_max) {
            Ok(content) => Some(NamedFile { path, span, content }),
            Err(error) => {
                let message = format!(
                    "the file {} cannot be read: {}",
                    path.display(),
                    why(error.kind(), bytes_max)
                );
                self.refuse(span, message, file_help(error.kind()))
            }
        }
    }

    /// Warns where a secret could be read by every account of the machine.
    pub(super) fn warn_if_world_readable(&mut self, file: &NamedFile) {
        if file.content.world_readable {
            let message = format!("every account of this machine can read {}", file.path.display());
            self.warn(
                file.span,
                message,
                format!("run `chmod o-r {}`", file.path.display()),
            );
        }
    }

    /// Refuses a private key that could be read by every account of the machine: whoever has it is this server.
    pub(super) fn refuse_world_readable(&mut self, file: &NamedFile) -> Option<()> {
        if !file.content.world_readable {
            return Some(());
        }
        let message = format!(
            "every account of this machine can read the private key {}",
            file.path.display()
        );
        self.refuse(
            file.span,
            message,
            format!("run `chmod o-r {}`", file.path.display()),
        )
    }

    /// The certificates of a PEM file: one at least.
    pub(super) fn certificates(&mut self, file: &NamedFile) -> Option<Vec<CertificateDer<'static>>> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file.content.bytes).collect();
        match read {
            Ok(list) if !list.is_empty() => Some(list),
            _ => {
                let message = format!("there is no certificate in {}", file.path.display());
                self.refuse(
                    file.span,
                    message,
                    "it must be PEM: `-----BEGIN CERTIFICATE-----` …",
                )
            }
        }
    }

    /// The private key of a PEM file.
    pub(super) fn private_key(&mut self, file: &NamedFile) -> Option<PrivateKeyDer<'static>> {
        match PrivateKeyDer::from_pem_slice(&file.content.bytes) {
            Ok(key) => Some(key),
            Err(_) => {
                let message = format!("there is no private key in {}", file.path.display());
                self.refuse(
                    file.span,
                    message,
                    "it must be PEM: `-----BEGIN PRIVATE KEY-----` …, not encrypted",
                )
            }
        }
    }
}

pub(super) fn why(kind: ErrorKind, bytes_max: usize) -> String {
    match kind {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::IsADirectory => "it is a folder".to_owned(),
        ErrorKind::FileTooLarge => {
            format!(
                "it is larger than {}",
                super::scalar::size_text(u64::try_from(bytes_max).unwrap_or(u64::MAX))
            )
        }
        other => other.to_string(),
    }
}

fn file_help(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PermissionDenied => "let the account that shapegate runs as read it",
        ErrorKind::FileTooLarge => "name another file, or split it",
        _ => "paths are relative to the folder of the configuration file",
    }
}

/// Why a configuration file itself cannot be read.
pub(super) fn unreadable(path: &Path, kind: ErrorKind, bytes_max: usize) -> String {
    format!(
        "the configuration file {} cannot be read: {}",
        path.display(),
        why(kind, bytes_max)
    )
}

/// The text of a configuration file.
pub(super) fn text(path: &Path, bytes: Vec<u8>) -> Result<String, Problem> {
    if bytes.len() > FILE_BYTES_MAX {
        let message = unreadable(path, ErrorKind::FileTooLarge, FILE_BYTES_MAX);
        return Err(Problem::error(None, message));
    }
    String::from_utf8(bytes).map_err(|_| {
        let message = format!("the configuration file {} is not UTF-8", path.display());
        Problem::error(None, message)
    })
}
