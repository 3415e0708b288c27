//! Pages for people: what they show, where they lead, and that nothing of a payload is more than text there.

mod crowded;
mod looks;
mod order;
mod states;

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use serde_json::{Value, json};
use slimspan_proto::Signal;

use super::{Served, client::Client, with_server};
use crate::support::backend::Backend;
use crate::support::http::HttpAnswer;
use crate::support::soon;

/// A server with a catalog, and somebody who takes the slim spans.
pub(super) struct Viewed {
    pub(super) served: Served,
    _backend: Backend,
}

/// A span: its name, its service, the seconds after the first at which it begins, and its attributes.
pub(super) struct Sent<'a> {
    pub(super) trace: u8,
    pub(super) span: u8,
    pub(super) name: &'a str,
    pub(super) service: &'a str,
    pub(super) second: u64,
    pub(super) attributes: Vec<(&'a str, Any)>,
}

fn with_catalog(backend: &Backend) -> Value {
    let mut config = with_server();
    config["exporters"]["otlp_grpc"]["endpoint"] = json!(backend.address.to_string());
    config["extensions"]["artifact_store"]["catalog"] =
        json!({ "directory": "./catalog", "interval": "100ms" });
    config
}

impl Viewed {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(super) async fn start_with(change: impl FnOnce(&mut Value)) -> Self {
        let backend = Backend::start().await;
        let mut config = with_catalog(&backend);
        change(&mut config);
        Self {
            served: Served::start(&config).await,
            _backend: backend,
        }
    }

    pub(super) async fn send(&self, spans: &[Sent<'_>]) {
        let sender = self.served.slimspan.sender().await;
        let request = request(spans);
        sender.send(Signal::Traces, &request).await.unwrap();
    }

    fn pages(&self) -> &Client {
        &self.served.pages
    }

    /// A page, when it says `what`: the catalog has it a moment after the span was taken.
    async fn page_with(&self, path: &str, what: &str) -> String {
        let asking = async {
            loop {
                let answer = self.pages().get(path).await;
                let page = text(&answer);
                if page.contains(what) {
                    assert_eq!(answer.status, StatusCode::OK, "{page}");
                    return page;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        soon(what, asking).await
    }
}

fn request(spans: &[Sent<'_>]) -> Bytes {
    let pair = |key: &str, value: &Any| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(value.clone()),
        }),
        ..KeyValue::default()
    };
    let resource_spans = spans.iter().map(|sent| ResourceSpans {
        resource: Some(Resource {
            attributes: vec![pair(
                "service.name",
                &Any::StringValue(sent.service.to_owned()),
            )],
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            spans: vec![Span {
                trace_id: vec![sent.trace; 16],
                span_id: vec![sent.span; 8],
                name: sent.name.to_owned(),
                start_time_unix_nano: (1_700_000_000 + sent.second) * 1_000_000_000,
                end_time_unix_nano: (1_700_000_001 + sent.second) * 1_000_000_000,
                attributes: sent
                    .attributes
                    .iter()
                    .map(|(key, value)| pair(key, value))
                    .collect(),
                ..Span::default()
            }],
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    });
    let request = ExportTraceServiceRequest {
        resource_spans: resource_spans.collect(),
    };
    request.encode_to_vec().into()
}

fn text(answer: &HttpAnswer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

fn header<'a>(answer: &'a HttpAnswer, name: &str) -> &'a str {
    answer.headers[name].to_str().unwrap()
}
