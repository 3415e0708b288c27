//! Every backend against the properties.

use super::backend::{Backend, Kind};
use super::{conformance, emulators, gcs_stub, outages};
use crate::support::s3_server;
use crate::support::tools::tool;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn local_folder() {
    let folder = tempfile::tempdir().unwrap();
    let backend = Backend {
        name: "local folder",
        url: folder.path().to_str().unwrap().to_owned(),
        options: Vec::new(),
        kind: Kind::Folder,
        process: None,
        _folder: Some(folder),
    };
    conformance::check(&backend).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory() {
    let backend = Backend {
        name: "memory",
        url: "memory://".to_owned(),
        options: Vec::new(),
        kind: Kind::Bucket,
        process: None,
        _folder: None,
    };
    conformance::check(&backend).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3() {
    let backend = emulators::s3(s3_server::program());
    conformance::check(&backend).await;
    outages::check(&backend).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s3_by_moto() {
    if let Some(server) = tool("moto/bin/moto_server") {
        let backend = emulators::moto(server);
        conformance::check(&backend).await;
        outages::check(&backend).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azure_by_azurite() {
    if let Some(server) = tool("azurite/node_modules/.bin/azurite-blob") {
        let backend = emulators::azurite(server);
        conformance::check(&backend).await;
        outages::check(&backend).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gcs_by_stub() {
    let backend = gcs_stub::start().await;
    conformance::check(&backend).await;
}
