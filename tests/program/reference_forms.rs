//! What references look like in each form, and that each leads back to what was sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use serde_json::json;
use slimspan_artifact::{Digest, Location};
use slimspan_proto::Signal;

use crate::support::backend::Backend;
use crate::support::references::{files, path_in, restored_from};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

const PUBLIC: &str = "https://files.example.com/x";
/// Where the picture is then, with `DIGEST` for its digest.
const URI: &str = "https://files.example.com/x/artifacts/DIGEST.png";

/// A picture in each of the places that forms differ in.
fn request() -> Bytes {
    let base64 = STANDARD.encode(otlp::PICTURE);
    let messages = json!([{ "role": "user", "parts": [
        { "type": "blob", "mime_type": "image/png", "content": base64 },
        { "type": "text", "content": "What is this?" },
    ]}]);
    let markdown = format!("Look: ![it](data:image/png;base64,{base64})!");
    otlp::span([
        ("picture", otlp::data_uri(otlp::PICTURE)),
        ("raw", otlp::bytes(otlp::PICTURE)),
        ("messages", otlp::text(messages.to_string())),
        ("markdown", otlp::text(markdown)),
    ])
}

/// The attributes that the backend gets, for references to `public_url` or into the folder.
async fn slim(form: &str, public_url: Option<&str>) -> Vec<(String, String)> {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    config["processors"]["artifact"]["reference"] = json!(form);
    config["extensions"]["artifact_store"]["public_url"] = json!(public_url);
    let slimspan = Slimspan::start(&config).await;
    let request = request();
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &request).await.unwrap();

    let artifacts = slimspan.artifacts();
    let digest = Digest::of(otlp::PICTURE).to_string();
    let file = path_in(&artifacts, &digest);
    assert!(std::fs::read(&file).unwrap() == otlp::PICTURE);
    assert_eq!(files(&artifacts), [file]);
    let in_folder = format!("file://{}/default/sha256", artifacts.display());
    let location = match public_url {
        Some(url) => Location::Public(url.trim_end_matches('/').to_owned()),
        None => Location::Store(in_folder.clone()),
    };
    let slim = backend.only();
    let back = restored_from(&location, Signal::Traces, &slim, &artifacts);
    assert!(back == request, "{form}");
    otlp::attributes(&slim)
        .into_iter()
        .map(|(key, value)| match value {
            Value::StringValue(text) => (
                key,
                text.replace(&in_folder, "STORE").replace(&digest, "DIGEST"),
            ),
            other => panic!("{key} is {other:?}"),
        })
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    expected.iter().map(owned).collect()
}

/// A message part becomes its provider's link, and a URI stands for everything else.
#[tokio::test]
async fn native_references_are_what_the_place_calls_for() {
    let slim = slim("native", Some(PUBLIC)).await;
    assert_eq!(
        slim,
        pairs(&[
            ("picture", URI),
            ("raw", &format!("{URI}?as=bytes")),
            (
                "messages",
                &messages(&format!(
                    r#"{{"modality":"image","uri":"{URI}?as=base64&part=genai.0.m.a34.b6","mime_type":"image/png","type":"uri"}}"#
                ))
            ),
            ("markdown", &format!("Look: ![it]({URI})!")),
        ])
    );
}

/// A URI stands for the file and for nothing else: message parts stay what they were.
#[tokio::test]
async fn uri_references_are_uris_everywhere() {
    let slim = slim("uri", Some(PUBLIC)).await;
    assert_eq!(
        slim,
        pairs(&[
            ("picture", URI),
            ("raw", &format!("{URI}?as=bytes")),
            (
                "messages",
                &messages(&blob(&format!("\"{URI}?as=base64\"")))
            ),
            ("markdown", &format!("Look: ![it]({URI})!")),
        ])
    );
}

/// An attribute that is a file gets another name; within a text there is a URI.
#[tokio::test]
async fn semconv_references_have_a_key_of_their_own() {
    let slim = slim("semconv", Some(PUBLIC)).await;
    assert_eq!(
        slim,
        pairs(&[
            ("picture_ref", &format!("{URI}?as=data-uri&ref")),
            ("raw_ref", &format!("{URI}?as=bytes&ref")),
            (
                "messages",
                &messages(&blob(&format!("\"{URI}?as=base64\"")))
            ),
            ("markdown", &format!("Look: ![it]({URI})!")),
        ])
    );
}

/// Objects say all there is to say; in the middle of prose a URI has to do.
#[tokio::test]
async fn object_references_describe_the_file() {
    for (form, kind) in [("object", "artifact"), ("logfire", "logfire.artifact")] {
        let object = |encoding: &str| {
            format!(
                r#"{{"type":"{kind}","sha256":"DIGEST","content_type":"image/png","size_bytes":14843,"uri":"{URI}","encoding":"{encoding}"}}"#
            )
        };
        let slim = slim(form, Some(PUBLIC)).await;
        assert_eq!(
            slim,
            pairs(&[
                ("picture", &object("data-uri")),
                ("raw", &object("bytes")),
                ("messages", &messages(&blob(&object("base64")))),
                ("markdown", &format!("Look: ![it]({URI})!")),
            ])
        );
    }
}

/// Without a public URL references lead into the store itself, whose names have no extension: a
/// URI then says more.
#[tokio::test]
async fn without_a_public_url_references_lead_into_the_store() {
    let digest = Digest::of(otlp::PICTURE).to_string();
    let place = format!("STORE/{}/DIGEST", &digest[..2]);
    let prefix = "?as=base64&prefix=data%3Aimage%2Fpng%3Bbase64%2C";
    for (form, key, picture) in [
        ("native", "picture", format!("{place}{prefix}")),
        ("uri", "picture", format!("{place}{prefix}")),
        ("semconv", "picture_ref", format!("{place}{prefix}&ref")),
        (
            "object",
            "picture",
            format!(
                r#"{{"type":"artifact","sha256":"DIGEST","content_type":"image/png","size_bytes":14843,"uri":"{place}","encoding":"data-uri"}}"#
            ),
        ),
    ] {
        let slim = slim(form, None).await;
        assert_eq!(slim[0], (key.to_owned(), picture), "{form}");
    }
}

/// What the messages are with the part in place of the picture.
fn messages(part: &str) -> String {
    format!(r#"[{{"parts":[{part},{{"content":"What is this?","type":"text"}}],"role":"user"}}]"#)
}

/// The part that was sent, with `content` in place of the base64.
fn blob(content: &str) -> String {
    format!(r#"{{"content":{content},"mime_type":"image/png","type":"blob"}}"#)
}
