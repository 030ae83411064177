//! `shapegate schema`: what editors complete and check configurations with.

use super::output::tell;
use crate::config::{SchemaOf, schema};
use clap::{Args, ValueEnum};
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct SchemaArguments {
    /// Which file it is for.
    #[arg(value_enum, value_name = "FILE", default_value_t = File::Configuration)]
    of: File,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum File {
    /// A configuration, or one of several that are merged.
    Configuration,
    /// A tenant in a folder of tenants, or a template.
    Tenant,
    /// The file of `api_keys`.
    ApiKeys,
    /// The file of `revocations`.
    Revocations,
}

pub(super) fn run(arguments: &SchemaArguments) -> ExitCode {
    let of = match arguments.of {
        File::Configuration => SchemaOf::Configuration,
        File::Tenant => SchemaOf::Tenant,
        File::ApiKeys => SchemaOf::ApiKeys,
        File::Revocations => SchemaOf::Revocations,
    };
    tell(&schema(of));
    ExitCode::SUCCESS
}
