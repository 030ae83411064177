//! The real program in a folder of its own.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output};

use shapegate_origin::Origin;
use tempfile::TempDir;

use crate::support::gateway::{ELECTRIC_SECRET, JWT_SECRET, get, origin};
use crate::support::patience::{soon, until};
pub use crate::support::ports::free_address;
use crate::support::raw::{Answer, Raw};
use crate::support::token::IDENTITY;

/// Members see their organisation.
pub const USERS: &str = r#"
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    rules:
      - when: user.org_id != 0
        rows: { where: '"org_id" = $1', params: [user.org_id] }
"#;

/// Where a program is set up.
pub struct Setup {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub folder: TempDir,
    /// Below `server`, besides `listen`: `, tls: {…}`.
    pub server: String,
    /// Below `admin`, besides `listen`: `, token: {…}`.
    pub admin_more: String,
    /// Everything else at the top level.
    pub rest: String,
    /// The most files that it may have open; as many as this process without one.
    pub open_files: Option<u32>,
    /// The largest file that it may write, in bytes; as large as this process without one.
    pub file_bytes_max: Option<u32>,
    /// Variables besides the secrets.
    pub variables: Vec<(&'static str, String)>,
}

impl Setup {
    pub fn new() -> Self {
        Self {
            address: free_address(),
            admin: free_address(),
            folder: tempfile::tempdir().expect("a folder"),
            server: String::new(),
            admin_more: String::new(),
            rest: format!("{IDENTITY}{USERS}"),
            open_files: None,
            file_bytes_max: None,
            variables: Vec::new(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts before a fresh stand-in and waits until it is ready.
    pub async fn start(self) -> Program {
        let origin = origin();
        let text = self.config(&origin.url());
        self.start_with(origin, &text).await
    }

    pub fn config(&self, electric: &str) -> String {
        let Self {
            address,
            admin,
            server,
            admin_more,
            rest,
            ..
        } = self;
        format!(
            "server: {{ listen: \"{address}\"{server} }}\nadmin: {{ listen: \"{admin}\"{admin_more} }}\n\
             electric: {{ url: \"{electric}\", secret: {{ env: ELECTRIC_SECRET }} }}\n{rest}"
        )
    }

    pub async fn start_with(self, origin: Origin, text: &str) -> Program {
        let config = self.path("shapegate.yaml");
        fs::write(&config, text).expect("a file");
        let child = self.spawn();
        let mut program = Program {
            setup: self,
            origin,
            child,
            successors: Vec::new(),
        };
        program.until_ready().await;
        program
    }

    fn spawn(&self) -> Child {
        let output = File::create(self.path("output")).expect("a file");
        limited(command("serve", &self.path("shapegate.yaml")), self)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdout(output.try_clone().expect("a file"))
            .stderr(output)
            .spawn()
            .expect("the program")
    }
}

/// The same command with a limit of open files, or of their sizes. Above the latter, writing fails as on a disk that is
/// full.
fn limited(command: Command, setup: &Setup) -> Command {
    let mut limits = String::new();
    if let Some(open_files) = setup.open_files {
        limits.push_str(&format!("ulimit -n {open_files} && "));
    }
    if let Some(bytes) = setup.file_bytes_max {
        limits.push_str(&format!("trap '' XFSZ && ulimit -S -f {} && ", bytes / 512));
    }
    if limits.is_empty() {
        return command;
    }
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("{limits}exec \"$0\" \"$@\"")]);
    limited.arg(command.get_program()).args(command.get_args());
    limited.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    limited
}

/// The program with its secrets, about to be run.
pub fn command(verb: &str, config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shapegate"));
    command
        .arg(verb)
        .arg("-c")
        .arg(config)
        .env("ELECTRIC_SECRET", ELECTRIC_SECRET)
        .env("JWT_SECRET", JWT_SECRET)
        .env("RUST_LOG", "info");
    command
}

/// Runs the program on a configuration until it ends by itself.
pub fn run(verb: &str, config: &Path) -> Output {
    command(verb, config).output().expect("the program")
}

/// A running program; killed when dropped.
pub struct Program {
    pub setup: Setup,
    pub origin: Origin,
    child: Child,
    successors: Vec<u32>,
}

impl Program {
    /// Everything that it has printed.
    pub fn output(&self) -> String {
        fs::read_to_string(self.setup.path("output")).expect("a file")
    }

    pub async fn connect(&self) -> Raw {
        Raw::connect(self.setup.address).await
    }

    /// One GET on a connection of its own.
    pub async fn get(&self, target: &str, token: Option<&str>) -> Answer {
        soon(self.connect().await.ask(get(target, token))).await
    }

    /// One GET that may be broken off, as when what it asks for is being taken away.
    pub async fn try_get(&self, target: &str, token: Option<&str>) -> Option<Answer> {
        let mut client = self.connect().await;
        client.try_send(get(target, token)).await;
        soon(client.answer()).await
    }

    /// One GET of the admin listener, as curl would send it.
    pub async fn admin(&self, path: &str) -> Answer {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.setup.admin);
        let mut client = Raw::connect(self.setup.admin).await;
        soon(client.ask(request)).await
    }

    /// A value of `/metrics`; 0 while it is not there.
    pub async fn metric(&self, name: &str) -> f64 {
        let answer = self.admin("/metrics").await;
        let line = answer.text().lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0.0, |value| value.trim().parse().expect("a number"))
    }

    /// Waits until a metric has this value.
    pub async fn until_metric(&self, name: &str, value: f64) {
        let looking = async {
            while (self.metric(name).await - value).abs() > 0.1 {
                tokio::task::yield_now().await;
            }
        };
        soon(looking).await;
    }

    /// The process that was started first.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The process that serves.
    pub fn serving(&self) -> u32 {
        self.successors.last().copied().unwrap_or(self.child.id())
    }

    /// Has the process that serves replaced; what the command printed.
    pub async fn upgrade(&mut self, binary: Option<&Path>) -> Result<u32, String> {
        let mut command = upgrade_command(&self.setup.path("upgrade.sock"), binary);
        let output = tokio::task::spawn_blocking(move || command.output().expect("the program"));
        let output = output.await.expect("no panic");
        let told = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        if !output.status.success() {
            assert_eq!(output.status.code(), Some(1));
            return Err(told(output.stderr));
        }
        let words = told(output.stdout);
        let id = words.split(' ').nth(1).and_then(|id| id.parse().ok());
        let id = id.unwrap_or_else(|| panic!("no process in {words}"));
        self.successors.push(id);
        Ok(id)
    }

    /// Ends it as a fault of the machine would, and starts it anew on what is left.
    pub async fn kill_and_start_again(&mut self) {
        self.child.kill().expect("a child");
        self.child.wait().expect("a child");
        self.child = self.setup.spawn();
        self.until_ready().await;
    }

    /// Sends a signal to the process that serves.
    pub fn signal(&self, name: &str) {
        signal(self.serving(), name);
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the program ends", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        })
        .await;
        status.expect("a status")
    }

    async fn until_ready(&mut self) {
        let output = self.setup.path("output");
        let child = &mut self.child;
        let mut ended = None;
        until("the program listens", || {
            ended = child.try_wait().expect("a child");
            // Only from here on does a signal mean what it says.
            ended.is_some() || fs::read_to_string(&output).is_ok_and(|text| text.contains("] ready\n"))
        })
        .await;
        assert!(ended.is_none(), "{ended:?}: {}", self.output());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        for id in &self.successors {
            if is_alive(*id) {
                signal(*id, "KILL");
            }
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `shapegate upgrade`, about to be run.
pub fn upgrade_command(socket: &Path, binary: Option<&Path>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shapegate"));
    command.arg("upgrade").arg("--socket").arg(socket);
    if let Some(binary) = binary {
        command.arg("--binary").arg(binary);
    }
    command
}

/// Sends a signal to a process of ours.
pub fn signal(id: u32, name: &str) {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(id.to_string())
        .status()
        .expect("kill");
    assert!(status.success());
}

/// Whether a process runs; one that has ended and that nobody has asked about does not.
pub fn is_alive(id: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}
