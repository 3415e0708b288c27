//! The `file` exporter: what is acknowledged is in the file, whole, and other programs read it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use serde_json::{Value, json};
use slimspan_generators::Request;
use slimspan_proto::Signal;
use tonic::Code;

use crate::support::mounted::Mounted;
use crate::support::sender::retry_after;
use crate::support::slimspan::{Slimspan, run};
use crate::support::{config, otlp};

/// All signals into one file, files of traces and logs out of them.
fn to_file(file: &Value) -> Value {
    let mut config = config::standard(([127, 0, 0, 1], 9).into());
    config["exporters"] = json!({ "file": file });
    for signal in ["traces", "logs", "metrics"] {
        config["service"]["pipelines"][signal]["exporters"] = json!(["file"]);
    }
    config
}

/// A line as the Collector's receiver for such files reads it: one request in JSON.
fn of_line(line: &str) -> (Signal, Request) {
    let members: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
    let names: Vec<&str> = members.keys().map(String::as_str).collect();
    match names[..] {
        ["resourceSpans"] => (
            Signal::Traces,
            Request::Traces(serde_json::from_str(line).unwrap()),
        ),
        ["resourceLogs"] => (
            Signal::Logs,
            Request::Logs(serde_json::from_str(line).unwrap()),
        ),
        ["resourceMetrics"] => (
            Signal::Metrics,
            Request::Metrics(serde_json::from_str(line).unwrap()),
        ),
        _ => panic!("a line with {names:?}"),
    }
}

/// The requests in files of lines.
fn requests(paths: &[PathBuf]) -> Vec<(Signal, Request)> {
    let texts = paths.iter().map(|path| fs::read_to_string(path).unwrap());
    let texts: Vec<String> = texts.collect();
    for text in &texts {
        assert!(text.is_empty() || text.ends_with('\n'));
    }
    texts
        .iter()
        .flat_map(|text| text.lines())
        .map(of_line)
        .collect()
}

fn decoded(signal: Signal, request: &Bytes) -> Request {
    Request::decode(signal, request).unwrap()
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

/// Pipelines share the file, senders send at the same time, and every line is one whole request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelines_share_a_file_and_lines_never_mix() {
    let slimspan = Slimspan::start(&to_file(&json!({ "path": "telemetry.json" }))).await;
    let senders = (0..4).map(|sender| {
        let slimspan = &slimspan;
        async move {
            let connection = slimspan.sender().await;
            let mut sent = Vec::new();
            for number in 0..12 {
                let number = sender * 100 + number;
                let text = otlp::text(format!("{number} \"é\n\u{1}{}", "x".repeat(20_000)));
                let (signal, request) = match number % 3 {
                    0 => (Signal::Traces, otlp::span([("text", text)])),
                    1 => (
                        Signal::Logs,
                        otlp::request(Signal::Logs, vec![vec![("text".to_owned(), text)]]),
                    ),
                    _ => (Signal::Metrics, otlp::metric(text)),
                };
                connection.send(signal, &request).await.unwrap();
                sent.push((signal, decoded(signal, &request)));
            }
            sent
        }
    });
    let sent = join_all(senders).await.concat();
    // What is acknowledged is there, whatever happens next.
    let path = slimspan.folder().join("telemetry.json");
    let folder = slimspan.folder().to_owned();
    let kept = folder.with_extension("kept");
    fs::copy(&path, &kept).unwrap();
    slimspan.kill().await;
    let written = requests(std::slice::from_ref(&kept));
    fs::remove_file(kept).unwrap();
    assert_eq!(written.len(), sent.len());
    let unordered = |requests: &[(Signal, Request)]| -> BTreeSet<String> {
        requests.iter().map(|one| format!("{one:?}")).collect()
    };
    assert_eq!(unordered(&written), unordered(&sent));
}

/// Slim requests, in files that were rotated, and in every format: `inspect` reads them, and
/// `restore` makes of them what was sent.
#[tokio::test]
async fn what_is_written_is_read_again() {
    for (file, name) in [
        (json!({ "rotation": { "max_megabytes": 1 } }), "out.json"),
        (
            json!({ "rotation": null, "compression": "zstd" }),
            "out.zst",
        ),
        (json!({ "format": "proto", "fsync": true }), "out.traces.pb"),
        (
            json!({ "format": "proto", "compression": "zstd", "rotation": { "max_megabytes": 1, "localtime": true } }),
            "out.traces.zst",
        ),
    ] {
        let mut file = file;
        file["path"] = json!(format!("out/deep/{name}"));
        file["create_directory"] = json!(true);
        let slimspan = Slimspan::start(&to_file(&file)).await;
        let sender = slimspan.sender().await;
        let noise = |seed| otlp::photo(seed, 600_000).escape_ascii().to_string();
        let sent: Vec<Bytes> = (0..4)
            .map(|number| {
                otlp::span([
                    ("number", otlp::text(noise(number))),
                    ("picture", otlp::data_uri(&otlp::photo(number, 20_000))),
                ])
            })
            .collect();
        for request in &sent {
            sender.send(Signal::Traces, request).await.unwrap();
        }
        let folder = slimspan.folder().to_owned();
        let paths = files_in(&folder.join("out/deep"));
        let expected = if file["rotation"].is_object() { 4 } else { 1 };
        assert_eq!(paths.len(), expected, "{paths:?}");
        let names: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
        let inspected = run(
            &folder,
            &[&["inspect", "--format", "json"], &names[..]].concat(),
        )
        .await;
        assert_eq!(inspected.code, Some(0), "{inspected:?}");
        let inspected: Value = serde_json::from_str(&inspected.stdout).unwrap();
        assert_eq!(inspected["requests"], 4);

        let arguments = [
            "restore",
            "--config",
            "collector.yaml",
            "--output",
            "restored",
        ];
        let restored = run(&folder, &[&arguments[..], &names[..]].concat()).await;
        assert_eq!(restored.code, Some(0), "{restored:?}");
        // One file goes into one file.
        let restored = match expected {
            1 => vec![folder.join("restored")],
            _ => files_in(&folder.join("restored")),
        };
        let mut wholes = Vec::new();
        for path in &restored {
            let bytes = fs::read(path).unwrap();
            if bytes.starts_with(b"{") {
                let requests = requests(std::slice::from_ref(path));
                wholes.extend(requests.into_iter().map(|(_, request)| request));
                continue;
            }
            let mut rest = &bytes[..];
            while let Some((length, after)) = rest.split_first_chunk() {
                let (message, after) = after.split_at(u32::from_be_bytes(*length) as usize);
                wholes.push(match message {
                    [b'{', ..] => of_line(std::str::from_utf8(message).unwrap()).1,
                    _ => decoded(Signal::Traces, &Bytes::copy_from_slice(message)),
                });
                rest = after;
            }
        }
        let sent: Vec<_> = sent
            .iter()
            .map(|request| decoded(Signal::Traces, request))
            .collect();
        assert!(
            wholes.iter().all(|whole| sent.contains(whole)) && wholes.len() == 4,
            "{name}"
        );
    }
}

/// What a crash leaves of a line is no part of the next one.
#[tokio::test]
async fn a_torn_line_is_moved_away_at_the_next_start() {
    let config = to_file(&json!({ "path": "telemetry.json" }));
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let path = folder.path().join("telemetry.json");
    let start = async || {
        let mut slimspan = Slimspan::spawn(Arc::clone(&folder), &config.to_string());
        assert!(slimspan.ready().await, "{}", slimspan.stderr());
        slimspan
    };
    let slimspan = start().await;
    let sender = slimspan.sender().await;
    sender
        .send(Signal::Traces, &otlp::plain_span(1))
        .await
        .unwrap();
    slimspan.kill().await;
    let mut torn = fs::read(&path).unwrap();
    let whole = torn.len();
    torn.extend_from_within(..whole / 2);
    fs::write(&path, &torn).unwrap();

    let mut slimspan = start().await;
    slimspan.logs("never acknowledged").await;
    let sender = slimspan.sender().await;
    sender
        .send(Signal::Traces, &otlp::plain_span(2))
        .await
        .unwrap();
    let written = requests(&[path]);
    let sent = [1, 2].map(|number| {
        (
            Signal::Traces,
            decoded(Signal::Traces, &otlp::plain_span(number)),
        )
    });
    assert_eq!(written, sent);
    // Nobody else may write to it meanwhile.
    let second = Slimspan::spawn(Arc::clone(&folder), &config.to_string());
    let ended = second.end().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("exporters.file.path: telemetry.json is written by another"),
        "{ended:?}"
    );
}

/// A reload opens the file that the exporter before has just closed: what was written before stays, and what
/// comes later is behind it.
#[tokio::test]
async fn the_file_goes_on_over_a_reload() {
    for fsync in [false, true] {
        let mut config = to_file(&json!({ "path": "telemetry.json", "fsync": fsync }));
        let mut slimspan = Slimspan::start(&config).await;
        let path = slimspan.folder().join("telemetry.json");
        let mut sent = Vec::new();
        for round in 1..4_usize {
            let span = otlp::plain_span(round as u64);
            let sender = slimspan.sender().await;
            sender.send(Signal::Traces, &span).await.unwrap();
            sent.push((Signal::Traces, decoded(Signal::Traces, &span)));
            config["processors"]["artifact"]["threshold"] = json!(format!("{round}KiB"));
            slimspan.write(&config.to_string());
            slimspan.signal("HUP");
            slimspan
                .logs_times("reloaded the configuration", round)
                .await;
        }
        assert_eq!(requests(&[path]), sent);
        let mut names = files_in(slimspan.folder());
        names.retain(|path| path.to_str().unwrap().contains("telemetry"));
        assert_eq!(names.len(), 1, "nothing was moved away: {names:?}");
    }
}

/// A full disk is a reason to come back; what did not fit is not in the file.
#[tokio::test]
async fn a_full_disk_makes_senders_wait() {
    let Some(disk) = Mounted::memory(1 << 20) else {
        return;
    };
    let path = disk.path().join("telemetry.json");
    let slimspan = Slimspan::start(&to_file(&json!({ "path": path }))).await;
    let sender = slimspan.sender().await;
    let filler = disk.path().join("filler");
    fs::write(&filler, vec![1; 900 << 10]).unwrap();
    let large = otlp::sized_span(300 << 10);
    let small = otlp::plain_span(1);
    sender.send(Signal::Traces, &small).await.unwrap();
    let refused = sender.send(Signal::Traces, &large).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(retry_after(&refused).is_some());
    assert!(refused.message().contains("No space left"), "{refused}");
    // What fits goes on.
    sender.send(Signal::Traces, &small).await.unwrap();
    fs::remove_file(filler).unwrap();
    sender.send(Signal::Traces, &large).await.unwrap();
    let sent = [&small, &small, &large];
    let sent = sent.map(|request| (Signal::Traces, decoded(Signal::Traces, request)));
    assert_eq!(requests(&[path]), sent);
}

/// JSON can hold no text that is not UTF-8, and the sender is told; protobuf keeps the bytes.
#[tokio::test]
async fn text_that_is_not_utf8_is_told() {
    let span = otlp::plain_span(7);
    let at = span
        .windows(8)
        .position(|window| window == b"chat gpt")
        .unwrap();
    let mut odd = span.to_vec();
    odd[at] = 0xff;
    let odd = Bytes::from(odd);
    for (format, told) in [("json", true), ("proto", false)] {
        let config = to_file(&json!({ "path": "telemetry", "format": format }));
        let slimspan = Slimspan::start(&config).await;
        let answer = slimspan
            .sender()
            .await
            .send(Signal::Traces, &odd)
            .await
            .unwrap();
        assert_eq!(!answer.is_empty(), told);
        let written = fs::read(slimspan.folder().join("telemetry")).unwrap();
        if told {
            let message = String::from_utf8_lossy(&answer).into_owned();
            assert!(message.contains("not UTF-8"), "{message}");
            assert!(
                String::from_utf8(written)
                    .unwrap()
                    .contains("\u{fffd}hat gpt")
            );
        } else {
            assert_eq!(written[4..], odd[..]);
        }
    }
}

/// What cannot work is told at the start.
#[tokio::test]
async fn a_folder_that_is_missing_is_told() {
    let config = to_file(&json!({ "path": "missing/telemetry.json" }));
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let ended = Slimspan::spawn(folder, &config.to_string()).end().await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let expected =
        "exporters.file.path: the folder missing is missing: make it, or set create_directory";
    assert!(ended.stderr.contains(expected), "{ended:?}");
}
