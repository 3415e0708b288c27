//! Ways to deliver that have to survive `kill -9`.

use std::time::Duration;

use serde_json::{Value, json};

use super::surroundings::SENDERS;
use crate::support::checker::Rules;
use crate::support::config;
use crate::support::fault_store::Fault;

/// A way to deliver. A new one is one more of these and a test that names it.
pub(super) struct Way {
    pub(super) name: &'static str,
    /// Files go into a bucket where these go wrong, else into a folder.
    pub(super) bucket: Option<&'static [(Fault, usize)]>,
    /// Files wait in a spool for the bucket, which takes nothing in every second life.
    pub(super) spool: bool,
    /// Requests wait in a queue for the backend, which asks for every second one to come again.
    pub(super) queue: bool,
    /// So many requests at most go as one out of that queue.
    pub(super) together: usize,
    /// What differs from the standard configuration.
    pub(super) change: fn(&mut Value),
    pub(super) rules: Rules,
}

pub(super) const SYNC: Way = Way {
    name: "sync",
    bucket: None,
    spool: false,
    queue: false,
    together: 1,
    change: |_| (),
    rules: Rules::STRICT,
};

/// The same from senders that speak HTTP.
pub(super) const HTTP: Way = Way {
    name: "sync, over HTTP",
    change: config::http_only,
    ..SYNC
};

/// Senders are to come back when a file was not stored, so that everything arrives slim at last.
pub(super) const SYNC_WITH_FAULTS: Way = Way {
    name: "sync, a store that fails",
    bucket: Some(FAULTS),
    change: |config| {
        config["processors"]["artifact"]["on_store_failure"] = json!("refuse");
        config["extensions"]["artifact_store"]["timeout"] = json!("300ms");
    },
    ..SYNC
};

/// OK comes before the backend has it, for it is on disk by then.
pub(super) const QUEUE_ON_DISK: Way = Way {
    name: "sending_queue in file_storage",
    queue: true,
    change: queue_on_disk,
    rules: SENT_AGAIN,
    ..SYNC
};

/// The same, and what waits there goes as one.
pub(super) const QUEUE_IN_BATCHES: Way = Way {
    name: "sending_queue in file_storage, in batches",
    together: BATCH,
    change: |config| {
        queue_on_disk(config);
        config["exporters"]["otlp_grpc"]["sending_queue"]["batch"] =
            json!({ "min_size": BATCH, "max_size": BATCH, "flush_timeout": "20ms" });
    },
    ..QUEUE_ON_DISK
};

/// There is a queue, and OK comes when the backend has it all the same.
pub(super) const QUEUE_THAT_WAITS: Way = Way {
    name: "sending_queue in memory, wait_for_result",
    change: |config| {
        config["exporters"]["otlp_grpc"]["sending_queue"] =
            json!({ "wait_for_result": true, "num_consumers": CONSUMERS });
    },
    ..SYNC
};

/// OK comes before the store has the files, for they are on disk by then.
pub(super) const BACKGROUND: Way = Way {
    name: "background, a store that fails",
    bucket: Some(FAULTS),
    spool: true,
    queue: false,
    together: 1,
    change: in_background,
    rules: Rules::STRICT,
};

/// OK comes before anybody else has anything.
pub(super) const BACKGROUND_WITH_QUEUE: Way = Way {
    name: "background, a store that fails, sending_queue in file_storage",
    queue: true,
    change: |config| {
        in_background(config);
        queue_on_disk(config);
    },
    rules: SENT_AGAIN,
    ..BACKGROUND
};

impl Way {
    /// The requests that so many ends may have cut off at most, so that nobody knows whether they arrived.
    pub(super) fn in_flight(&self, ends: usize) -> usize {
        let from_queues = if self.rules.sent_again {
            CONSUMERS * self.together
        } else {
            0
        };
        ends * (SENDERS as usize + from_queues)
    }
}

/// As many requests may be on their way from a queue at a kill.
pub(super) const CONSUMERS: usize = 4;

/// The most items of a batch.
const BATCH: usize = 6;

/// Where the spool is, beside the configuration.
pub(super) const SPOOL: &str = "spool";

const FAULTS: &[(Fault, usize)] = &[
    (Fault::Error, 20),
    (Fault::ErrorAfter, 20),
    (Fault::HangAfter, 5),
    (Fault::Conflict, 10),
    (Fault::SlowDown, 10),
    (Fault::Reset, 20),
    (Fault::Delay(Duration::from_millis(20)), 50),
];

const SENT_AGAIN: Rules = Rules {
    sent_again: true,
    ..Rules::STRICT
};

fn queue_on_disk(config: &mut Value) {
    config["exporters"]["otlp_grpc"]["sending_queue"] =
        json!({ "storage": "file_storage", "num_consumers": CONSUMERS });
    config["exporters"]["otlp_grpc"]["retry_on_failure"] =
        json!({ "initial_interval": "10ms", "max_interval": "50ms" });
    config["extensions"]["file_storage"] = json!({});
    config["service"]["extensions"] = json!(["artifact_store", "file_storage"]);
}

fn in_background(config: &mut Value) {
    config["processors"]["artifact"]["delivery"] = json!("background");
    config["extensions"]["artifact_store"]["timeout"] = json!("300ms");
    config["extensions"]["artifact_store"]["spool"] =
        json!({ "directory": format!("./{SPOOL}"), "max_bytes": "256MiB" });
}
