//! A slimspan as a process, which lists a catalog over HTTP.

use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

/// Beyond it nobody waits for an answer any more.
const PATIENCE: Duration = Duration::from_mins(1);

/// A process that runs; killed when dropped.
pub(super) struct Server {
    process: Child,
    /// Where its API is.
    address: SocketAddr,
}

impl Server {
    /// Starts `program` with the objects below `folder`, and waits until it listens.
    pub(super) fn start(program: &Path, folder: &Path) -> Result<Self, Box<dyn Error>> {
        let place = folder.join("listing");
        fs::create_dir_all(&place)?;
        let config = place.join("collector.yaml");
        // JSON is YAML.
        fs::write(&config, configuration(folder, &place).to_string())?;
        let mut process = Command::new(program)
            .arg("--config")
            .arg(&config)
            .current_dir(&place)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| {
                let program = program.display();
                format!("{program}: {error}; build it with cargo build --release --bin slimspan")
            })?;
        let stdout = process.stdout.take();
        let mut server = Self {
            process,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        for line in BufReader::new(stdout.ok_or("it has no output")?).lines() {
            let line = line?;
            if let Some((_, rest)) = line.split_once("pages and API at http://") {
                let address = rest.split('/').next().unwrap_or_default();
                server.address = address.parse()?;
            }
            if line.trim() == "ready" {
                if server.address.port() == 0 {
                    return Err("it lists nothing".into());
                }
                return Ok(server);
            }
        }
        Err("it ended before it was ready".into())
    }

    pub(super) fn connect(&self) -> Result<Connection, Box<dyn Error>> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection {
            stream: BufReader::new(stream),
            address: self.address,
        })
    }

    /// The number of its process.
    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which whoever asked it has noticed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A connection to it, for one request after the other.
pub(super) struct Connection {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

impl Connection {
    /// Everything that it answers, if that is 200.
    pub(super) fn get(&mut self, path: &str) -> Result<Vec<u8>, Box<dyn Error>> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        self.stream.get_mut().write_all(request.as_bytes())?;
        let (mut status, mut length) = (String::new(), None::<usize>);
        self.stream.read_line(&mut status)?;
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(format!("{path}: no answer").into());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(value.trim().parse()?);
            }
        }
        let mut body = vec![0; length.ok_or_else(|| format!("{path}: no length: {status}"))?];
        self.stream.read_exact(&mut body)?;
        if !status.starts_with("HTTP/1.1 200 ") {
            let told = String::from_utf8_lossy(&body);
            return Err(format!("{path}: {}: {told}", status.trim_end()).into());
        }
        Ok(body)
    }
}

/// A collector as it is used, that nobody sends anything to, and with an index that is not there yet.
fn configuration(folder: &Path, place: &Path) -> Value {
    json!({
        "receivers": { "otlp": { "protocols": { "grpc": { "endpoint": "127.0.0.1:0" } } } },
        "processors": { "memory_limiter": {}, "artifact": { "store": "artifact_store" } },
        "exporters": { "otlp_grpc": { "endpoint": "127.0.0.1:9", "tls": { "insecure": true } } },
        "extensions": {
            "artifact_store": {
                "url": folder.join("store"),
                "catalog": { "directory": place.join("index") },
            },
            "artifact_server": {
                "endpoint": "127.0.0.1:0",
                "pages": { "endpoint": "127.0.0.1:0" },
                // Who asks here asks as often as it is answered.
                "max_requests_per_second": 1_000_000,
            },
        },
        "service": {
            "telemetry": { "metrics": { "level": "none" } },
            "extensions": ["artifact_store", "artifact_server"],
            "pipelines": {
                "traces": {
                    "receivers": ["otlp"],
                    "processors": ["memory_limiter", "artifact"],
                    "exporters": ["otlp_grpc"],
                },
            },
        },
    })
}
