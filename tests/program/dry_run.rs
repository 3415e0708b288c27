//! A dry run tells what would happen, and does nothing of it.

use serde_json::{Value, json};
use slimspan_proto::Signal;

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
