//! Profiles pass through: as the bytes they came as, whole or not at all.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use slimspan_generators::wire::{message, tagged};
use slimspan_proto::Signal;
use tonic::{Code, Status};

use crate::support::backend::Backend;
use crate::support::config;
use crate::support::conservation::{Items, conserved_of};
use crate::support::http::Form;
use crate::support::queued::{home, on_disk, start_in};
use crate::support::refusing::Refusing;
use crate::support::slimspan::{Slimspan, run};

/// Two profiles of one resource and one of another, with a dictionary before and behind them, an overlong
/// length, and fields that no schema has.
fn profiles(dictionary: &[u8]) -> Bytes {
    let profile = |number: u8| {
        let sample = message(2, &[0x0a, 2, number, 1]);
        [sample, tagged(3, 1, &[number; 8]), message(4_000, b"later")].concat()
    };
    let resource = message(1, &message(1, b"\x0a\x01k\x12\x03\x0a\x01v"));
    let scope = |numbers: &[u8]| {
        let of = numbers.iter().map(|number| message(2, &profile(*number)));
        let unknown = tagged(77, 5, &[1, 2, 3, 4]);
        let url = message(3, b"https://example.org/1");
        message(
            2,
            &[
                message(1, b""),
                of.collect::<Vec<_>>().concat(),
                url,
                unknown,
            ]
            .concat(),
        )
    };
    // One more scope, of no bytes, with its length in two.
    let overlong = [0x12, 0x80, 0];
    Bytes::from(
        [
            message(2, &message(5, dictionary)),
            message(1, &[&resource[..], &scope(&[1, 2]), &overlong].concat()),
            message(1, &scope(&[3])),
            message(2, &message(5, b"second")),
            tagged(200, 0, &[1]),
        ]
        .concat(),
    )
}

const ITEMS: u64 = 3;

/// Every signal to one backend by both exporters, profiles also to a file and a person.
fn everywhere(backend: &Backend) -> Value {
    let mut config = config::with_http(backend.address);
    let over_http = config::over_http(backend.address)["exporters"]["otlp_http"].clone();
    config["exporters"]["otlp_http"] = over_http;
    config["exporters"]["file"] = json!({ "path": "profiles.pb", "format": "proto" });
    config["exporters"]["debug"] = json!({});
    with_pipeline(config, &["otlp_grpc", "otlp_http", "file", "debug"])
}

fn with_pipeline(mut config: Value, exporters: &[&str]) -> Value {
    config["service"]["pipelines"]["profiles"] = json!({
        "receivers": ["otlp"],
        "processors": ["memory_limiter"],
        "exporters": exporters,
    });
    config
}

#[tokio::test]
async fn they_leave_as_the_bytes_they_came_as() {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&everywhere(&backend)).await;
    let (grpc, http) = (slimspan.sender().await, slimspan.http_sender().await);
    let large = profiles(&vec![b'x'; 400_000]);
    let sent = [profiles(b"small"), large];
    for request in &sent {
        let answer = grpc.send(Signal::Profiles, request).await;
        assert_eq!(answer.unwrap(), Bytes::new());
        let answer = http
            .post(Signal::Profiles, Form::Protobuf, request.clone())
            .await;
        assert_eq!((answer.status, answer.body), (StatusCode::OK, Bytes::new()));
    }
    let received = backend.received();
    assert_eq!(
        received.len(),
        8,
        "two requests by two ways to two exporters"
    );
    for request in &sent {
        for path in [Signal::Profiles.grpc_path(), "/v1development/profiles"] {
            let same = received
                .iter()
                .filter(|one| one.path.ends_with(path) && one.message == *request);
            assert_eq!(same.count(), 2, "{path}");
        }
    }
    let file = std::fs::read(slimspan.folder().join("profiles.pb")).unwrap();
    let framed = |request: &Bytes| {
        let len = u32::try_from(request.len()).unwrap();
        [&len.to_be_bytes()[..], request].concat()
    };
    let framed: Vec<_> = sent
        .iter()
        .flat_map(|one| [framed(one), framed(one)])
        .collect();
    assert!(file == framed.concat(), "each stands there as it came");
    let ended = slimspan.stop().await;
    let shown = format!("{}{}", ended.stdout, ended.stderr);
    assert!(
        shown.contains("profiles: 2 resources, 3 profiles"),
        "{shown}"
    );
    let items = conserved_of(Signal::Profiles, &ended.stderr);
    assert_eq!((items.received, items.delivered), (4 * ITEMS, 4 * ITEMS));
}

#[tokio::test]
async fn what_is_in_a_queue_on_disk_survives_a_kill() {
    let away = Refusing::start();
    let address = away.address;
    let config = with_pipeline(on_disk(address, json!({})), &["otlp_grpc"]);
    let folder = home();
    let slimspan = start_in(&folder, &config).await;
    let request = profiles(b"kept");
    let sender = slimspan.sender().await;
    sender.send(Signal::Profiles, &request).await.unwrap();
    slimspan.kill().await;

    drop(away);
    let backend = Backend::start_at(address).await;
    let slimspan = start_in(&folder, &config).await;
    let received = backend.arrived(1).await;
    assert_eq!(received[0].signal, Signal::Profiles);
    assert_eq!(received[0].message, request);
    let items = conserved_of(Signal::Profiles, &slimspan.stop().await.stderr);
    assert_eq!(
        (items.received, items.delivered + items.queued),
        (ITEMS, ITEMS)
    );
}

#[tokio::test]
async fn what_is_no_request_of_profiles_is_refused() {
    let backend = Backend::start().await;
    let config = with_pipeline(config::with_http(backend.address), &["otlp_grpc"]);
    let slimspan = Slimspan::start(&config).await;
    let (grpc, http) = (slimspan.sender().await, slimspan.http_sender().await);
    let sound = profiles(b"sound");
    for (what, broken) in [
        ("a length past the end", vec![0x0a, 9, 1]),
        ("a resource that is a number", vec![1 << 3, 1]),
        ("a scope that is a number", message(1, &[2 << 3, 1])),
        (
            "a profile that is a number",
            message(1, &message(2, &[2 << 3, 1])),
        ),
        (
            "a profile with wire type 7",
            message(1, &message(2, &message(2, &[0x0f]))),
        ),
        ("a dictionary that ends early", message(2, &[0x2a, 5, b'x'])),
    ] {
        let request = Bytes::from([&sound[..], &broken].concat());
        let refused = grpc.send(Signal::Profiles, &request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{what}: {refused}");
        assert!(refused.message().contains("at byte "), "{what}: {refused}");
        let answer = http.post(Signal::Profiles, Form::Protobuf, request).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what}");
        assert_eq!(answer.refusal(Form::Protobuf).message(), refused.message());
    }
    grpc.send(Signal::Profiles, &sound).await.unwrap();
    assert_eq!(backend.only(), sound);
    let items = conserved_of(Signal::Profiles, &slimspan.stop().await.stderr);
    assert_eq!((items.delivered, items.rejected), (ITEMS, 0));
    assert!(items.refused >= 12 * ITEMS, "{items:?}");
}

/// There is no JSON of profiles, and where there is no pipeline nobody takes any.
#[tokio::test]
async fn json_and_a_missing_pipeline_are_told() {
    let backend = Backend::start().await;
    let config = config::with_http(backend.address);
    let slimspan = Slimspan::start(&with_pipeline(config.clone(), &["otlp_grpc"])).await;
    let http = slimspan.http_sender().await;
    let answer = http.post(Signal::Profiles, Form::Json, "{}").await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let told = answer.refusal(Form::Json);
    assert_eq!(told.code(), Code::InvalidArgument);
    assert!(
        told.message()
            .contains("profiles are taken as application/x-protobuf only"),
        "{told}"
    );
    drop(slimspan);

    let slimspan = Slimspan::start(&config).await;
    let (grpc, http) = (slimspan.sender().await, slimspan.http_sender().await);
    let request = profiles(b"nowhere to go");
    let refused = grpc.send(Signal::Profiles, &request).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    let answer = http.post(Signal::Profiles, Form::Protobuf, request).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let told = answer.refusal(Form::Protobuf);
    assert!(
        told.message().contains("no pipeline takes profiles"),
        "{told}"
    );
    assert!(backend.received().is_empty());
    let items = conserved_of(Signal::Profiles, &slimspan.stop().await.stderr);
    let expected = Items {
        received: 2 * ITEMS,
        refused: 2 * ITEMS,
        ..Items::default()
    };
    assert_eq!(items, expected);
}

/// Of spans some could go; profiles share a dictionary, so that all of them are kept, as one.
#[tokio::test]
async fn too_large_a_request_is_kept_whole() {
    let too_large = |_| Err(Status::resource_exhausted("message larger than max"));
    let backend = Backend::answering(too_large).await;
    let mut config = with_pipeline(config::standard(backend.address), &["otlp_grpc"]);
    config["exporters"]["otlp_grpc"]["max_request_bytes"] = json!("20KiB");
    let slimspan = Slimspan::start(&config).await;
    let request = profiles(&vec![b'x'; 60_000]);
    let answer = slimspan
        .sender()
        .await
        .send(Signal::Profiles, &request)
        .await;
    let answer = slimspan::answer::Answer::from(answer.unwrap());
    assert_eq!(answer.rejected(), Some(ITEMS));
    assert_eq!(backend.only(), request, "once, and whole");
    let [kept] = <[_; 1]>::try_from(dead_letters(slimspan.folder())).unwrap();
    assert_eq!(std::fs::read(&kept).unwrap(), request);
    let report = run(slimspan.folder(), &["inspect", kept.to_str().unwrap()]).await;
    assert_eq!(report.code, Some(0), "{report:?}");
    let items = conserved_of(Signal::Profiles, &slimspan.stop().await.stderr);
    assert_eq!((items.received, items.rejected), (ITEMS, ITEMS));
}

fn dead_letters(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder.join("data/dead_letters")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let is_request = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "pb");
    paths.filter(is_request).collect()
}
