//! What the tests of the whole program are made of: the program itself as a process, a sender, a
//! recording backend, a store that can be broken, and the requests that go through them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking and says what it skips"
)]

pub(crate) mod arrivals;
pub(crate) mod backend;
pub(crate) mod calls;
pub(crate) mod canaries;
pub(crate) mod catalogued;
pub(crate) mod certificates;
pub(crate) mod checker;
pub(crate) mod config;
pub(crate) mod conservation;
pub(crate) mod fault_store;
pub(crate) mod forward_proxy;
pub(crate) mod frames;
pub(crate) mod http;
pub(crate) mod http2;
pub(crate) mod insistent;
pub(crate) mod ledger;
pub(crate) mod measured;
pub(crate) mod memory_group;
pub(crate) mod mounted;
pub(crate) mod otlp;
pub(crate) mod pages;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod queued;
pub(crate) mod references;
pub(crate) mod refusing;
pub(crate) mod rotel;
pub(crate) mod s3;
pub(crate) mod s3_server;
pub(crate) mod seed;
pub(crate) mod sender;
pub(crate) mod slimspan;
pub(crate) mod socks;
pub(crate) mod spool;
pub(crate) mod tools;
pub(crate) mod unrouted;
pub(crate) mod verifying;
pub(crate) mod workload;

use std::time::Duration;

/// How long a test waits for what has to happen: never, on a machine that is not overloaded.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Waits for `event`; the test fails if it does not come.
pub(crate) async fn soon<T>(what: &str, event: impl Future<Output = T>) -> T {
    let outcome = tokio::time::timeout(SOON, event).await;
    outcome.unwrap_or_else(|_| panic!("{what}: not within {SOON:?}"))
}
