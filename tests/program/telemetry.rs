//! What slimspan says of itself: metrics, health, pages and the log.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use bytes::Bytes;
use serde_json::{Value, json};
use slimspan::answer::Answer;
use slimspan_generators::wire::nested;
use slimspan_proto::Signal;
use tonic::{Code, Status};

use crate::support::backend::Backend;
use crate::support::conservation::conserved;
use crate::support::otlp::{bytes, data_uri, photo, text};
use crate::support::pages::{Metrics, Page, get, get_as};
use crate::support::refusing::Refusing;
use crate::support::sender::Sender;
use crate::support::slimspan::{Slimspan, run};
use crate::support::{config, otlp, soon};

/// Words that only senders say.
const CANARY: &str = "canary-7f3a";

/// Everything that tells of slimspan, on ports that the system chooses.
fn telling(backend: SocketAddr) -> Value {
    let mut config = config::standard(backend);
    config["extensions"]["health_check"] = json!({ "endpoint": "127.0.0.1:0" });
    config["extensions"]["zpages"] = json!({ "endpoint": "127.0.0.1:0" });
    config["service"]["extensions"] = json!(["artifact_store", "health_check", "zpages"]);
    let exporter = json!({ "prometheus": { "port": 0 } });
    config["service"]["telemetry"]["metrics"] = json!({
        "level": "detailed",
        "readers": [{ "pull": { "exporter": exporter } }],
    });
    config
}

/// A backend that takes traces but the third request, which it rejects in part, and the fourth.
async fn fickle() -> Backend {
    let times = std::sync::atomic::AtomicU64::new(0);
    Backend::answering(
        move |_| match times.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
            2 => Ok(otlp::partial_success(1, CANARY)),
            3 => Err(Status::invalid_argument(CANARY)),
            _ => Ok(Bytes::new()),
        },
    )
    .await
}

fn two_spans() -> Bytes {
    let span = |number: u32| vec![(CANARY.to_owned(), text(number.to_string()))];
    otlp::request(Signal::Traces, vec![span(1), span(2)])
}

/// The pages that are there for people.
const PAGES: [&str; 6] = [
    "/",
    "/debug/servicez",
    "/debug/pipelinez",
    "/debug/extensionz",
    "/debug/featurez",
    "/debug/tracez",
];

/// As dashboards ask for them that were made for a Collector without `readers`.
#[tokio::test]
async fn names_may_be_those_of_a_collector_that_nobody_gave_readers() {
    let backend = Backend::start().await;
    let mut config = telling(backend.address);
    let readers = &mut config["service"]["telemetry"]["metrics"]["readers"];
    let prometheus = &mut readers[0]["pull"]["exporter"]["prometheus"];
    for key in ["without_type_suffix", "without_units", "without_scope_info"] {
        prometheus[key] = json!(true);
    }
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let sent = sender.send(Signal::Traces, &two_spans()).await;
    sent.unwrap();
    let metrics = Metrics::of(slimspan.page("telemetry")).await;
    let by = ["receiver=\"otlp\"", "transport=\"grpc\""];
    assert_eq!(metrics.count("otelcol_receiver_accepted_spans", &by), 2);
    let page = get(slimspan.page("telemetry"), "/metrics").await.body;
    for line in [
        "# TYPE otelcol_receiver_accepted_spans unknown\n",
        "\notelcol_process_uptime ",
        "\notelcol_process_memory_rss ",
    ] {
        assert!(page.contains(line), "{line:?} in {page}");
    }
    assert!(!page.contains("_total"), "{page}");
}

/// Accepted, rejected in part, refused by the backend, malformed, queued: what is scraped has one
/// fate for every item, and is what is told at the end.
#[tokio::test]
async fn every_item_has_one_fate_and_it_is_told_twice_the_same() {
    let backend = fickle().await;
    let hanging = Backend::hanging().await;
    let mut config = telling(backend.address);
    // Log records wait in a queue for a backend that never answers.
    config["exporters"]["otlp_grpc/queued"] = config::exporter(hanging.address);
    config["exporters"]["otlp_grpc/queued"]["timeout"] = json!("1h");
    config["exporters"]["otlp_grpc/queued"]["sending_queue"] =
        json!({ "enabled": true, "num_consumers": 1, "queue_size": 2 });
    config["service"]["pipelines"]["logs"]["exporters"] = json!(["otlp_grpc/queued"]);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    for accepted in [true, true, true, false, true] {
        let answer = sender.send(Signal::Traces, &two_spans()).await;
        assert_eq!(answer.is_ok(), accepted, "{answer:?}");
    }
    let malformed = Bytes::from_static(&[0x0a, 5, 1]);
    sender.send(Signal::Traces, &malformed).await.unwrap_err();
    let log = || otlp::log(text("hello"), []);
    for accepted in [true, true, false] {
        let answer = sender.send(Signal::Logs, &log()).await;
        assert_eq!(answer.is_ok(), accepted, "{answer:?}");
    }

    let metrics = Metrics::of(slimspan.page("telemetry")).await;
    let scraped = Signal::ALL.map(|signal| {
        let label = format!("signal=\"{signal}\"");
        let of = |fate: &str| metrics.count(&format!("slimspan_items_{fate}"), &[&label]);
        assert_eq!(of("under_way"), 0);
        let fates = [
            of("received_total"),
            of("delivered_total"),
            of("rejected_total"),
            of("refused_total"),
            of("queued"),
        ];
        assert_eq!(fates[0], fates[1..].iter().sum::<u64>(), "{signal}");
        fates
    });
    assert_eq!(scraped[0], [10, 7, 1, 2, 0], "traces");
    assert_eq!(scraped[2], [3, 0, 0, 1, 2], "logs");

    // The same in the Collector's words.
    let count = |name: &str, labels: &[&str]| metrics.count(name, labels);
    let by = ["receiver=\"otlp\"", "transport=\"grpc\""];
    assert_eq!(count("otelcol_receiver_accepted_spans_total", &by), 7);
    assert_eq!(count("otelcol_receiver_refused_spans_total", &by), 3);
    assert_eq!(count("otelcol_receiver_failed_spans_total", &by), 0);
    assert_eq!(count("otelcol_receiver_accepted_log_records_total", &by), 2);
    assert_eq!(count("otelcol_receiver_refused_log_records_total", &by), 1);
    let requests = |outcome| count("otelcol_receiver_requests_total", &[outcome]);
    assert_eq!(requests("outcome=\"success\""), 6);
    assert_eq!(requests("outcome=\"refused\""), 3);
    let to = ["exporter=\"otlp_grpc\""];
    assert_eq!(count("otelcol_exporter_sent_spans_total", &to), 7);
    assert_eq!(count("otelcol_exporter_send_failed_spans_total", &to), 3);
    let queued = ["exporter=\"otlp_grpc/queued\""];
    assert_eq!(
        count("otelcol_exporter_enqueue_failed_log_records_total", &queued),
        1
    );
    assert_eq!(count("otelcol_exporter_queue_size", &queued), 2);
    assert_eq!(count("otelcol_exporter_queue_capacity", &queued), 2);
    let artifact = ["processor=\"artifact\"", "otel_signal=\"traces\""];
    assert_eq!(
        count("otelcol_processor_incoming_items_total", &artifact),
        10
    );
    assert_eq!(
        count("otelcol_processor_outgoing_items_total", &artifact),
        10
    );
    let limiter = ["processor=\"memory_limiter\""];
    for name in ["otelcol_processor_memory_limiter", "otelcol_processor"] {
        let let_through = |of: &str| count(&format!("{name}_{of}_total"), &limiter);
        // What fails behind it came through it.
        assert_eq!(let_through("accepted_spans"), 10);
        assert_eq!(let_through("accepted_log_records"), 3);
        assert_eq!(let_through("refused_spans"), 0);
        assert_eq!(let_through("refused_log_records"), 0);
    }
    // What could not be read went into no pipeline.
    let took = "otelcol_processor_internal_duration_seconds_count";
    assert_eq!(count(took, &artifact), 5);
    let refused = |labels: &[&str]| count("slimspan_requests_refused_total", labels);
    let invalid = "code=\"invalid_argument\"";
    assert_eq!(refused(&["culprit=\"backend\"", invalid]), 1);
    assert_eq!(refused(&["culprit=\"sender\"", invalid]), 1);
    assert_eq!(
        refused(&["culprit=\"slimspan\"", "code=\"unavailable\""]),
        1
    );
    assert_eq!(count("slimspan_connections_open", &[]), 1);
    assert!(metrics.sum("otelcol_process_uptime_seconds_total", &[]) > 0.0);
    assert!(metrics.sum("otelcol_process_memory_rss_bytes", &[]) > 1e6);
    assert_eq!(count("target_info", &["service_name=\"slimspan\""]), 1);
    assert!(!metrics.0.contains(CANARY), "{}", metrics.0);
    for path in PAGES {
        let page = get(slimspan.page("zpages"), path).await;
        assert_eq!(page.status, 200, "{page:?}");
        assert!(!page.body.contains(CANARY), "{page:?}");
    }

    // What is left in the queue is a dead letter by then, and told as rejected.
    let told = conserved(&slimspan.stop().await.stderr);
    for (scraped, told) in scraped.into_iter().zip(told) {
        let [received, delivered, rejected, refused, queued] = scraped;
        assert_eq!(received, told.received);
        assert_eq!(delivered, told.delivered);
        assert_eq!(refused, told.refused);
        assert_eq!(rejected + queued, told.rejected + told.queued);
    }
}

/// What a receiver cannot read has failed, and what a backend does not take was refused: of a request with both,
/// each is told as what it is.
#[tokio::test]
async fn what_fails_is_told_apart_from_what_is_refused() {
    let backend = Backend::answering(|_| Ok(otlp::partial_success(1, "too old"))).await;
    let slimspan = Slimspan::start(&telling(backend.address)).await;
    let sender = slimspan.sender().await;
    // A span whose first field reaches beyond its end.
    let broken = nested(&[1, 2, 2], b"\x0a\x05\x01");
    let request = Bytes::from([broken.clone(), two_spans().to_vec()].concat());
    let answer = sender.send(Signal::Traces, &request).await.unwrap();
    assert_eq!(Answer::from(answer).rejected(), Some(2));
    // Nothing of it goes anywhere.
    let refused = sender.send(Signal::Traces, &broken.into()).await;
    assert_eq!(refused.unwrap_err().code(), Code::InvalidArgument);
    let metrics = Metrics::of(slimspan.page("telemetry")).await;
    let by = ["receiver=\"otlp\"", "transport=\"grpc\""];
    let count = |fate: &str| metrics.count(&format!("otelcol_receiver_{fate}_spans_total"), &by);
    assert_eq!(["accepted", "refused", "failed"].map(count), [1, 1, 2]);
    let of_all = metrics.count("slimspan_items_received_total", &["signal=\"traces\""]);
    assert_eq!(of_all, 4, "each is in one of them");
}

/// Files are counted by how they stood and what they are, and nothing of what senders call them is
/// told.
#[tokio::test]
async fn files_are_counted_by_shape_and_medium() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&telling(backend.address)).await;
    let sender = slimspan.sender().await;
    let file = |seed| photo(seed, 20_000);
    let base64 = |seed| {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(file(seed))
    };
    let numbers: Vec<String> = file(4).iter().map(ToString::to_string).collect();
    let buffer = format!(r#"{{"type":"Buffer","data":[{}]}}"#, numbers.join(","));
    let word = format!("data:image/{CANARY};base64,{}", base64(5));
    let request = otlp::span([
        ("uri", data_uri(&file(1))),
        ("bytes", bytes(&file(2))),
        ("run", text(base64(3))),
        ("buffer", text(buffer)),
        (CANARY, text(word)),
        ("again", data_uri(&file(1))),
    ]);
    sender.send(Signal::Traces, &request).await.unwrap();
    sender.send(Signal::Traces, &request).await.unwrap();

    let metrics = Metrics::of(slimspan.page("telemetry")).await;
    let found = |shape: &str| {
        let labels = [&*format!("shape=\"{shape}\""), "medium=\"image\""];
        metrics.count("slimspan_artifacts_found_total", &labels)
    };
    let shapes = [
        "data_uri",
        "bytes",
        "base64",
        "byte_array",
        "python_literal",
    ];
    assert_eq!(shapes.map(found), [6, 2, 2, 2, 0], "{}", metrics.0);
    let count = |name: &str| metrics.count(name, &[]);
    assert_eq!(count("slimspan_artifacts_found_bytes_total"), 12 * 20_000);
    assert_eq!(count("slimspan_artifacts_stored_total"), 5);
    assert_eq!(count("slimspan_artifacts_deduplicated_total"), 5);
    assert_eq!(count("slimspan_store_puts_total"), 5);
    assert_eq!(count("slimspan_store_puts_bytes_total"), 5 * 20_000);
    assert_eq!(count("slimspan_store_put_duration_seconds_count"), 5);
    let (bytes_in, bytes_out) = (
        count("slimspan_received_bytes_total"),
        count("slimspan_sent_bytes_total"),
    );
    assert_eq!(bytes_in, 2 * request.len() as u64);
    assert!(bytes_out < bytes_in / 10);
    assert!(count("slimspan_artifacts_saved_bytes_total") > bytes_in / 10 * 9);
    assert_eq!(count("slimspan_memory_in_flight_bytes"), 0);
    // What requests may take of the 512 MiB of the process.
    assert_eq!(count("slimspan_memory_limit_bytes"), 384 << 20);
    assert!(!metrics.0.contains(CANARY), "{}", metrics.0);
    let log = slimspan.stop().await.stderr;
    assert!(log.contains("artifacts stored 5,"), "{log}");
}

/// Has the Collector's newer extension answer, too.
fn add_newer_health(config: &mut Value) {
    let endpoint = json!({ "endpoint": "127.0.0.1:0" });
    config["extensions"]["healthcheckv2"] = json!({ "use_v2": true, "http": endpoint });
    config["extensions"]["healthcheckv2/grpc"] = json!({ "use_v2": true, "grpc": endpoint });
    config["extensions"]["healthcheckv2/strict"] = json!({
        "use_v2": true,
        "http": endpoint,
        "component_health": { "include_recoverable_errors": true, "recovery_duration": "0s" },
    });
    let extensions = config["service"]["extensions"].as_array_mut().unwrap();
    let newer = [
        "healthcheckv2",
        "healthcheckv2/grpc",
        "healthcheckv2/strict",
    ];
    extensions.extend(newer.map(Value::from));
}

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// What `HealthCheckResponse` says.
const SERVING: &[u8] = &[8, 1];
const NOT_SERVING: &[u8] = &[8, 2];

/// Who asks over gRPC.
async fn asking(slimspan: &Slimspan) -> Sender {
    Sender::connect(slimspan.page("healthcheckv2/grpc")).await
}

/// The question about a pipeline, or about all where it is empty.
fn about(pipeline: &str) -> Bytes {
    let len = u8::try_from(pipeline.len()).unwrap();
    Bytes::from([&[10, len], pipeline.as_bytes()].concat())
}

/// What that one answers.
async fn newer_status(slimspan: &Slimspan) -> (u16, Value) {
    let Page { status, body, .. } = get(slimspan.page("healthcheckv2"), "/status").await;
    (status, serde_json::from_str(&body).unwrap())
}

async fn ready(slimspan: &Slimspan) -> (u16, Value) {
    let Page { status, body, .. } = get(slimspan.page("health_check"), "/ready").await;
    (status, serde_json::from_str(&body).unwrap())
}

async fn send(sender: &Sender, request: &Bytes) {
    // What becomes of it is not the question here.
    let _ = sender.send(Signal::Traces, request).await;
}

/// A store that fails makes slimspan unready, and not unwell.
#[tokio::test]
async fn a_store_that_fails_is_told_to_who_asks_whether_all_is_well() {
    let (backend, away) = (Backend::start().await, Refusing::start());
    let mut config = telling(backend.address);
    let store = config::with_s3(backend.address, away.address);
    config["extensions"]["artifact_store"] = store["extensions"]["artifact_store"].clone();
    add_newer_health(&mut config);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    assert_eq!(ready(&slimspan).await.0, 200);
    let (status, body) = newer_status(&slimspan).await;
    assert_eq!((status, &body["status"]), (200, &json!("StatusOK")));
    assert_eq!(body.get("error"), None, "{body}");
    for seed in 0..5 {
        send(&sender, &otlp::span_with(&photo(seed, 20_000))).await;
    }
    let (status, body) = ready(&slimspan).await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(
        body["troubles"][0]["component"],
        "extensions.artifact_store"
    );
    let (status, body) = newer_status(&slimspan).await;
    assert_eq!((status, &body["healthy"]), (200, &json!(true)), "{body}");
    assert_eq!(body["status"], "StatusRecoverableError");
    let over_grpc = asking(&slimspan).await;
    for pipeline in ["", "traces"] {
        let told = over_grpc.ask(CHECK, about(pipeline)).await.unwrap();
        assert_eq!(told, SERVING, "{pipeline}");
    }
    let unknown = over_grpc.ask(CHECK, about("traces/none")).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
    let told = body["error"].as_str().unwrap();
    assert!(told.starts_with("extensions.artifact_store: "), "{told}");
    // Where what may pass counts, it is not well.
    for (query, code) in [
        ("", 500),
        ("?pipeline=traces&verbose", 500),
        ("?pipeline=traces/nowhere", 404),
    ] {
        let path = format!("/status{query}");
        let page = get(slimspan.page("healthcheckv2/strict"), &path).await;
        assert_eq!(page.status, code, "{path}: {}", page.body);
        let is_each = page.body.contains("\"processor:artifact\":{");
        assert_eq!(is_each, query.contains("verbose"), "{path}: {}", page.body);
    }
    assert_eq!(
        get(slimspan.page("healthcheckv2"), "/ready").await.status,
        503
    );
    assert_eq!(
        get(slimspan.page("healthcheckv2"), "/config").await.status,
        404
    );
    for path in ["/", "/live"] {
        let page = get(slimspan.page("health_check"), path).await;
        assert_eq!(page.status, 200, "{page:?}");
    }
    let metrics = Metrics::of(slimspan.page("telemetry")).await;
    assert_eq!(metrics.count("slimspan_store_available", &[]), 0);
    let failures = metrics.count("slimspan_store_failures_total", &["action=\"put\""]);
    assert!(failures >= 5, "{failures}");
    assert_eq!(metrics.count("slimspan_requests_forwarded_total", &[]), 5);
}

/// So does a backend, until it is back.
#[tokio::test]
async fn a_backend_that_fails_is_told_until_it_is_back() {
    let away = Refusing::start();
    let address = away.address;
    let slimspan = Slimspan::start(&telling(address)).await;
    let sender = slimspan.sender().await;
    for _ in 0..3 {
        send(&sender, &two_spans()).await;
    }
    let (status, body) = ready(&slimspan).await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(body["troubles"][0]["component"], "exporters.otlp_grpc");
    drop(away);
    let _backend = Backend::start_at(address).await;
    sender.send(Signal::Traces, &two_spans()).await.unwrap();
    let (status, body) = ready(&slimspan).await;
    assert_eq!((status, body["status"].as_str()), (200, Some("ready")));
}

/// Who asks while slimspan stops is told so, in the configuration's own words if it has any, and that it lives.
#[tokio::test]
async fn a_slimspan_that_stops_says_so() {
    let words = json!({ "healthy": "all is well", "unhealthy": "come back later" });
    for (words, healthy, unhealthy) in [
        (Value::Null, "Server available", "Server not available"),
        (words, "all is well", "come back later"),
    ] {
        let backend = Backend::hanging().await;
        let mut config = telling(backend.address);
        let is_json = words.is_null();
        config["extensions"]["health_check"]["response_body"] = words;
        config["extensions"]["health_check"]["path"] = json!("/health");
        add_newer_health(&mut config);
        let slimspan = Slimspan::start(&config).await;
        let health = slimspan.page("health_check");
        let says = |page: &Page, status: u16, text: &str| {
            assert_eq!(page.status, status, "{page:?}");
            if is_json {
                let body: Value = serde_json::from_str(&page.body).unwrap();
                assert_eq!(body["status"], text, "{page:?}");
            } else {
                assert_eq!(page.body, text, "{page:?}");
            }
        };
        says(&get(health, "/health").await, 200, healthy);
        let sender = slimspan.sender().await;
        let waiting = tokio::spawn(async move { send(&sender, &two_spans()).await });
        backend.arrived(1).await;
        let over_grpc = asking(&slimspan).await;
        let mut watched = over_grpc.watch(WATCH, about("")).await.unwrap();
        assert_eq!(watched.message().await.unwrap().unwrap(), SERVING);
        slimspan.signal("TERM");
        let stopping = async {
            while get(health, "/health").await.status == 200 {
                tokio::task::yield_now().await;
            }
        };
        soon("it says that it stops", stopping).await;
        says(&get(health, "/health").await, 503, unhealthy);
        assert_eq!(get(health, "/ready").await.status, 503);
        assert_eq!(get(health, "/live").await.status, 200);
        let (status, body) = newer_status(&slimspan).await;
        assert_eq!((status, &body["healthy"]), (503, &json!(false)), "{body}");
        assert_eq!(body["status"], "StatusStopping");
        let told = soon("it is told", watched.message()).await;
        assert_eq!(told.unwrap().unwrap(), NOT_SERVING);
        let end = soon("it ends", watched.message()).await.unwrap_err();
        assert_eq!(end.code(), Code::Cancelled);
        assert_eq!(over_grpc.ask(CHECK, about("")).await.unwrap(), NOT_SERVING);
        slimspan.kill().await;
        waiting.await.unwrap();
    }
}

/// A name of somebody else opens no page.
#[tokio::test]
async fn pages_are_for_who_knows_this_machine() {
    let backend = Backend::start().await;
    let mut config = telling(backend.address);
    config["extensions"]["zpages"]["allowed_hosts"] = json!(["pages.example.com"]);
    let slimspan = Slimspan::start(&config).await;
    let zpages = slimspan.page("zpages");
    for (host, status) in [
        ("localhost", 200),
        ("pages.example.com", 200),
        ("evil.example.com", 403),
        ("localhost.evil.example.com", 403),
    ] {
        let page = get_as(zpages, host, "/").await;
        assert_eq!(page.status, status, "{host}");
    }
    let page = get(zpages, "/").await;
    assert!(page.headers.contains("default-src 'none'"), "{page:?}");
    assert!(page.body.contains("http-equiv=\"refresh\""), "{page:?}");
    assert!(!page.body.contains("<script"), "{page:?}");
    let gates = get(zpages, "/debug/featurez").await;
    assert!(gates.body.contains("no feature gates"), "{gates:?}");
    // A page of Go says why it is not here.
    let variables = get(zpages, "/debug/expvarz").await;
    assert_eq!(variables.status, 404, "{variables:?}");
    assert!(variables.body.contains("/metrics"), "{variables:?}");
    let pipelines = get(zpages, "/debug/pipelinez").await.body;
    assert!(
        pipelines.contains("memory_limiter, artifact"),
        "{pipelines}"
    );
}

/// Each line is an object with the Collector's keys, in a file of its own.
#[tokio::test]
async fn a_log_for_programs_goes_where_it_is_told_to() {
    let backend = Backend::start().await;
    let mut config = telling(backend.address);
    config["service"]["telemetry"]["logs"] = json!({
        "level": "debug",
        "encoding": "json",
        "output_paths": ["log.json"],
        "initial_fields": { "site": "edge \"1\"" },
        "disable_caller": false,
    });
    let slimspan = Slimspan::start(&config).await;
    let log = slimspan.folder().join("log.json");
    let sender = slimspan.sender().await;
    let malformed = Bytes::from_static(&[0x0a, 5, 1]);
    sender.send(Signal::Traces, &malformed).await.unwrap_err();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("log.json");
    std::fs::hard_link(&log, &copy)
        .or_else(|_| std::fs::copy(&log, &copy).map(drop))
        .unwrap();
    slimspan.signal("TERM");
    let ended = slimspan.exit().await;
    assert_eq!(ended.stderr, "");
    let text = std::fs::read_to_string(&copy).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for line in &lines {
        for key in ["ts", "level", "msg", "caller"] {
            assert!(line[key].is_string(), "{key}: {line}");
        }
        assert_eq!(line["site"], "edge \"1\"");
    }
    let refused = lines.iter().find(|line| line["culprit"] == "sender");
    let refused = refused.unwrap_or_else(|| panic!("{text}"));
    assert_eq!(
        (&refused["level"], &refused["signal"]),
        (&json!("debug"), &json!("traces"))
    );
    assert!(lines.iter().any(|line| line["level"] == "info"), "{text}");
}

/// That a line could not be written is told elsewhere, and with how many that was so.
#[tokio::test]
async fn a_log_that_cannot_be_written_says_so_elsewhere() {
    let backend = Backend::start().await;
    let mut config = telling(backend.address);
    config["service"]["telemetry"]["logs"] = json!({
        "level": "debug",
        // It can be opened.
        "output_paths": ["/dev/full"],
        "error_output_paths": ["troubles.log"],
    });
    let slimspan = Slimspan::start(&config).await;
    let malformed = Bytes::from_static(&[0x0a, 5, 1]);
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &malformed).await.unwrap_err();
    let file = slimspan.folder().join("troubles.log");
    let told = soon("somebody is told", async {
        loop {
            let told = std::fs::read_to_string(&file).unwrap();
            if told.ends_with('\n') {
                return told;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    let expected = "1 lines of the log cannot be written to /dev/full: No space left on device";
    assert!(told.starts_with(expected), "{told}");
    slimspan.signal("TERM");
    let ended = slimspan.exit().await;
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
}

/// What cannot be opened is an error at the start that names its key.
#[tokio::test]
async fn what_cannot_listen_or_be_written_is_named_by_its_key() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let (host, port) = (address.ip().to_string(), address.port());
    for (pointer, value, key) in [
        (
            "/service/telemetry/metrics",
            json!({ "readers": [{ "pull": { "exporter": { "prometheus": { "host": host, "port": port } } } }] }),
            "service.telemetry.metrics.readers[0]: cannot listen on",
        ),
        (
            "/service/telemetry/metrics",
            json!({ "address": address.to_string() }),
            "service.telemetry.metrics.address: cannot listen on",
        ),
        (
            "/extensions/health_check",
            json!({ "endpoint": address.to_string() }),
            "extensions.health_check.endpoint: cannot listen on",
        ),
        (
            "/extensions/zpages",
            json!({ "endpoint": address.to_string() }),
            "extensions.zpages.endpoint: cannot listen on",
        ),
        (
            "/service/telemetry",
            json!({ "metrics": { "level": "none" }, "logs": { "output_paths": ["no/such/log"] } }),
            "service.telemetry.logs.output_paths: cannot write to no/such/log",
        ),
    ] {
        let mut config = telling(address);
        *config.pointer_mut(pointer).unwrap() = value;
        let ended = start_with(&config).await;
        assert_eq!(ended.code, Some(1), "{key}: {ended:?}");
        assert!(ended.stderr.contains(key), "{key}: {ended:?}");
    }
}

async fn start_with(config: &Value) -> crate::support::slimspan::Ended {
    let folder = tempfile::tempdir().unwrap();
    let file: &Path = &folder.path().join("collector.yaml");
    std::fs::write(file, config.to_string()).unwrap();
    run(folder.path(), &["--config", "collector.yaml"]).await
}
