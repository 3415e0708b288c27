//! A request at which slimspan fails has its answer by every way, and costs no other request.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::rt::TokioExecutor;
use slimspan_generators::wire::nested;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::admission::Limits;
use crate::auth::Gate;
use crate::exporters::faulty::{Faulty, POISON, SLOW_POISON};
use crate::exporters::otlp_grpc::config::OtlpGrpcConfig;
use crate::exporters::{Delivery, Exporter, Way, Wire};
use crate::receivers::otlp::config::{GrpcConfig, HttpConfig};
use crate::receivers::otlp::{GrpcReceiver, HttpReceiver};

/// How often a sender is asked to come back.
const TIMES: usize = 3;

type Sender = HyperClient<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>;

/// Receivers before an exporter with faults.
struct Rig {
    grpc: SocketAddr,
    http: SocketAddr,
    counters: Arc<Counters>,
    /// With one connection to each.
    http2: Sender,
    http1: Sender,
    stop: CancellationToken,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// How a request is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    Grpc,
    Protobuf,
    Json,
}

/// The status over gRPC, or over HTTP the code in the body.
struct Told {
    http: u16,
    code: i32,
    again: bool,
    headers: HeaderMap,
}

async fn rig(batch: Option<BatchConfig>) -> Rig {
    rig_of(&["traces"], batch).await
}

/// With these pipelines, all of which lead to one exporter.
async fn rig_of(ids: &[&str], batch: Option<BatchConfig>) -> Rig {
    rig_with(|parts| {
        let new = |id: &&str| parts.pipeline(id, parts.to_exporter(), batch.clone());
        ids.iter().map(new).collect()
    })
    .await
}

/// What pipelines are made of.
struct Parts {
    exporter: Arc<Exporter>,
    budget: Budget,
    counters: Arc<Counters>,
}

impl Parts {
    fn to_exporter(&self) -> Destination {
        Destination::Exporter(Arc::clone(&self.exporter), Wanted::default())
    }

    fn pipeline(&self, id: &str, to: Destination, batch: Option<BatchConfig>) -> Pipeline {
        let pipeline = Pipeline::new(
            id.parse().unwrap(),
            None,
            vec![to],
            self.budget.clone(),
            Arc::clone(&self.counters),
        );
        match batch {
            Some(batch) => pipeline.with_batch(batch, Arc::default()),
            None => pipeline,
        }
    }
}

async fn rig_with(make: impl FnOnce(&Parts) -> Vec<Pipeline>) -> Rig {
    let counters: Arc<Counters> = Arc::default();
    let budget = Budget::new(Limits {
        limit_mib: 512,
        spike_mib: 100,
    });
    let config = OtlpGrpcConfig::new("127.0.0.1:9".parse().unwrap());
    let way = Way::new(
        "otlp".to_owned(),
        Wire::Faulty(Faulty::default()),
        None,
        config.delivery(),
    );
    let exporter = Exporter::Otlp(Box::new(Delivery::new(Arc::new(way), None)));
    let exporter = Arc::new(exporter);
    let entries = EntryLimit {
        most: 1000,
        key: "max_items".to_owned(),
    };
    let mut pipelines = Pipelines::new(entries, budget.clone(), Arc::clone(&counters));
    let parts = Parts {
        exporter,
        budget: budget.clone(),
        counters: Arc::clone(&counters),
    };
    for pipeline in make(&parts) {
        pipelines.add(Arc::new(pipeline));
    }
    let pipelines = Arc::new(pipelines);
    let stop = CancellationToken::new();
    let bind = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (grpc, http) = (bind().await, bind().await);
    let rig = Rig {
        grpc: grpc.local_addr().unwrap(),
        http: http.local_addr().unwrap(),
        counters: Arc::clone(&counters),
        http2: HyperClient::builder(TokioExecutor::new())
            .http2_only(true)
            .build_http(),
        http1: HyperClient::builder(TokioExecutor::new()).build_http(),
        stop: stop.clone(),
    };
    let grpc = GrpcReceiver::new(grpc, GrpcConfig::default(), None, Gate::default());
    let http = HttpReceiver::new(http, HttpConfig::default(), None, Gate::default());
    tokio::spawn(async move {
        let of_grpc = grpc.serve(
            Arc::clone(&pipelines),
            budget.clone(),
            &counters,
            stop.clone(),
        );
        let of_http = http.serve(Arc::clone(&pipelines), budget.clone(), &counters, stop);
        tokio::join!(of_grpc, of_http);
    });
    rig
}

impl Rig {
    async fn send(&self, by: By, name: &str) -> Told {
        let protobuf = nested(&[1, 2, 2, 5], name);
        let (sender, to, body) = match by {
            By::Grpc => {
                let len = u32::try_from(protobuf.len()).unwrap().to_be_bytes();
                let path = "opentelemetry.proto.collector.trace.v1.TraceService/Export";
                let message = [&[0], &len[..], &protobuf].concat();
                (&self.http2, format!("{}/{path}", self.grpc), message)
            }
            By::Protobuf => (&self.http1, format!("{}/v1/traces", self.http), protobuf),
            By::Json => {
                let json = format!(
                    r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"name":"{name}"}}]}}]}}]}}"#
                );
                let to = format!("{}/v1/traces", self.http);
                (&self.http1, to, json.into_bytes())
            }
        };
        let request = Request::post(format!("http://{to}"))
            .header("content-type", by.content_type())
            .header("te", "trailers")
            .body(Full::new(Bytes::from(body)))
            .unwrap();
        by.told(sender.request(request).await.unwrap()).await
    }
}

impl By {
    fn content_type(self) -> &'static str {
        match self {
            Self::Grpc => "application/grpc",
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    async fn told(self, response: Response<Incoming>) -> Told {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        let body = body.to_bytes();
        let number =
            |value: Option<&HeaderValue>| value.map(|value| value.to_str().unwrap().parse());
        let code = match self {
            Self::Grpc => {
                let status = head.headers.get("grpc-status");
                number(status.or_else(|| trailers.get("grpc-status")))
                    .unwrap()
                    .unwrap()
            }
            _ if head.status == 200 => 0,
            // `code` is the first field of a `Status`.
            Self::Protobuf => i32::from(body[1]),
            Self::Json => {
                let status: serde_json::Value = serde_json::from_slice(&body).unwrap();
                i32::try_from(status["code"].as_i64().unwrap()).unwrap()
            }
        };
        assert_eq!(head.headers["content-type"], self.content_type());
        let again = match self {
            Self::Grpc => "grpc-status-details-bin",
            _ => "retry-after",
        };
        Told {
            http: head.status.as_u16(),
            code,
            again: head.headers.contains_key(again),
            headers: head.headers,
        }
    }
}

/// Rows of what is answered: UNAVAILABLE with a delay, and from the fourth time on INTERNAL.
#[tokio::test]
async fn a_fault_is_told_to_the_sender_who_stops_in_the_end() {
    let rig = rig(None).await;
    let mut faults = 0;
    for poison in [POISON, SLOW_POISON] {
        for by in [By::Grpc, By::Protobuf, By::Json] {
            for time in 0..2 * TIMES {
                // Each its own: the memory is one for all ways.
                let name = format!("{poison} {by:?}");
                let (told, neighbours) = tokio::join!(
                    rig.send(by, &name),
                    join_all((0..4).map(|_| rig.send(by, "sound")))
                );
                faults += 1;
                let is_lasting = time >= TIMES;
                let (code, http) = if is_lasting { (13, 500) } else { (14, 503) };
                assert_eq!(told.code, code, "{name}, time {time}");
                assert_eq!(told.again, !is_lasting, "{name}: {:?}", told.headers);
                let http = if by == By::Grpc { 200 } else { http };
                assert_eq!(told.http, http, "{name}");
                for neighbour in neighbours {
                    assert_eq!((neighbour.code, neighbour.http), (0, 200), "{name}");
                }
            }
        }
    }
    let counters = &rig.counters;
    assert_eq!(counters.panics.all().load(Ordering::Relaxed), faults);
    let sum = counters.items.of(Signal::Traces).read();
    assert!(sum.is_even(), "{sum:?}");
    assert_eq!((sum.refused, sum.delivered), (faults, 4 * faults));
}

/// An exporter in two pipelines has failed once at what came once, and its sender comes back as often as with one.
#[tokio::test]
async fn a_fault_on_two_ways_to_one_exporter_is_one() {
    let rig = rig_of(&["traces", "traces/again"], None).await;
    for time in 0..2 * TIMES {
        let told = rig.send(By::Grpc, POISON).await;
        let expected = if time < TIMES { 14 } else { 13 };
        assert_eq!(told.code, expected, "time {time}");
        let panics = rig.counters.panics.all().load(Ordering::Relaxed);
        assert_eq!(panics, time as u64 + 1);
    }
}

/// What is joined with it goes without it.
#[tokio::test]
async fn a_fault_in_a_batch_is_told_to_the_sender_of_what_caused_it() {
    let batch = BatchConfig {
        send_batch_size: 8,
        // All of them are joined, or the test would wait for that.
        timeout: Duration::from_hours(1),
        ..BatchConfig::default()
    };
    let rig = rig(Some(batch)).await;
    for time in 0..2 * TIMES {
        let sent = (0..8).map(|number| {
            let name = if number == 5 { POISON } else { "sound" };
            rig.send(By::Grpc, name)
        });
        let told = join_all(sent).await;
        for (number, told) in told.into_iter().enumerate() {
            let expected = match number {
                5 if time < TIMES => 14,
                5 => 13,
                _ => 0,
            };
            assert_eq!(told.code, expected, "number {number}, time {time}");
        }
    }
}

/// What is read and finds no memory did not come through the processor; what fails behind it did.
#[tokio::test]
async fn what_there_is_no_memory_for_is_refused_by_the_limiter() {
    let share = Arc::new(Share::new(1 << 20, "the memory".to_owned()));
    let rig = rig_with(|parts| {
        let pipeline = parts.pipeline("traces", parts.to_exporter(), None);
        let limiter = parts.counters.limiter("memory_limiter");
        let pipeline = pipeline.limited(vec![limiter]);
        vec![pipeline.within(Some(Arc::clone(&share)))]
    })
    .await;
    let counts = rig.counters.limiter("memory_limiter");
    let read = || [&counts.accepted, &counts.refused].map(|of| of.get(Signal::Traces));
    let taken = share.take(1 << 20).unwrap();
    assert_eq!(rig.send(By::Grpc, "sound").await.code, 14);
    assert_eq!(read(), [0, 1]);
    drop(taken);
    assert_eq!(rig.send(By::Grpc, "sound").await.code, 0);
    assert_eq!(read(), [1, 1]);
    assert_eq!(rig.send(By::Grpc, POISON).await.code, 14);
    assert_eq!(read(), [2, 1]);
}

/// What a batch sends again in halves into another pipeline has come there once.
#[tokio::test]
async fn what_goes_in_halves_is_counted_once_behind_a_connector() {
    let batch = BatchConfig {
        send_batch_size: 8,
        // All of them are joined, or the test would wait for that.
        timeout: Duration::from_hours(1),
        ..BatchConfig::default()
    };
    let rig = rig_with(|parts| {
        let behind = parts.pipeline("traces/behind", parts.to_exporter(), None);
        let to = Destination::Pipeline(Arc::new(behind));
        vec![parts.pipeline("traces", to, Some(batch))]
    })
    .await;
    let sent = (0..8).map(|number| {
        let name = if number == 5 { POISON } else { "sound" };
        rig.send(By::Grpc, name)
    });
    let told = join_all(sent).await;
    for (number, told) in told.into_iter().enumerate() {
        let expected = if number == 5 { 14 } else { 0 };
        assert_eq!(told.code, expected, "number {number}");
    }
    for id in ["traces", "traces/behind"] {
        let counts = rig.counters.pipeline(id);
        let counts = [&counts.incoming, &counts.accepted].map(|of| of.load(Ordering::Relaxed));
        assert_eq!(counts, [8, 7], "{id}");
    }
    let sum = rig.counters.items.of(Signal::Traces).read();
    assert_eq!((sum.received, sum.delivered, sum.refused), (8, 7, 1));
}
