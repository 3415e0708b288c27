//! A backend may be anybody's: its answer is read as far as answers go, and no further, however small it
//! is while it is compressed.

use std::collections::BTreeMap;
use std::convert::Infallible;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use slimspan_proto::Signal;
use tonic::Code;
use tonic::body::Body;

use crate::support::backend::{Backend, Reply};
use crate::support::frames::{compress, frame};
use crate::support::sender::retry_after;
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

const MIB: usize = 1 << 20;

/// What the bombs become: a field that no answer has, of zeros, so that a decoder would take it.
const EXPANDED: usize = 192 * MIB;

/// What slimspan may take for one: the answer's limit, twice, and what a process is off by.
const ALLOWED: usize = 64 * MIB;

fn bomb(compression: &str) -> Bytes {
    let mut answer = Vec::with_capacity(EXPANDED);
    // Field 15, with its length in four bytes.
    answer.push(15 << 3 | 2);
    let mut rest = EXPANDED - 5;
    for more in [0x80, 0x80, 0x80, 0] {
        answer.push((rest & 0x7f) as u8 | more);
        rest >>= 7;
    }
    answer.resize(EXPANDED, 0);
    compress(compression, &answer).into()
}

/// An answer over HTTP.
fn over_http(status: StatusCode, compression: &str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::new(Full::new(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let protobuf = HeaderValue::from_static("application/x-protobuf");
    headers.insert("content-type", protobuf);
    headers.insert("content-encoding", compression.parse().unwrap());
    response
}

/// A success over gRPC.
fn over_grpc(compression: &str, body: &Bytes) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = Full::new(frame(1, body));
    let body = body.with_trailers(std::future::ready(Some(Ok::<_, Infallible>(trailers))));
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-encoding", compression.parse().unwrap());
    response
}

/// Neither a success nor a refusal takes more memory than an answer may have, by each exporter and in each
/// compression.
#[tokio::test]
async fn an_answer_that_expands_is_not_kept() {
    let (ok, refused) = (StatusCode::OK, StatusCode::BAD_REQUEST);
    let bombs = ["gzip", "zstd", "deflate"].map(|compression| (compression, bomb(compression)));
    let bombs = BTreeMap::from(bombs);
    for (by_http, status, compressions) in [
        (true, ok, &["gzip", "zstd", "deflate"][..]),
        (true, refused, &["zstd"]),
        (false, ok, &["gzip", "zstd"]),
    ] {
        for &compression in compressions {
            let body = bombs[compression].clone();
            assert!(body.len() < 2 * MIB, "{compression}: {}", body.len());
            let backend = Backend::replying_with(move |_| {
                Reply::Raw(if by_http {
                    over_http(status, compression, body.clone())
                } else {
                    over_grpc(compression, &body)
                })
            })
            .await;
            let config = if by_http {
                config::over_http(backend.address)
            } else {
                config::standard(backend.address)
            };
            let slimspan = Slimspan::start(&config).await;
            let sender = slimspan.sender().await;
            let before = slimspan.peak_memory();
            let told = sender.send(Signal::Traces, &otlp::plain_span(1)).await;
            let told = told.unwrap_err();
            let what = format!("{compression}, over HTTP: {by_http}, {status}: {told}");
            if status == refused {
                // It counts by its status.
                assert_eq!(told.code(), Code::InvalidArgument, "{what}");
            } else {
                assert_eq!(told.code(), Code::Unavailable, "{what}");
                assert!(told.message().contains("cannot be decompressed"), "{what}");
                assert!(retry_after(&told).is_some(), "{what}");
            }
            let grown = slimspan.peak_memory().saturating_sub(before);
            assert!(grown < ALLOWED as u64, "{what}: {} MiB", grown >> 20);
            slimspan.stop_well().await;
        }
    }
}
