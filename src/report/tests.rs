#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use serde_json::{Value, json};
use slimspan_artifact::{Digest, Move, Shape, ValuePath};

use super::*;

fn moved(attribute: &str, media_type: &str, file: &[u8], before: usize) -> Move {
    Move {
        attribute: attribute.to_owned(),
        shape: Shape::Base64,
        media_type: media_type.to_owned(),
        digest: Digest::of(file),
        size: 3 * before / 4,
        before,
        after: 400,
        stored: true,
        carrier: slimspan_proto::Carrier::Span,
        at: 0,
        path: ValuePath::default(),
        proven: None,
        file_name: None,
    }
}

fn extraction(after: usize, moves: Vec<Move>) -> Extraction {
    Extraction {
        request: Bytes::from(vec![0; after]),
        artifacts: Vec::new(),
        recalled: Vec::new(),
        learned: Vec::new(),
        moves,
        truncated: 0,
        cuts: Vec::new(),
        claims: Vec::new(),
        mislabelled: 0,
        texts: 0,
        untrusted: 0,
    }
}

/// A picture twice, a PDF, and a request without files.
fn report() -> Report {
    let mut report = Report::default();
    let picture = || moved("gen_ai.input.messages", "image/png", b"picture", 40_000);
    let pdf = moved("(body)", "application/pdf", b"pdf", 4_000);
    report.add(&extraction(1_000, vec![picture(), pdf]), 44_200);
    report.add(&extraction(900, vec![picture()]), 40_500);
    let plain = Extraction {
        truncated: 2,
        mislabelled: 1,
        ..extraction(300, vec![])
    };
    report.add(&plain, 300);
    report
}

#[test]
fn json_has_raw_numbers_under_stable_names() {
    let json = serde_json::to_value(report()).unwrap();
    let share = |saved: f64, of: f64| saved / of;
    assert_eq!(
        json,
        json!({
            "requests": 3,
            "bytes_before": 85_000,
            "bytes_after": 2_200,
            "bytes_saved": 82_800,
            "share_saved": share(82_800.0, 85_000.0),
            "references": 3,
            "duplicates": 1,
            "duplicates_exact": true,
            "decoded_bytes": 63_000,
            "stored_bytes": 33_000,
            "truncated": 2,
            "mislabelled": 1,
            "attributes": [
                {
                    "attribute": "gen_ai.input.messages",
                    "media_type": "image/png",
                    "references": 2,
                    "duplicates": 1,
                    "decoded_bytes": 60_000,
                    "bytes_before": 80_000,
                    "bytes_after": 800,
                    "bytes_saved": 79_200,
                    "share_saved": share(79_200.0, 80_000.0),
                },
                {
                    "attribute": "(body)",
                    "media_type": "application/pdf",
                    "references": 1,
                    "duplicates": 0,
                    "decoded_bytes": 3_000,
                    "bytes_before": 4_000,
                    "bytes_after": 400,
                    "bytes_saved": 3_600,
                    "share_saved": share(3_600.0, 4_000.0),
                },
            ],
        })
    );
}

#[test]
fn the_table_is_aligned_and_begins_with_what_saves_the_most() {
    assert_eq!(
        report().to_table(),
        "\
attribute              media type       files  repeats   decoded  in requests   saved
gen_ai.input.messages  image/png            2        1  58.6 KiB     78.1 KiB  99.0 %
(body)                 application/pdf      1        0   2.9 KiB      3.9 KiB  90.0 %

requests     3, 83.0 KiB before, 2.1 KiB after, 97.4 % saved
files        3 references, 1 repeats, 32.2 KiB to store
left alone   2 base64 values that were cut off
mislabelled  1 files of another type than they say
"
    );
}

#[test]
fn nothing_to_move_is_said() {
    let table = Report::default().to_table();
    assert!(table.starts_with("nothing would be moved\n\n"), "{table}");
    assert!(table.contains("0.0 % saved"), "{table}");
}

#[test]
fn long_and_hostile_names_keep_the_table_in_shape() {
    let mut report = Report::default();
    let long = format!("start.{}.end", "x".repeat(300));
    let moves = vec![
        moved(&long, "image/png", b"1", 10_000),
        moved("\u{1b}[31m\n", "image/größe", b"2", 20_000),
    ];
    report.add(&extraction(1_000, moves), 40_000);
    let table = report.to_table();
    let lines: Vec<&str> = table.lines().take(3).collect();
    let widths: Vec<usize> = lines.iter().map(|line| line.chars().count()).collect();
    assert_eq!(widths, [widths[0]; 3], "{table}");
    assert!(lines[1].starts_with("\\u{1b}[31m\\n "), "{table}");
    assert!(lines[2].starts_with("start.xxx"), "{table}");
    assert!(lines[2].contains("xxx.end "), "{table}");
    let json = serde_json::to_value(&report).unwrap();
    let name = json["attributes"][1]["attribute"].as_str().unwrap();
    assert_eq!(name.chars().count(), 200);
}

#[test]
fn attributes_without_end_take_bounded_memory() {
    let mut report = Report::default();
    for number in 0..MAX_ROWS + 10 {
        let key = format!("key.{number}");
        let moves = vec![moved(&key, "image/png", key.as_bytes(), 10_000)];
        report.add(&extraction(400, moves), 10_000);
    }
    // Those that have a row keep it.
    let again = vec![moved("key.0", "image/png", b"new", 10_000)];
    report.add(&extraction(400, again), 10_000);
    assert_eq!(report.rows.len(), MAX_ROWS);
    assert_eq!(report.other.count, 10);
    let json = serde_json::to_value(&report).unwrap();
    let rows = json["attributes"].as_array().unwrap();
    assert_eq!(rows.len(), MAX_ROWS + 1);
    assert_eq!(rows[0]["references"], 2);
    assert_eq!(rows[MAX_ROWS]["attribute"], Value::Null);
    assert_eq!(rows[MAX_ROWS]["references"], 10);
    assert!(report.to_table().contains("\n(others) "));
}
