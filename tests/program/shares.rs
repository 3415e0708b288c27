//! P19: what one tenant, or one backend, takes of the memory leaves the others theirs.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use slimspan_proto::Signal;
use tonic::{Code, Status};

use crate::support::backend::Backend;
use crate::support::pages::Metrics;
use crate::support::s3::{Behaviour, S3};
use crate::support::sender::Sender;
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp, soon};

/// In base64 a third more. A request is charged twice.
const FILE: usize = 3 << 19;

/// Room for nine such requests, and for three of one tenant.
const LIMIT_MIB: u64 = 64;
const OF_A_TENANT: &str = "7MiB";

async fn slow_for_one(store: &S3, backend: &Backend) -> Slimspan {
    let mut config: Value = config::with_s3(backend.address, store.address);
    config::limit_requests(&mut config, 4);
    config["processors"]["memory_limiter"]["limit_mib"] = json!(LIMIT_MIB);
    config["processors"]["artifact"]["tenant"] =
        json!({ "from_attribute": "tenant.id", "max_in_flight": OF_A_TENANT });
    config["processors"]["artifact"]["on_store_failure"] = json!("refuse");
    config["extensions"]["artifact_store"]["timeout"] = json!("1m");
    config["service"]["telemetry"]["metrics"] = json!({
        "readers": [{ "pull": { "exporter": { "prometheus": { "port": 0 } } } }],
    });
    Slimspan::start(&config).await
}

async fn send(sender: &Sender, tenant: &str, seed: u64) -> Result<Bytes, Status> {
    let picture = otlp::data_uri(&otlp::photo(seed, FILE));
    let request = otlp::span_of(Some(tenant), [("picture", picture)]);
    sender.send(Signal::Traces, &request).await
}

async fn taken(slimspan: &Slimspan) -> u64 {
    let metrics = Metrics::of(slimspan.page("telemetry")).await;
    metrics.count("slimspan_memory_in_flight_bytes", &[])
}

/// The store hangs for one tenant, whose requests keep what they have been lent: no more than its share, so
/// that others get theirs; and they give it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_whose_store_hangs_leaves_the_others_their_memory() {
    let store = S3::start(Behaviour::HangUnder("/acme/")).await;
    let backend = Backend::start().await;
    let slimspan = slow_for_one(&store, &backend).await;
    let sender = slimspan.sender().await;
    let mut hung = tokio::task::JoinSet::new();
    for seed in 0..3 {
        let sender = sender.clone();
        hung.spawn(async move { send(&sender, "acme", seed).await });
    }
    store.begun(3).await;
    // They have all that one tenant may have.
    for seed in 3..9 {
        let told = send(&sender, "acme", seed).await.unwrap_err();
        assert_eq!(told.code(), Code::Unavailable, "{told}");
        assert!(told.message().contains("max_in_flight"), "{told}");
    }
    for seed in 100..120 {
        send(&sender, "beta", seed).await.unwrap();
    }
    assert_eq!(backend.received().len(), 20);
    while let Some(told) = soon("a refusal", hung.join_next()).await {
        assert_eq!(told.unwrap().unwrap_err().code(), Code::Unavailable);
    }
    // The puts go on, and are not a request's any more.
    let given_back = async {
        while taken(&slimspan).await > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("all is given back", given_back).await;
    slimspan.stop_well().await;
}

/// A backend hangs, and requests for it keep what they have been lent: three quarters of what there is, so that
/// those for another backend get theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_hangs_leaves_the_others_their_memory() {
    // Of 48 MiB for requests, of which each takes 6.
    const SENT: usize = 6;
    let (hanging, backend) = (Backend::hanging().await, Backend::start().await);
    let mut config = config::standard(hanging.address);
    config::limit_requests(&mut config, 4);
    config["processors"]["memory_limiter"]["limit_mib"] = json!(LIMIT_MIB);
    config["exporters"]["otlp_grpc/other"] = config::exporter(backend.address);
    config["service"]["pipelines"]["logs"]["exporters"] = json!(["otlp_grpc/other"]);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let request = otlp::sized_span(3 << 20);
    let mut hung = tokio::task::JoinSet::new();
    for _ in 0..SENT {
        let (sender, request) = (sender.clone(), request.clone());
        hung.spawn(async move { sender.send(Signal::Traces, &request).await });
    }
    hanging.arrived(SENT).await;
    let log = otlp::log(otlp::text("-".repeat(1 << 20)), []);
    for _ in 0..5 {
        let told = sender.send(Signal::Traces, &request).await.unwrap_err();
        assert_eq!(told.code(), Code::Unavailable, "{told}");
        assert!(told.message().contains("for other exporters"), "{told}");
        sender.send(Signal::Logs, &log).await.unwrap();
    }
    assert_eq!(hanging.received().len(), SENT);
    assert_eq!(backend.received().len(), 5);
    // Who goes away gives back what it had.
    hung.shutdown().await;
    let again = async {
        // It is refused until it is noticed that they have gone.
        while sender.send(Signal::Traces, &request).await.is_err() {}
    };
    tokio::select! {
        () = again => panic!("it hangs"),
        _ = hanging.arrived(SENT + 1) => {}
    }
    slimspan.stop_well().await;
}
