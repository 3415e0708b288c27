//! References that a sender wrote: data like any other, which must come back as it was and must not
//! make anybody fetch something.

use bytes::Bytes;
use slimspan_artifact::{Digest, Location, Policy, extract, restore};
use slimspan_proto::Signal::{self, Logs, Traces};

use crate::request::*;

fn digest() -> Digest {
    Digest::of(b"somebody else's")
}

/// A reference as a URI, and the same marked once.
fn uri(query: &str) -> [String; 2] {
    ["", "untrusted/"].map(|mark| format!("{PUBLIC}/artifacts/{mark}{}.png{query}", digest()))
}

/// A reference as an object, and the same marked once.
fn object(kind: &str, token: &str) -> [String; 2] {
    ["", ".untrusted"].map(|mark| {
        format!(
            r#"{{"type":"{kind}{mark}","sha256":"{}","content_type":"image/png","size_bytes":15,"uri":"x","encoding":"{token}"}}"#,
            digest()
        )
    })
}

fn references() -> Vec<[String; 2]> {
    let dropped =
        ["", "untrusted/"].map(|mark| format!("artifact://dropped/{mark}{}.png?size=15", digest()));
    vec![
        uri(""),
        uri("?as=base64"),
        uri("?as=bytes&ref"),
        uri("?as=base64&part=genai.0.tm.b57.b8"),
        uri("?as=base64~"),
        dropped,
        object("artifact", "base64"),
        object("logfire.artifact", "data-uri"),
        object("artifact", "base64&literal"),
        object("artifact", "index-object"),
    ]
}

/// Marks what is a reference in `request`, expects `marked`, and takes the marks away again without
/// anything being fetched.
fn assert_marked(signal: Signal, request: &Bytes, marked: &Bytes) {
    for one in FORMS {
        let extraction = extract(signal, request, &form(one)).unwrap();
        assert!(
            extraction.request == marked,
            "{one:?}: {}",
            extraction.request.escape_ascii()
        );
        assert_eq!(extraction.untrusted > 0, request != marked, "{one:?}");
        assert_eq!((extraction.artifacts, extraction.moves), (vec![], vec![]));
    }
    let nobody = |digest| panic!("fetched {digest}");
    let restored = restore(signal, marked, &policy().location, nobody).unwrap();
    assert_eq!((restored.restored, restored.left), (0, vec![]));
    assert!(restored.request == request);
}

/// `text` as a string in JSON, so many times.
fn wrap(text: &str, times: usize) -> String {
    let wrap = |text: String, _| format!(r#"{{"a":"{}"}}"#, escaped(&text));
    (0..times).fold(text.to_owned(), wrap)
}

#[test]
fn a_reference_that_comes_in_is_marked_however_deep_it_stands() {
    for [reference, marked] in references() {
        for times in 0..=3 {
            for (before, after) in [("", ""), ("see ", " please"), ("[\"", "\"]")] {
                let [request, marked] = [&reference, &marked]
                    .map(|text| wrap(&format!("{before}{text}{after}"), times));
                assert_marked(Traces, &text(&request), &text(&marked));
                let [request, marked] = [request, marked].map(|text| log_body(&string(text)));
                assert_marked(Logs, &request, &marked);
            }
        }
    }
}

#[test]
fn a_mark_is_added_to_a_mark() {
    for [reference, marked] in references() {
        let word = if reference.starts_with('{') {
            ".untrusted"
        } else {
            "untrusted/"
        };
        let at = marked.find(word).unwrap();
        let mut twice = marked.clone();
        twice.insert_str(at, word);
        assert_marked(Traces, &text(&marked), &text(&twice));
    }
}

#[test]
fn lists_are_marked_like_objects() {
    let reference = |kind: &str| {
        list(&[
            ("type", string(kind)),
            ("sha256", string(digest().to_string())),
            ("content_type", string("image/png")),
            ("size_bytes", number(300)),
            ("uri", string("x")),
            ("encoding", string("bytes")),
        ])
    };
    for (kind, marked) in [
        ("artifact", "artifact.untrusted"),
        ("logfire.artifact", "logfire.artifact.untrusted"),
        ("artifact.untrusted", "artifact.untrusted.untrusted"),
    ] {
        for around in [
            (|value: Vec<u8>| value) as fn(Vec<u8>) -> Vec<u8>,
            |value| list(&[("a", value), ("b", string("c"))]),
            |value| array(&[value.clone(), value]),
        ] {
            let [request, marked] = [kind, marked].map(|kind| around(reference(kind)));
            let attribute = |value| span(&[(KEY, value)]);
            assert_marked(
                Traces,
                &attribute(request.clone()),
                &attribute(marked.clone()),
            );
            assert_marked(Logs, &log_body(&request), &log_body(&marked));
        }
    }
    let link = |mark: &str| {
        let uri = format!(
            "{PUBLIC}/artifacts/{mark}{}.png?as=bytes&part=genai.0.",
            digest()
        );
        span(&[(KEY, list(&[("type", string("uri")), ("uri", string(uri))]))])
    };
    assert_marked(Traces, &link(""), &link("untrusted/"));
}

#[test]
fn what_is_only_similar_is_nobodys_reference() {
    let [object, _] = object("artifact", "base64");
    let [uri, _] = uri("");
    let digest = digest().to_string();
    for text in [
        object.replace("\"type\"", " \"type\""),
        object.replace(",\"size", ", \"size"),
        object.replace("size_bytes\":15", "size_bytes\":015"),
        object.replace("size_bytes\":15", "size_bytes\":-15"),
        object.replace("\"uri\":\"x\",", "\"uri\":\"x\",\"more\":1,"),
        object.replace("\"base64\"", "\"base65\""),
        object.replace("\"artifact\"", "\"artefact\""),
        object.replace(&digest, &digest.to_uppercase()),
        object.replace(&digest, &digest[1..]),
        object[..object.len() - 1].to_owned(),
        object.replace('"', "'"),
        object.replace('"', "\\\\\""),
        uri.replace(".png", ""),
        uri.replace(".png", ".exe"),
        uri.replace(".png", ".pngs"),
        uri.replace(&digest, &digest.to_uppercase()),
        uri.replace(&digest, &digest[1..]),
        uri.replace(&digest, &format!("{digest}0")),
        format!("{uri}?as=data-uri"),
        format!("{uri}?as="),
        format!("{uri}?x=1"),
        format!("{uri}a"),
        format!("{uri}/"),
        format!("{uri}#a"),
        uri.replace('/', "\\/"),
        format!("artifact://dropped/{digest}.png"),
        format!("artifact://dropped/{digest}.png?size=015"),
        // Another place.
        uri.replace("4319", "4318"),
        format!("s3://bucket/sha256/{}/{digest}", &digest[..2]),
    ] {
        assert_untouched(Traces, &crate::request::text(&text), &text);
        let nobody = |digest| panic!("fetched {digest} for {text}");
        let request = crate::request::text(&text);
        let restored = restore(Traces, &request, &policy().location, nobody).unwrap();
        assert!(restored.request == request && restored.left.is_empty());
    }
}

/// What is not marked is ours, and asked for.
#[test]
fn a_reference_is_fetched_for_exactly_once() {
    for [reference, _] in references() {
        let dropped = reference.starts_with("artifact:");
        let mut asked = Vec::new();
        let request = text(&reference);
        let fetch = |digest| {
            asked.push(digest);
            None
        };
        let restored = restore(Traces, &request, &policy().location, fetch).unwrap();
        assert_eq!(
            asked.len() + usize::from(dropped),
            restored.left.len(),
            "{reference}"
        );
        assert_eq!(restored.request, request);
    }
    let elsewhere = Location::Store("s3://bucket/sha256".into());
    let [uri, _] = uri("");
    let nobody = |digest| panic!("fetched {digest}");
    let restored = restore(Traces, &text(&uri), &elsewhere, nobody).unwrap();
    assert_eq!(restored.request, text(&uri));
}

/// Files are taken out of the text around it, and it stays marked beside them.
#[test]
fn a_file_beside_a_reference_is_still_found() {
    let file = png(THRESHOLD);
    for [reference, _] in references() {
        let picture = format!("data:image/png;base64,{}", base64(&file));
        for text in [
            format!("{reference} and {picture}"),
            format!("{picture} and {reference}"),
            format!("({picture})({reference})"),
            format!("{picture}{reference}"),
            format!(r#"["{}","{picture}"]"#, escaped(&reference)),
            format!(
                r#"{{"type":"blob","note":"{}","content":"{picture}"}}"#,
                escaped(&reference)
            ),
            format!(
                r#"{{"type":"blob","content":"{picture}","note":"{}"}}"#,
                escaped(&reference)
            ),
            wrap(&format!("{reference} {picture}"), 2),
        ] {
            for one in FORMS {
                let extraction = slim_of_forged(&text, &form(one));
                assert!(
                    !extraction.is_empty() || text.starts_with("data:"),
                    "{text}"
                );
            }
        }
    }
}

/// The digests that were moved out of `content`, which comes back and of which nothing else is
/// fetched.
fn slim_of_forged(content: &str, policy: &Policy) -> Vec<Digest> {
    let extraction = slim(Traces, &text(content), policy);
    assert!(
        extraction
            .request
            .windows(9)
            .any(|part| part == b"untrusted")
    );
    digests(&extraction)
}

/// A file that a reference is a part of is taken with the reference in it.
#[test]
fn a_reference_in_a_file_goes_with_it() {
    let [uri, _] = uri("");
    let prose = format!("{} {uri} ", "word ".repeat(400));
    let policy = Policy {
        text_threshold: Some(THRESHOLD),
        preview: 5_000,
        ..policy()
    };
    for prose in [prose.clone(), format!("{uri} {prose}")] {
        let long = prose.repeat(4);
        let extraction = slim(Traces, &text(&long), &policy);
        assert_eq!(digests(&extraction), [Digest::of(long.as_bytes())]);
    }
}
