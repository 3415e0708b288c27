//! What another tenant has takes as long as what nobody has: to read, to ask about, and to store.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Method, StatusCode};
use serde_json::json;
use slimspan_artifact::Digest;

use super::client::Client;
use super::{Served, with_tenants};
use crate::program::isolation::Lots;
use crate::support::fault_store::{Fault, FaultStore};
use crate::support::http::HttpAnswer;
use crate::support::measured::{measured, number};
use crate::support::seed::Seed;
use crate::support::{config, otlp};

/// Large enough to be remembered.
const SIZE: usize = 24_000;

/// Each answer takes its time, so there are as many.
const AT_A_TIME: usize = 16;

/// All that is seen of an answer, but for what time it is and the digest that was asked for.
type Seen = (u16, String, String);

fn seen(answer: HttpAnswer, digest: &Digest) -> Seen {
    let mut headers = answer.headers;
    headers.remove("date");
    let body = String::from_utf8_lossy(&answer.body);
    let body = body.replace(&digest.to_string(), "{}");
    (answer.status.as_u16(), format!("{headers:?}"), body)
}

/// Reads what another has and what nobody has, whichever comes first.
async fn read(client: &Client, both: [(&str, Digest, bool); 2]) -> [(bool, Duration, Seen); 2] {
    let [one, other] = both;
    [read_one(client, one).await, read_one(client, other).await]
}

async fn read_one(
    client: &Client,
    (pattern, digest, is_known): (&str, Digest, bool),
) -> (bool, Duration, Seen) {
    let path = pattern.replace("{}", &digest.to_string());
    let begun = Instant::now();
    let answer = client.get(&path).await;
    let took = begun.elapsed();
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    (is_known, took, seen(answer, &digest))
}

#[tokio::test]
async fn nobody_learns_by_reading_what_others_have() {
    let reads = number("SLIMSPAN_TIMED_READS", 20);
    let seed = Seed::any();
    let mut random = seed.random();
    let mut config = with_tenants();
    config["extensions"]["artifact_server"]["max_requests_per_second"] = json!(1_000_000);
    let served = Served::start(&config).await;
    let mut of_beta = Vec::new();
    for _ in 0..reads {
        let photo = otlp::photo(random.number(), SIZE);
        of_beta.push(Digest::of(&photo));
        served.put_for("beta", photo).await;
    }
    let [files, api] =
        [&served.artifacts, &served.pages].map(|client| client.bearer("token-of-acme"));
    for (client, of_another, of_nobody) in [
        // What may not be seen, and what is not there.
        (&files, "/beta/artifacts/{}", "/acme/artifacts/{}"),
        (&api, "/v1/artifacts/{}?tenant=beta", "/v1/artifacts/{}"),
        // What may not be seen, and what is not there but may not be seen, either.
        (&files, "/beta/artifacts/{}", "/beta/artifacts/{}"),
        (
            &api,
            "/v1/artifacts/{}?tenant=beta",
            "/v1/artifacts/{}?tenant=beta",
        ),
        // What is not there for one, whether or not another has it.
        (&files, "/acme/artifacts/{}", "/acme/artifacts/{}"),
        (&api, "/v1/artifacts/{}", "/v1/artifacts/{}"),
    ] {
        let how = format!("GET {of_another} of another, {of_nobody} of nobody");
        let (mut lots, mut answers) = (Lots::default(), BTreeSet::new());
        loop {
            let pairs = of_beta.iter().map(|there| {
                let absent = Digest::of(&random.number().to_le_bytes());
                let mut both = [(of_another, *there, true), (of_nobody, absent, false)];
                if random.one_in(2) {
                    both.reverse();
                }
                both
            });
            let pairs: Vec<_> = pairs.collect();
            let reading = pairs.into_iter().map(|both| read(client, both));
            let reading = stream::iter(reading).buffer_unordered(AT_A_TIME);
            let read: Vec<_> = reading.collect().await;
            let (mut known, mut new) = (Vec::new(), Vec::new());
            for (is_known, took, answer) in read.into_iter().flatten() {
                let times = if is_known { &mut known } else { &mut new };
                times.push(took);
                answers.insert(answer);
            }
            if lots.end_with(&how, &known, &new) {
                break;
            }
        }
        assert_eq!(answers.len(), 1, "{how}: {answers:?}");
        measured(
            "P27",
            "program::artifact_server::alike",
            &format!(
                "times of reads of what others have, or nobody: {}",
                Lots::bound()
            ),
            format_args!("{how}: {reads} of each, {}", lots.last()),
        );
    }
}

/// How long the store takes to say that it has nothing.
const SLOW: Duration = Duration::from_millis(60);

/// Nobody asks the store for what may not be seen, and its answer takes as long all the same.
#[tokio::test]
async fn nobody_learns_by_a_slow_store_what_may_not_be_seen() {
    let seed = Seed::any();
    let mut random = seed.random();
    let store = FaultStore::start(random.number(), &[]).await;
    let mut config = with_tenants();
    let with_s3 = config::with_s3(store.address, store.address);
    config["extensions"]["artifact_store"] = with_s3["extensions"]["artifact_store"].clone();
    config["extensions"]["artifact_store"]["public_url"] = json!("https://files.example.com");
    config["extensions"]["artifact_store"]["timeout"] = json!("30s");
    config["extensions"]["artifact_server"]["max_requests_per_second"] = json!(1_000_000);
    let served = Served::start(&config).await;
    store.set(&[(Fault::Delay(SLOW), 1000)]);
    let [files, api] =
        [&served.artifacts, &served.pages].map(|client| client.bearer("token-of-acme"));
    for (client, forbidden, absent) in [
        (&files, "/beta/artifacts/{}", "/acme/artifacts/{}"),
        (&api, "/v1/artifacts/{}?tenant=beta", "/v1/artifacts/{}"),
    ] {
        let mut ask = async |pattern: &str| {
            let digest = Digest::of(&random.number().to_le_bytes());
            let begun = Instant::now();
            let answer = client
                .get(&pattern.replace("{}", &digest.to_string()))
                .await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{pattern}");
            begun.elapsed()
        };
        // It is not known before how slow it is.
        for _ in 0..5 {
            ask(absent).await;
        }
        let how = format!("GET {forbidden} where the store takes {SLOW:?}");
        let mut lots = Lots::default();
        loop {
            let (mut not_seen, mut not_there) = (Vec::new(), Vec::new());
            for _ in 0..10 {
                not_seen.push(ask(forbidden).await);
                not_there.push(ask(absent).await);
            }
            assert!(not_there.iter().all(|took| *took >= SLOW), "{not_there:?}");
            if lots.end_with(&how, &not_seen, &not_there) {
                break;
            }
        }
    }
}

/// Registers a file and sends its bytes, both of which are wanted.
async fn store(client: &Client, photo: &Bytes) -> ([Seen; 2], Duration) {
    let digest = Digest::of(photo);
    let claim = json!({ "sha256": digest.to_string(), "size_bytes": photo.len() }).to_string();
    let blob = format!("/v1/artifacts/{digest}/blob?size_bytes={}", photo.len());
    let begun = Instant::now();
    let registered = client.ask(Method::POST, "/v1/artifacts", claim).await;
    let stored = client.ask(Method::PUT, &blob, photo.clone()).await;
    let took = begun.elapsed();
    assert_eq!(registered.json()["status"], "upload", "{registered:?}");
    assert_eq!(stored.status, StatusCode::CREATED, "{stored:?}");
    (
        [registered, stored].map(|answer| seen(answer, &digest)),
        took,
    )
}

#[tokio::test]
async fn nobody_learns_by_storing_what_others_have() {
    let files = number("SLIMSPAN_UPLOADS", 50);
    let seed = Seed::any();
    let mut random = seed.random();
    let mut config = with_tenants();
    config["extensions"]["artifact_server"]["max_requests_per_second"] = json!(1_000_000);
    let served = Served::start(&config).await;
    let [acme, beta] =
        ["acme", "beta"].map(|name| served.pages.bearer(&format!("token-of-{name}")));
    let how = "registering and sending";
    let (mut lots, mut answers) = (Lots::default(), BTreeSet::new());
    loop {
        let mut photo = || Bytes::from(otlp::photo(random.number(), SIZE));
        let pairs: Vec<(Bytes, Bytes)> = (0..files).map(|_| (photo(), photo())).collect();
        for (of_beta, _) in &pairs {
            store(&beta, of_beta).await;
        }
        let (mut known, mut new) = (Vec::new(), Vec::new());
        for (of_beta, of_nobody) in &pairs {
            let mut both = [(of_beta, &mut known), (of_nobody, &mut new)];
            if random.one_in(2) {
                both.reverse();
            }
            for (photo, times) in both {
                let (both, took) = store(&acme, photo).await;
                times.push(took);
                answers.insert(both);
            }
        }
        if lots.end_with(how, &known, &new) {
            break;
        }
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    measured(
        "P27",
        "program::artifact_server::alike",
        &format!(
            "times of uploads that others have, or nobody: {}",
            Lots::bound()
        ),
        format_args!("{how}: {files} of each, {}", lots.last()),
    );
}
