//! The collector as a process of its own, and what the kernel tells of it.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::setup::Way;

/// A collector that runs; killed when dropped.
#[derive(Debug)]
pub(crate) struct Collector {
    process: Child,
    pub(crate) address: SocketAddr,
    /// Its configuration and artifacts.
    _folder: TempDir,
}

impl Collector {
    /// Starts `program` and waits until it listens.
    pub(crate) fn start(program: &Path, way: Way, backend: SocketAddr) -> anyhow::Result<Self> {
        // Not the system's folder for temporary files: that is memory on many machines.
        let place = program.parent().unwrap_or_else(|| Path::new("."));
        let folder = TempDir::with_prefix_in("end_to_end", place)?;
        let config = folder.path().join("collector.yaml");
        std::fs::write(&config, configuration(way, backend, folder.path()))?;
        let mut process = Command::new(program)
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start it; build it with cargo build --release")?;
        let stdout = process.stdout.take().context("it has no output")?;
        let mut collector = Self {
            process,
            address: backend,
            _folder: folder,
        };
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            if let Some((_, rest)) = line.split_once("listening for OTLP/gRPC on ") {
                let address = rest.split(',').next().unwrap_or_default();
                collector.address = address.parse()?;
            }
            if line.trim() == "ready" {
                return Ok(collector);
            }
        }
        anyhow::bail!("it ended before it was ready");
    }

    /// CPU time that it has used so far, in user space and in the kernel.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = self.proc("stat")?;
        // The name before the last parenthesis may hold anything.
        let (_, fields) = stat.rsplit_once(')').context("stat has no name")?;
        let ticks = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse::<u64>)
            .sum::<Result<u64, _>>()?;
        let per_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
    }

    /// The most memory that it ever had, in bytes.
    pub(crate) fn peak_memory(&self) -> anyhow::Result<u64> {
        let status = self.proc("status")?;
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|value| value.trim().strip_suffix(" kB"))
            .context("status has no VmHWM in kB")?;
        Ok(peak.parse::<u64>()? * 1024)
    }

    fn proc(&self, file: &str) -> std::io::Result<String> {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.process.id()))
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // It may have ended by itself, which the sender has noticed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn configuration(way: Way, backend: SocketAddr, folder: &Path) -> String {
    let store = match way {
        Way::Bare | Way::Known | Way::Recalled | Way::Again | Way::Forgetful | Way::Memory => {
            "memory://".to_owned()
        }
        Way::Folder => folder.join("artifacts").display().to_string(),
    };
    let processors = match way {
        Way::Bare => "memory_limiter",
        _ => "memory_limiter, artifact",
    };
    let known_values = match way {
        Way::Known | Way::Forgetful => 0,
        _ => 20_000,
    };
    format!(
        r#"
receivers:
  otlp:
    protocols:
      grpc: {{ endpoint: "127.0.0.1:0" }}
processors:
  # A store in memory grows all along, and what it holds is memory of the process like any other.
  memory_limiter: {{ limit_mib: 4096 }}
  artifact: {{ store: artifact_store }}
exporters:
  otlp_grpc: {{ endpoint: "{backend}", compression: none, tls: {{ insecure: true }} }}
extensions:
  artifact_store: {{ url: "{store}", known_values: {known_values} }}
service:
  telemetry: {{ metrics: {{ level: none }} }}
  extensions: [artifact_store]
  pipelines:
    traces: {{ receivers: [otlp], processors: [{processors}], exporters: [otlp_grpc] }}
"#
    )
}
