//! A digest leads to the bytes that have it, or to nothing.

use std::fs;

use http::{Method, StatusCode};
use serde_json::json;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;

use super::{Served, with_server};
use crate::support::backend::Backend;
use crate::support::measured::{measured, number};
use crate::support::pages::Metrics;
use crate::support::references::path_in;
use crate::support::seed::Seed;
use crate::support::{config, otlp};

#[tokio::test]
async fn a_reference_opens_what_was_sent() {
    let backend = Backend::start().await;
    let mut config = with_server();
    config["exporters"]["otlp_grpc"] = config::exporter(backend.address);
    let url = "https://files.example.com/x";
    config["extensions"]["artifact_server"]["public_url"] = json!(url);
    config["extensions"]["artifact_server"]["open_to_everybody"] = json!(true);
    let served = Served::start(&config).await;
    let photo = otlp::photo(1, otlp::PHOTO);
    let sender = served.slimspan.sender().await;
    let request = otlp::span_with(&photo);
    sender.send(Signal::Traces, &request).await.unwrap();
    let received = backend.received();
    let slim = String::from_utf8_lossy(&received[0].message).into_owned();
    let digest = Digest::of(&photo);
    let (_, path) = slim.split_once(url).unwrap();
    let extension = path[path.find('.').unwrap()..]
        .split(|c: char| c != '.' && !c.is_ascii_lowercase())
        .next()
        .unwrap();
    assert!(path.starts_with(&format!("/artifacts/{digest}.")), "{path}");
    // Through what takes the path of the public URL away, and through what leaves it there.
    for before in ["", "/x"] {
        let path = format!("{before}/artifacts/{digest}{extension}?as=base64&ref");
        let answer = served.artifacts.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let name = format!(
            "inline; filename=\"sha256-{}{extension}\"",
            &digest.to_string()[..12]
        );
        assert_eq!(answer.headers["content-disposition"], name);
        assert_eq!(answer.headers["etag"], format!("\"sha256-{digest}\""));
        assert_eq!(answer.body, photo);
    }
}

#[tokio::test]
async fn nobody_is_given_bytes_that_are_not_the_artifact() {
    let served = Served::start(&with_server()).await;
    for size in [0, 1, 5_000, (1 << 20) + 1, 9 << 20, (12 << 20) + 7] {
        let original: Vec<u8> = (0..size).map(|at: u32| (at % 251) as u8).collect();
        let path = served.put(original.clone()).await;
        let digest = Digest::of(&original).to_string();
        let file = path_in(&served.slimspan.artifacts(), &digest);
        let mut damaged = original.clone();
        match damaged.last_mut() {
            Some(last) => *last ^= 1,
            None => damaged.push(b'x'),
        }
        let mut longer = original.clone();
        longer.push(0);
        let shorter = original.get(1..).unwrap_or(b"y").to_vec();
        for stored in [damaged, longer, shorter, b"other".to_vec()] {
            fs::write(&file, &stored).unwrap();
            for range in ["", "bytes=0-", "bytes=0-0", "bytes=-1", "bytes=3-"] {
                let client = if range.is_empty() {
                    served.artifacts.clone()
                } else {
                    served.artifacts.with("range", range)
                };
                // What is long is cut on the way.
                match client.try_get(&path).await {
                    None => assert!(stored.len() > 8 << 20, "{size} {range}: cut"),
                    Some(answer) => {
                        let is_refused = answer.status == StatusCode::INTERNAL_SERVER_ERROR;
                        let is_nowhere = answer.status == StatusCode::RANGE_NOT_SATISFIABLE;
                        assert!(
                            is_refused || is_nowhere,
                            "{size} {range}: {}",
                            answer.status
                        );
                    }
                }
            }
        }
        fs::write(&file, &original).unwrap();
        let answer = served.artifacts.get(&path).await;
        assert_eq!(
            (answer.status, answer.body.len()),
            (StatusCode::OK, original.len())
        );
        // Also when it was right before.
        if size > 0 {
            let mut damaged = original.clone();
            damaged[size as usize / 2] ^= 1;
            fs::write(&file, &damaged).unwrap();
            // Before its first byte, if it is short.
            match served.artifacts.try_get(&path).await {
                None => assert!(size > 8 << 20, "{size}: cut"),
                Some(answer) => {
                    let status = StatusCode::INTERNAL_SERVER_ERROR;
                    assert_eq!(answer.status, status, "{size}");
                }
            }
            let range = format!("bytes={0}-{0}", size / 2);
            let client = served.artifacts.with("range", range);
            let answer = client.try_get(&path).await;
            let is_refused = |answer: crate::support::http::HttpAnswer| {
                answer.status == StatusCode::INTERNAL_SERVER_ERROR
            };
            assert!(answer.is_none_or(is_refused), "{size}");
        }
    }
    assert!(served.slimspan.stderr().contains("holds damaged bytes"));
}

/// A bit, the end, or all of it, before it was ever read or after that: what is given is right, and all else is counted.
#[tokio::test]
async fn damage_is_never_given_and_always_counted() {
    let seed = Seed::any();
    let mut random = seed.random();
    let mut config = with_server();
    config["extensions"]["artifact_server"]["max_requests_per_second"] = json!(1_000_000);
    config::tell_metrics(&mut config);
    let mut served = Served::start(&config).await;
    let (mut right, mut told) = (0, 0);
    for read in 0..number("SLIMSPAN_READS", 12) {
        // What is read at once, what is checked before it is sent, and what is checked on the way.
        let (least, more) = [
            (100, 64 << 10),
            (1 << 20, 3 << 20),
            (100, 1 << 20),
            (8 << 20, 2 << 20),
        ][read % 4];
        let original = otlp::photo(random.number(), least + random.below(more));
        let path = served.put(original.clone()).await;
        if random.one_in(2) {
            let answer = served.artifacts.get(&path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}");
            assert!(answer.body == original, "{path}");
        }
        let at = random.below(original.len());
        let (damage, stored) = match random.below(5) {
            0 => ("cut", original[..at].to_vec()),
            1 => (
                "another of its size",
                otlp::photo(random.number(), original.len()),
            ),
            2 => ("another", otlp::photo(random.number(), 100 + at)),
            3 if random.one_in(2) => ("empty", Vec::new()),
            _ => {
                let mut stored = original.clone();
                stored[at] ^= 1 << random.below(8);
                ("one bit", stored)
            }
        };
        let digest = Digest::of(&original).to_string();
        fs::write(path_in(&served.slimspan.artifacts(), &digest), &stored).unwrap();
        let is_whole = random.one_in(2);
        let (client, part) = if is_whole {
            (served.artifacts.clone(), 0..original.len())
        } else {
            let from = random.below(original.len());
            let to = from + 1 + random.below(original.len() - from);
            let range = format!("bytes={from}-{}", to - 1);
            (served.artifacts.with("range", range), from..to)
        };
        let what = format!("{} bytes, {part:?}, {damage} at {at}", original.len());
        let is_long = stored.len() > 8 << 20;
        match client.try_get(&path).await {
            // A part of what was right before, in which there is no damage.
            Some(answer) if answer.status.is_success() => {
                assert_eq!(damage, "one bit", "{what}");
                assert!(answer.body == original[part], "{what}");
                right += 1;
            }
            // Of what is long it is not looked at more than is asked for.
            Some(answer) if answer.status == StatusCode::RANGE_NOT_SATISFIABLE => {
                assert!(is_long && part.start >= stored.len(), "{what}");
            }
            Some(answer) => {
                assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{what}");
                told += 1;
            }
            // What is short is looked at before its first byte.
            None => {
                assert!(is_long || !is_whole, "{what}: cut");
                told += 1;
            }
        }
    }
    let metrics = Metrics::of(served.slimspan.page("telemetry")).await;
    let counted = metrics.count("slimspan_artifact_server_damaged_total", &[]);
    assert_eq!(counted, told);
    let logged = usize::try_from(told).unwrap();
    served
        .slimspan
        .logs_times("holds damaged bytes", logged)
        .await;
    measured(
        "P23",
        "program::artifact_server::reading",
        "0 damaged bytes given as right ones, each damage counted and logged",
        format_args!("0: {told} told as damaged and counted, {right} parts without damage"),
    );
}

#[tokio::test]
async fn only_get_and_head_of_one_path_are_answered() {
    let served = Served::start(&with_server()).await;
    let path = served.put("some text").await;
    for method in [
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::OPTIONS,
        Method::PATCH,
    ] {
        let answer = served.artifacts.ask(method, &path, "").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer.headers["allow"], "GET, HEAD");
    }
    let head = served.artifacts.ask(Method::HEAD, &path, "").await;
    let get = served.artifacts.get(&path).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(get.body, "some text");
    for name in [
        "content-length",
        "content-type",
        "etag",
        "content-disposition",
        "accept-ranges",
    ] {
        assert_eq!(head.headers[name], get.headers[name], "{name}");
    }
    let digest = Digest::of(b"some text");
    let other = Digest::of(b"other");
    for path in [
        "/".to_owned(),
        "/artifacts/".to_owned(),
        format!("/artifacts/{other}"),
        format!("/acme/artifacts/{digest}"),
        format!("/artifacts/{digest}/"),
        format!("/x/../artifacts/{digest}"),
        format!("/%61rtifacts/{digest}"),
        "/artifacts/..%2f..%2fetc%2fpasswd".to_owned(),
        "/default/sha256/aa/".to_owned(),
        "/v1/artifacts".to_owned(),
        "/openapi.json".to_owned(),
    ] {
        let answer = served.artifacts.get(&path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.body, "there is no such artifact\n");
    }
}

#[tokio::test]
async fn a_person_comes_to_the_page_and_a_picture_to_the_bytes() {
    let served = Served::start(&with_server()).await;
    let path = served.put(otlp::photo(1, otlp::PHOTO)).await;
    let page = format!("http://{}{path}", served.pages.address);
    let visit = served.artifacts.with("sec-fetch-dest", "document");
    let answer = visit.get(&format!("{path}.png?as=base64")).await;
    assert_eq!(answer.status, StatusCode::FOUND);
    assert_eq!(answer.headers["location"], page);
    // Whether it is there is told there.
    let other = format!("/artifacts/{}", Digest::of(b"nothing"));
    assert_eq!(visit.get(&other).await.status, StatusCode::FOUND);
    for query in ["?raw", "?download", "?as=base64&download"] {
        let answer = visit.get(&format!("{path}{query}")).await;
        assert_eq!(answer.status, StatusCode::OK);
        let disposition = answer.headers["content-disposition"].to_str().unwrap();
        let is_kept = query.contains("download");
        assert_eq!(disposition.starts_with("attachment"), is_kept, "{query}");
    }
    for destination in ["image", "empty", "video", "audio", "iframe"] {
        let client = served.artifacts.with("sec-fetch-dest", destination);
        assert_eq!(client.get(&path).await.status, StatusCode::OK);
    }
}

/// Browsers do not say what they want over plain http to another machine, but for what they accept.
#[tokio::test]
async fn who_accepts_a_page_comes_to_it_also_where_nothing_else_is_said() {
    let served = Served::start(&with_server()).await;
    let path = served.put(otlp::photo(1, otlp::PHOTO)).await;
    let page = format!("http://{}{path}", served.pages.address);
    let html =
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
    let visit = served.artifacts.with("accept", html);
    let answer = visit.get(&format!("{path}.png")).await;
    assert_eq!(answer.status, StatusCode::FOUND);
    assert_eq!(answer.headers["location"], page);
    for query in ["?raw", "?download"] {
        let answer = visit.get(&format!("{path}{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}");
    }
    for accept in [
        "*/*",
        "image/avif,image/webp,*/*",
        "application/json",
        // Java, whatever it asks for.
        "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
    ] {
        let answer = served.artifacts.with("accept", accept).get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{accept}");
    }
    // What it says otherwise holds.
    let script = visit.with("sec-fetch-dest", "empty");
    assert_eq!(script.get(&path).await.status, StatusCode::OK);
}

#[tokio::test]
async fn who_has_it_is_told_so() {
    let served = Served::start(&with_server()).await;
    let path = served.put("some text").await;
    let tag = format!("\"sha256-{}\"", Digest::of(b"some text"));
    for (name, value, status) in [
        ("if-none-match", tag.as_str(), StatusCode::NOT_MODIFIED),
        ("if-none-match", "*", StatusCode::NOT_MODIFIED),
        ("if-none-match", "\"other\"", StatusCode::OK),
        ("if-match", tag.as_str(), StatusCode::OK),
        ("if-match", "\"other\"", StatusCode::PRECONDITION_FAILED),
    ] {
        let answer = served.artifacts.with(name, value).get(&path).await;
        assert_eq!(answer.status, status, "{name}: {value}");
        let body = if status == StatusCode::OK {
            "some text"
        } else {
            ""
        };
        assert!(answer.body == body || status == StatusCode::PRECONDITION_FAILED);
    }
    let other = format!("/artifacts/{}", Digest::of(b"nothing"));
    let answer = served
        .artifacts
        .with("if-none-match", "*")
        .get(&other)
        .await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_name_of_a_stranger_is_not_answered() {
    let mut config = with_server();
    let settings = &mut config["extensions"]["artifact_server"];
    settings["open_to_everybody"] = json!(true);
    settings["allowed_hosts"] = json!(["files.example.com"]);
    let served = Served::start(&config).await;
    let path = served.put("some text").await;
    for (client, path) in [(&served.artifacts, path.as_str()), (&served.pages, "/")] {
        for (host, is_known) in [
            ("localhost:4319", true),
            ("FILES.example.com", true),
            ("127.0.0.1", true),
            ("evil.example.com", false),
            ("files.example.com.evil.example.com", false),
            ("", false),
        ] {
            let answer = client.with("host", host).get(path).await;
            let is_misdirected = answer.status == StatusCode::MISDIRECTED_REQUEST;
            assert_eq!(is_misdirected, !is_known, "{host}: {answer:?}");
        }
        // Of two names nobody knows which one is meant.
        let both = client.with("host", "localhost").with("host", "127.0.0.1");
        let answer = both.get(path).await;
        assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{answer:?}");
    }
}
