//! The receiver of the running slimspan, over whatever it speaks.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use slimspan_proto::Signal;

use crate::answer::Answer;
use crate::auth::Credentials;
use crate::auth::config::AuthConfig;
use crate::config::{Config, InvalidSocket, PipelineConfig, ReceiverConfig, Socket};
use crate::exporters::otlp_grpc::config::{Compression, OtlpGrpcConfig};
use crate::exporters::otlp_grpc::{Endpoint, OtlpGrpcExporter, Place};
use crate::exporters::otlp_http::OtlpHttpExporter;
use crate::exporters::otlp_http::config::{self as http, OtlpHttpConfig};
use crate::receivers::otlp::config::{GrpcConfig, HttpConfig};
use crate::refusal::Refusal;
use crate::telemetry::traces::Onward;
use crate::tls::config::TlsClientConfig;

/// Where the demo sends to.
pub(super) enum Receiver {
    Grpc(OtlpGrpcExporter),
    Http(OtlpHttpExporter),
}

impl Receiver {
    /// A receiver of a pipeline, by gRPC if one has that, and whom it lets in. It listens at `endpoint`,
    /// if not where the configuration says.
    pub(super) fn find<'c>(
        config: &'c Config,
        wiring: &PipelineConfig,
        endpoint: Option<&Endpoint>,
    ) -> anyhow::Result<(Self, Option<&'c AuthConfig>)> {
        let receivers = || {
            let ids = wiring.receivers.iter();
            let configured = ids.filter_map(|id| config.receivers.get(id));
            configured.map(|ReceiverConfig::Otlp(otlp)| &otlp.protocols)
        };
        if let Some(grpc) = receivers().find_map(|protocols| protocols.grpc.as_ref()) {
            return Ok((Self::grpc(grpc, endpoint)?, grpc.auth.as_ref()));
        }
        let http = receivers().find_map(|protocols| protocols.http.as_ref());
        let http = http.context("the pipeline has no receiver that the demo could send to")?;
        Ok((Self::http(http, endpoint)?, http.auth.as_ref()))
    }

    fn grpc(receiver: &GrpcConfig, endpoint: Option<&Endpoint>) -> anyhow::Result<Self> {
        let endpoint = chosen(endpoint, receiver.socket(), receiver.tls.is_some())?;
        let mut exporter = OtlpGrpcConfig::new(endpoint);
        exporter.tls = tls();
        exporter.compression = Compression::None;
        Ok(Self::Grpc(OtlpGrpcExporter::new("demo", &exporter)?))
    }

    fn http(receiver: &HttpConfig, endpoint: Option<&Endpoint>) -> anyhow::Result<Self> {
        let endpoint = chosen(endpoint, receiver.socket(), receiver.tls.is_some())?;
        let Endpoint { place, tls: of } = endpoint;
        let Place::Tcp(address) = place else {
            bail!(
                "the demo sends to {place} over gRPC alone: give the receiver grpc, too, or http without \
                 transport: unix"
            );
        };
        let is_protected = of.unwrap_or_else(|| receiver.tls.is_some());
        let scheme = if is_protected { "https" } else { "http" };
        let path = &receiver.traces_url_path;
        let exporter = OtlpHttpConfig {
            traces_endpoint: Some(format!("{scheme}://{address}{path}").parse()?),
            compression: http::Compression::None,
            tls: tls(),
            ..OtlpHttpConfig::default()
        };
        Ok(Self::Http(OtlpHttpExporter::new("demo", &exporter)?))
    }

    /// Sends a request once.
    pub(super) async fn send(
        &self,
        request: &Bytes,
        credentials: Credentials<'_>,
    ) -> Result<Answer, Refusal> {
        let request = request.clone();
        match self {
            Self::Grpc(grpc) => {
                let prepared = grpc.prepare(Signal::Traces, request).await?;
                grpc.send(&prepared, credentials, &Onward::default(), None)
                    .await
            }
            Self::Http(http) => {
                let prepared = http.prepare(Signal::Traces, request).await?;
                http.send(&prepared, credentials, &Onward::default(), None)
                    .await
            }
        }
    }
}

/// Where the receiver is: where somebody says, or where it listens.
fn chosen(
    said: Option<&Endpoint>,
    socket: Result<Socket, InvalidSocket>,
    is_protected: bool,
) -> Result<Endpoint, InvalidSocket> {
    if let Some(said) = said {
        return Ok(said.clone());
    }
    Ok(Endpoint {
        place: match socket? {
            Socket::Tcp(address, _) => Place::Tcp(address),
            Socket::Unix(path) => Place::Unix(path),
        },
        tls: Some(is_protected),
    })
}

/// The files of the demo are known beforehand, so it matters little who gets them. That they are in the
/// right store afterwards is looked at.
fn tls() -> TlsClientConfig {
    TlsClientConfig {
        insecure: true,
        insecure_skip_verify: true,
        ..TlsClientConfig::default()
    }
}
