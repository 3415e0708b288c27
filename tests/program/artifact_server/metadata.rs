//! What the API knows of one artifact, wherever its bytes are.

use std::collections::BTreeSet;
use std::fs;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use slimspan::catalog::PutFile;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;

use super::{Served, with_catalog};
use crate::support::backend::Backend;
use crate::support::references::path_in;
use crate::support::{config, otlp, soon};

/// What is told of an artifact, once it is what is waited for.
async fn told(served: &Served, digest: &Digest, is_it: impl Fn(&Value) -> bool) -> Value {
    soon("the catalog comes by", async {
        loop {
            let answer = served.pages.get(&format!("/v1/artifacts/{digest}")).await;
            if answer.status == StatusCode::OK && is_it(&answer.json()) {
                return answer.json();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await
}

/// As its page does, it tells of what cannot be had what became of it.
#[tokio::test]
async fn what_is_known_is_told_wherever_the_bytes_are() {
    let backend = Backend::start().await;
    let mut config = with_catalog();
    config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
    config["processors"]["artifact"]["rules"] =
        json!([{ "attributes": ["given.up"], "action": "drop" }]);
    let served = Served::start(&config).await;
    let [dropped, stored] = [1, 2].map(|seed| otlp::photo(seed, 20_000));
    let sender = served.slimspan.sender().await;
    let request = otlp::span([
        ("given.up", otlp::bytes(&dropped)),
        ("kept", otlp::bytes(&stored)),
    ]);
    sender.send(Signal::Traces, &request).await.unwrap();
    // Of another replica, on whose disk it waits.
    let elsewhere = PutFile {
        tenant: "default".parse().unwrap(),
        digest: Digest::of(b"elsewhere"),
        size: 9,
        content_type: "image/png".to_owned(),
        name: Some("elsewhere.png".to_owned()),
        is_spooled: true,
    };
    let bucket = served.store.bucket();
    elsewhere.put_down(&bucket).await.unwrap();
    let [dropped, stored] = [dropped, stored].map(|photo| Digest::of(&photo));
    for (digest, state, size, filename) in [
        (dropped, "dropped", 20_000, None),
        (
            Digest::of(b"elsewhere"),
            "spooled",
            9,
            Some("elsewhere.png"),
        ),
        (stored, "stored", 20_000, None),
    ] {
        let is_listed = |info: &Value| info["places"]["references"][0].is_object();
        let info = told(&served, &digest, is_listed).await;
        assert_eq!(info["state"], state, "{info}");
        assert_eq!(info["size_bytes"], size, "{info}");
        assert_eq!(info["content_type"], "image/png", "{info}");
        assert_eq!(info["filename"], json!(filename), "{info}");
        assert_eq!(info["uri"].is_string(), state == "stored", "{info}");
        // Neither does a list lead to what cannot be had.
        let place = &info["places"]["references"][0];
        assert_eq!(place["state"], state, "{place}");
        assert_eq!(place["uri"].is_string(), state == "stored", "{place}");
        assert!(info["more"].is_null(), "{info}");
    }
    // What was stored and is gone is not there, and that is told.
    fs::remove_file(path_in(&served.slimspan.artifacts(), &stored.to_string())).unwrap();
    for (digest, words) in [
        (stored, "the store does not have it any more"),
        (Digest::of(b"nothing"), "there is no such artifact"),
    ] {
        let answer = served.pages.get(&format!("/v1/artifacts/{digest}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(words), "{error}");
    }
}

/// It says itself where the places are that it does not tell.
#[tokio::test]
async fn what_many_places_refer_to_leads_to_all_of_them() {
    const PLACES: usize = 1_003;
    let backend = Backend::start().await;
    let mut config = with_catalog();
    config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
    let served = Served::start(&config).await;
    let photo = otlp::photo(1, 9_000);
    let attribute = |number| (format!("photo.{number}"), otlp::bytes(&photo));
    let request = otlp::request(Signal::Traces, vec![(0..PLACES).map(attribute).collect()]);
    let sender = served.slimspan.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();
    let info = told(&served, &Digest::of(&photo), |info| {
        info["more"].is_string()
    })
    .await;
    let origin = format!("http://{}", served.pages.address);
    let more = info["more"].as_str().unwrap().strip_prefix(&origin);
    let rest = served.pages.get(more.unwrap()).await.json();
    assert!(rest["next"].is_null(), "{rest}");
    let [first, rest] = [&info["places"], &rest].map(|page| page["references"].as_array().unwrap());
    assert_eq!((first.len(), rest.len()), (1_000, PLACES - 1_000));
    let all = first.iter().chain(rest);
    let all: BTreeSet<_> = all.map(|one| one["attribute"].as_str().unwrap()).collect();
    assert_eq!(all.len(), PLACES);
}

/// Only the beginning of what is very long is looked at before somebody reads it, as its documentation says.
#[tokio::test]
async fn damage_is_told_before_it_is_read_unless_it_is_of_something_very_long() {
    let served = Served::start(&with_catalog()).await;
    for (size, is_told_before) in [
        (1 << 20, true),
        ((1 << 20) + 1, true),
        (8 << 20, true),
        ((8 << 20) + 1, false),
        (12 << 20, false),
    ] {
        let photo = otlp::photo(4, size);
        let path = served.put(photo.clone()).await;
        let digest = Digest::of(&photo).to_string();
        let file = path_in(&served.slimspan.artifacts(), &digest);
        let mut damaged = photo;
        damaged[size - 1] ^= 1;
        fs::write(&file, damaged).unwrap();
        let [page, known] = [path.clone(), format!("/v1{path}")];
        let told = [
            served.pages.get(&page).await.status,
            served.pages.get(&known).await.status,
            served.artifacts.ask(Method::HEAD, &path, "").await.status,
        ];
        let expected: u16 = if is_told_before { 500 } else { 200 };
        assert_eq!(told, [expected; 3], "{size}");
        // Of what is very long that shows at its end, which does not come.
        if let Some(answer) = served.artifacts.try_get(&path).await {
            assert_eq!(answer.status, 500, "{size}");
        }
    }
}

/// What a sender calls a file is offered to who downloads it, and to nobody else, as far as it does no harm.
#[tokio::test]
async fn a_download_is_called_what_its_sender_called_it() {
    let served = Served::start(&with_catalog()).await;
    let digest = Digest::of(b"some text").to_string();
    let path = format!("/acme/artifacts/{digest}");
    // Other tenants call theirs what they like.
    for (tenant, name) in [
        ("beta", "beta.txt"),
        ("acme", "..%2Fa%20%22b%22%0D%0A%C3%A9.html"),
    ] {
        let blob = format!("/v1/artifacts/{digest}/blob?tenant={tenant}&filename={name}");
        let stored = served.pages.ask(Method::PUT, &blob, "some text").await;
        assert_eq!(stored.status, StatusCode::CREATED, "{stored:?}");
    }
    let plain = format!("filename=\"sha256-{}.txt\"", &digest[..12]);
    let expected = format!("attachment; {plain}; filename*=UTF-8''a%20_b_%C3%A9.html.txt");
    soon("the catalog comes by", async {
        loop {
            let answer = served.artifacts.get(&format!("{path}?download")).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            if answer.headers["content-disposition"] == expected {
                break;
            }
            let before = format!("attachment; {plain}");
            assert_eq!(answer.headers["content-disposition"], before);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    let answer = served.artifacts.get(&path).await;
    let inline = format!("inline; {plain}");
    assert_eq!(answer.headers["content-disposition"], inline);
}
