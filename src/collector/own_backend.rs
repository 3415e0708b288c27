//! A backend for what slimspan says of itself. It goes there past all pipelines, so that it is never counted as
//! something that came in.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use slimspan_proto::Signal;
use tokio::time::Instant;

use super::error::StartError;
use crate::client::Client;
use crate::config::Secret;
use crate::exporters::otlp_grpc::config::{Compression as OverGrpc, OtlpGrpcConfig};
use crate::exporters::otlp_grpc::{Endpoint, OtlpGrpcExporter};
use crate::exporters::otlp_http::config::{Compression as OverHttp, OtlpHttpConfig};
use crate::exporters::otlp_http::{HttpUrl, OtlpHttpExporter};
use crate::exporters::{Delivery, DeliveryConfig, Departure, Divided, Oversize, Terms, Way, Wire};
use crate::tally::Tickets;
use crate::telemetry::config::{self as telemetry, AttributeValue};
use crate::telemetry::otlp::{Compression, OtlpBackend, Protocol};
use crate::telemetry::traces::{Context, Onward, Trace};
use crate::tls::config::TlsClientConfig;

/// What sends the signal there. It is not worth as much as what is sent through slimspan: it is tried for a while,
/// and then given up.
pub(super) fn delivery(
    path: &str,
    otlp: &OtlpBackend,
    signal: Signal,
) -> Result<Delivery, StartError> {
    let http = OtlpHttpConfig::default();
    let config = DeliveryConfig {
        retry_on_failure: &http.retry_on_failure,
        sending_queue: &http.sending_queue,
        max_request_bytes: http.max_request_bytes,
        dead_letters: &http.dead_letters,
        tls: &http.tls,
        auth: None,
    };
    let way = Way::new(path.to_owned(), wire(path, otlp, signal)?, None, config);
    Ok(Delivery::new(Arc::new(way), None))
}

/// Finds out what would keep the signal from being sent there.
pub(super) fn try_out(path: &str, otlp: &OtlpBackend, signal: Signal) -> Result<(), StartError> {
    wire(path, otlp, signal).map(drop)
}

/// On what terms it is sent, until `deadline`.
pub(super) fn terms(deadline: Instant) -> Terms {
    Terms {
        client: Arc::new(Client::unknown()),
        tenants: Arc::default(),
        alone: false,
        deadline,
        // Nobody looks for dead letters of these.
        oversize: Oversize::Refused,
        divided: Divided::Never,
        tickets: Tickets::of([]),
        trace: Trace::default(),
        onward: Onward::default(),
        departure: Departure::default(),
    }
}

/// Who it is that tells.
pub(super) fn resource(resource: &telemetry::Resource) -> Resource {
    let attributes = resource.attributes().into_iter();
    Resource {
        attributes: attributes
            .map(|(key, value)| KeyValue {
                key,
                value: Some(any_value(value)),
                ..KeyValue::default()
            })
            .collect(),
        ..Resource::default()
    }
}

fn any_value(value: AttributeValue) -> AnyValue {
    let value = match value {
        AttributeValue::Text(text) => Value::StringValue(text),
        AttributeValue::Bool(value) => Value::BoolValue(value),
        AttributeValue::Int(value) => Value::IntValue(value),
        AttributeValue::Double(value) => Value::DoubleValue(value),
        AttributeValue::List(items) => Value::ArrayValue(ArrayValue {
            values: items.into_iter().map(any_value).collect(),
        }),
    };
    AnyValue { value: Some(value) }
}

/// What of it tells.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "slimspan".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

fn wire(path: &str, otlp: &OtlpBackend, signal: Signal) -> Result<Wire, StartError> {
    let failed = |reason: Box<dyn Error + Send + Sync>| StartError::OwnTelemetry {
        path: path.to_owned(),
        reason,
    };
    let tls = TlsClientConfig {
        insecure: otlp.insecure,
        ca_file: otlp.certificate.clone(),
        cert_file: otlp.client_certificate.clone(),
        key_file: otlp.client_key.clone(),
        ..TlsClientConfig::default()
    };
    let mut headers = otlp.all_headers();
    for (name, value) in Context::of_own_spans() {
        headers.insert(name.as_str().to_owned(), Secret::new(value));
    }
    let timeout = Duration::from_millis(otlp.timeout.into());
    match otlp.protocol {
        Protocol::Grpc => {
            let endpoint: Endpoint = otlp
                .endpoint
                .parse()
                .map_err(|error| failed(Box::new(error)))?;
            let config = OtlpGrpcConfig {
                headers,
                timeout,
                tls,
                compression: match otlp.compression {
                    Compression::Gzip => OverGrpc::Gzip,
                    Compression::None => OverGrpc::None,
                },
                ..OtlpGrpcConfig::new(endpoint)
            };
            let grpc = OtlpGrpcExporter::at(path, path, &config);
            Ok(grpc.map_err(|error| failed(Box::new(error)))?.into())
        }
        Protocol::Http => {
            let endpoint: HttpUrl = otlp
                .url()
                .parse()
                .map_err(|error| failed(Box::new(error)))?;
            let of =
                |wanted, path: &str| (signal == wanted).then(|| endpoint.clone().or_path(path));
            let config = OtlpHttpConfig {
                traces_endpoint: of(Signal::Traces, "/v1/traces"),
                metrics_endpoint: of(Signal::Metrics, "/v1/metrics"),
                headers,
                timeout,
                tls,
                compression: match otlp.compression {
                    Compression::Gzip => OverHttp::Gzip,
                    Compression::None => OverHttp::None,
                },
                ..OtlpHttpConfig::default()
            };
            let http = OtlpHttpExporter::at(path, path, &config);
            Ok(http.map_err(|error| failed(Box::new(error)))?.into())
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn each_attribute_is_sent_as_what_it_is() {
        let list = |items: &[&str]| {
            let items = items.iter();
            AttributeValue::List(
                items
                    .map(|item| AttributeValue::Text((*item).to_owned()))
                    .collect(),
            )
        };
        let values = [
            ("text", AttributeValue::Text("edge".to_owned())),
            ("bool", AttributeValue::Bool(true)),
            ("int", AttributeValue::Int(-7)),
            ("double", AttributeValue::Double(0.5)),
            ("list", list(&["a", "b"])),
        ];
        let attributes = values.map(|(name, value)| telemetry::Attribute {
            name: name.to_owned(),
            value: Some(value),
        });
        let sent = resource(&telemetry::Resource {
            attributes: attributes.into(),
            ..telemetry::Resource::default()
        });
        let text = |text: &str| Value::StringValue(text.to_owned());
        let any = |value| AnyValue { value: Some(value) };
        for (name, expected) in [
            ("text", text("edge")),
            ("bool", Value::BoolValue(true)),
            ("int", Value::IntValue(-7)),
            ("double", Value::DoubleValue(0.5)),
            (
                "list",
                Value::ArrayValue(ArrayValue {
                    values: vec![any(text("a")), any(text("b"))],
                }),
            ),
            ("service.name", text("slimspan")),
        ] {
            let of = |attribute: &&KeyValue| attribute.key == name;
            let found = sent.attributes.iter().find(of).unwrap();
            assert_eq!(found.value, Some(any(expected)), "{name}");
        }
    }
}
