//! What another tenant has takes as long as what nobody has: to read, to list, to ask about, and to store.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use slimspan_artifact::Digest;
use tempfile::TempDir;

use super::client::Client;
use super::{Served, with_tenants};
use crate::program::isolation::Lots;
use crate::support::fault_store::{Fault, FaultStore};
use crate::support::http::HttpAnswer;
use crate::support::measured::{measured, number};
use crate::support::seed::Seed;
use crate::support::{config, otlp, soon};

/// Large enough to be remembered.
const SIZE: usize = 24_000;

/// So many places of another tenant refer to one file.
const PLACES: u32 = 4_000;

/// No sooner is somebody who sees one tenant alone told what the catalog has.
const STEP: Duration = Duration::from_millis(25);

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
    let status = if pattern.contains("sha256=") {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    };
    assert_eq!(answer.status, status, "{path}");
    (is_known, took, seen(answer, &digest))
}

/// One with a catalog that has a file to which many places of beta refer, and nothing else.
async fn with_places(mut config: Value, digest: &Digest) -> Served {
    config["extensions"]["artifact_server"]["max_requests_per_second"] = json!(1_000_000);
    config["extensions"]["artifact_store"]["catalog"] =
        json!({ "directory": "./catalog", "interval": "50ms" });
    let lines = (0..PLACES).map(|number| {
        let entry = json!({
            "id": format!("{:032x}", number + 1),
            "recorded": "2026-11-21T19:43:05.000120Z",
            "time": format!("2026-11-21T19:43:05.{number:06}Z"),
            "tenant": "beta",
            "signal": "traces",
            "service": "chat",
            "trace_id": format!("{:032x}", number + 1),
            "span_id": format!("{:016x}", number + 1),
            "span_name": "chat",
            "carrier": "span",
            "attribute": "input",
            "shape": "data_uri",
            "sha256": digest.to_string(),
            "content_type": "image/png",
            "size_bytes": SIZE,
            "filename": null,
            "state": "stored",
        });
        format!("{entry}\n")
    });
    let folder = TempDir::new().unwrap();
    let hour = folder.path().join("artifacts/catalog/2026-11-21/19");
    fs::create_dir_all(&hour).unwrap();
    let object = hour.join("20261121T194305.000120Z-00000001-00000001.jsonl");
    fs::write(object, lines.collect::<String>()).unwrap();
    let served = Served::start_in(folder, &config).await;
    let beta = served.pages.bearer("token-of-beta");
    is_listed(&beta, &format!("sha256={digest}")).await;
    served
}

/// Waits until something that fits is listed.
async fn is_listed(client: &Client, query: &str) {
    soon("it is listed", async {
        loop {
            let answer = client.get(&format!("/v1/artifacts?{query}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
            if answer.json()["references"] != json!([]) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_learns_by_reading_what_others_have() {
    let reads = number("SLIMSPAN_TIMED_READS", 20);
    let seed = Seed::any();
    let mut random = seed.random();
    let shared = Digest::of(b"in many places");
    let served = with_places(with_tenants(), &shared).await;
    let in_many_places = vec![shared; reads];
    let mut of_beta = Vec::new();
    for _ in 0..reads {
        let photo = otlp::photo(random.number(), SIZE);
        of_beta.push(Digest::of(&photo));
        served.put_for("beta", photo).await;
    }
    let [files, api] =
        [&served.artifacts, &served.pages].map(|client| client.bearer("token-of-acme"));
    for (client, of_another, of_nobody, there) in [
        // What may not be seen, and what is not there.
        (&files, "/beta/artifacts/{}", "/acme/artifacts/{}", &of_beta),
        (
            &api,
            "/v1/artifacts/{}?tenant=beta",
            "/v1/artifacts/{}",
            &of_beta,
        ),
        // What may not be seen, and what is not there but may not be seen, either.
        (&files, "/beta/artifacts/{}", "/beta/artifacts/{}", &of_beta),
        (
            &api,
            "/v1/artifacts/{}?tenant=beta",
            "/v1/artifacts/{}?tenant=beta",
            &of_beta,
        ),
        // What is not there for one, whether or not another has it.
        (&files, "/acme/artifacts/{}", "/acme/artifacts/{}", &of_beta),
        (&api, "/v1/artifacts/{}", "/v1/artifacts/{}", &of_beta),
        // The same of what very many places of another refer to.
        (
            &api,
            "/v1/artifacts/{}",
            "/v1/artifacts/{}",
            &in_many_places,
        ),
        (
            &api,
            "/v1/artifacts?sha256={}",
            "/v1/artifacts?sha256={}",
            &in_many_places,
        ),
    ] {
        let places = if there.contains(&shared) {
            format!(" in {PLACES} places")
        } else {
            String::new()
        };
        let how = format!("GET {of_another} of another{places}, {of_nobody} of nobody");
        let (mut lots, mut answers) = (Lots::default(), BTreeSet::new());
        loop {
            let pairs = there.iter().map(|there| {
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

/// Whatever is asked of the catalog comes at a step, also what there is: in between, places of others are passed over.
#[tokio::test]
async fn what_the_catalog_has_of_one_tenant_comes_at_a_step() {
    let photo = Bytes::from(otlp::photo(Seed::any().number(), SIZE));
    let digest = Digest::of(&photo);
    let served = with_places(with_tenants(), &digest).await;
    let acme = served.pages.bearer("token-of-acme");
    store(&acme, &photo).await;
    is_listed(&acme, &format!("sha256={digest}")).await;
    let trace = format!("{:032x}", 1);
    for (path, status) in [
        (format!("/v1/artifacts?sha256={digest}"), 200),
        (format!("/v1/artifacts?trace_id={trace}"), 200),
        (format!("/v1/artifacts/{digest}"), 200),
        (format!("/acme/artifacts/{digest}"), 200),
        (format!("/?trace={trace}"), 200),
        (format!("/traces/{trace}"), 404),
    ] {
        // What is slow may be so by itself.
        for _ in 0..3 {
            let begun = Instant::now();
            let answer = acme.get(&path).await;
            let took = begun.elapsed();
            assert_eq!(answer.status.as_u16(), status, "{path}");
            assert!(took >= STEP, "{path}: {took:?}");
        }
    }
    let places = format!("/v1/artifacts?sha256={digest}");
    let places = acme.get(&places).await.json();
    let places = places["references"].as_array().unwrap().len();
    assert_eq!(places, 1, "those of another are no one else's");
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
