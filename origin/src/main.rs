//! The stand-in for Electric as a program, for demos and for tests in other languages.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use shapegate_origin::{Origin, OriginConfig, Schema};

const HELP: &str = "\
A stand-in for Electric over tables in memory. Prints its address and serves until it is killed.

  --listen ADDRESS       where to listen [127.0.0.1:0]
  --schema NAME|FILE     demo, recordings, or a JSON file [demo]
  --secret TEXT          what `secret` must be in the query
  --allow-deletion       allow DELETE
  --chunk-bytes N        bytes that end a chunk
  --long-poll-ms N       how long a live request waits
  --sse-life-ms N        how long an event stream lasts
  --sse-keepalive-ms N   after how much silence it gets a comment
  --requests-per-connection N   0 for any number
  --received-max N       how many received requests are kept
";

fn main() -> ExitCode {
    match started() {
        Ok(Some(origin)) => {
            origin.run();
            ExitCode::SUCCESS
        }
        Ok(None) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(io::stderr(), "shapegate-origin: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Starts what the arguments say and prints the address; `None` after `--help`.
fn started() -> Result<Option<Origin>, String> {
    let mut arguments = std::env::args().skip(1);
    let mut config = OriginConfig::default();
    while let Some(flag) = arguments.next() {
        if flag == "--help" {
            print(HELP)?;
            return Ok(None);
        }
        set(&mut config, &flag, &mut arguments)?;
    }
    let origin = Origin::start(config).map_err(|error| error.to_string())?;
    print(&format!("{}\n", origin.address()))?;
    Ok(Some(origin))
}

fn set(
    config: &mut OriginConfig,
    flag: &str,
    arguments: &mut impl Iterator<Item = String>,
) -> Result<(), String> {
    if flag == "--allow-deletion" {
        config.allow_deletion = true;
        return Ok(());
    }
    let value = arguments
        .next()
        .ok_or_else(|| format!("{flag} needs a value, see --help"))?;
    match flag {
        "--listen" => config.listen = number(flag, &value)?,
        "--schema" => config.schema = schema(&value)?,
        "--secret" => config.secret = Some(value),
        "--chunk-bytes" => config.chunk_bytes = number(flag, &value)?,
        "--long-poll-ms" => config.long_poll = Duration::from_millis(number(flag, &value)?),
        "--sse-life-ms" => config.sse_life = Duration::from_millis(number(flag, &value)?),
        "--sse-keepalive-ms" => config.sse_keepalive = Duration::from_millis(number(flag, &value)?),
        "--requests-per-connection" => config.requests_per_connection = number(flag, &value)?,
        "--received-max" => config.received_max = number(flag, &value)?,
        _ => return Err(format!("there is no {flag}, see --help")),
    }
    Ok(())
}

fn number<T: std::str::FromStr>(flag: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{flag} cannot be {value}"))
}

fn schema(name: &str) -> Result<Schema, String> {
    match name {
        "demo" => Ok(Schema::demo()),
        "recordings" => Ok(Schema::recordings()),
        file => {
            let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
            Schema::read(&text).map_err(|error| format!("{file}: {error}"))
        }
    }
}

/// Standard output may be closed: a caller that does not read the address does not want it.
fn print(text: &str) -> Result<(), String> {
    let mut output = io::stdout().lock();
    let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    written.map_err(|error| error.to_string())
}
