//! A real S3 server in a process of its own, which can be stopped by a signal, killed, and started again: it
//! keeps its objects as files, so that it has them after a kill.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tokio::sync::watch;

use super::process::Server;
use super::references::files;
use super::refusing::Refusing;
use super::soon;
use super::verifying::{Fetch, in_folder};

/// Where slimspan keeps its files there, with [`config::with_s3`](super::config::with_s3).
const PREFIX: &str = "media/x";

/// The server that is built beside the tests.
pub(crate) fn program() -> PathBuf {
    let server = Path::new(env!("CARGO_BIN_EXE_slimspan")).with_file_name("examples/s3-server");
    assert!(
        server.exists(),
        "{} is missing: cargo build --example s3-server",
        server.display()
    );
    server
}

/// A server with the bucket `media`.
pub(crate) struct S3Server {
    pub(crate) address: SocketAddr,
    server: Option<Server>,
    /// Keeps its address while it is away.
    nobody: Option<Refusing>,
    folder: TempDir,
    puts: watch::Sender<usize>,
}

impl S3Server {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("media")).unwrap();
        let puts = watch::Sender::new(0);
        let server = listen(folder.path(), 0, &puts);
        Self {
            address: server.address,
            server: Some(server),
            nobody: None,
            folder,
            puts,
        }
    }

    /// Sends it a signal such as `STOP` or `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        self.server.as_ref().unwrap().signal(name);
    }

    /// Ends it as a crash does; connections are refused from then on.
    pub(crate) fn kill(&mut self) {
        self.server = None;
        self.nobody = Some(Refusing::at(self.address));
    }

    /// Starts it again where it was, with what it had.
    pub(crate) fn restart(&mut self) {
        let server = listen(self.folder.path(), self.address.port(), &self.puts);
        self.server = Some(server);
        self.nobody = None;
    }

    /// How many puts of artifacts it has begun to read, repetitions included.
    pub(crate) fn puts(&self) -> usize {
        *self.puts.borrow()
    }

    /// Waits until as many have come.
    pub(crate) async fn begun(&self, count: usize) {
        let mut puts = self.puts.subscribe();
        let begun = puts.wait_for(|puts| *puts >= count);
        soon("the server gets a put", begun).await.unwrap();
    }

    /// Reads past it.
    pub(crate) fn fetch(&self) -> Fetch {
        in_folder(self.folder.path().join(PREFIX))
    }

    /// The names of all artifacts, without what stands before them.
    pub(crate) fn objects(&self) -> Vec<String> {
        let files = files(&self.folder.path().join(PREFIX)).into_iter();
        let names = files.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
        names.collect()
    }
}

fn listen(folder: &Path, port: u16, puts: &watch::Sender<usize>) -> Server {
    let mut command = Command::new(program());
    command.arg(folder);
    command.args([&port.to_string(), "access", "secret", "tell"]);
    let (of_artifact, puts) = (format!("PUT /{PREFIX}/"), puts.clone());
    Server::start_heard(command, move |line| {
        if line.starts_with(&of_artifact) {
            puts.send_modify(|puts| *puts += 1);
        }
    })
}
