//! OTLP/JSON, row by row of the inputs that must not hurt: rows 67 to 84.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;
use slimspan_proto::Signal;

use crate::support::backend::Backend;
use crate::support::canaries::{self, Answers, CANARY};
use crate::support::conservation::conserved_of;
use crate::support::http::{Form, HttpSender};
use crate::support::pages::Metrics;
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

const MIB: usize = 1 << 20;

/// What becomes of a request with one odd span between two good ones, or of a request of its own.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// Everything goes on.
    Forwarded,
    /// Everything goes on, and the sender is told something.
    Warned(&'static str),
    /// The odd span is rejected, the good ones go on.
    Rejected(&'static str),
    /// Nothing goes on, for good.
    Refused(u16, &'static str),
}

/// The names of the good ones, which nobody is told.
const FIRST: &str = "first c4n4ry";
const LAST: &str = "last c4n4ry";

/// A span with these members beside its name, between two good ones.
fn between(members: &str) -> String {
    let attributes = format!(r#"[{{"key":"{CANARY}","value":{{"stringValue":"{CANARY}"}}}}]"#);
    let span = |first: &str, name: &str, members: &str| {
        format!(
            r#"{{{first}"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","traceState":"{CANARY}","status":{{"message":"{CANARY}"}},"events":[{{"name":"{CANARY}","attributes":{attributes}}}],"name":"{name}"{members}}}"#
        )
    };
    let of_good = format!(r#""attributes":{attributes},"#);
    let spans = [
        span(&of_good, FIRST, ""),
        span("", CANARY, members),
        span(&of_good, LAST, ""),
    ];
    // What stands at its end is changed in some rows.
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":{attributes}}},"scopeSpans":[{{"scope":{{"name":"{CANARY}"}},"spans":[{}]}}]}}]}}"#,
        spans.join(",")
    )
}

/// The same with an attribute of this value.
fn with_value(value: &str) -> String {
    between(&format!(r#","attributes":[{{"key":"a","value":{value}}}]"#))
}

fn nested(depth: usize) -> String {
    let open = r#"{"arrayValue":{"values":["#.repeat(depth);
    format!("{open}{}", "]}}".repeat(depth))
}

fn rows() -> Vec<(u32, &'static str, Vec<u8>, Expected)> {
    use Expected::{Forwarded, Refused, Rejected, Warned};

    let broken = |says| Refused(400, says);
    let whole = |text: &str| text.as_bytes().to_vec();
    let good = between("");
    let mut not_utf8 = with_value(r#"{"stringValue":"caf?"}"#).into_bytes();
    let at = not_utf8.iter().position(|byte| *byte == b'?').unwrap();
    not_utf8[at] = 0xe9;
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let value = |value: &str| with_value(value).into_bytes();
    let span = |members: &str| between(members).into_bytes();
    vec![
        (
            67,
            "a member twice",
            whole(&good.replace(r#""scopeSpans""#, r#""scopeSpans":[],"scopeSpans""#)),
            broken("twice"),
        ),
        (
            68,
            "two values",
            value(r#"{"stringValue":"x","intValue":"1"}"#),
            Rejected("excludes"),
        ),
        (
            69,
            "an unknown value",
            value(r#"{"fooValue":1}"#),
            Forwarded,
        ),
        (
            69,
            "an unknown member",
            span(r#","foo":{"bar":[1,null,{}]}"#),
            Forwarded,
        ),
        (
            70,
            "snake_case",
            whole(&good.replace("]}]}]}", "]}]}],\"resource_spans\":[]}")),
            Warned("resource_spans"),
        ),
        (
            71,
            "bytes without padding",
            value(r#"{"bytesValue":"aGk"}"#),
            Forwarded,
        ),
        (
            71,
            "bytes of the other alphabet",
            value(r#"{"bytesValue":"-_-_"}"#),
            Forwarded,
        ),
        (
            71,
            "no bytes",
            value(r#"{"bytesValue":"!"}"#),
            Rejected("base64"),
        ),
        (
            72,
            "no number",
            value(r#"{"doubleValue":"NaN"}"#),
            Forwarded,
        ),
        (
            72,
            "all numbers",
            value(r#"{"doubleValue":"-Infinity"}"#),
            Forwarded,
        ),
        (
            73,
            "a bare NaN",
            value(r#"{"doubleValue":NaN}"#),
            broken("JSON"),
        ),
        (
            73,
            "a comma more",
            whole(&good.replace("]}]}]}", "]}]},]}")),
            broken("JSON"),
        ),
        (
            73,
            "a comment",
            whole(&format!("/* x */{good}")),
            broken("JSON"),
        ),
        (
            73,
            "single quotes",
            whole(&good.replace('"', "'")),
            broken("JSON"),
        ),
        (
            74,
            "half a pair",
            value(r#"{"stringValue":"\ud800"}"#),
            Rejected("surrogate"),
        ),
        (
            74,
            "a pair",
            value(r#"{"stringValue":"\ud83d\ude00"}"#),
            Forwarded,
        ),
        (75, "NUL", value(r#"{"stringValue":"a\u0000b"}"#), Forwarded),
        (
            76,
            "a large number",
            value(r#"{"intValue":9007199254740993}"#),
            Forwarded,
        ),
        (
            76,
            "a number as text",
            value(r#"{"intValue":"-9223372036854775808"}"#),
            Forwarded,
        ),
        (
            76,
            "a whole number with a point",
            value(r#"{"intValue":1.0}"#),
            Forwarded,
        ),
        (
            76,
            "half a number",
            value(r#"{"intValue":1.5}"#),
            Rejected("number"),
        ),
        (
            76,
            "too large",
            value(r#"{"intValue":"9223372036854775808"}"#),
            Rejected("number"),
        ),
        (
            77,
            "an enum by name",
            span(r#","kind":"SPAN_KIND_SERVER""#),
            Rejected("enum"),
        ),
        (77, "an enum by number", span(r#","kind":2"#), Forwarded),
        (
            78,
            "half a byte",
            span(r#","parentSpanId":"eee""#),
            Rejected("hexadecimal"),
        ),
        (
            78,
            "no hex",
            span(r#","parentSpanId":"zzzz""#),
            Rejected("hexadecimal"),
        ),
        (
            78,
            "upper case",
            span(r#","parentSpanId":"EEE19B7EC3C1B174""#),
            Forwarded,
        ),
        (79, "30 deep", value(&nested(30)), Forwarded),
        (
            79,
            "10,000 deep",
            value(&nested(10_000)),
            Rejected("deeper"),
        ),
        (80, "a list", whole("[]"), broken("JSON")),
        (80, "null", whole("null"), broken("JSON")),
        (80, "text", whole("\"x\""), broken("JSON")),
        (80, "nothing", whole(""), broken("")),
        (
            81,
            "a byte order mark",
            whole(&format!("\u{feff}{good}")),
            broken("byte order mark"),
        ),
        (81, "UTF-16", utf16, broken("")),
        (
            81,
            "garbage after it",
            whole(&format!("{good}x")),
            broken("more text"),
        ),
        (
            81,
            "two documents",
            whole(&format!("{good}{good}")),
            broken("more text"),
        ),
        (
            82,
            "4 MiB of spans",
            whole(&format!(
                r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}{{}}]}}]}}]}}"#,
                "{},".repeat(4 * MIB / 3)
            )),
            Refused(413, "protocols.http.max_items"),
        ),
        (
            83,
            "a long number",
            value(&format!(r#"{{"intValue":{}}}"#, "1".repeat(MIB))),
            broken("too long"),
        ),
        (
            83,
            "a long exponent",
            value(&format!(r#"{{"doubleValue":1e{}}}"#, "1".repeat(MIB))),
            broken("too long"),
        ),
        (
            83,
            "a long name",
            value(&format!(r#"{{"{}":1}}"#, "x".repeat(MIB))),
            broken("too long"),
        ),
        (84, "a text that is not UTF-8", not_utf8, broken("UTF-8")),
    ]
}

/// Good requests between the rows succeed, on the same connection too.
#[tokio::test]
async fn every_request_has_the_answer_that_its_row_says() {
    let backend = Backend::start().await;
    let slimspan = canaries::start(config::with_http(backend.address)).await;
    let sender = slimspan.http_sender().await;
    let (mut arrived, mut rejected) = (0, 0);
    let mut answers = Answers::default();
    for (row, what, body, expected) in rows() {
        let before = slimspan.peak_memory();
        let answer = sender.post(Signal::Traces, Form::Json, body).await;
        answers.add(&answer);
        let spans = || {
            assert_eq!(backend.count(), arrived + 1, "{row} {what}");
            spans(&backend.message(arrived))
        };
        let partial = |rejected: Option<&str>, says: &str| {
            let partial = &answer.json()["partialSuccess"];
            let told = partial["errorMessage"].as_str().unwrap_or_default();
            assert!(told.contains(says), "{row} {what}: {answer:?}");
            assert_eq!(partial["rejectedSpans"].as_str(), rejected, "{row} {what}");
        };
        match expected {
            Expected::Forwarded => {
                assert_eq!(answer.body, "{}", "{row} {what}: {answer:?}");
                assert_eq!(spans().len(), 3, "{row} {what}");
            }
            Expected::Warned(says) => {
                partial(None, says);
                assert_eq!(spans().len(), 3, "{row} {what}");
            }
            Expected::Rejected(says) => {
                partial(Some("1"), says);
                let names: Vec<_> = spans().into_iter().map(|span| span.name).collect();
                assert_eq!(names, [FIRST, LAST], "{row} {what}");
                rejected += 1;
            }
            Expected::Refused(status, says) => {
                assert_eq!(answer.status, status, "{row} {what}: {answer:?}");
                let told = answer.refusal(Form::Json);
                assert!(told.message().contains(says), "{row} {what}: {told}");
                assert_eq!(backend.count(), arrived, "{row} {what}");
            }
        }
        arrived = backend.count();
        let grown = slimspan.peak_memory().saturating_sub(before);
        assert!(grown < 64 * MIB as u64, "{row} {what}: {} MiB", grown >> 20);
        good(&sender).await;
        arrived += 1;
    }
    let ended = answers.end(slimspan, "program::http::json").await;
    let traces = conserved_of(Signal::Traces, &ended.stderr);
    assert_eq!(traces.rejected, rejected, "{traces:?}");
}

async fn good(sender: &HttpSender) {
    let answer = sender.post(Signal::Traces, Form::Json, between("")).await;
    assert_eq!(answer.body, "{}", "{answer:?}");
}

fn spans(request: &Bytes) -> Vec<Span> {
    let request = ExportTraceServiceRequest::decode(request.clone()).unwrap();
    let resources = request.resource_spans.into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

/// Where nothing of a request can be read, it is refused as a whole: OTLP calls it a partial success where a
/// part is accepted.
#[tokio::test]
async fn nothing_sound_is_no_partial_success() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::with_http(backend.address)).await;
    let sender = slimspan.http_sender().await;
    let odd = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [
        { "name": "a", "kind": "SERVER" }, { "name": "b", "kind": "SERVER" },
    ] }] }] });
    let answer = sender
        .post(Signal::Traces, Form::Json, odd.to_string())
        .await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let told = answer.refusal(Form::Json);
    assert!(told.message().contains("rejected 2 of 2 spans"), "{told}");
    // Nothing at all is a success.
    for nothing in ["{}", r#"{"resourceSpans":[]}"#] {
        let answer = sender.post(Signal::Traces, Form::Json, nothing).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body[..]),
            (200, &b"{}"[..])
        );
    }
    assert!(backend.received().is_empty());
    let ended = slimspan.stop().await;
    let traces = conserved_of(Signal::Traces, &ended.stderr);
    assert_eq!((traces.received, traces.refused), (2, 2));
}

/// Rows 69 and 70: of what OTLP does not have nothing is taken. Where its sender meant what OTLP has, it is told
/// so, also where nothing else was sent; whoever looks at the metrics sees both.
#[tokio::test]
async fn members_that_are_ignored_are_counted() {
    let backend = Backend::start().await;
    let mut config = config::with_http(backend.address);
    config::tell_metrics(&mut config);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.http_sender().await;
    let counted = async || {
        let metrics = Metrics::of(slimspan.page("telemetry")).await;
        assert!(!metrics.0.contains("canary"), "{}", metrics.0);
        ["traces", "metrics", "logs"].map(|signal| {
            ["snake_case", "other"].map(|spelling| {
                let labels = [
                    &*format!("signal=\"{signal}\""),
                    &*format!("spelling=\"{spelling}\""),
                ];
                metrics.count("slimspan_json_members_ignored_total", &labels)
            })
        })
    };
    assert_eq!(counted().await, [[0, 0], [0, 0], [0, 0]]);

    let snake_case = between("").replace("resourceSpans", "resource_spans");
    let answer = sender.post(Signal::Traces, Form::Json, snake_case).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let partial = &answer.json()["partialSuccess"];
    let told = partial["errorMessage"].as_str().unwrap_or_default();
    assert!(told.contains("resource_spans"), "{answer:?}");
    assert!(partial["rejectedSpans"].is_null(), "{answer:?}");
    assert!(backend.received().is_empty());
    assert_eq!(counted().await, [[1, 0], [0, 0], [0, 0]]);

    let unknown =
        between(r#","canary":{"bar":[1,null,{}]},"attributes":[{"key":"a","value":{"canary":1}}]"#);
    let answer = sender.post(Signal::Traces, Form::Json, unknown).await;
    assert_eq!(answer.body, "{}", "{answer:?}");
    assert_eq!(spans(&backend.only()).len(), 3);
    assert_eq!(counted().await, [[1, 2], [0, 0], [0, 0]]);

    // One that is so large that it is read elsewhere.
    let large = format!(r#"{{"resourceLogs":[],"canary":"{}"}}"#, "x".repeat(MIB));
    let answer = sender.post(Signal::Logs, Form::Json, large).await;
    assert_eq!(answer.body, "{}", "{answer:?}");
    // What is refused as a whole is counted as that.
    let broken = r#"{"canary":1,"resource_logs":[}"#;
    let answer = sender.post(Signal::Logs, Form::Json, broken).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(counted().await, [[1, 2], [0, 0], [0, 1]]);
}

/// Every signal in its own words.
#[tokio::test]
async fn partial_success_has_the_words_of_its_signal() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::with_http(backend.address)).await;
    let sender = slimspan.http_sender().await;
    let logs = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [
        { "body": { "stringValue": "good" } }, { "traceId": "x" },
    ] }] }] });
    let point = json!({ "asInt": "1", "timeUnixNano": "1" });
    let metrics = json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": [
        { "name": "good", "gauge": { "dataPoints": [point] } },
        { "name": "odd", "gauge": { "dataPoints": [{ "asInt": "x" }] } },
    ] }] }] });
    for (signal, body, rejected) in [
        (Signal::Logs, logs, "rejectedLogRecords"),
        (Signal::Metrics, metrics, "rejectedDataPoints"),
    ] {
        let answer = sender.post(signal, Form::Json, body.to_string()).await;
        let partial = &answer.json()["partialSuccess"];
        assert_eq!(partial[rejected], "1", "{answer:?}");
    }
    assert_eq!(backend.received().len(), 2);
}

/// A text that is larger than what it stands for is charged like any other, and large ones come through.
#[tokio::test]
async fn large_texts_come_through() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::with_http(backend.address)).await;
    let sender = slimspan.http_sender().await;
    let request = otlp::sized_span(3 * MIB);
    let answer = sender
        .post(
            Signal::Traces,
            Form::Json,
            Form::Json.write(Signal::Traces, &request),
        )
        .await;
    assert_eq!(answer.body, "{}", "{answer:?}");
    assert_eq!(spans(&backend.only()), spans(&request));
}
