//! P12: a reply comes within the sender's deadline, whatever the store does.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use slimspan_proto::Signal;
use tonic::Code;

use crate::support::backend::Backend;
use crate::support::fault_store::{Fault, FaultStore};
use crate::support::frames::frame;
use crate::support::measured::{measured, number};
use crate::support::sender::Call;
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

const DEADLINE: Duration = Duration::from_secs(2);

/// What a busy machine may add. The longer run is held to 250 ms.
fn allowance() -> Duration {
    Duration::from_millis(number("SLIMSPAN_ALLOWANCE_MS", 2_000) as u64)
}

/// Senders with files get their answer in time, the one that is configured, and senders without
/// files do not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_store_holds_nobody_beyond_the_deadline() {
    for (policy, expected) in [("forward", Code::Ok), ("refuse", Code::Unavailable)] {
        let store = FaultStore::start(0, &[(Fault::Hang, 1000)]).await;
        let backend = Backend::start().await;
        let mut config = config::with_s3(backend.address, store.address);
        config["extensions"]["artifact_store"]["timeout"] = "1m".into();
        config["processors"]["artifact"]["on_store_failure"] = json!(policy);
        let slimspan = Slimspan::start(&config).await;
        let senders = number("SLIMSPAN_SENDERS", 16) as u64;
        let with_files = (0..senders).map(|number| {
            let slimspan = &slimspan;
            async move {
                let request = otlp::span_with(&otlp::photo(number, 20_000));
                let call = Call::whole(frame(0, &request)).header("grpc-timeout", "2S");
                let sender = slimspan.sender().await;
                let begun = Instant::now();
                let answer = sender.call(call).await;
                assert_eq!(answer.status().code(), expected, "{answer:?}");
                begun.elapsed()
            }
        });
        let without = async {
            store.begun(1).await;
            let sender = slimspan.sender().await;
            let mut slowest = Duration::ZERO;
            for number in 0..50 {
                let begun = Instant::now();
                let plain = otlp::plain_span(number);
                sender.send(Signal::Traces, &plain).await.unwrap();
                slowest = slowest.max(begun.elapsed());
            }
            slowest
        };
        let (with_files, without) = futures::join!(join_all(with_files), without);
        let slowest = with_files.into_iter().max().unwrap();
        assert!(slowest <= DEADLINE + allowance(), "{policy}: {slowest:?}");
        assert!(without <= allowance(), "{policy}: {without:?}");
        measured(
            "P12",
            &format!("delivery::hung_store, {policy}"),
            "p100 <= deadline of 2 s + 250 ms",
            format_args!(
                "p100 {slowest:.1?} of {senders} senders; p100 {without:.1?} of 50 requests \
                 without files beside them"
            ),
        );
    }
}
