use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use object_store::ObjectStore;
use object_store::path::Path;
use slimspan::config::Secret;
use slimspan::storage::{Store, StoreConfig};
use slimspan_artifact::{Artifact, Digest};
use slimspan_generators::Random;
use tempfile::TempDir;

use super::faults::{Faults, FaultyStore};
use crate::support::process::Server;

/// One kind of store, ready for use.
pub(super) struct Backend {
    pub(super) name: &'static str,
    /// The URL without a prefix.
    pub(super) url: String,
    pub(super) options: Vec<(&'static str, String)>,
    pub(super) kind: Kind,
    pub(super) process: Option<Process>,
    /// What the server or the store keeps its bytes in.
    pub(super) _folder: Option<TempDir>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The URL's path is part of the folder, not of the key, and there are no content types.
    Folder,
    /// The URL's path is part of the key.
    Bucket,
}

/// A server that can be killed and started again.
pub(super) struct Process {
    pub(super) server: Mutex<Option<Server>>,
    pub(super) address: SocketAddr,
    /// The command that listens on a port.
    pub(super) command: Box<dyn Fn(u16) -> Command + Send + Sync>,
    /// Makes the bucket, if it is missing.
    pub(super) make_bucket: Box<dyn Fn(SocketAddr) + Send + Sync>,
    /// What was stored is still there after a kill.
    pub(super) remembers: bool,
    /// Wrong keys are refused.
    pub(super) checks_keys: bool,
    /// A bucket that nobody made is refused.
    pub(super) checks_buckets: bool,
}

/// A store of a backend, what its client does, and the client behind that.
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) faults: Arc<Faults>,
    pub(super) client: Arc<dyn ObjectStore>,
}

impl Backend {
    pub(super) fn config(&self, prefix: &str) -> StoreConfig {
        let mut config = StoreConfig::new(format!("{}/{prefix}", self.url));
        for (key, value) in &self.options {
            let value = Secret::new(value.clone());
            config.options.insert((*key).to_owned(), value);
        }
        config
    }

    pub(super) fn open(&self, prefix: &str) -> Opened {
        open(&self.config(prefix))
    }

    pub(super) fn open_with_timeout(&self, prefix: &str, timeout: Duration) -> Opened {
        let mut config = self.config(prefix);
        config.timeout = timeout;
        open(&config)
    }

    /// The key under which an artifact has to stand.
    pub(super) fn key(&self, prefix: &str, digest: &Digest) -> Path {
        let name = digest.to_string();
        let key = format!("default/sha256/{}/{name}", &name[..2]);
        Path::from(match self.kind {
            Kind::Folder => key,
            Kind::Bucket => format!("{prefix}/{key}"),
        })
    }
}

impl Process {
    pub(super) fn start(
        command: impl Fn(u16) -> Command + Send + Sync + 'static,
        make_bucket: impl Fn(SocketAddr) + Send + Sync + 'static,
    ) -> Self {
        let server = Server::start(command(0));
        let address = server.address;
        make_bucket(address);
        Self {
            server: Mutex::new(Some(server)),
            address,
            command: Box::new(command),
            make_bucket: Box::new(make_bucket),
            remembers: true,
            checks_keys: true,
            checks_buckets: true,
        }
    }

    pub(super) fn kill(&self) {
        self.server.lock().unwrap().take();
    }

    pub(super) fn restart(&self) {
        let server = Server::start((self.command)(self.address.port()));
        (self.make_bucket)(server.address);
        *self.server.lock().unwrap() = Some(server);
    }

    pub(super) fn signal(&self, name: &str) {
        self.server.lock().unwrap().as_ref().unwrap().signal(name);
    }
}

pub(super) fn open(config: &StoreConfig) -> Opened {
    let faults = Arc::new(Faults::default());
    let mut behind = None;
    let store = Store::open_with(config, |client| {
        behind = Some(Arc::clone(&client));
        Arc::new(FaultyStore::new(client, Arc::clone(&faults)))
    })
    .unwrap();
    Opened {
        store,
        faults,
        client: behind.unwrap(),
    }
}

/// `size` bytes that depend on `seed`.
pub(super) fn artifact(seed: u32, size: usize) -> Artifact {
    let bytes = Random::new(seed.into()).bytes(size);
    Artifact {
        digest: Digest::of(&bytes),
        media_type: "image/png".to_owned(),
        bytes: bytes.into(),
    }
}

/// What is in a folder.
pub(super) fn entries_of(folder: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Everything in a folder was stored so many hours ago.
pub(super) fn age(folder: &std::path::Path, hours: u64) {
    let then = SystemTime::now() - Duration::from_hours(hours);
    for path in entries_of(folder) {
        if path.is_dir() {
            age(&path, hours);
        } else {
            let file = std::fs::File::options().write(true).open(path).unwrap();
            file.set_modified(then).unwrap();
        }
    }
}

/// The store says that it got a file only in so many hours.
pub(super) fn stored_in(path: &std::path::Path, hours: u64) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let then = SystemTime::now() + Duration::from_hours(hours);
    file.set_modified(then).unwrap();
}

/// The key of an artifact where the store has no prefix.
pub(super) fn key(artifact: &Artifact) -> Path {
    let name = artifact.digest.to_string();
    Path::from(format!("default/sha256/{}/{name}", &name[..2]))
}
