//! A dry run tells what would happen, and does nothing of it.

use bytes::Bytes;
use serde_json::{Value, json};
use slimspan_proto::Signal;
use tonic::Code;

use crate::support::backend::Backend;
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

async fn start(backend: &Backend, dry_run: bool) -> Slimspan {
    let mut config = config::standard(backend.address);
    config["processors"]["artifact"]["dry_run"] = json!(dry_run);
    Slimspan::start(&config).await
}

/// The report that is a line of JSON in what was printed.
fn report(printed: &str) -> Value {
    let lines: Vec<_> = printed
        .lines()
        .filter(|line| line.starts_with('{'))
        .collect();
    let [line] = lines[..] else {
        panic!("{printed}");
    };
    serde_json::from_str(line).unwrap()
}

/// The backend gets what was sent, no store is touched, and the report says what that cost.
#[tokio::test]
async fn requests_pass_byte_for_byte_and_are_reported() {
    let backend = Backend::start().await;
    let slimspan = start(&backend, true).await;
    let sender = slimspan.sender().await;
    let traces = otlp::span([
        ("one", otlp::data_uri(otlp::PICTURE)),
        ("two", otlp::bytes(&otlp::photo(1, otlp::PHOTO))),
    ]);
    let logs = otlp::log(otlp::data_uri(otlp::PICTURE), []);
    sender.send(Signal::Traces, &traces).await.unwrap();
    sender.send(Signal::Logs, &logs).await.unwrap();

    let received = backend.received();
    let messages: Vec<_> = received.iter().map(|one| one.message.clone()).collect();
    assert!(messages == [traces.clone(), logs.clone()]);
    assert!(!slimspan.artifacts().exists());
    let ended = slimspan.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("would move files of 8.0 KiB"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("nothing is stored in a dry run"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stderr.contains("processors.artifact: dry run"),
        "{}",
        ended.stderr
    );
    assert!(
        ended
            .stderr
            .contains("values replaced 0, artifacts stored 0"),
        "{}",
        ended.stderr
    );

    let report = report(&ended.stderr);
    assert_eq!(report["requests"], 2);
    assert_eq!(report["bytes_before"], traces.len() + logs.len());
    assert_eq!(report["references"], 3);
    assert_eq!(report["duplicates"], 1);
    assert_eq!(report["stored_bytes"], otlp::PICTURE.len() + otlp::PHOTO);
    assert!(report["share_saved"].as_f64().unwrap() > 0.9, "{report}");
    let rows = report["attributes"].as_array().unwrap();
    let rows: Vec<_> = rows
        .iter()
        .map(|row| (&row["attribute"], &row["media_type"]))
        .collect();
    let png = json!("image/png");
    assert_eq!(
        rows,
        [
            (&json!("two"), &png),
            (&json!("(body)"), &png),
            (&json!("one"), &png)
        ]
    );
}

/// What only the extractor refuses is not held up by its dry run.
#[tokio::test]
async fn what_would_be_refused_passes() {
    // A text that looks like a reference is marked, which makes it longer than its length, in ten
    // bytes of which nine are surplus, can say.
    let forged = format!("see artifact://dropped/{}.png?size=9 ", "0a".repeat(32));
    let forged = format!("{forged:-<125}");
    let length = [&[0x80 | 125][..], &[0x80; 8], &[0x00]].concat();
    let value = [&[0x0a][..], &length, forged.as_bytes()].concat();
    let mut broken = value;
    for (number, before) in [
        (2, &b"\x0a\x01k"[..]),
        (9, b""),
        (2, b""),
        (2, b""),
        (1, b""),
    ] {
        let mut field = before.to_vec();
        field.push(number << 3 | 2);
        prost::encode_length_delimiter(broken.len(), &mut field).unwrap();
        field.extend(broken);
        broken = field;
    }
    let broken = Bytes::from(broken);
    for (dry_run, code) in [(true, Code::Ok), (false, Code::InvalidArgument)] {
        let backend = Backend::start().await;
        let slimspan = start(&backend, dry_run).await;
        let answer = slimspan.sender().await.send(Signal::Traces, &broken).await;
        assert_eq!(
            answer.map_or_else(|status| status.code(), |_| Code::Ok),
            code
        );
        let ended = slimspan.stop().await;
        if dry_run {
            assert!(backend.only() == broken);
            assert!(
                ended.stderr.contains("not in a dry run, refused: "),
                "{}",
                ended.stderr
            );
            assert_eq!(report(&ended.stderr)["requests"], 0);
        } else {
            assert!(backend.received().is_empty());
        }
    }
}
