//! `slimspan inspect`: what would be moved, told without moving anything.

use std::fs;
use std::path::Path;

use serde_json::Value;
use slimspan_generators::Request;
use slimspan_proto::Signal;

use crate::support::slimspan::run;
use crate::support::{config, frames, otlp};

const PDF: &[u8] = include_bytes!("../../src/cli/demo/document.pdf");

/// A folder with a picture twice, a PDF, and a request without files.
fn captured() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, request: &[u8]| fs::write(folder.path().join(name), request).unwrap();
    let picture = otlp::span_with(otlp::PICTURE);
    let both = otlp::span([
        ("picture", otlp::data_uri(otlp::PICTURE)),
        ("document", otlp::bytes(PDF)),
    ]);
    write("picture.pb", &picture);
    let Ok(Request::Traces(both)) = Request::decode(Signal::Traces, &both) else {
        panic!("it is a request of traces");
    };
    let both = serde_json::to_vec(&both).unwrap();
    write("both.json.gz", &frames::compress("gzip", &both));
    write("plain.pb", &otlp::plain_span(1));
    let config = config::standard(([127, 0, 0, 1], 9).into());
    write("collector.yaml", config.to_string().as_bytes());
    folder
}

const FILES: [&str; 3] = ["picture.pb", "both.json.gz", "plain.pb"];

async fn inspect(folder: &Path, arguments: &[&str]) -> String {
    let arguments = [&["inspect"], arguments, &FILES].concat();
    let ended = run(folder, &arguments).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stderr, "");
    ended.stdout
}

async fn inspect_json(folder: &Path, arguments: &[&str]) -> Value {
    let arguments = [&["--format", "json"], arguments].concat();
    serde_json::from_str(&inspect(folder, &arguments).await).unwrap()
}

#[tokio::test]
async fn the_numbers_are_those_of_the_files() {
    let folder = captured();
    for arguments in [&[][..], &["--config", "collector.yaml"]] {
        let json = inspect_json(folder.path(), arguments).await;
        let before = otlp::span_with(otlp::PICTURE).len()
            + otlp::span([
                ("picture", otlp::data_uri(otlp::PICTURE)),
                ("document", otlp::bytes(PDF)),
            ])
            .len()
            + otlp::plain_span(1).len();
        assert_eq!(json["requests"], 3);
        assert_eq!(json["bytes_before"], before);
        let after = json["bytes_after"].as_u64().unwrap();
        assert!((600..4_000).contains(&after), "{json:#}");
        assert_eq!(json["bytes_saved"], before as u64 - after);
        assert_eq!(json["references"], 3);
        assert_eq!(json["duplicates"], 1);
        assert_eq!(json["duplicates_exact"], true);
        assert_eq!(json["decoded_bytes"], 2 * otlp::PICTURE.len() + PDF.len());
        assert_eq!(json["stored_bytes"], otlp::PICTURE.len() + PDF.len());
        let mut rows: Vec<_> = json["attributes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let text = |name: &str| row[name].as_str().unwrap().to_owned();
                let count = |name: &str| row[name].as_u64().unwrap();
                (
                    text("attribute"),
                    text("media_type"),
                    count("references"),
                    count("duplicates"),
                )
            })
            .collect();
        rows.sort();
        let row = |attribute: &str, media_type: &str, references, duplicates| {
            let (attribute, media_type) = (attribute.to_owned(), media_type.to_owned());
            (attribute, media_type, references, duplicates)
        };
        let expected = [
            row("document", "application/pdf", 1, 0),
            row("picture", "image/png", 2, 1),
        ];
        assert_eq!(rows, expected);
    }
    // Neither a store nor anything else was made.
    let names = fs::read_dir(folder.path()).unwrap();
    assert_eq!(names.count(), FILES.len() + 1);
}

#[tokio::test]
async fn the_table_has_a_line_for_each_attribute() {
    let folder = captured();
    let table = inspect(folder.path(), &[]).await;
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0][..2], ["attribute", "media"]);
    let mut rows = [&lines[1], &lines[2]];
    rows.sort();
    assert_eq!(rows[0][..4], ["document", "application/pdf", "1", "0"]);
    assert_eq!(rows[1][..4], ["picture", "image/png", "2", "1"]);
    assert_eq!(lines[4][..2], ["requests", "3,"]);
}

#[tokio::test]
async fn a_threshold_stands_over_the_configured_one() {
    let folder = captured();
    let between = (otlp::PICTURE.len() + 1).to_string();
    let arguments = ["--config", "collector.yaml", "--threshold", &between];
    let json = inspect_json(folder.path(), &arguments).await;
    assert_eq!(json["references"], 1);
    assert_eq!(json["attributes"][0]["attribute"], "document");

    let ended = run(
        folder.path(),
        &["inspect", "--threshold", "much", "plain.pb"],
    )
    .await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("8KiB"), "{ended:?}");
}

#[tokio::test]
async fn a_file_that_is_no_telemetry_is_named() {
    let folder = captured();
    for (name, told) in [
        ("collector.yaml", "neither resourceSpans"),
        ("missing.pb", "cannot open"),
        (".", "is a folder"),
    ] {
        let ended = run(folder.path(), &["inspect", "plain.pb", name]).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(name), "{ended:?}");
        assert!(ended.stderr.contains(told), "{ended:?}");
        assert_eq!(ended.stdout, "");
    }
}
