//! What the configuration says about what is moved, and what is not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use serde_json::json;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;

use crate::support::backend::Backend;
use crate::support::references::{Reference, files, references, restored};
use crate::support::slimspan::{Ended, Slimspan};
use crate::support::{config, otlp};

/// What became of one request.
struct Outcome {
    slim: Bytes,
    ended: Ended,
    /// The names of the files in the store.
    stored: Vec<String>,
    /// The request again, if nothing of it was given up.
    back: Option<Bytes>,
}

/// Sends `request` through an artifact processor with these settings.
async fn through(settings: serde_json::Value, request: &Bytes) -> Outcome {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    let processor = config["processors"]["artifact"].as_object_mut().unwrap();
    processor.extend(settings.as_object().unwrap().clone());
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, request).await.unwrap();
    let slim = backend.only();
    let artifacts = slimspan.artifacts();
    let mut stored: Vec<String> = files(&artifacts)
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    stored.sort();
    let dropped = references(Signal::Traces, &slim)
        .iter()
        .any(|one| one.dropped);
    let back = (!dropped).then(|| restored(Signal::Traces, &slim, &artifacts));
    let ended = slimspan.stop().await;
    Outcome {
        slim,
        ended,
        stored,
        back,
    }
}

/// The references in one attribute.
fn in_attribute(slim: &[u8], key: &str) -> Vec<Reference> {
    let attributes = otlp::attributes(slim).into_iter();
    let mut found = attributes
        .filter(|(name, _)| name == key)
        .map(|(_, value)| value);
    let value = found.next().unwrap();
    let alone = otlp::span([("alone", value)]);
    references(Signal::Traces, &alone)
}

fn digests(mut files: Vec<&[u8]>) -> Vec<String> {
    let mut digests: Vec<String> = files
        .drain(..)
        .map(|file| Digest::of(file).to_string())
        .collect();
    digests.sort();
    digests
}

/// The first rule that fits an attribute decides whether its files stay, move or go, and from
/// which size on.
#[tokio::test]
async fn the_first_rule_that_fits_decides() {
    let file = |seed| otlp::photo(seed, 20_000);
    let (small, kept, dropped, moved) = (otlp::photo(1, 2_000), file(2), file(3), file(4));
    let request = otlp::span([
        ("tiny.thumb", otlp::bytes(&small)),
        ("user.password.scan", otlp::data_uri(&kept)),
        ("request.body.upload", otlp::data_uri(&kept)),
        ("screen.recording", otlp::data_uri(&dropped)),
        ("screen.small", otlp::bytes(&small)),
        ("picture", otlp::data_uri(&moved)),
    ]);
    let rules = json!([
        { "attributes": ["tiny.*"], "threshold": "1KiB" },
        { "attributes": ["*password*", "*secret*"], "action": "keep" },
        { "attributes": ["request.body*"], "threshold": "64KiB" },
        { "attributes": ["screen.*", "user.*"], "action": "drop" },
    ]);
    let outcome = through(json!({ "rules": rules }), &request).await;
    let slim = &outcome.slim;
    assert_eq!(outcome.stored, digests(vec![&small, &moved]));
    let value = |request: &[u8], key: &str| {
        let attributes = otlp::attributes(request);
        attributes
            .into_iter()
            .find(|(name, _)| name == key)
            .unwrap()
            .1
    };
    for key in ["user.password.scan", "request.body.upload", "screen.small"] {
        assert!(value(slim, key) == value(&request, key), "{key}");
    }
    assert_eq!(in_attribute(slim, "tiny.thumb").len(), 1);
    assert_eq!(
        in_attribute(slim, "picture")[0].sha256,
        Digest::of(&moved).to_string()
    );
    let [gone] = <[_; 1]>::try_from(in_attribute(slim, "screen.recording")).unwrap();
    assert_eq!(gone.sha256, Digest::of(&dropped).to_string());
    assert_eq!((gone.dropped, gone.size_bytes), (true, Some(dropped.len())));
    let log = outcome.ended.stderr;
    let counted = "values replaced 3, artifacts stored 2, artifacts dropped 1,";
    assert!(log.contains(counted), "{log}");
    let banner = outcome.ended.stdout;
    assert!(
        banner.contains("8.0 KiB and more, 4 rules, native"),
        "{banner}"
    );
}

/// A request of which everything is given up asks nothing of the store, and is counted.
#[tokio::test]
async fn what_is_dropped_needs_no_store() {
    let rules = json!([{ "attributes": ["*"], "action": "drop" }]);
    let outcome = through(json!({ "rules": rules }), &otlp::span_with(otlp::PICTURE)).await;
    assert_eq!(outcome.stored, [] as [String; 0]);
    assert!(outcome.slim.len() < 500, "{} bytes", outcome.slim.len());
    let log = outcome.ended.stderr;
    let counted = "values replaced 1, artifacts stored 0, artifacts dropped 1,";
    assert!(log.contains(counted), "{log}");
}

/// Only files of the types that are asked for are moved, and none of those that are excluded.
#[tokio::test]
async fn media_types_decide_what_is_moved() {
    let svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\">{}</svg>",
        " ".repeat(10_000)
    );
    let wav = [&b"RIFF\x2c\x4e\0\0WAVEfmt "[..], &vec![7; 20_004]].concat();
    let uri = |media_type: &str, file: &[u8]| {
        otlp::text(format!(
            "data:{media_type};base64,{}",
            STANDARD.encode(file)
        ))
    };
    let request = otlp::span([
        ("png", uri("image/png", otlp::PICTURE)),
        ("svg", uri("image/svg+xml", svg.as_bytes())),
        ("wav", uri("audio/wav", &wav)),
    ]);
    for (settings, moved) in [
        (json!({}), vec![otlp::PICTURE, svg.as_bytes(), &wav]),
        (
            json!({ "media_types": ["IMAGE/*"] }),
            vec![otlp::PICTURE, svg.as_bytes()],
        ),
        (
            json!({ "exclude_media_types": ["image/png"] }),
            vec![svg.as_bytes(), &wav],
        ),
        (
            json!({ "media_types": ["image/*"], "exclude_media_types": ["*svg*"] }),
            vec![otlp::PICTURE],
        ),
    ] {
        let outcome = through(settings.clone(), &request).await;
        assert_eq!(outcome.stored, digests(moved), "{settings}");
        assert!(outcome.back.unwrap() == request);
    }
}

/// A file under a wrong label is kept as what it is, and counted.
#[tokio::test]
async fn mislabelled_and_truncated_files_are_counted() {
    let base64 = STANDARD.encode(otlp::PICTURE);
    let request = otlp::span([
        (
            "label",
            otlp::text(format!("data:image/jpeg;base64,{base64}")),
        ),
        ("cut", otlp::text(&base64[..12_000])),
    ]);
    let outcome = through(json!({ "reference": "object" }), &request).await;
    let text = otlp::attributes(&outcome.slim).remove(0).1;
    let Value::StringValue(text) = text else {
        panic!("{text:?}");
    };
    let object: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["content_type"], "image/jpeg");
    assert_eq!(object["sniffed_type"], "image/png");
    assert!(outcome.back.unwrap() == request);
    let log = outcome.ended.stderr;
    let counted = "mislabelled files 1, truncated values left alone 1,";
    assert!(log.contains(counted), "{log}");
}

/// What nobody may take apart stays, whatever it looks like: by built-in names and configured ones.
#[tokio::test]
async fn denied_keys_are_left_alone() {
    let request = otlp::span([
        ("reasoning.signature", otlp::data_uri(otlp::PICTURE)),
        ("app.Sealed.Box", otlp::data_uri(otlp::PICTURE)),
        ("app.sealed.box", otlp::bytes(otlp::PICTURE)),
        ("picture", otlp::data_uri(otlp::PICTURE)),
    ]);
    for (settings, count) in [(json!({ "deny_keys": ["*.SEALED.*"] }), 1), (json!({}), 3)] {
        let outcome = through(settings, &request).await;
        assert_eq!(references(Signal::Traces, &outcome.slim).len(), count);
        assert!(outcome.back.unwrap() == request);
    }
}

/// Long texts are moved whole once that is asked for, and their beginning stays; a text that is
/// short once its files are out stays.
#[tokio::test]
async fn long_texts_leave_a_preview() {
    let story = "Once upon a time there was a very long log line. ".repeat(1_000);
    let json_text = json!({ "rows": vec![[1, 2, 3]; 5_000] }).to_string();
    let with_picture = format!(
        "See data:image/png;base64,{}",
        STANDARD.encode(otlp::PICTURE)
    );
    let request = otlp::span([
        ("story", otlp::text(&story)),
        ("result", otlp::text(&json_text)),
        ("mail", otlp::text(&with_picture)),
        ("other", otlp::text("-".repeat(10_000))),
    ]);
    let settings = json!({
        "text_threshold": "32KiB",
        "text_preview": "20B",
        "rules": [{ "attributes": ["result"], "text_threshold": "16KiB" }],
    });
    let outcome = through(settings, &request).await;
    let stored = digests(vec![story.as_bytes(), json_text.as_bytes(), otlp::PICTURE]);
    assert_eq!(outcome.stored, stored);
    for (key, media_type, preview) in [
        ("story", "text/plain", &story[..20]),
        ("result", "application/json", &json_text[..20]),
    ] {
        let [one] = <[_; 1]>::try_from(in_attribute(&outcome.slim, key)).unwrap();
        assert_eq!(one.content_type.as_deref(), Some(media_type));
        assert_eq!(one.preview.as_deref(), Some(preview));
    }
    assert_eq!(in_attribute(&outcome.slim, "mail").len(), 1);
    assert_eq!(in_attribute(&outcome.slim, "other"), []);
    assert!(outcome.back.unwrap() == request);
    let log = outcome.ended.stderr;
    assert!(log.contains("texts moved 2,"), "{log}");

    // Nothing of the kind happens to who has not asked for it.
    let outcome = through(json!({}), &request).await;
    assert_eq!(outcome.stored, digests(vec![otlp::PICTURE]));
}
