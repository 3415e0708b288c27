//! Which refusals leave it in doubt whether the backend has the request.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use slimspan_generators::wire::nested;
use slimspan_proto::Signal;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::Instant;

use super::otlp_grpc::OtlpGrpcExporter;
use super::otlp_grpc::config::{Compression as OverGrpc, OtlpGrpcConfig};
use super::otlp_http::OtlpHttpExporter;
use super::otlp_http::config::{Compression as OverHttp, OtlpHttpConfig};
use super::{Delivery, Departure, Divided, Oversize, Terms, Way, Wire};
use crate::client::Client;
use crate::refusal::Refusal;
use crate::tally::Tickets;
use crate::telemetry::traces::{Onward, Trace};

const NAME: &[u8] = b"a span that is looked for";

/// By either protocol, without retries.
fn deliveries(to: SocketAddr) -> [Delivery; 2] {
    let grpc = {
        let mut config = OtlpGrpcConfig::new(to.to_string().parse().unwrap());
        config.tls.insecure = true;
        config.compression = OverGrpc::None;
        config.retry_on_failure.enabled = false;
        let wire: Wire = OtlpGrpcExporter::new("grpc", &config).unwrap().into();
        Way::new("grpc".to_owned(), wire, None, config.delivery())
    };
    let http = {
        let mut config = OtlpHttpConfig::new(format!("http://{to}").parse().unwrap());
        config.compression = OverHttp::None;
        config.retry_on_failure.enabled = false;
        let wire: Wire = OtlpHttpExporter::new("http", &config).unwrap().into();
        Way::new("http".to_owned(), wire, None, config.delivery())
    };
    [grpc, http].map(|way| Delivery::new(Arc::new(way), None))
}

/// The refusal of a request, and whether it may have left.
async fn refused(delivery: &Delivery) -> (Refusal, bool) {
    let departure = Departure::watched();
    let terms = Terms {
        client: Arc::new(Client::unknown()),
        tenants: Arc::default(),
        alone: false,
        deadline: Instant::now() + Duration::from_mins(1),
        oversize: Oversize::Kept,
        divided: Divided::Never,
        tickets: Tickets::of([]),
        trace: Trace::default(),
        onward: Onward::default(),
        departure: departure.clone(),
    };
    let request = Bytes::from(nested(&[1, 2, 2, 5], NAME));
    let refused = delivery.deliver(Signal::Traces, request, &terms).await;
    (refused.unwrap_err(), departure.is_possible())
}

/// Without a connection nothing leaves.
#[tokio::test]
async fn what_nobody_is_there_for_has_not_left() {
    // Bound and not listened at: nobody else gets it meanwhile.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind(([127, 0, 0, 1], 0).into()).unwrap();
    for delivery in deliveries(nobody.local_addr().unwrap()) {
        let (refusal, left) = refused(&delivery).await;
        assert!(!left, "{refusal}");
        assert!(!refusal.is_in_doubt(), "{refusal}");
    }
}

/// A backend that breaks off when it has read the request may have kept it.
#[tokio::test]
async fn what_was_read_and_not_answered_may_have_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let backend = tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut read = Vec::new();
            while !read.windows(NAME.len()).any(|window| window == NAME) {
                if connection.read_buf(&mut read).await.unwrap_or(0) == 0 {
                    break;
                }
            }
        }
    });
    for delivery in deliveries(address) {
        let (refusal, left) = refused(&delivery).await;
        assert!(left, "{refusal}");
        assert!(refusal.is_in_doubt(), "{refusal}");
    }
    backend.abort();
}

/// A backend that says no has not taken it. One that is said to be away may have.
#[test]
fn what_a_backend_says_may_be_in_doubt() {
    for (status, is_in_doubt) in [
        (400, false),
        (401, false),
        (403, false),
        (404, false),
        (413, false),
        (429, false),
        (500, true),
        (502, true),
        (503, true),
        (504, true),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let refusal = Refusal::of_otlp_http("http", status, &HeaderMap::new(), None);
        assert_eq!(refusal.is_in_doubt(), is_in_doubt, "{status}");
    }
    let in_doubt = |code: tonic::Code| {
        let status = tonic::Status::new(code, "no");
        Refusal::of_backend("grpc", &status).is_in_doubt()
    };
    let codes = (1..=16).map(tonic::Code::from_i32);
    let doubted: Vec<i32> = codes
        .filter(|code| in_doubt(*code))
        .map(i32::from)
        .collect();
    // CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, ABORTED, INTERNAL, UNAVAILABLE, DATA_LOSS
    assert_eq!(doubted, [1, 2, 4, 10, 13, 14, 15]);
}
