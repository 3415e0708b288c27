//! By what places are chosen in the list of the API, one by one and together.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::json;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;

use super::pages::{Sent, Viewed};
use crate::support::{otlp, soon};

fn png(seed: u64, size: usize) -> Vec<u8> {
    otlp::photo(seed, size)
}

/// Five places, which are told apart by their attributes, newest first.
const ALL: [&str; 5] = ["given.up", "sound", "file", "(body)", "picture"];

async fn viewed() -> Viewed {
    let viewed = Viewed::start_with(|config| {
        config["processors"]["artifact"]["rules"] =
            json!([{ "attributes": ["given.up"], "action": "drop" }]);
    })
    .await;
    let named = format!(
        r#"{{"type":"file","filename":"Chart-7.PNG","mime_type":"image/png","data":"{}"}}"#,
        STANDARD.encode(png(2, 12_000))
    );
    let mut sound =
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0data"
            .to_vec();
    sound.resize(30_000, 128);
    viewed
        .send(&[
            Sent {
                trace: 1,
                span: 1,
                name: "chat gpt-4o",
                service: "studio",
                second: 0,
                attributes: vec![("picture", otlp::bytes(&png(1, 10_000)))],
            },
            Sent {
                trace: 1,
                span: 2,
                name: "listen",
                service: "voice",
                second: 10,
                attributes: vec![("sound", otlp::bytes(&sound)), ("file", otlp::text(named))],
            },
            Sent {
                trace: 3,
                span: 3,
                name: "draw",
                service: "studio",
                second: 20,
                attributes: vec![("given.up", otlp::bytes(&png(3, 20_000)))],
            },
        ])
        .await;
    // Of the service "shop", and of the time of the first.
    let log = otlp::log(otlp::data_uri(&png(4, 15_000)), []);
    let sender = viewed.served.slimspan.sender().await;
    sender.send(Signal::Logs, &log).await.unwrap();
    viewed
}

/// The attributes of the places that are listed.
async fn listed(viewed: &Viewed, query: &str) -> Vec<String> {
    let answer = viewed
        .served
        .pages
        .get(&format!("/v1/artifacts?{query}"))
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{query}: {answer:?}");
    let answer = answer.json();
    let references = answer["references"].as_array().unwrap();
    let attributes = references
        .iter()
        .map(|one| one["attribute"].as_str().unwrap());
    attributes.map(str::to_owned).collect()
}

#[tokio::test]
async fn places_are_chosen_by_each_of_their_facts() {
    let viewed = viewed().await;
    soon("all are listed", async {
        while listed(&viewed, "").await.len() < ALL.len() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    let digest = format!("sha256={}", Digest::of(&png(1, 10_000)));
    let spans = [1, 2, 9].map(|span: u8| format!("span_id={}", format!("{span:02x}").repeat(8)));
    let traces = [1, 3].map(|trace: u8| format!("trace_id={}", format!("{trace:02x}").repeat(16)));
    for (query, expected) in [
        ("", &ALL[..]),
        ("tenant=default", &ALL),
        (spans[0].as_str(), &["picture"]),
        (spans[1].as_str(), &["sound", "file"]),
        (spans[2].as_str(), &[]),
        (traces[0].as_str(), &["sound", "file", "picture"]),
        (traces[1].as_str(), &["given.up"]),
        (digest.as_str(), &["picture"]),
        ("service=voice", &["sound", "file"]),
        ("service=shop", &["(body)"]),
        ("service=Voice", &[]),
        ("service=voic", &[]),
        ("content_type=audio/*", &["sound"]),
        (
            "content_type=image/png",
            &["given.up", "file", "(body)", "picture"],
        ),
        // From a time on, and before one.
        ("since=2023-11-14T22:13:30Z", &["given.up", "sound", "file"]),
        ("since=2023-11-14T22:13:30.000001Z", &["given.up"]),
        ("until=2023-11-14T22:13:30Z", &["(body)", "picture"]),
        (
            "until=2023-11-14T22:13:30.000001Z",
            &["sound", "file", "(body)", "picture"],
        ),
        (
            "since=2023-11-14T22:13:30Z&until=2023-11-14T22:13:40Z",
            &["sound", "file"],
        ),
        // Both sizes are among those that fit.
        ("min_size=20000", &["given.up", "sound"]),
        ("min_size=20001", &["sound"]),
        ("max_size=12000", &["file", "picture"]),
        ("max_size=11999", &["picture"]),
        ("min_size=12000&max_size=15000", &["file", "(body)"]),
        ("signal=logs", &["(body)"]),
        ("signal=traces", &["given.up", "sound", "file", "picture"]),
        // Of the span, or of the file.
        ("name=GPT", &["picture"]),
        ("name=listen", &["sound", "file"]),
        ("name=chart-7", &["file"]),
        ("name=absent", &[]),
        ("state=dropped", &["given.up"]),
        ("state=stored", &["sound", "file", "(body)", "picture"]),
        ("state=spooled", &[]),
        ("service=studio&state=stored&signal=traces", &["picture"]),
        ("limit=2", &["given.up", "sound"]),
    ] {
        let mut found = listed(&viewed, query).await;
        // Which of two at the same time, in different requests, comes first is nobody's promise.
        found.sort_by_key(|one| ALL.iter().position(|known| known == one));
        assert_eq!(found, expected, "{query}");
    }
    for wrong in [
        "span_id=xyz",
        "trace_id=07",
        "since=yesterday",
        "until=tomorrow",
        "min_size=1KiB",
        "max_size=-1",
        "sha256=abc",
        "state=gone",
        "limit=few",
        "cursor=1.2",
    ] {
        let answer = viewed
            .served
            .pages
            .get(&format!("/v1/artifacts?{wrong}"))
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
        // The culprit is named.
        let (name, _) = wrong.split_once('=').unwrap();
        let told = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(told.contains(name), "{wrong}: {told}");
    }
}
