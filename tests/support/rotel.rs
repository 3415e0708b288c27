//! Rotel, a Collector that is not built here, as a process.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt as _;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::soon;
use super::tools::{cannot_be_had, tool};

/// Receives OTLP over gRPC and exports it over gRPC, with gzip. It is killed when dropped.
pub(crate) struct Rotel {
    child: Child,
    pub(crate) address: SocketAddr,
    folder: TempDir,
}

impl Rotel {
    /// Starts one that passes on what it gets, each request by itself; none where it does not run.
    pub(crate) async fn start(to: SocketAddr) -> Option<Self> {
        // No build of it may be for this machine. That is no mistake, in CI neither.
        if cannot_be_had("rotel") {
            return None;
        }
        let program = tool("rotel/bin/rotel-agent")?;
        let folder = tempfile::tempdir().unwrap();
        let log = File::create(folder.path().join("log")).unwrap();
        let child = Command::new(program)
            .arg("start")
            .args(["--otlp-grpc-endpoint", "127.0.0.1:0"])
            // Its receivers go by these texts, so both cannot have the same.
            .args(["--otlp-http-endpoint", "127.0.0.2:0"])
            .args(["--exporter", "otlp", "--disable-batching"])
            .args(["--otlp-exporter-endpoint", &format!("http://{to}")])
            // Nobody wants its second attempt here: a slow machine is to have its time.
            .args(["--otlp-exporter-request-timeout", "30s"])
            .env_clear()
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut rotel = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            folder,
        };
        rotel.address = soon("rotel listens", rotel.listens()).await;
        Some(rotel)
    }

    /// What it has logged so far.
    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// It does not tell which port the system gave it; the system does.
    async fn listens(&mut self) -> SocketAddr {
        let pid = self.child.id().unwrap();
        loop {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "rotel ended: {}", self.log());
            if let Some(port) = listening_port(pid) {
                return SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The port of 127.0.0.1 at which a process listens.
fn listening_port(pid: u32) -> Option<u16> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let open = open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    let open: Vec<_> = open.collect();
    let sockets = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).ok()?;
    sockets.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (host, port) = fields.get(1)?.split_once(':')?;
        let host = u32::from_str_radix(host, 16).ok()?;
        let is_here = Ipv4Addr::from(host.to_ne_bytes()) == Ipv4Addr::LOCALHOST;
        let is_listening = *fields.get(3)? == "0A";
        let link = format!("socket:[{}]", fields.get(9)?);
        let is_its = || {
            open.iter()
                .any(|one| one.as_os_str().as_bytes() == link.as_bytes())
        };
        let found = is_here && is_listening && is_its();
        found.then(|| u16::from_str_radix(port, 16).ok())?
    })
}
