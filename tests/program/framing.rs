//! gRPC as it may come. What is broken before it is protobuf is in `transport`.

use bytes::Bytes;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tonic::Code;

use crate::support::backend::Backend;
use crate::support::canaries::{self, Answers};
use crate::support::frames::frame;
use crate::support::references::{references, restored};
use crate::support::sender::Call;
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

/// Whatever compression comes in and whatever goes out, the request is the same.
#[tokio::test]
async fn every_compression_in_and_out() {
    for (out, encoding) in [
        (None, Some("gzip")),
        (Some("zstd"), Some("zstd")),
        (Some("snappy"), Some("snappy")),
        (Some("none"), None),
    ] {
        let backend = Backend::start().await;
        let mut config = config::standard(backend.address);
        if let Some(out) = out {
            config["exporters"]["otlp_grpc"]["compression"] = out.into();
        }
        let slimspan = Slimspan::start(&config).await;
        let sender = slimspan.sender().await;
        // The last one is compressed elsewhere than small ones, on its way in and out.
        for request in [
            otlp::plain_span(1),
            otlp::span_with(otlp::PICTURE),
            otlp::sized_span(300_000),
        ] {
            sender.send(Signal::Traces, &request).await.unwrap();
            for compression in ["gzip", "zstd", "snappy"] {
                let answer = sender.send_compressed(&request, compression).await;
                assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
            }
            let received = backend.received();
            for one in &received[received.len() - 4..] {
                assert_eq!(one.encoding.as_deref(), encoding);
                let back = restored(Signal::Traces, &one.message, &slimspan.artifacts());
                assert!(back == request);
            }
        }
        assert_eq!(backend.received().len(), 12);
    }
}

/// The byte that is named is the one that is wrong.
#[tokio::test]
async fn broken_protobuf_is_refused_with_its_place() {
    let backend = Backend::start().await;
    let slimspan = canaries::start(config::standard(backend.address)).await;
    let (sender, mut answers) = (slimspan.sender().await, Answers::default());
    let span = canaries::span();
    let mut broken = span.to_vec();
    broken.extend_from_slice(&[0x0a, 0x7f, 0x01]);
    for signal in Signal::READ {
        let refused = sender.send(signal, &Bytes::from(broken.clone())).await;
        answers.add(&refused);
        let status = refused.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{signal}: {status}");
        let named: usize = status
            .message()
            .split_once("at byte ")
            .and_then(|(_, rest)| rest.split(':').next()?.parse().ok())
            .unwrap();
        assert!((span.len()..broken.len()).contains(&named), "{status}");
    }
    assert!(backend.received().is_empty());
    answers.end(slimspan, "program::framing, protobuf").await;
}

/// There is no such method, or nobody takes what it brings, or it is not gRPC at all.
#[tokio::test]
async fn what_nobody_serves_is_refused_for_good() {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    let pipelines = config["service"]["pipelines"].as_object_mut().unwrap();
    pipelines.remove("logs").unwrap();
    let slimspan = canaries::start(config).await;
    let (sender, mut answers) = (slimspan.sender().await, Answers::default());
    let call = || Call::whole(frame(0, &canaries::span()));

    let unknown = Call {
        path: "/opentelemetry.proto.collector.trace.v1.TraceService/Import".to_owned(),
        ..call()
    };
    let answer = sender.call(unknown).await;
    answers.add(&answer);
    assert_eq!(answer.status().code(), Code::Unimplemented);
    let status = answer.status();
    assert!(status.message().contains("no such method"), "{status:?}");
    assert!(
        !status.message().contains("Import"),
        "nothing that was sent"
    );

    let refused = sender.send(Signal::Logs, &canaries::log()).await;
    answers.add(&refused);
    let status = refused.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert!(status.message().contains("no pipeline takes logs"));

    let answer = sender
        .call(call().header("content-type", "application/x-protobuf"))
        .await;
    answers.add(&answer);
    assert_eq!(answer.http, http::StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(backend.received().is_empty());
    answers.end(slimspan, "program::framing, routes").await;
}

/// A file is a file on whatever path its request comes in.
#[tokio::test]
async fn a_compressed_picture_is_stored_once_for_all_compressions() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let sender = slimspan.sender().await;
    let file = otlp::photo(1, otlp::PHOTO);
    let request = otlp::span_with(&file);
    sender.send(Signal::Traces, &request).await.unwrap();
    for compression in ["gzip", "zstd", "snappy"] {
        let answer = sender.send_compressed(&request, compression).await;
        assert_eq!(answer.status().code(), Code::Ok);
    }
    for received in backend.received() {
        let [reference] =
            <[_; 1]>::try_from(references(Signal::Traces, &received.message)).unwrap();
        assert_eq!(reference.sha256, Digest::of(&file).to_string());
    }
}
