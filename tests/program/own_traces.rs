//! Spans of slimspan about the requests that it takes.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message as _;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use slimspan_proto::Signal;
use tonic::Status;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::support::backend::Backend;
use crate::support::certificates::Authority;
use crate::support::http::{Form, post};
use crate::support::otlp::{photo, span_with};
use crate::support::pages::Metrics;
use crate::support::refusing::Refusing;
use crate::support::slimspan::Slimspan;
use crate::support::{config, frames, otlp, sender, soon};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.30.0";

/// The standard configuration, with spans to a backend for them.
fn traced(backend: SocketAddr, spans: SocketAddr, protocol: &str) -> Value {
    let mut config = config::with_http(backend);
    let exporter = json!({ "prometheus": { "port": 0 } });
    config["service"]["telemetry"] = json!({
        "metrics": { "readers": [{ "pull": { "exporter": exporter } }] },
        "resource": { "service.name": "edge", "schema_url": SCHEMA },
        "traces": { "processors": [{ "batch": {
            "schedule_delay": 10,
            "exporter": { "otlp": {
                "protocol": protocol,
                "endpoint": format!("http://{spans}"),
                "headers": { "x-key": "secret" },
            } },
        } }] },
    });
    config
}

/// All spans that a backend has, when one whose name ends so is there.
async fn spans(backend: &Backend, last: &str) -> Vec<Span> {
    let mut count = 1;
    loop {
        let requests = backend.arrived(count).await;
        let spans = of_requests(requests.iter().map(|request| &request.message));
        if spans.iter().any(|span| span.name.ends_with(last)) {
            return spans;
        }
        count = requests.len() + 1;
    }
}

fn of_requests<'m>(messages: impl Iterator<Item = &'m Bytes>) -> Vec<Span> {
    let decoded = messages.map(|message| ExportTraceServiceRequest::decode(&**message).unwrap());
    decoded
        .flat_map(|request| request.resource_spans)
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|scope| scope.spans)
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from_digit(digit.into(), 16).unwrap())
        .collect()
}

fn number(span: &Span, key: &str) -> Option<i64> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value::IntValue;
    let attribute = span.attributes.iter().find(|one| one.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        IntValue(value) => Some(*value),
        other => panic!("{key} is {other:?}"),
    }
}

fn call(request: &Bytes) -> sender::Call {
    sender::Call::whole(frames::frame(0, request))
}

/// One span for the request, in the trace of its sender, and one below it for each stage; over both
/// protocols to both kinds of backends.
#[tokio::test]
async fn a_request_has_a_span_with_its_stages_in_the_trace_of_its_sender() {
    for protocol in ["grpc", "http/protobuf"] {
        let (backend, collecting) = (Backend::start().await, Backend::start().await);
        let config = traced(backend.address, collecting.address, protocol);
        let slimspan = Slimspan::start(&config).await;
        let picture = photo(7, 40 << 10);
        let parent = format!("00-{TRACE}-{SPAN}-01");
        let call = call(&span_with(&picture)).header("traceparent", &parent);
        let answer = slimspan.sender().await.call(call).await;
        assert_eq!(answer.status().code(), tonic::Code::Ok);

        let spans = spans(&collecting, "/TraceDataReceived").await;
        let named = |name: &str| {
            let mut found = spans.iter().filter(|span| span.name == name);
            let span = found.next();
            span.unwrap_or_else(|| panic!("{protocol}: no {name} in {spans:?}"))
        };
        let root = named("receiver/otlp/TraceDataReceived");
        assert_eq!(hex(&root.trace_id), TRACE);
        assert_eq!(hex(&root.parent_span_id), SPAN);
        assert_eq!(root.kind, i32::from(SpanKind::Server));
        assert_eq!(root.status, None);
        assert_eq!(number(root, "accepted_spans"), Some(1));
        assert_eq!(number(root, "refused_spans"), Some(0));
        assert_eq!(number(root, "failed_spans"), Some(0));
        for (name, key, value) in [
            ("receiver/otlp/receive", None, 0),
            (
                "processor/artifact/extract",
                Some("slimspan.artifacts.bytes"),
                40 << 10,
            ),
            (
                "processor/artifact/store",
                Some("slimspan.artifacts.stored"),
                1,
            ),
            ("exporter/otlp_grpc/traces", None, 0),
        ] {
            let stage = named(name);
            assert_eq!(hex(&stage.trace_id), TRACE, "{name}");
            assert_eq!(stage.parent_span_id, root.span_id, "{name}");
            assert!(stage.start_time_unix_nano >= root.start_time_unix_nano);
            assert!(stage.end_time_unix_nano <= root.end_time_unix_nano);
            assert!(stage.start_time_unix_nano <= stage.end_time_unix_nano);
            if let Some(key) = key {
                assert_eq!(number(stage, key), Some(value), "{name}");
            }
        }
        assert_eq!(spans.len(), 5, "{spans:?}");

        let request = collecting.received().pop().unwrap();
        assert_eq!(
            request.path == "/v1/traces",
            protocol != "grpc",
            "{}",
            request.path
        );
        assert_eq!(request.headers["x-key"], "secret");
        // Nobody is to trace what carries spans.
        let parent = request.headers["traceparent"].to_str().unwrap();
        assert!(parent.ends_with("-00"), "{parent}");
        let decoded = ExportTraceServiceRequest::decode(&*request.message).unwrap();
        assert_eq!(decoded.resource_spans[0].schema_url, SCHEMA);
        let resource = decoded.resource_spans[0].resource.as_ref().unwrap();
        let shown = format!("{resource:?}");
        assert!(shown.contains("edge") && shown.contains("service.instance.id"));
        slimspan.stop().await;
    }
}

/// What a backend does with a request belongs below the span of the exporter, in the trace of the sender, over
/// gRPC and over HTTP; where there is no span of it, nobody else is to make one.
#[tokio::test]
async fn the_backend_hears_where_a_request_belongs() {
    for over_http in [false, true] {
        let (backend, collecting) = (Backend::start().await, Backend::start().await);
        let mut config = traced(backend.address, collecting.address, "grpc");
        if over_http {
            let exporters = config::over_http(backend.address)["exporters"].clone();
            config["exporters"] = exporters;
            let pipelines = config["service"]["pipelines"].as_object_mut().unwrap();
            for pipeline in pipelines.values_mut() {
                pipeline["exporters"] = json!(["otlp_http"]);
            }
        }
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        let send = async |headers: &[(&'static str, &str)]| {
            let call = call(&otlp::plain_span(1));
            let call = headers
                .iter()
                .fold(call, |call, (name, value)| call.header(name, value));
            let answer = sender.call(call).await;
            assert_eq!(answer.status().code(), tonic::Code::Ok, "{headers:?}");
            let headers = backend.received().pop().unwrap().headers;
            let text = |name| headers.get(name)?.to_str().ok().map(ToOwned::to_owned);
            (text("traceparent").unwrap(), text("tracestate"))
        };
        let parent = |flags: &str| format!("00-{TRACE}-{SPAN}-{flags}");
        let (told, state) =
            send(&[("traceparent", &parent("01")), ("tracestate", "a=b,c=d")]).await;
        assert_eq!(state.as_deref(), Some("a=b,c=d"));
        let spans = spans(&collecting, "/TraceDataReceived").await;
        let named = |span: &&Span| span.name.starts_with("exporter/otlp_");
        let exporter = spans.iter().find(named).unwrap();
        let expected = format!("00-{TRACE}-{}-01", hex(&exporter.span_id));
        assert_eq!(told, expected, "over HTTP: {over_http}");

        // The sender makes no spans of it.
        let (told, _) = send(&[("traceparent", &parent("00"))]).await;
        assert_eq!(told, parent("00"));
        // Nobody knows of a trace: it is a new one.
        let (told, state) = send(&[]).await;
        assert!(told.ends_with("-01") && !told.contains(TRACE), "{told}");
        assert_eq!(state, None);
        // It carries own spans of somebody, and is marked from end to end.
        let own = [
            ("traceparent", &*parent("01")),
            ("tracestate", "slimspan=own"),
        ];
        let (told, state) = send(&own).await;
        assert_eq!(
            (told, state.as_deref()),
            (parent("00"), Some("slimspan=own"))
        );
    }
}

/// Without own spans, and where nothing is to be told of traces, a backend hears of none; but what carries own
/// spans is known to do so wherever it goes.
#[tokio::test]
async fn nothing_is_told_of_traces_without_own_ones() {
    let (backend, collecting) = (Backend::start().await, Backend::start().await);
    let mut silent = traced(backend.address, collecting.address, "grpc");
    silent["service"]["telemetry"]["traces"]["propagators"] = json!([]);
    for config in [config::standard(backend.address), silent] {
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        let parent = format!("00-{TRACE}-{SPAN}-01");
        let headers = async |state: &str| {
            let call = call(&otlp::plain_span(1));
            let call = call
                .header("traceparent", &parent)
                .header("tracestate", state);
            let answer = sender.call(call).await;
            assert_eq!(answer.status().code(), tonic::Code::Ok);
            backend.received().pop().unwrap().headers
        };
        let heard = headers("a=b").await;
        assert!(!heard.contains_key("traceparent"), "{heard:?}");
        assert!(!heard.contains_key("tracestate"), "{heard:?}");
        let heard = headers("slimspan=own").await;
        assert_eq!(heard["tracestate"], "slimspan=own");
        assert_eq!(heard["traceparent"], parent.replace("-01", "-00"));
    }
}

/// What is refused is told in words of a fixed list; nothing of what was sent is.
#[tokio::test]
async fn a_refusal_is_told_and_nothing_that_was_sent() {
    const CANARY: &str = "canary-81c2";
    let backend = Backend::answering(|_| Err(Status::invalid_argument(CANARY))).await;
    let collecting = Backend::start().await;
    let config = traced(backend.address, collecting.address, "grpc");
    let slimspan = Slimspan::start(&config).await;
    let request = otlp::request(
        Signal::Logs,
        vec![vec![(CANARY.to_owned(), otlp::text(CANARY))]],
    );
    let mut http = post(Signal::Logs, Form::Protobuf, request);
    let headers = http.headers_mut();
    headers.insert("authorization", format!("Bearer {CANARY}").parse().unwrap());
    headers.insert("tracestate", format!("x={CANARY}").parse().unwrap());
    let answer = slimspan.http_sender().await.request(http).await;
    assert_eq!(answer.status, 400);
    let spans = spans(&collecting, "/LogsReceived").await;
    let root = spans.last().unwrap();
    let status = root.status.as_ref().unwrap();
    assert_eq!(status.message, "invalid_argument (backend)");
    assert_eq!(number(root, "refused_log_records"), Some(1));
    let sent = collecting.received();
    assert!(!format!("{spans:?} {sent:?}").contains(CANARY), "{spans:?}");
}

/// Senders decide; a part of the other traces is taken; and what brings own spans has none.
#[tokio::test]
async fn which_requests_have_spans() {
    let (backend, collecting) = (Backend::start().await, Backend::start().await);
    let mut config = traced(backend.address, collecting.address, "grpc");
    config["service"]["telemetry"]["traces"]["sampler"] =
        json!({ "parent_based": { "root": { "trace_id_ratio_based": { "ratio": 0 } } } });
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let with = |headers: &[(&'static str, &str)]| {
        let call = call(&otlp::plain_span(1));
        headers
            .iter()
            .fold(call, |call, (name, value)| call.header(name, value))
    };
    let parent = |flags: &str| format!("00-{TRACE}-{SPAN}-{flags}");
    for headers in [
        vec![],
        vec![("traceparent", parent("00"))],
        vec![("traceparent", "garbage".to_owned())],
        vec![
            ("traceparent", parent("01")),
            ("tracestate", "slimspan=own".to_owned()),
        ],
        vec![("traceparent", parent("01"))],
    ] {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let answer = sender.call(with(&headers)).await;
        assert_eq!(answer.status().code(), tonic::Code::Ok, "{headers:?}");
    }
    // The last one has spans, and they come behind those of all others.
    let spans = spans(&collecting, "/TraceDataReceived").await;
    let roots = spans.iter().filter(|span| span.name.contains("Received"));
    assert_eq!(roots.count(), 1, "{spans:?}");
}

/// slimspan that sends its spans to itself makes no spans about them.
#[tokio::test]
async fn own_spans_are_never_about_own_spans() {
    let backend = Backend::start().await;
    // The port is known when slimspan listens, and is needed before.
    let port = Refusing::start();
    let own = port.address;
    let mut config = traced(backend.address, own, "grpc");
    config["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] = json!(own.to_string());
    config["service"]["telemetry"]["traces"]["sampler"] = json!({ "always_on": {} });
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    sender
        .send(Signal::Logs, &otlp::log(otlp::text("hello"), []))
        .await
        .unwrap();
    // The log record, and then the spans about it, by way of slimspan itself.
    let mut seen = backend.arrived(2).await;
    sender
        .send(Signal::Logs, &otlp::log(otlp::text("again"), []))
        .await
        .unwrap();
    seen.extend(backend.arrived(4).await);
    let traces = seen.iter().filter(|one| one.signal == Signal::Traces);
    let spans = of_requests(traces.map(|request| &request.message));
    assert!(!spans.is_empty());
    let about_traces = spans.iter().find(|span| span.name.contains("TraceData"));
    assert_eq!(about_traces, None);
}

/// A backend for spans that hangs holds nobody up: what does not fit is dropped, and counted.
#[tokio::test]
async fn requests_never_wait_for_spans() {
    let (backend, hanging) = (Backend::start().await, Backend::hanging().await);
    let mut config = traced(backend.address, hanging.address, "grpc");
    let batch = &mut config["service"]["telemetry"]["traces"]["processors"][0]["batch"];
    batch["max_queue_size"] = json!(8);
    batch["max_export_batch_size"] = json!(4);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    for number in 0..30 {
        let span = otlp::plain_span(number);
        sender.send(Signal::Traces, &span).await.unwrap();
    }
    // Four spans each: no more than two batches, and those that wait, can be anywhere.
    let dropped = async {
        loop {
            let metrics = Metrics::of(slimspan.page("telemetry")).await;
            let dropped = metrics.count("slimspan_own_spans_dropped_total", &[]);
            if dropped >= 30 * 4 - 16 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("spans are dropped", dropped).await;
    assert_eq!(backend.received().len(), 30);
}

/// Over TLS they go to whom `certificate` is of and to nobody else, with the certificate that slimspan is to show,
/// over both protocols.
#[tokio::test]
async fn own_spans_go_over_tls_to_whom_is_trusted_and_show_a_certificate() {
    let (authority, stranger) = (&Authority::new(), &Authority::new());
    let own = &authority.issue("slimspan.test");
    let server = authority.issue("127.0.0.1");
    let asking = &ServerTlsConfig::new()
        .identity(Identity::from_pem(&server.certificate, &server.key))
        .client_ca_root(Certificate::from_pem(authority.pem()));
    let cases = ["grpc", "http/protobuf"].into_iter().flat_map(|protocol| {
        [
            ("ca.pem", Some("own"), true),
            ("stranger.pem", Some("own"), false),
            ("ca.pem", Some("strange"), false),
            ("ca.pem", None, false),
        ]
        .map(|case| (protocol, case))
    });
    let attempts = cases.map(|(protocol, (trusted, shown, arrives))| async move {
        let backend = Backend::start().await;
        let collecting = Backend::with_tls(asking.clone()).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        std::fs::write(folder.path().join("stranger.pem"), stranger.pem()).unwrap();
        own.write(folder.path(), "own");
        let strange = stranger.issue("slimspan.test");
        strange.write(folder.path(), "strange");
        let mut config = traced(backend.address, collecting.address, protocol);
        let batch = &mut config["service"]["telemetry"]["traces"]["processors"][0]["batch"];
        let to = &mut batch["exporter"]["otlp"];
        to["endpoint"] = json!(format!("https://{}", collecting.address));
        to["certificate"] = json!(trusted);
        if let Some(name) = shown {
            to["client_certificate"] = json!(format!("{name}.pem"));
            to["client_key"] = json!(format!("{name}.key"));
        }
        if !arrives {
            // Until then it is tried again.
            batch["export_timeout"] = json!(300);
        }
        let slimspan = Slimspan::start_in(folder, &config).await;
        let sender = slimspan.sender().await;
        let request = otlp::plain_span(1);
        sender.send(Signal::Traces, &request).await.unwrap();
        let what = format!("{protocol}, trusting {trusted}, showing {shown:?}");
        if arrives {
            spans(&collecting, "/TraceDataReceived").await;
            let der = CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap();
            for received in collecting.received() {
                assert_eq!(received.shown.as_deref(), Some(&*der), "{what}");
            }
            return;
        }
        let dropped = async {
            while Metrics::of(slimspan.page("telemetry"))
                .await
                .count("slimspan_own_spans_dropped_total", &[])
                == 0
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon(&what, dropped).await;
        assert!(collecting.received().is_empty(), "{what}");
        assert_eq!(backend.received().len(), 1, "{what}");
    });
    join_all(attempts).await;
}
