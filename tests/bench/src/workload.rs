//! Requests that look like what services send.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use serde_json::json;
use slimspan_generators::{Random, fake_file};

/// A batch of `count` spans of an HTTP service with a database, about 1 KB each: what nearly all
/// telemetry is, and nothing to extract.
pub fn ordinary(count: usize) -> Bytes {
    let mut random = Random::new(1);
    request((0..count).map(|_| http_span(&mut random)).collect())
}

/// A batch of `count` chat completions, each with a picture of `size` bytes as a data URI in the
/// JSON text of its messages.
pub fn pictures(count: usize, size: usize) -> Bytes {
    let mut random = Random::new(2);
    request((0..count).map(|_| chat_span(&mut random, size)).collect())
}

/// A batch of `count` chat completions, each with a conversation of 20 KB around a picture of
/// `size` bytes.
pub fn conversations(count: usize, size: usize) -> Bytes {
    let mut random = Random::new(3);
    let spans = (0..count).map(|_| conversation_span(&mut random, size));
    request(spans.collect())
}

fn http_span(random: &mut Random) -> Span {
    let id = random.number();
    let mut attributes = vec![
        text("http.request.method", random.pick(&["GET", "POST", "PUT"])),
        text(
            "url.full",
            format!(
                "https://shop.example.com/api/v2/customers/{id}/orders?limit=50&sort=-created_at&include=items,shipments,invoices&fields=id,total,currency,status"
            ),
        ),
        text("url.path", format!("/api/v2/customers/{id}/orders")),
        text("http.route", "/api/v2/customers/{customer}/orders"),
        number(
            "http.response.status_code",
            random.pick(&[200, 200, 200, 404, 500]),
        ),
        text(
            "user_agent.original",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
        ),
        text(
            "http.request.header.accept",
            "application/json, text/plain;q=0.9, */*;q=0.8",
        ),
        text("client.address", format!("203.0.113.{}", random.below(256))),
    ];
    if random.one_in(2) {
        let join = "JOIN order_items i ON i.order_id = o.id JOIN products p ON p.id = i.product_id";
        let query = format!(
            "SELECT o.id, o.created_at, o.total_cents, o.currency, i.sku, i.quantity, p.title FROM orders o {join} WHERE o.customer_id = $1 AND o.deleted_at IS NULL ORDER BY o.created_at DESC LIMIT $2"
        );
        attributes.extend([
            text("db.system.name", "postgresql"),
            text("db.query.text", query),
            text("db.collection.name", "orders"),
            number("db.response.returned_rows", random.pick(&[0, 1, 7, 50])),
        ]);
    }
    span(
        random,
        "GET /api/v2/customers/{customer}/orders",
        attributes,
    )
}

/// A long conversation with a picture in it, as JSON.
fn conversation_span(random: &mut Random, size: usize) -> Span {
    let picture = STANDARD.encode(fake_file(random, size));
    let mut messages: Vec<_> = (0..40)
        .map(|turn| {
            let role = if turn % 2 == 0 { "user" } else { "assistant" };
            json!({"role": role, "content": PROSE.repeat(2)})
        })
        .collect();
    let picture = json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{picture}")}});
    messages.push(json!({"role": "user", "content": [picture]}));
    let messages = serde_json::Value::Array(messages);
    let attributes = vec![
        text("gen_ai.operation.name", "chat"),
        text("gen_ai.input.messages", messages.to_string()),
    ];
    span(random, "chat gpt-5.2", attributes)
}

/// A paragraph as models write them: with lines, quotes and code.
const PROSE: &str = "The chart shows \"net revenue\" by quarter.\n\n- Q1: 4.2 million\n- Q2: 4.9 million, up 17 %\n\nIn code:\n```python\nprint(f\"{total:.1f}\")\n```\nThe outlier in March is a one-off payment; without it the trend is flat. ";

fn chat_span(random: &mut Random, size: usize) -> Span {
    let picture = STANDARD.encode(fake_file(random, size));
    let messages = json!([
        {"role": "system", "content": "You describe pictures for people who cannot see them."},
        {"role": "user", "content": [
            {"type": "text", "text": "What is in this picture?"},
            {"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{picture}")}},
        ]},
    ]);
    let attributes = vec![
        text("gen_ai.operation.name", "chat"),
        text("gen_ai.request.model", "gpt-5.2"),
        text("gen_ai.input.messages", messages.to_string()),
        text(
            "gen_ai.output.messages",
            r#"[{"role":"assistant","content":"A chart."}]"#,
        ),
        number("gen_ai.usage.input_tokens", 1_105),
    ];
    span(random, "chat gpt-5.2", attributes)
}

fn request(spans: Vec<Span>) -> Bytes {
    let resource = Resource {
        attributes: vec![
            text("service.name", "checkout"),
            text(
                "service.instance.id",
                "3c9f5f0e-5c54-4a3c-9d3f-0b6a9c2f7f11",
            ),
            text("telemetry.sdk.language", "python"),
        ],
        ..Resource::default()
    };
    let scope_spans = ScopeSpans {
        scope: Some(InstrumentationScope {
            name: "opentelemetry.instrumentation.asgi".into(),
            version: "0.66b0".into(),
            ..InstrumentationScope::default()
        }),
        spans,
        ..ScopeSpans::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        }],
    };
    request.encode_to_vec().into()
}

fn span(random: &mut Random, name: &str, attributes: Vec<KeyValue>) -> Span {
    let start = 1_785_000_000_000_000_000 + random.number() % 1_000_000_000;
    Span {
        trace_id: random.bytes(16),
        span_id: random.bytes(8),
        parent_span_id: random.bytes(8),
        name: name.into(),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 12_345_678,
        attributes,
        ..Span::default()
    }
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
