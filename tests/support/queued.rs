//! A slimspan with a queue before its backend, which it finds again where it starts again.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use slimspan_proto::Signal;
use tempfile::TempDir;

use super::conservation::conserved_of;
use super::slimspan::{Ended, Slimspan};
use super::{config, otlp};

/// The standard configuration with a queue in memory, in front of a backend that is asked again soon.
pub(crate) fn in_memory(backend: SocketAddr, queue: Value) -> Value {
    let mut config = config::standard(backend);
    let exporter = &mut config["exporters"]["otlp_grpc"];
    exporter["sending_queue"] = queue;
    exporter["retry_on_failure"] = json!({ "initial_interval": "10ms", "max_interval": "50ms" });
    config
}

/// The same with the queue on disk.
pub(crate) fn on_disk(backend: SocketAddr, queue: Value) -> Value {
    let mut config = in_memory(backend, queue);
    config["exporters"]["otlp_grpc"]["sending_queue"]["storage"] = json!("file_storage");
    config["extensions"]["file_storage"] = json!({ "max_bytes": "64MiB" });
    config["service"]["extensions"] = json!(["artifact_store", "file_storage"]);
    config
}

/// Where the queue lives, whichever process uses it.
pub(crate) fn home() -> Arc<TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

/// Starts there.
pub(crate) async fn start_in(folder: &Arc<TempDir>, config: &Value) -> Slimspan {
    let mut slimspan = Slimspan::spawn(Arc::clone(folder), &config.to_string());
    assert!(slimspan.ready().await, "{}", slimspan.stderr());
    slimspan
}

/// Sends the spans of these numbers one after the other, so that they wait in this order.
pub(crate) async fn send_all(slimspan: &Slimspan, numbers: Range<u64>) {
    let sender = slimspan.sender().await;
    for number in numbers {
        let answer = sender.send(Signal::Traces, &otlp::plain_span(number)).await;
        assert_eq!(answer.unwrap(), Bytes::new());
    }
}

/// What became of the spans that were delivered, rejected and are queued.
pub(crate) fn ends(ended: &Ended) -> (u64, u64, u64) {
    let items = conserved_of(Signal::Traces, &ended.stderr);
    (items.delivered, items.rejected, items.queued)
}

/// The requests in the folder for dead letters of a slimspan that runs in `folder`.
pub(crate) fn dead_letters(folder: &Path) -> Vec<Bytes> {
    let Ok(files) = std::fs::read_dir(folder.join("data/dead_letters")) else {
        return Vec::new();
    };
    let paths = files.map(|file| file.unwrap().path());
    let requests = paths.filter(|path| path.extension().is_some_and(|kind| kind == "pb"));
    requests
        .map(|path| std::fs::read(path).unwrap().into())
        .collect()
}
