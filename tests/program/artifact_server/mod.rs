//! `artifact_server`: artifacts are read, and nothing but artifacts, by those who may.

mod again;
mod alike;
mod audited;
mod budget;
mod busy;
mod claimed;
mod client;
mod commands;
mod deleting;
mod denied;
mod doctor;
mod filters;
mod handshake;
mod headers;
mod hostile;
mod kept;
mod lies;
mod listed;
mod measures;
mod metadata;
mod no_http;
mod openapi;
mod pages;
mod people;
mod permissions;
mod python;
mod questions;
mod ranges;
mod reading;
mod receivers;
mod reloads;
mod restoring;
mod restoring_files;
mod restoring_many;
mod secrets;
mod slow_readers;
mod spooled;
mod tenants;
mod uploads;
mod vanished;
mod waiting;
mod within;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;
use serde_json::{Value, json};
use slimspan::storage::Store;
use slimspan::storage::config::StoreConfig;
use slimspan_artifact::{Artifact, Digest};
use tempfile::TempDir;

use crate::support::config;
use crate::support::references::files;
use crate::support::slimspan::Slimspan;
use client::Client;

/// A slimspan with a server, and with nothing else that matters.
struct Served {
    slimspan: Slimspan,
    /// Where artifacts are read.
    artifacts: Client,
    /// Where pages and the API are.
    pages: Client,
    /// The same store, without slimspan.
    store: Store,
}

/// The standard configuration with a server.
fn with_server() -> Value {
    // Nothing is sent on.
    let mut config = config::standard(([127, 0, 0, 1], 9).into());
    config["extensions"]["artifact_server"] = json!({
        "endpoint": "127.0.0.1:0",
        "pages": { "endpoint": "127.0.0.1:0" },
    });
    config["service"]["extensions"] = json!(["artifact_store", "artifact_server"]);
    config
}

/// The same with a catalog, which listings and deletions need.
fn with_catalog() -> Value {
    let mut config = with_server();
    config["extensions"]["artifact_store"]["catalog"] =
        json!({ "directory": "./catalog", "interval": "50ms" });
    config
}

/// The standard one with a token for each of two tenants.
fn with_tenants() -> Value {
    let mut config = with_server();
    config["extensions"]["bearertokenauth"] = json!({
        "tenants": { "acme": "token-of-acme", "beta": "token-of-beta" },
    });
    config["extensions"]["artifact_server"]["auth"] = json!({ "authenticator": "bearertokenauth" });
    config["service"]["extensions"] =
        json!(["artifact_store", "artifact_server", "bearertokenauth"]);
    config
}

impl Served {
    async fn start(config: &Value) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), config).await
    }

    /// Starts in a folder of the test's own.
    async fn start_in(folder: TempDir, config: &Value) -> Self {
        let slimspan = Slimspan::start_in(folder, config).await;
        let [artifacts, pages] = addresses(&slimspan);
        let folder = slimspan.artifacts();
        let store = Store::open(&StoreConfig::new(folder.to_str().unwrap())).unwrap();
        Self {
            artifacts: Client::of(artifacts),
            pages: Client::of(pages),
            slimspan,
            store,
        }
    }

    /// The index of the catalog, as another process has it open.
    fn index(&self) -> Connection {
        let mut beside = files(&self.slimspan.folder().join("catalog")).into_iter();
        let index = beside.find(|file| file.ends_with("index.sqlite"));
        let index = Connection::open(index.unwrap()).unwrap();
        index.busy_timeout(Duration::from_secs(30)).unwrap();
        index
    }

    /// Puts something into the store, of which slimspan is told nothing; the path that leads to it.
    async fn put(&self, bytes: impl Into<Bytes>) -> String {
        self.put_for("default", bytes).await
    }

    async fn put_for(&self, tenant: &str, bytes: impl Into<Bytes>) -> String {
        let bytes = bytes.into();
        let digest = Digest::of(&bytes);
        let artifact = Artifact {
            digest,
            media_type: "text/html".to_owned(),
            bytes,
        };
        // One that knows nothing of what was put before.
        let folder = self.slimspan.artifacts();
        let store = Store::open(&StoreConfig::new(folder.to_str().unwrap())).unwrap();
        let store = store.of_tenant(&tenant.parse().unwrap());
        store.put_all(&[artifact]).await.unwrap();
        match tenant {
            "default" => format!("/artifacts/{digest}"),
            tenant => format!("/{tenant}/artifacts/{digest}"),
        }
    }
}

/// Where artifacts are, and where pages are, as it says itself.
fn addresses(slimspan: &Slimspan) -> [SocketAddr; 2] {
    slimspan.places("artifact_server").try_into().unwrap()
}
