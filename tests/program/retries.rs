//! What the backend could not take is sent again, as long as its sender waits.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use serde_json::{Value, json};
use slimspan_proto::Signal;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::support::backend::Backend;
use crate::support::measured::{bound, measured};
use crate::support::pages::Metrics;
use crate::support::sender::{Call, PatientSender, retry_after};
use crate::support::slimspan::Slimspan;
use crate::support::{config, frames, otlp};

/// A backend that refuses the first requests and notes when they came.
struct Busy {
    backend: Backend,
    arrivals: Arc<Mutex<Vec<Instant>>>,
}

impl Busy {
    async fn start(refusals: usize, refusal: Status) -> Self {
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&arrivals);
        let backend = Backend::answering(move |_| {
            let mut arrivals = noted.lock().unwrap();
            arrivals.push(Instant::now());
            if arrivals.len() > refusals {
                Ok(Bytes::new())
            } else {
                Err(refusal.clone())
            }
        });
        Self {
            backend: backend.await,
            arrivals,
        }
    }

    async fn before(&self, retries: Value) -> Slimspan {
        let mut config = config::standard(self.backend.address);
        config["exporters"]["otlp_grpc"]["retry_on_failure"] = retries;
        Slimspan::start(&config).await
    }

    fn waits(&self) -> Vec<Duration> {
        let arrivals = self.arrivals.lock().unwrap();
        arrivals.windows(2).map(|two| two[1] - two[0]).collect()
    }
}

fn asking_for(code: Code, delay: Duration) -> Status {
    Status::with_error_details(code, "busy", ErrorDetails::with_retry_info(Some(delay)))
}

#[tokio::test]
async fn a_backend_that_is_back_soon_is_no_failure() {
    let busy = Busy::start(3, Status::unavailable("restarting")).await;
    let retries = json!({ "initial_interval": "20ms", "randomization_factor": 0 });
    let slimspan = busy.before(retries).await;
    let request = otlp::plain_span(1);
    let answer = slimspan.sender().await.send(Signal::Traces, &request).await;
    assert_eq!(answer.unwrap(), Bytes::new());
    let received = busy.backend.received();
    assert_eq!(received.len(), 4);
    assert!(received.iter().all(|received| received.message == request));
    for (wait, least) in busy.waits().into_iter().zip([20, 30, 45]) {
        assert!(
            wait >= Duration::from_millis(least),
            "{wait:?}, not {least} ms"
        );
    }
    slimspan.stop_well().await;
}

#[tokio::test]
async fn the_backend_says_when_to_come_back() {
    // A tenth of a longer one is more than a busy machine lets somebody wait.
    let delay = bound(Duration::from_secs(2), Duration::from_millis(400));
    let busy = Busy::start(2, asking_for(Code::ResourceExhausted, delay)).await;
    let slimspan = busy.before(json!({ "initial_interval": "1ms" })).await;
    let sender = slimspan.sender().await;
    let answer = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
    answer.unwrap();
    let waits = busy.waits();
    assert_eq!(waits.len(), 2);
    let most = bound(delay.mul_f64(1.1), 10 * delay);
    let kept = |wait: &Duration| (delay..=most).contains(wait);
    assert!(waits.iter().all(kept), "{waits:?}");
    measured(
        "P13",
        "program::retries, RetryInfo",
        "a delay is kept, and not exceeded by more than 10 %",
        format_args!("{delay:?}: {waits:.1?}"),
    );
    slimspan.stop_well().await;
}

/// Attempts are counted with what they took, and those that repeat another one apart; what lies between them is no
/// part of any.
#[tokio::test]
async fn attempts_are_counted() {
    const REFUSALS: u32 = 2;
    let delay = Duration::from_millis(400);
    let busy = Busy::start(REFUSALS as usize, asking_for(Code::Unavailable, delay)).await;
    let mut config = config::standard(busy.backend.address);
    config["exporters"]["otlp_grpc"]["retry_on_failure"] = json!({ "initial_interval": "1ms" });
    config["exporters"]["otlp_grpc/other"] = config::exporter(busy.backend.address);
    config["service"]["pipelines"]["logs"]["exporters"] = json!(["otlp_grpc/other"]);
    config::tell_metrics(&mut config);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let begun = Instant::now();
    sender
        .send(Signal::Traces, &otlp::plain_span(1))
        .await
        .unwrap();
    let elapsed = begun.elapsed();
    sender
        .send(Signal::Logs, &otlp::log(otlp::text("hello"), []))
        .await
        .unwrap();
    let metrics = Metrics::of(slimspan.page("telemetry")).await;
    for (exporter, attempts, retries) in [("otlp_grpc", 3, 2), ("otlp_grpc/other", 1, 0)] {
        let to = [&*format!("exporter=\"{exporter}\"")];
        let count = |name: &str| metrics.count(&format!("slimspan_exporter_{name}"), &to);
        assert_eq!(
            count("attempt_duration_seconds_count"),
            attempts,
            "{exporter}"
        );
        assert_eq!(count("retries_total"), retries, "{exporter}");
        assert_eq!(count("dead_letters_total"), 0, "{exporter}");
        assert_eq!(count("dead_letters_lost_total"), 0, "{exporter}");
    }
    let of_traces = ["exporter=\"otlp_grpc\""];
    let took = metrics.sum("slimspan_exporter_attempt_duration_seconds_sum", &of_traces);
    let most = elapsed.saturating_sub(REFUSALS * delay).as_secs_f64();
    assert!(took > 0.0 && took <= most, "{took} of {elapsed:?}");
    slimspan.stop_well().await;
}

/// Who has four seconds hears that the backend wants ten, and does not wait in vain: the usual client ends a call
/// that is not answered in its time by itself.
#[tokio::test]
async fn a_wait_that_is_longer_than_the_senders_is_the_senders() {
    let delay = Duration::from_secs(10);
    let busy = Busy::start(usize::MAX, asking_for(Code::Unavailable, delay)).await;
    let slimspan = busy.before(json!({ "initial_interval": "1ms" })).await;
    let call = Call::whole(frames::frame(0, &otlp::plain_span(1)));
    let answer = slimspan
        .sender()
        .await
        .call(call.header("grpc-timeout", "4S"))
        .await;
    assert_eq!(answer.status().code(), Code::Unavailable);
    assert_eq!(retry_after(answer.status()), Some(delay));
    assert!(busy.waits().is_empty());
    slimspan.stop_well().await;
}

/// A backend that hangs: its sender hears of it in time all the same, over gRPC and over HTTP.
#[tokio::test]
async fn an_attempt_lasts_no_longer_than_its_sender_waits() {
    let backend = Backend::hanging().await;
    let exporters = [
        (config::standard(backend.address), "otlp_grpc"),
        (config::over_http(backend.address), "otlp_http"),
    ];
    let attempts = exporters.map(async |(mut config, exporter)| {
        config["exporters"][exporter]["timeout"] = json!("1h");
        let slimspan = Slimspan::start(&config).await;
        let call = Call::whole(frames::frame(0, &otlp::plain_span(1)));
        let call = call.header("grpc-timeout", "2S");
        let sender = PatientSender::connect(slimspan.addresses[0]).await;
        let answer = sender.call(call).await;
        let (code, told) = (answer.status().code(), answer.status().message());
        assert_eq!(code, Code::Unavailable, "{exporter}: {told}");
        assert!(retry_after(answer.status()).is_some(), "{exporter}: {told}");
        // The backend heard of the same time, and may notice its end first.
        let by_backend = told.contains("Timeout expired");
        let by_exporter = told.contains("its sender had left");
        assert!(by_backend || by_exporter, "{exporter}: {told}");
        slimspan.stop_well().await;
    });
    join_all(attempts).await;
}

/// What is left of a sender's time is told the backend, which need not work for nobody: less than the sender
/// said, and no more than the exporter's own limit or, where a sender says nothing, than ten seconds.
#[tokio::test]
async fn the_backend_hears_how_long_its_sender_waits() {
    let backend = Backend::start().await;
    let mut config = config::with_http(backend.address);
    for (timeout, senders, most) in [
        ("1h", Some("4S"), 4_000),
        ("1h", None, 10_000),
        ("2s", Some("4S"), 2_000),
    ] {
        config["exporters"]["otlp_grpc"]["timeout"] = json!(timeout);
        let slimspan = Slimspan::start(&config).await;
        let request = otlp::plain_span(1);
        if let Some(senders) = senders {
            let call = Call::whole(frames::frame(0, &request)).header("grpc-timeout", senders);
            let answer = slimspan.sender().await.call(call).await;
            assert_eq!(answer.status().code(), Code::Ok);
        } else {
            let sender = slimspan.http_sender().await;
            sender.send(Signal::Traces, &request).await.unwrap();
        }
        let heard = backend.received().pop().unwrap().headers["grpc-timeout"].clone();
        let heard = heard.to_str().unwrap();
        let millis: u64 = heard.strip_suffix('m').unwrap().parse().unwrap();
        assert!(
            (1..=most).contains(&millis),
            "{timeout}: {heard} of {senders:?}"
        );
        slimspan.stop_well().await;
    }
}

#[tokio::test]
async fn what_is_refused_for_good_is_sent_once() {
    let busy = Busy::start(usize::MAX, Status::invalid_argument("no")).await;
    let slimspan = busy.before(json!({ "initial_interval": "1ms" })).await;
    let sender = slimspan.sender().await;
    let answer = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
    assert_eq!(answer.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(busy.backend.received().len(), 1);
    slimspan.stop_well().await;
}
