//! nginx and Varnish: in a folder of their own, on free ports, ended by their process ids.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::support::gateway::ELECTRIC_SECRET;
use crate::support::ports::free_address;
use crate::support::raw::Raw;

/// How often, at this interval, a program that starts is asked whether it listens.
const LOOKS: (u32, Duration) = (1200, Duration::from_millis(25));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Varnish,
}

pub const BOTH: [Kind; 2] = [Kind::Nginx, Kind::Varnish];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    BeforeGateway,
    BehindGateway,
}

impl Kind {
    /// The configuration of the documentation for this place, as it stands there.
    fn documented(self, place: Place) -> &'static str {
        let language = match self {
            Self::Nginx => "```nginx\n",
            Self::Varnish => "```vcl\n",
        };
        let blocks = include_str!("../../docs/cdn.md").split(language).skip(1);
        let mut blocks = blocks.map(|rest| rest.split("```").next().unwrap());
        let (before, behind) = (blocks.next().unwrap(), blocks.next().unwrap());
        assert_eq!(blocks.next(), None, "each is tested");
        match place {
            Place::BeforeGateway => before,
            Place::BehindGateway => behind,
        }
    }
}

/// A running cache; ended when dropped.
pub struct Cache {
    pub address: SocketAddr,
    folder: TempDir,
    child: Child,
}

impl Cache {
    /// A cache at its place, before `upstream`.
    pub async fn start(kind: Kind, place: Place, upstream: SocketAddr) -> Self {
        // Its process may belong to another user, who must be able to come by.
        let folder = tempfile::Builder::new()
            .prefix("shapegate-cdn-")
            .tempdir()
            .unwrap();
        let address = free_address();
        let documented = kind.documented(place).replace("the-secret", ELECTRIC_SECRET);
        let child = match kind {
            Kind::Nginx => nginx(folder.path(), address, upstream, &documented),
            Kind::Varnish => varnish(folder.path(), address, upstream, &documented),
        };
        let mut cache = Self {
            address,
            folder,
            child,
        };
        cache.until_listening().await;
        cache
    }

    pub async fn connect(&self) -> Raw {
        Raw::connect(self.address).await
    }

    /// Everything that it has written to its folder.
    pub fn written(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let is_configuration = path.extension().is_some_and(|end| end == "conf" || end == "vcl");
                if path.is_dir() {
                    folders.push(path);
                } else if !is_configuration && path.is_file() {
                    bytes.extend(fs::read(path).unwrap());
                }
            }
        }
        bytes
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "a program that starts tells nobody when it is ready"
    )]
    async fn until_listening(&mut self) {
        for _ in 0..LOOKS.0 {
            if TcpStream::connect(self.address).await.is_ok() {
                return;
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("it ended with {status}: {}", self.said());
            }
            tokio::time::sleep(LOOKS.1).await;
        }
        panic!("it does not listen: {}", self.said());
    }

    fn said(&self) -> String {
        fs::read_to_string(self.folder.path().join("said")).unwrap_or_default()
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        // Not killed: Varnish's own child would stay.
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let ended =
            pid.is_some_and(|pid| rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_ok());
        if !ended {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}

/// Debian keeps daemons where a user's PATH may not look.
fn program(name: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut folders = path.split(':').chain(["/usr/sbin", "/sbin"]);
    let found = folders.find_map(|folder| Some(Path::new(folder).join(name)).filter(|path| path.is_file()));
    found.unwrap_or_else(|| panic!("{name} is missing: scripts/need.sh caches installs it"))
}

fn spawn(folder: &Path, command: &mut Command) -> Child {
    let said = fs::File::create(folder.join("said")).unwrap();
    let command = command
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said);
    command.spawn().unwrap()
}

fn nginx(folder: &Path, address: SocketAddr, upstream: SocketAddr, documented: &str) -> Child {
    let documented = documented
        .replace("listen 80;", &format!("listen {address};"))
        .replace("listen 127.0.0.1:3001;", &format!("listen {address};"))
        .replace("127.0.0.1:8080", &upstream.to_string())
        .replace("127.0.0.1:3000", &upstream.to_string())
        .replace("/var/cache/nginx", &folder.display().to_string());
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};\n", folder.display()))
        .concat();
    let text = format!(
        "daemon off;\nmaster_process off;\npid {0}/pid;\nerror_log stderr;\nevents {{}}\n\
         http {{\naccess_log {0}/access;\n{temporary}{documented}}}\n",
        folder.display()
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, text).unwrap();
    spawn(
        folder,
        Command::new(program("nginx"))
            .arg("-c")
            .arg(path)
            .arg("-p")
            .arg(folder),
    )
}

fn varnish(folder: &Path, address: SocketAddr, upstream: SocketAddr, documented: &str) -> Child {
    let port = |port: u16| format!(".port = \"{port}\"");
    let documented = documented
        .replace(&port(8080), &port(upstream.port()))
        .replace(&port(3000), &port(upstream.port()));
    let path = folder.join("cache.vcl");
    fs::write(&path, documented).unwrap();
    let mut command = Command::new(program("varnishd"));
    // No jail: a test may run as any user.
    command.args([
        "-j",
        "none",
        "-F",
        "-a",
        &address.to_string(),
        "-s",
        "malloc,64m",
        "-l",
        "8m",
    ]);
    command.arg("-n").arg(folder.join("work")).arg("-f").arg(path);
    spawn(folder, &mut command)
}
