//! `shapegate demo`: a gateway before a stand-in for Electric, with data and users to play with.

mod page;
mod tokens;

use super::output::{tell, warn};
use crate::clock::SystemClock;
use crate::config::{self, FileContent, Problems, Surroundings};
use crate::process::Arrival;
use crate::{gateway, tenant};
use clap::Args;
use page::Page;
use shapegate_origin::{Origin, OriginConfig, Schema};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tokens::Tokens;

/// The configuration of the demo, as `conf/demo.yaml` has it.
const CONFIG: &str = include_str!("../../conf/demo.yaml");

#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Where the gateway listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    gateway: SocketAddr,
    /// Where the page listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    page: SocketAddr,
    /// Where metrics and readiness are served.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
}

pub(super) fn run(arguments: &DemoArguments) -> ExitCode {
    crate::logging::start();
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            warn(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Why the demo cannot run.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("the stand-in for Electric cannot listen: {0}")]
    Origin(#[from] io::Error),
    #[error("the machine gives no random bytes: {0}")]
    Entropy(getrandom::Error),
    #[error("{0}")]
    Config(String),
    #[error(transparent)]
    Compile(#[from] tenant::CompileError),
    #[error(transparent)]
    Serve(#[from] gateway::ServeError),
}

impl From<Problems> for DemoError {
    fn from(problems: Problems) -> Self {
        Self::Config(problems.render())
    }
}

fn start(arguments: &DemoArguments) -> Result<(), DemoError> {
    let (electric_secret, jwt_secret) = (
        random_text().map_err(DemoError::Entropy)?,
        random_text().map_err(DemoError::Entropy)?,
    );
    let origin = Arc::new(Origin::start(OriginConfig {
        secret: Some(electric_secret.clone()),
        schema: Schema::demo(),
        ..OriginConfig::default()
    })?);
    let variables = Variables(HashMap::from([
        ("SHAPEGATE_DEMO_ELECTRIC_URL", origin.url()),
        ("SHAPEGATE_DEMO_ELECTRIC_SECRET", electric_secret),
        ("SHAPEGATE_DEMO_JWT_SECRET", jwt_secret.clone()),
        ("SHAPEGATE_DEMO_LISTEN", arguments.gateway.to_string()),
        ("SHAPEGATE_DEMO_ADMIN", arguments.admin.to_string()),
    ]));
    let loaded = config::load_texts(&[(Path::new("conf/demo.yaml"), CONFIG)], &variables)?;
    let snapshot = tenant::compile(&loaded.config)?;
    let tokens = Tokens::new(&jwt_secret, Arc::new(SystemClock));
    let page = Page::new(Arc::clone(&origin), tokens, arguments.gateway).service(arguments.page);
    tell(&greeting(arguments));
    gateway::run_with(
        snapshot,
        &loaded.config.server,
        Arrival::default(),
        vec![Box::new(page)],
    )?;
    Ok(())
}

/// 32 random bytes, in hexadecimal digits.
fn random_text() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn greeting(arguments: &DemoArguments) -> String {
    let DemoArguments { gateway, page, admin } = arguments;
    format!(
        "shapegate demo\n\n  \
         page     http://{page}/                        three users, one URL, live\n  \
         gateway  http://{gateway}/api/shapes/users\n  \
         metrics  http://{admin}/metrics\n\n\
         Or by hand:\n\n  \
         TOKEN=$(curl -s http://{page}/demo/tokens/org1)\n  \
         curl -i -H \"Authorization: Bearer $TOKEN\" 'http://{gateway}/api/shapes/users?offset=-1'\n\n\
         Ctrl-C ends it.\n"
    )
}

/// What the demo's configuration reads instead of the environment.
struct Variables(HashMap<&'static str, String>);

impl Surroundings for Variables {
    fn variable(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    fn file(&self, _path: &Path, _bytes_max: usize) -> io::Result<FileContent> {
        Err(io::ErrorKind::NotFound.into())
    }
}
