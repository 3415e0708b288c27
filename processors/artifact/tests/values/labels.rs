//! What stands beside a file says what it is, and what it is called.

use slimspan_artifact::{Extraction, Form, Pattern, Policy};
use slimspan_proto::Signal::Traces;

use crate::request::*;
use crate::shapes::{index_object, node_buffer};

/// `text` with files in it: `%` is bytes without a magic number in base64, `@` a picture.
fn filled(text: &str) -> String {
    text.replace('%', &base64(&prose(THRESHOLD)))
        .replace('@', &base64(&png(THRESHOLD)))
        .replace("INDEX", &index_object(&noise(THRESHOLD)))
        .replace("BUFFER", &node_buffer(&noise(THRESHOLD)))
}

/// As an object, which says more than a URI.
fn extraction(text: &str) -> Extraction {
    slim(Traces, &request_of(text), &form(Form::Object))
}

fn request_of(text: &str) -> bytes::Bytes {
    crate::request::text(filled(text))
}

fn media_types(extraction: &Extraction) -> Vec<&str> {
    let moves = extraction.moves.iter();
    moves.map(|of| of.media_type.as_str()).collect()
}

/// The value of the first member `name` in the request.
fn member(extraction: &Extraction, name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(&extraction.request).into_owned();
    let (_, value) = text.split_once(&format!(r#""{name}":""#))?;
    Some(value.split_once('"')?.0.to_owned())
}

#[test]
fn base64_needs_a_label_beside_it_or_a_magic_number() {
    for (text, expected) in [
        (r#"["@"]"#, &["image/png"][..]),
        (r#"{"data":"@"}"#, &["image/png"]),
        (r#"{"data":"%"}"#, &[]),
        (r#"["%"]"#, &[]),
        (r#"{"data":"%","mime_type":"audio/wav"}"#, &["audio/wav"]),
        (
            r#"{"mediaType" : "audio/wav" , "data" : "%"}"#,
            &["audio/wav"],
        ),
        (r#"{"data":"%","media_type":"AUDIO/Wav"}"#, &["audio/wav"]),
        (r#"{"data":"%","mimeType":"audio/wav"}"#, &["audio/wav"]),
        (r#"{"data":"%","mime":"audio/wav"}"#, &["audio/wav"]),
        (r#"{"data":"%","content_type":"audio/wav"}"#, &["audio/wav"]),
        (r#"{"data":"%","contentType":"audio/wav"}"#, &["audio/wav"]),
        (r#"{"data":"%","image_mimetype":"image/x"}"#, &["image/x"]),
        (r#"{"data":"%","document_mimetype":"a/b"}"#, &["a/b"]),
        (r#"{"data":"%","format":"mp3"}"#, &["audio/mpeg"]),
        (r#"{"data":"%","format":"pcm16"}"#, &["audio/l16"]),
        (r#"{"data":"%","format":"anthropic-claude-v1"}"#, &[]),
        (r#"{"data":"%","format":"wav","mime_type":"a/b"}"#, &["a/b"]),
        (r#"{"data":"%","mime_type":null}"#, &[]),
        (r#"{"data":"%","mime_type":"no type"}"#, &[]),
        (r#"{"data":"%","mime_type":["a/b"]}"#, &[]),
        (r#"{"data":"%","modality":"image"}"#, &[]),
        (r#"{"data":["%"],"mime_type":"audio/wav"}"#, &[]),
        (r#"{"mime_type":"audio/wav","part":{"data":"%"}}"#, &[]),
        (r#"{"part":{"mime_type":"audio/wav"},"data":"%"}"#, &[]),
        (r#"[{"mime_type":"audio/wav"},{"data":"%"}]"#, &[]),
        (r#"{"a":"mime_type","b":"audio/wav","data":"%"}"#, &[]),
        (
            r#"{"data":[{"b64_json":"%"}],"output_format":"opus"}"#,
            &["audio/opus"],
        ),
        (
            r#"{"output_format":"opus","data":{"a":[{"b64_json":"%"}]}}"#,
            &[],
        ),
        (
            r#"{"b64_json":"%","output_format":"opus"}"#,
            &["audio/opus"],
        ),
        (r#"{"data":[{"raw":"%"}],"output_format":"opus"}"#, &[]),
        (
            r#"{"mediaType":"a/b","parts":[{"thoughtSignature":"%"}]}"#,
            &[],
        ),
        (
            r#"{"x":"data:text/csv;base64,%","mime":"a/b"}"#,
            &["text/csv"],
        ),
        (r#"{"x":"data:;base64,%","mime":"a/b"}"#, &["a/b"]),
        (r#"{"data":INDEX,"mediaType":"text/csv"}"#, &["text/csv"]),
        (r#"{"data":BUFFER,"mediaType":"text/csv"}"#, &["text/csv"]),
        (r#"{"data":INDEX}"#, &["application/octet-stream"]),
        // Text that is cut or odd is read as far as it goes.
        (
            r#"[NaN, "@", Infinity, -1e5, "\ud83d", "@"]"#,
            &["image/png"; 2],
        ),
        (r#"["@", "A"#, &["image/png"]),
        (r#"{"a":"@""#, &["image/png"]),
        (r#"{"a":"%","mime":"a/b""#, &["a/b"]),
        (r#"["x\"","@"]"#, &["image/png"]),
        ("{\"a\":1}\n{\"a\":\"@\"}\n", &["image/png"]),
        (
            r#"["data:image/png;base64,@","data:a/b;base64,%"]"#,
            &["image/png", "a/b"],
        ),
    ] {
        assert_eq!(media_types(&extraction(text)), expected, "{text}");
    }
}

#[test]
fn attributes_and_members_of_lists_are_labelled_alike() {
    let payload = || string(base64(&noise(THRESHOLD)));
    let numbers = || string(index_object(&noise(THRESHOLD)));
    let wav = || string("audio/wav");
    for (attributes, expected) in [
        (
            vec![("image.b64", payload()), ("image.mime_type", wav())],
            &["audio/wav"][..],
        ),
        (
            vec![("image.mime_type", wav()), ("image.b64", payload())],
            &["audio/wav"],
        ),
        (
            vec![("image.b64", payload()), ("audio.mime_type", wav())],
            &[],
        ),
        (vec![("image.b64", payload()), ("mime_type", wav())], &[]),
        (
            vec![("b64", payload()), ("mime_type", wav())],
            &["audio/wav"],
        ),
        (
            vec![("image.js", numbers()), ("image.mime_type", wav())],
            &["audio/wav"],
        ),
        (
            vec![
                ("image.b64", payload()),
                ("image.mime_type", bytes(b"audio/wav")),
            ],
            &[],
        ),
        (
            vec![("a", list(&[("data", payload()), ("mime", wav())]))],
            &["audio/wav"],
        ),
        (
            vec![("a", list(&[("data", payload())])), ("mime", wav())],
            &[],
        ),
        (
            vec![(
                "a",
                list(&[("data", list(&[("x", payload())])), ("mime", wav())]),
            )],
            &[],
        ),
        (
            vec![(
                "a",
                list(&[
                    ("data", array(&[list(&[("b64_json", payload())])])),
                    ("mime", wav()),
                ]),
            )],
            &["audio/wav"],
        ),
        (
            vec![("a", array(&[payload(), wav()])), ("mime", wav())],
            &["audio/wav"],
        ),
    ] {
        for one in FORMS {
            let extraction = slim(Traces, &span(&attributes), &form(one));
            assert_eq!(media_types(&extraction), expected, "{attributes:?} {one:?}");
        }
    }
}

#[test]
fn names_are_found_by_key() {
    for (text, expected) in [
        (r#"{"filename":"a.png","data":"@"}"#, Some("a.png")),
        (r#"{"data":"@","file_name":"a.png"}"#, Some("a.png")),
        (r#"{"file.name":"a.png","data":"@"}"#, Some("a.png")),
        (r#"{"title":"t","name":"n","data":"@"}"#, Some("t")),
        (r#"{"name":"n","identifier":"i","data":"@"}"#, Some("n")),
        (r#"{"identifier":"i","data":"@"}"#, Some("i")),
        (r#"{"identifier":"i","data":INDEX}"#, Some("i")),
        (r#"{"filename":"","data":"@"}"#, None),
        (r#"{"filename":7,"data":"@"}"#, None),
        (r#"{"filename":"a.png","part":{"data":"@"}}"#, None),
        (
            r#"{"title":"t","source":{"type":"base64","data":"@"}}"#,
            Some("t"),
        ),
        (
            r#"{"title":"t","other":{"type":"base64","data":"@"}}"#,
            None,
        ),
        (r#"{"u":"data:image/png;name=a%20b.png;base64,@"}"#, None),
    ] {
        let extraction = extraction(text);
        assert_eq!(extraction.moves.len(), 1, "{text}");
        // The text's own, or the one in the object: the object comes last.
        let slim = only_text(&extraction.request);
        let found = slim
            .split_once(r#""type":"artifact""#)
            .map(|(_, rest)| rest.split_once('}').unwrap().0);
        let name = found.and_then(|object| object.split_once(r#""filename":""#));
        let name = name.map(|(_, rest)| rest.split_once('"').unwrap().0);
        assert_eq!(name, expected, "{text}");
    }
    let members = [("data", bytes(png(THRESHOLD))), ("name", string("a.png"))];
    let inside = slim(Traces, &span(&[("a", list(&members))]), &form(Form::Object));
    assert!(inside.request.windows(8).any(|part| part == b"filename"));
    // The name of a span's attribute is anything's.
    let beside = slim(Traces, &span(&members), &form(Form::Object));
    assert_eq!(member(&beside, "filename"), None);
}

#[test]
fn a_contradiction_is_told_and_the_bytes_decide() {
    for (text, declared, sniffed, extension) in [
        (
            r#"{"data":"@","mime_type":"image/png"}"#,
            "image/png",
            None,
            "png",
        ),
        (
            r#"{"data":"@","mime_type":"image/jpeg"}"#,
            "image/jpeg",
            Some("image/png"),
            "png",
        ),
        (
            r#"{"data":"@","mime_type":"text/html"}"#,
            "text/html",
            Some("image/png"),
            "png",
        ),
        (
            r#"{"data":"%","mime_type":"image/png"}"#,
            "image/png",
            Some("application/octet-stream"),
            "bin",
        ),
        (
            r#"{"data":"%","mime_type":"text/html"}"#,
            "text/html",
            None,
            "html",
        ),
        (
            r#"{"data":"%","mime_type":"audio/wav"}"#,
            "audio/wav",
            None,
            "wav",
        ),
    ] {
        let extraction = extraction(text);
        let [of] = &extraction.moves[..] else {
            panic!("{:?}", extraction.moves);
        };
        assert_eq!(of.media_type, declared, "{text}");
        assert_eq!(
            extraction.artifacts[0].media_type,
            sniffed.unwrap_or(declared)
        );
        assert_eq!(
            extraction.mislabelled,
            usize::from(sniffed.is_some()),
            "{text}"
        );
        assert_eq!(
            member(&extraction, "content_type").as_deref(),
            Some(declared)
        );
        assert_eq!(member(&extraction, "sniffed_type").as_deref(), sniffed);
        let uri = member(&extraction, "uri").unwrap();
        assert!(uri.ends_with(&format!(".{extension}")), "{text}: {uri}");
        let link = slim_text(filled(text), &policy());
        assert!(
            link.contains(&format!(".{extension}?as=base64\"")),
            "{link}"
        );
    }
}

#[test]
fn secrets_stay_whatever_stands_beside_them() {
    for key in [
        "signature",
        "thought_signature",
        "thoughtSignature",
        "encrypted_content",
        "encryptedContent",
        "embedding",
        "vector",
        "authorization",
        "access_token",
        "Cookie",
    ] {
        for value in ["\"@\"", "\"data:image/png;base64,@\"", "INDEX", "BUFFER"] {
            let text = format!(r#"{{"{key}":{value},"mime_type":"image/png"}}"#);
            assert_untouched(Traces, &request_of(&text), &text);
            let text = format!(r#"["{}"]"#, escaped(&text));
            assert_untouched(Traces, &request_of(&text), &text);
        }
        let (picture, mime) = (bytes(png(THRESHOLD)), ("mime_type", string("image/png")));
        let attribute = format!("llm.messages.0.{key}");
        assert_untouched(Traces, &span(&[(&attribute, picture.clone())]), key);
        let part = [("type", string("blob")), ("content", picture.clone())];
        assert_untouched(Traces, &span(&[(key, list(&part))]), key);
        let member = list(&[(key, picture), mime]);
        assert_untouched(Traces, &span(&[("a", member)]), key);
    }
    for text in [
        r#"{"type":"redacted_thinking","data":"@"}"#,
        r#"{"data":"@","type":"redacted_thinking"}"#,
    ] {
        assert_untouched(Traces, &request_of(text), text);
    }
    let flat = [
        ("m.0.message_content.type", string("redacted_thinking")),
        ("m.0.message_content.value", bytes(png(THRESHOLD))),
    ];
    assert_untouched(Traces, &span(&flat), "redacted thinking in flat attributes");
}

#[test]
fn keys_of_the_configuration_are_denied() {
    let picture = || bytes(png(THRESHOLD));
    let denies = |form| Policy {
        deny_keys: vec![Pattern::any_case("seal*"), Pattern::any_case("app.box")],
        ..crate::request::form(form)
    };
    let part = || list(&[("type", string("blob")), ("content", picture())]);
    for one in FORMS {
        let text = filled(r#"{"sealed":"@","mime_type":"image/png"}"#);
        for request in [
            text_of(&text),
            text_of(&filled(r#"{"sealed":INDEX}"#)),
            span(&[("seal", picture())]),
            span(&[("app.box", picture())]),
            span(&[("app.box", part())]),
            span(&[("app.box", array(&[part()]))]),
            span(&[("app.Sealed", list(&[("a", picture())]))]),
            span(&[("a", list(&[("SEAL", picture())]))]),
        ] {
            assert_untouched_by(Traces, &request, &denies(one), "denied");
        }
        let allowed = span(&[("app.boxes", picture()), ("box", part())]);
        assert_eq!(slim(Traces, &allowed, &denies(one)).moves.len(), 2);
    }
}

fn text_of(text: &str) -> bytes::Bytes {
    crate::request::text(text)
}
