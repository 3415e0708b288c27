//! The program, as a process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::Value;
use slimspan::crash::HAS_POINTS;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::http::HttpSender;
use super::http2::Protocol;
use super::insistent::Place;
use super::{conservation, sender::Sender, soon};

/// A running slimspan. It is killed when dropped.
pub(crate) struct Slimspan {
    child: Child,
    /// Of each gRPC listener, in the order of the configuration.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Of each HTTP listener.
    pub(crate) http_addresses: Vec<SocketAddr>,
    stdout: watch::Receiver<String>,
    stderr: watch::Receiver<String>,
    folder: Arc<TempDir>,
}

/// Whether the program has the points at which it ends itself. Where it has none, that is told.
pub(crate) fn has_points() -> bool {
    if !HAS_POINTS {
        eprintln!(
            "SKIPPED: only builds with debug assertions have points at which they end: \
             cargo test --profile dev"
        );
    }
    HAS_POINTS
}

/// What an ended process leaves behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program with nothing of this process's environment that could steer it.
pub(crate) fn command() -> Command {
    alone(Command::new(env!("CARGO_BIN_EXE_slimspan")))
}

/// The same of a command that runs it.
pub(crate) fn alone(mut command: Command) -> Command {
    command
        .env_remove("SLIMSPAN_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs the program in a folder to its end.
pub(crate) async fn run(folder: &Path, arguments: &[&str]) -> Ended {
    let output = command().args(arguments).current_dir(folder).output();
    let output = soon("the program ends", output).await.unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Slimspan {
    /// Starts with a configuration from [`config`](super::config) and waits until it is ready.
    pub(crate) async fn start(config: &Value) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), config).await
    }

    /// Starts in a folder of the test's own.
    pub(crate) async fn start_in(folder: TempDir, config: &Value) -> Self {
        // JSON is YAML.
        let yaml = serde_json::to_string_pretty(config).unwrap();
        Self::start_with_yaml(folder, &yaml).await
    }

    /// Starts with the text of a configuration.
    pub(crate) async fn start_with_yaml(folder: TempDir, yaml: &str) -> Self {
        let mut slimspan = Self::spawn(Arc::new(folder), yaml);
        let ready = slimspan.ready().await;
        assert!(ready, "slimspan ended at once: {}", slimspan.stderr());
        slimspan
    }

    /// Starts in a folder that may outlive it, and does not wait for anything.
    pub(crate) fn spawn(folder: Arc<TempDir>, yaml: &str) -> Self {
        Self::spawn_with(folder, yaml, &[])
    }

    /// The same with more in its environment.
    pub(crate) fn spawn_with(folder: Arc<TempDir>, yaml: &str, env: &[(&str, &str)]) -> Self {
        let mut command = command();
        command.envs(env.iter().copied());
        Self::spawn_by(command, folder, yaml)
    }

    /// The same by a command of the test's own that runs the program.
    pub(crate) fn spawn_by(mut command: Command, folder: Arc<TempDir>, yaml: &str) -> Self {
        let file = folder.path().join("collector.yaml");
        std::fs::write(&file, quiet(yaml)).unwrap();
        let mut child = command
            .arg("--config")
            .arg(&file)
            .current_dir(folder.path())
            .spawn()
            .unwrap();
        let stdout = collect(child.stdout.take().unwrap());
        let stderr = collect(child.stderr.take().unwrap());
        Self {
            child,
            addresses: Vec::new(),
            http_addresses: Vec::new(),
            stdout,
            stderr,
            folder,
        }
    }

    /// Waits until it accepts requests, and knows then where; false if it ends before.
    pub(crate) async fn ready(&mut self) -> bool {
        let mut banner = self.stdout.clone();
        let is_ready = |text: &String| text.lines().any(|line| line.trim() == "ready");
        let ready = soon("slimspan is ready", banner.wait_for(is_ready)).await;
        let Ok(banner) = ready.map(|banner| banner.clone()) else {
            return false;
        };
        let listening = |protocol| {
            let lines = banner.lines();
            lines.filter_map(move |line| listening_on(protocol, line))
        };
        self.addresses = listening("gRPC").collect();
        self.http_addresses = listening("HTTP").collect();
        true
    }

    /// Where the component of this name says that it can be asked, if it does: `http://` or `https://`
    /// stands in front of it in the banner.
    pub(crate) fn page(&self, component: &str) -> SocketAddr {
        let banner = self.stdout.borrow().clone();
        let mut lines = banner.lines();
        let line = lines.find(|line| line.trim_start().starts_with(component));
        let line = line.unwrap_or_else(|| panic!("no {component} in {banner}"));
        let (_, address) = line.split_once("://").unwrap();
        address.split('/').next().unwrap().parse().unwrap()
    }

    /// All addresses that the component of this name says it listens on, in its own order.
    pub(crate) fn places(&self, component: &str) -> Vec<SocketAddr> {
        let banner = self.stdout.borrow().clone();
        let mut lines = banner.lines();
        let line = lines.find(|line| line.trim_start().starts_with(component));
        let line = line.unwrap_or_else(|| panic!("no {component} in {banner}"));
        let places = line.split(" at ").skip(1).filter_map(|text| {
            let (_, address) = text.split_once("://")?;
            address.split('/').next()?.parse().ok()
        });
        places.collect()
    }

    /// A connection to the first receiver.
    pub(crate) async fn sender(&self) -> Sender {
        Sender::connect(self.addresses[0]).await
    }

    /// A sender over HTTP with a connection of its own.
    pub(crate) async fn http_sender(&self) -> HttpSender {
        HttpSender::connect(self.http_addresses[0]).await
    }

    /// The first listener that speaks it.
    pub(crate) fn listener(&self, protocol: Protocol) -> SocketAddr {
        match protocol {
            Protocol::Grpc => self.addresses[0],
            Protocol::Http => self.http_addresses[0],
        }
    }

    /// Where its senders send to: by gRPC, if it takes that.
    pub(crate) fn place(&self) -> Place {
        let http = || Place::Http(self.http_addresses[0]);
        self.addresses
            .first()
            .map_or_else(http, |grpc| Place::Grpc(*grpc))
    }

    /// The folder that it runs in; it holds `collector.yaml`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it keeps the artifacts, if it was told to use the folder of
    /// [`config::standard`](super::config::standard).
    pub(crate) fn artifacts(&self) -> PathBuf {
        self.folder().join("artifacts")
    }

    /// What it has logged so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.borrow().clone()
    }

    /// Waits until it logs `text`.
    pub(crate) async fn logs(&mut self, text: &str) {
        self.has_logged(text).await;
    }

    /// The same beside others that have to do with it.
    pub(crate) async fn has_logged(&self, text: &str) {
        let mut stderr = self.stderr.clone();
        let said = stderr.wait_for(|log| log.contains(text));
        let said = soon(text, said).await.map(drop);
        assert!(said.is_ok(), "never logged {text:?}: {}", self.stderr());
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Waits until it has logged `text` as many times.
    pub(crate) async fn logs_times(&mut self, text: &str, times: usize) {
        let said = self
            .stderr
            .wait_for(|log| log.matches(text).count() >= times);
        let said = soon(text, said).await.map(drop);
        assert!(
            said.is_ok(),
            "not {times} times {text:?}: {}",
            self.stderr()
        );
    }

    /// Writes another configuration, which a signal makes it read.
    pub(crate) fn write(&self, yaml: &str) {
        std::fs::write(self.folder().join("collector.yaml"), yaml).unwrap();
    }

    /// The most memory that it has had so far, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        peak_memory(self.id())
    }

    /// The memory that it has now, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        status(self.id(), "VmRSS:")
    }

    /// How many files and connections it has open, and how many threads it has.
    pub(crate) fn open_files_and_threads(&self) -> [usize; 2] {
        ["fd", "task"].map(|of| {
            let entries = std::fs::read_dir(format!("/proc/{}/{of}", self.id()));
            entries.unwrap().count()
        })
    }

    /// The time that it has had of all cores.
    pub(crate) fn cpu_time(&self) -> Duration {
        let pid = self.child.id().unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // The name in parentheses may hold anything; the fields after it are numbers.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks = fields.split_whitespace().skip(11).take(2);
        let ticks: u64 = ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
    }

    /// Lets it open files up to this number; returns what it was.
    pub(crate) fn limit_open_files(&self, limit: Option<u64>) -> Option<u64> {
        let pid = Pid::from_raw(self.child.id().unwrap().try_into().unwrap());
        let before = getrlimit(Resource::Nofile);
        let limit = Rlimit {
            current: limit,
            maximum: before.maximum,
        };
        prlimit(pid, Resource::Nofile, limit).unwrap().current
    }

    /// Sends a signal such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        let mut kill = std::process::Command::new("kill");
        assert!(kill.args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for its end. If it ended as it should, each item that came in has to have an end, too.
    pub(crate) async fn end(self) -> Ended {
        let ended = self.exit().await;
        if ended.code == Some(0) {
            conservation::noted(&ended.stderr);
        }
        ended
    }

    /// Waits for the end of one that logs elsewhere.
    pub(crate) async fn exit(self) -> Ended {
        self.gone("slimspan ends").await
    }

    /// Has nothing of its memory written to a disk when it aborts.
    pub(crate) fn dump_no_core(&self) {
        let pid = Pid::from_raw(self.id().try_into().unwrap());
        let limit = Rlimit {
            current: Some(0),
            maximum: getrlimit(Resource::Core).maximum,
        };
        // One that is gone by now is as good.
        let _ = prlimit(pid, Resource::Core, limit);
    }

    /// Waits for its end, of which this says what it is.
    pub(crate) async fn gone(mut self, what: &str) -> Ended {
        let status: ExitStatus = soon(what, self.child.wait()).await.unwrap();
        // Both end when the process has closed its side and everything is read.
        for output in [&mut self.stdout, &mut self.stderr] {
            let _ = soon("the pipe ends", output.wait_for(|_| false)).await;
        }
        Ended {
            code: status.code(),
            stdout: self.stdout.borrow().clone(),
            stderr: self.stderr(),
        }
    }

    /// Ends it as a crash does, with `kill -9`; what it had logged by then.
    pub(crate) async fn kill(mut self) -> String {
        soon("slimspan dies", self.child.kill()).await.unwrap();
        let _ = soon("the pipe ends", self.stderr.wait_for(|_| false)).await;
        self.stderr()
    }

    /// Ends it as somebody does who does not want to wait, by a second signal; what it had logged by then.
    pub(crate) async fn hurry(mut self) -> String {
        self.signal("TERM");
        self.logs("stopping: ").await;
        self.signal("TERM");
        let ended = self.gone("slimspan ends at the second signal").await;
        // With nothing under way it may have ended before.
        assert!(matches!(ended.code, Some(0 | 130)), "{ended:?}");
        ended.stderr
    }

    /// Stops it as an operator does.
    pub(crate) async fn stop(self) -> Ended {
        self.signal("TERM");
        self.end().await
    }

    /// The same where nothing may go wrong with that: whatever was to be forwarded was.
    pub(crate) async fn stop_well(self) {
        let ended = self.stop().await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
}

/// The most memory that a process has had so far, in bytes.
pub(crate) fn peak_memory(pid: u32) -> u64 {
    status(pid, "VmHWM:")
}

/// A number of bytes that the system tells about a process.
fn status(pid: u32, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.unwrap().trim().strip_suffix("kB").unwrap().trim();
    kib.parse::<u64>().unwrap() << 10
}

/// The configuration, without metrics unless it says something about telemetry: by default they have a
/// port that only one slimspan has at a time.
fn quiet(yaml: &str) -> String {
    if yaml.contains("telemetry") {
        return yaml.to_owned();
    }
    let (block, flow) = ("\nservice:\n", "\"service\": {");
    let (of_block, of_flow) = (
        "\nservice:\n  telemetry: {metrics: {level: none}}\n",
        r#""service": {"telemetry": {"metrics": {"level": "none"}}, "#,
    );
    yaml.replacen(block, of_block, 1)
        .replacen(flow, of_flow, 1)
        .replacen("\"service\":{", of_flow, 1)
}

/// Reads to the end, so that the program never waits for a full pipe.
fn collect(pipe: impl AsyncRead + Unpin + Send + 'static) -> watch::Receiver<String> {
    let (text, said) = watch::channel(String::new());
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            text.send_modify(|text| {
                text.push_str(&line);
                text.push('\n');
            });
        }
    });
    said
}

fn listening_on(protocol: &str, line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(&format!("listening for OTLP/{protocol} on "))?;
    rest.split(',').next()?.parse().ok()
}
