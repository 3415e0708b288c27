//! Every way in which bytes are written, in every place, from which size on, and what comes in
//! place of it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use slimspan_artifact::{Digest, Form, Policy};
use slimspan_proto::Signal::{Logs, Metrics, Traces};

use crate::request::*;

/// Bytes as CPython prints them (`bytes.__repr__`).
pub fn python(bytes: &[u8]) -> String {
    let inner = bytes.escape_ascii().to_string().replace("\\\"", "\"");
    if bytes.contains(&b'\'') && !bytes.contains(&b'"') {
        return format!("b\"{}\"", inner.replace("\\'", "'"));
    }
    format!("b'{inner}'")
}

/// The same without its quotes.
pub fn unquoted(bytes: &[u8]) -> String {
    let printed = python(bytes);
    printed[2..printed.len() - 1].to_owned()
}

/// Bytes as `JSON.stringify` writes a `Uint8Array`.
pub fn index_object(bytes: &[u8]) -> String {
    let members = bytes.iter().enumerate();
    let members: Vec<_> = members
        .map(|(i, byte)| format!(r#""{i}":{byte}"#))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// Bytes as `JSON.stringify` writes a `Buffer`.
pub fn node_buffer(bytes: &[u8]) -> String {
    let numbers: Vec<_> = bytes.iter().map(ToString::to_string).collect();
    format!(r#"{{"type":"Buffer","data":[{}]}}"#, numbers.join(","))
}

/// Base64 in lines.
pub fn lines(bytes: &[u8], width: usize, newline: &str) -> String {
    let text = base64(bytes);
    let lines = text.as_bytes().chunks(width).map(String::from_utf8_lossy);
    lines.collect::<Vec<_>>().join(newline)
}

struct Shape {
    name: &'static str,
    /// A value with the file, and the text around the reference that is left.
    write: fn(&[u8]) -> String,
    around: [&'static str; 2],
    /// The token of the reference.
    token: &'static str,
    /// The query of a URI, which may say less.
    query: &'static str,
    /// Whether an object takes the place of it with its quotes, or the place of more than a string.
    object: bool,
}

const SHAPES: [Shape; 17] = [
    Shape {
        name: "base64",
        write: base64,
        around: ["", ""],
        token: "base64",
        query: "?as=base64",
        object: true,
    },
    Shape {
        name: "base64 without padding",
        write: |file| STANDARD_NO_PAD.encode(file),
        around: ["", ""],
        token: "base64-unpadded",
        query: "?as=base64-unpadded",
        object: true,
    },
    Shape {
        name: "base64url",
        write: |file| URL_SAFE.encode(file),
        around: ["", ""],
        token: "base64url",
        query: "?as=base64url",
        object: true,
    },
    Shape {
        name: "base64url without padding",
        write: |file| URL_SAFE_NO_PAD.encode(file),
        around: ["", ""],
        token: "base64url-unpadded",
        query: "?as=base64url-unpadded",
        object: true,
    },
    Shape {
        name: "lines of base64",
        write: |file| lines(file, 76, "\n"),
        around: ["", ""],
        token: "base64&lines=76",
        query: "?as=base64&lines=76",
        object: true,
    },
    Shape {
        name: "MIME",
        write: |file| lines(file, 64, "\r\n") + "\r\n",
        around: ["", ""],
        token: "base64&lines=64crlfend",
        query: "?as=base64&lines=64crlfend",
        object: true,
    },
    Shape {
        name: "data URI",
        write: |file| format!("data:image/png;base64,{}", base64(file)),
        around: ["", ""],
        token: "data-uri",
        query: "",
        object: true,
    },
    Shape {
        name: "data URI in capitals",
        write: |file| format!("DATA:Image/PNG;BASE64,{}", base64(file)),
        around: ["", ""],
        token: "base64&prefix=DATA%3AImage%2FPNG%3BBASE64%2C",
        query: "?as=base64&prefix=DATA%3AImage%2FPNG%3BBASE64%2C",
        object: true,
    },
    Shape {
        name: "data URI in markdown",
        write: |file| format!("![a](data:image/png;base64,{})", base64(file)),
        around: ["![a](", ")"],
        token: "data-uri",
        query: "",
        object: false,
    },
    Shape {
        name: "data URI before text",
        write: |file| format!("data:image/png;base64,{}.", base64(file)),
        around: ["", "~."],
        token: "data-uri",
        query: "",
        object: false,
    },
    Shape {
        name: "string in JSON",
        write: |file| format!(r#"{{"a":NaN, "b" : "{}" }}"#, base64(file)),
        around: [r#"{"a":NaN, "b" : "#, " }"],
        token: "base64",
        query: "?as=base64",
        object: true,
    },
    Shape {
        name: "what Python prints",
        write: python,
        around: ["", ""],
        token: "python-repr",
        query: "?as=python-repr",
        object: true,
    },
    Shape {
        name: "what Python prints, without quotes",
        write: unquoted,
        around: ["", ""],
        token: "python-repr-unquoted",
        query: "?as=python-repr-unquoted",
        object: true,
    },
    Shape {
        name: "an array in JavaScript",
        write: index_object,
        around: ["", ""],
        token: "index-object",
        query: "?as=index-object",
        object: true,
    },
    Shape {
        name: "a buffer of Node.js",
        write: node_buffer,
        around: ["", ""],
        token: "node-buffer",
        query: "?as=node-buffer",
        object: true,
    },
    Shape {
        name: "an array in JSON",
        write: |file| format!(r"[1, {}]", index_object(file)),
        around: ["[1, ", "]"],
        token: "index-object",
        query: "?as=index-object&quotes",
        object: true,
    },
    Shape {
        name: "base64 that Python prints in prose",
        write: |file| format!("Block(image=b'{}')", base64(file)),
        around: ["Block(image=b'", "')"],
        token: "base64",
        query: "?as=base64",
        object: false,
    },
];

impl Shape {
    /// The text that is left, in a form.
    fn slim(&self, file: &[u8], form: Form) -> String {
        let [before, after] = self.around;
        let uri = address(file, "png");
        let query = self.query;
        // Where an object takes the place of a string, its quotes go, too.
        let in_json = before.starts_with(['{', '[']);
        match form {
            // Its schema says that this is a string.
            Form::Logfire if self.token.starts_with("python-repr-unquoted") => {
                format!("{before}{uri}{query}{after}")
            }
            Form::Object | Form::Logfire if self.object => {
                let kind = match form {
                    Form::Object => "artifact",
                    _ => "logfire.artifact",
                };
                let object = object(kind, file, "image/png", self.token);
                format!("{before}{object}{after}")
            }
            Form::Semconv if before.is_empty() && after.is_empty() => {
                let query = match query {
                    "" => "?as=data-uri&ref".to_owned(),
                    query => format!("{query}&ref"),
                };
                format!("{uri}{query}")
            }
            _ if in_json => format!("{before}\"{uri}{query}\"{after}"),
            _ => format!("{before}{uri}{query}{after}"),
        }
    }
}

/// The object that stands for a file.
pub fn object(kind: &str, file: &[u8], media_type: &str, token: &str) -> String {
    let (digest, size) = (Digest::of(file), file.len());
    let uri = address(file, "png");
    format!(
        r#"{{"type":"{kind}","sha256":"{digest}","content_type":"{media_type}","size_bytes":{size},"uri":"{uri}","encoding":"{token}"}}"#
    )
}

#[test]
fn every_shape_is_moved_from_the_threshold_on_in_every_form() {
    for shape in &SHAPES {
        let below = text((shape.write)(&png(THRESHOLD - 1)));
        assert_untouched(Traces, &below, shape.name);
        for len in [THRESHOLD, THRESHOLD + 1] {
            let file = png(len);
            let request = text((shape.write)(&file));
            for one in FORMS {
                let extraction = slim(Traces, &request, &form(one));
                let left = shape.slim(&file, one);
                let key = match one {
                    Form::Semconv if shape.around == ["", ""] => "input.value_ref",
                    _ => KEY,
                };
                assert_eq!(
                    extraction.request,
                    span(&[(key, string(&left))]),
                    "{} as {one:?}: {}",
                    shape.name,
                    extraction.request.escape_ascii()
                );
                assert_eq!(digests(&extraction), [Digest::of(&file)]);
                let [artifact] = &extraction.artifacts[..] else {
                    panic!("one artifact, not {:?}", extraction.artifacts);
                };
                assert_eq!(artifact.bytes, file);
                assert_eq!(artifact.media_type, "image/png");
            }
        }
    }
}

#[test]
fn bytes_become_a_string_in_every_form() {
    assert_untouched(
        Traces,
        &span(&[(KEY, bytes(png(THRESHOLD - 1)))]),
        "one byte less",
    );
    for file in [png(THRESHOLD), png(THRESHOLD + 1)] {
        let uri = address(&file, "png");
        for (one, key, left) in [
            (Form::Native, KEY, format!("{uri}?as=bytes")),
            (
                Form::Object,
                KEY,
                object("artifact", &file, "image/png", "bytes"),
            ),
            (Form::Uri, KEY, format!("{uri}?as=bytes")),
            (
                Form::Semconv,
                "input.value_ref",
                format!("{uri}?as=bytes&ref"),
            ),
            (
                Form::Logfire,
                KEY,
                object("logfire.artifact", &file, "image/png", "bytes"),
            ),
        ] {
            let request = span(&[(KEY, bytes(&file))]);
            let slim = slim(Traces, &request, &form(one)).request;
            assert_eq!(slim, span(&[(key, string(left))]), "{one:?}");
        }
    }
}

#[test]
fn every_place_of_a_value_is_looked_at() {
    let file = png(THRESHOLD);
    let uri = address(&file, "png") + "?as=bytes";
    let carriers: [(_, Path); 9] = [
        (Traces, &[1, 1, 1, 2]),
        (Traces, &[1, 2, 1, 3, 2]),
        (Traces, &[1, 2, 2, 9, 2]),
        (Traces, &[1, 2, 2, 11, 3, 2]),
        (Traces, &[1, 2, 2, 13, 4, 2]),
        (Logs, &[1, 1, 1, 2]),
        (Logs, &[1, 2, 1, 3, 2]),
        (Logs, &[1, 2, 2, 5]),
        (Logs, &[1, 2, 2, 6, 2]),
    ];
    // An element of an array, a value of a kvlist, and both in each other.
    let containers: [Path; 5] = [&[], &[5, 1], &[6, 1, 2], &[5, 1, 6, 1, 2], &[6, 1, 2, 5, 1]];
    for (signal, carrier) in carriers {
        for container in containers {
            let path = [carrier, container].concat();
            let request = nested(&[&path[..], &[BYTES]].concat(), &file).into();
            let expected = nested(&[&path[..], &[STRING]].concat(), uri.as_bytes());
            for one in FORMS {
                let extraction = slim(signal, &request, &form(one));
                if !matches!(one, Form::Object | Form::Logfire) {
                    assert_eq!(extraction.request, expected, "{signal} {path:?} {one:?}");
                }
                assert_eq!(extraction.moves.len(), 1);
            }
        }
    }
    let data = format!("data:image/png;base64,{}", base64(&file));
    for (path, field) in [
        (&[1, 2, 2, 5], "the name of a span"),
        (&[1, 2, 2, 3], "its trace state"),
        (&[1, 2, 2, 99], "a field of tomorrow"),
    ] {
        assert_untouched(Traces, &nested(path, data.as_bytes()).into(), field);
    }
    assert_untouched(
        Traces,
        &span(&[(&data, string("a"))]),
        "the key of an attribute",
    );
    let point = nested(&[1, 2, 2, 5, 1, 7, 2, BYTES], &file);
    assert_untouched(Metrics, &point.into(), "a metric");
}

/// Readers of a kvlist find a kvlist, and readers of JSON find JSON.
#[test]
fn an_object_in_a_list_is_a_list() {
    let file = png(THRESHOLD);
    let digest = Digest::of(&file).to_string();
    let reference = |kind: &str| {
        list(&[
            ("type", string(kind)),
            ("sha256", string(&digest)),
            ("content_type", string("image/png")),
            ("size_bytes", number(THRESHOLD as u16)),
            ("uri", string(address(&file, "png"))),
            ("encoding", string("bytes")),
        ])
    };
    for (one, kind) in [
        (Form::Object, "artifact"),
        (Form::Logfire, "logfire.artifact"),
    ] {
        for container in [
            (|value: Vec<u8>| list(&[("a", string("b")), ("image", value)])) as fn(_) -> _,
            |value| array(&[string("a"), value]),
        ] {
            let request = span(&[(KEY, container(bytes(&file)))]);
            let slim = slim(Traces, &request, &form(one)).request;
            assert_eq!(slim, span(&[(KEY, container(reference(kind)))]), "{one:?}");
        }
    }
}

#[test]
fn an_attribute_is_not_renamed_to_one_that_is_there() {
    let file = png(THRESHOLD);
    let taken = [("a", bytes(&file)), ("a_ref", string("mine"))];
    let slim_of = |attributes: &[(&str, Vec<u8>)]| {
        slim(Traces, &span(attributes), &form(Form::Semconv)).request
    };
    let uri = string(address(&file, "png") + "?as=bytes");
    let expected = [("a", uri.clone()), ("a_ref", string("mine"))];
    assert_eq!(slim_of(&taken), span(&expected));
    assert_eq!(slim_of(&[("", bytes(&file))]), span(&[("", uri.clone())]));
    let body = slim(Logs, &log_body(&bytes(&file)), &form(Form::Semconv)).request;
    assert_eq!(body, log_body(&uri));
}

#[test]
fn a_file_that_stands_twice_is_one_artifact() {
    let [first, second] = [png(THRESHOLD), png(THRESHOLD + 1)];
    let files = [("a", &first), ("b", &second), ("c", &first)];
    let request = span(&files.map(|(key, file)| (key, bytes(file))));
    let extraction = slim(Traces, &request, &policy());
    let artifacts: Vec<_> = extraction.artifacts.iter().map(|a| a.digest).collect();
    let [first, second] = [Digest::of(&first), Digest::of(&second)];
    assert_eq!(artifacts, [first, second]);
    assert_eq!(digests(&extraction), [first, second, first]);
    let left = files.map(|(key, file)| (key, string(address(file, "png") + "?as=bytes")));
    assert_eq!(extraction.request, span(&left));
}

/// Escapes do not read on like the reference that takes their place.
#[test]
fn references_that_touch_are_told_apart() {
    let files = [png(THRESHOLD), png(THRESHOLD + 1), png(THRESHOLD + 2)];
    let uris = files
        .each_ref()
        .map(|file| format!("data:image/png;base64,{}", base64(file)));
    let all_escaped = |text: &str| -> String {
        let escapes: Vec<_> = text
            .bytes()
            .map(|byte| format!("\\u00{byte:02x}"))
            .collect();
        escapes.concat()
    };
    for text in [
        uris.concat(),
        format!(r#"["{}"]"#, all_escaped(&uris.concat())),
        format!(r#"["{}{}{}"]"#, uris[0], all_escaped(&uris[1]), uris[2]),
        format!(r#"["{}"]"#, uris.concat().replace("data", "\\u0064ata")),
    ] {
        for one in FORMS {
            let extraction = slim(Traces, &crate::request::text(&text), &form(one));
            assert_eq!(
                digests(&extraction),
                files.each_ref().map(|file| Digest::of(file))
            );
        }
    }
}

/// Also in a store, whose URIs have no extension that would say what the file is.
#[test]
fn references_into_a_store_say_the_type() {
    let file = png(THRESHOLD);
    let digest = Digest::of(&file).to_string();
    let shard = &digest[..2];
    let location = slimspan_artifact::Location::Store("s3://bucket/default/sha256".into());
    let policy = Policy::new(THRESHOLD, location);
    for (value, query) in [
        (base64(&file), ""),
        (
            format!("data:image/png;base64,{}", base64(&file)),
            "?as=base64&prefix=data%3Aimage%2Fpng%3Bbase64%2C",
        ),
    ] {
        let left = format!("s3://bucket/default/sha256/{shard}/{digest}{query}");
        assert_eq!(slim_text(value, &policy), left);
    }
}

#[test]
fn a_request_without_files_is_the_same_bytes() {
    let prose = "no file here, ".repeat(THRESHOLD);
    assert_untouched(Traces, &bytes::Bytes::new(), "an empty request");
    assert_untouched(Traces, &text(""), "an empty text");
    assert_untouched(Traces, &text(&prose), "a long text");
    assert_untouched(Traces, &text(format!(r#"{{"a":"{prose}"}}"#)), "long JSON");
}

/// Decoders keep the last of two, so a reference in place of one would change what they read.
#[test]
fn values_that_are_given_twice_stay() {
    let file = png(THRESHOLD);
    let [bytes, string] = [bytes(&file), string(base64(&file))];
    for pair in [[&bytes, &bytes], [&string, &string], [&bytes, &string]] {
        let both = pair.map(Vec::as_slice).concat();
        assert_untouched(Traces, &span(&[("a", both)]), "two fields of the oneof");
        let values = pair.map(|value| field(2, value)).concat();
        let twice = nested(&[1, 2, 2, 9], &values);
        assert_untouched(Traces, &twice.into(), "two values of an attribute");
    }
}
