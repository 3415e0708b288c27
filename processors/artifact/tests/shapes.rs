//! Requests of one value, written by hand, so that the slim request can be told to the byte.

#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use bytes::Bytes;
use slimspan_artifact::{Digest, Extraction, Policy, extract};
use slimspan_generators::{Random, fake_file};
use slimspan_proto::Signal::{self, Logs, Traces};

/// Field numbers from a request down to an AnyValue.
type Path = &'static [u8];

const SPAN_ATTRIBUTE: Path = &[1, 2, 2, 9, 2];
const STRING: u8 = 1;
const BYTES: u8 = 7;
const THRESHOLD: usize = 1000;
const DATA: &str = "data:image/png;base64,";

/// The message of one length-delimited field inside another, for every number of `path`.
fn nested(path: &[u8], content: &[u8]) -> Vec<u8> {
    path.iter().rev().fold(content.to_vec(), |inner, number| {
        let mut message = vec![number << 3 | 2];
        let mut len = inner.len();
        while len >= 0x80 {
            message.push(len as u8 | 0x80);
            len >>= 7;
        }
        message.push(len as u8);
        message.extend(inner);
        message
    })
}

fn span(kind: u8, content: impl AsRef<[u8]>) -> Bytes {
    let value = nested(&[kind], content.as_ref());
    nested(SPAN_ATTRIBUTE, &value).into()
}

fn text(content: impl AsRef<[u8]>) -> Bytes {
    span(STRING, content)
}

fn policy() -> Policy {
    Policy {
        threshold: THRESHOLD,
        uri_base: "memory:/default/sha256".into(),
        dropped: BTreeSet::new(),
    }
}

fn slim(request: &Bytes) -> Extraction {
    extract(Traces, request, &policy()).unwrap()
}

/// A file that is told by its first bytes.
fn png(len: usize) -> Vec<u8> {
    fake_file(&mut Random::new(len as u64), len)
}

/// The reference to a file, where `encoding` is all that follows the name of that member.
fn reference(file: &[u8], media_type: &str, encoding: &str) -> String {
    let digest = Digest::of(file).to_string();
    format!(
        r#"{{"type":"artifact","sha256":"{digest}","content_type":"{media_type}","size_bytes":{},"uri":"memory:/default/sha256/{}/{digest}","encoding":{encoding}}}"#,
        file.len(),
        &digest[..2],
    )
}

fn assert_untouched(signal: Signal, request: &Bytes, why: &str) {
    let extraction = extract(signal, request, &policy()).unwrap();
    let same = extraction.request.as_ptr() == request.as_ptr();
    assert!(same && extraction.request.len() == request.len(), "{why}");
    assert_eq!((extraction.artifacts, extraction.references), (vec![], 0));
}

#[test]
fn every_shape_is_moved_from_the_threshold_on() {
    // A value for a file, and the value that is left: `encoding` as in the reference.
    type Shape = (fn(&[u8]) -> (u8, Vec<u8>), &'static str, [&'static str; 2]);
    let shapes: [Shape; 8] = [
        (|file| (BYTES, file.to_vec()), r#""bytes""#, ["", ""]),
        (
            |file| (STRING, STANDARD.encode(file).into()),
            r#""base64""#,
            ["", ""],
        ),
        (
            |file| (STRING, STANDARD_NO_PAD.encode(file).into()),
            r#""base64-unpadded""#,
            ["", ""],
        ),
        (
            |file| (STRING, URL_SAFE.encode(file).into()),
            r#""base64url""#,
            ["", ""],
        ),
        (
            |file| (STRING, URL_SAFE_NO_PAD.encode(file).into()),
            r#""base64url-unpadded""#,
            ["", ""],
        ),
        (
            |file| (STRING, format!("{DATA}{}", STANDARD.encode(file)).into()),
            r#""base64","prefix":"data:image/png;base64,""#,
            ["", ""],
        ),
        (
            |file| {
                let payload = STANDARD.encode(file);
                let json = format!(r#"{{"a":NaN, "url" : "data:;x=1;Base64,{payload}" }}"#);
                (STRING, json.into())
            },
            r#""base64","prefix":"data:;x=1;Base64,""#,
            [r#"{"a":NaN, "url" : "#, " }"],
        ),
        (
            |file| {
                let payload = STANDARD.encode(file);
                (STRING, format!(r#"["{DATA}{payload}","#).into())
            },
            r#""base64","prefix":"data:image/png;base64,""#,
            ["[", ","],
        ),
    ];
    for (value, encoding, [before, after]) in shapes {
        // No multiple of three, where padding makes no difference.
        let [below, at, above] = [THRESHOLD - 2, THRESHOLD, THRESHOLD + 1].map(png);
        let (kind, content) = value(&below);
        assert_untouched(Traces, &span(kind, content), encoding);
        for file in [at, above] {
            let (kind, content) = value(&file);
            let extraction = slim(&span(kind, content));
            let left = format!("{before}{}{after}", reference(&file, "image/png", encoding));
            assert_eq!(extraction.request, text(left));
            assert_eq!(extraction.references, 1);
            let [artifact] = &extraction.artifacts[..] else {
                unreachable!("one artifact, not {:?}", extraction.artifacts);
            };
            assert_eq!(artifact.bytes, file);
            assert_eq!(artifact.digest, Digest::of(&file));
            assert_eq!(artifact.media_type, "image/png");
        }
    }
    assert_untouched(Traces, &span(BYTES, png(THRESHOLD - 1)), "one byte less");
}

#[test]
fn every_place_of_a_value_is_looked_at() {
    let file = png(THRESHOLD);
    let reference = reference(&file, "image/png", r#""bytes""#);
    let carriers: [(Signal, Path); 9] = [
        (Traces, &[1, 1, 1, 2]),
        (Traces, &[1, 2, 1, 3, 2]),
        (Traces, SPAN_ATTRIBUTE),
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
            let slim = nested(&[&path[..], &[STRING]].concat(), reference.as_bytes());
            let extraction = extract(signal, &request, &policy()).unwrap();
            assert_eq!(extraction.request, slim, "{signal} {path:?}");
        }
    }
    let uri = format!("{DATA}{}", STANDARD.encode(&file));
    for (path, field) in [
        (&[1, 2, 2, 5], "the name of a span"),
        (&[1, 2, 2, 3], "its trace state"),
        (&[1, 2, 2, 99], "a field of tomorrow"),
    ] {
        assert_untouched(Traces, &nested(path, uri.as_bytes()).into(), field);
    }
    let key = nested(&SPAN_ATTRIBUTE[..4], &nested(&[1], uri.as_bytes()));
    assert_untouched(Traces, &key.into(), "the key of an attribute");
}

#[test]
fn a_file_that_stands_twice_is_one_artifact() {
    let [first, second] = [png(THRESHOLD), png(THRESHOLD + 1)];
    let values = [&first, &second, &first].map(|file| span(BYTES, file));
    let extraction = slim(&values.concat().into());
    let digests: Vec<_> = extraction.artifacts.iter().map(|a| a.digest).collect();
    assert_eq!(digests, [Digest::of(&first), Digest::of(&second)]);
    assert_eq!(extraction.references, 3);
    let references =
        [&first, &second, &first].map(|file| text(reference(file, "image/png", r#""bytes""#)));
    assert_eq!(extraction.request, references.concat());
}

#[test]
fn a_reference_that_is_no_shorter_is_not_made() {
    let policy = Policy {
        threshold: 1,
        ..policy()
    };
    let len = (100..THRESHOLD)
        .find(|len| reference(&png(*len), "image/png", r#""bytes""#).len() == *len)
        .unwrap();
    for (len, moved) in [(1, false), (len, false), (len + 1, true)] {
        let extraction = extract(Traces, &span(BYTES, png(len)), &policy).unwrap();
        assert_eq!(extraction.references > 0, moved, "{len} bytes");
        assert_eq!(!extraction.artifacts.is_empty(), moved, "{len} bytes");
    }
}

#[test]
fn bytes_tell_the_media_type_before_a_label_does() {
    let plain = vec![b'.'; THRESHOLD];
    for (file, label, expected) in [
        (&png(THRESHOLD), "image/jpeg", "image/png"),
        (&plain, "Text/CSV", "text/csv"),
        (&plain, "", "application/octet-stream"),
        (&plain, "text/<b>", "application/octet-stream"),
    ] {
        let uri = format!("data:{label};base64,{}", STANDARD.encode(file));
        let extraction = slim(&text(uri));
        let encoding = format!(r#""base64","prefix":"data:{label};base64,""#);
        assert_eq!(extraction.artifacts[0].media_type, expected);
        assert_eq!(
            extraction.request,
            text(reference(file, expected, &encoding))
        );
    }
}

#[test]
fn the_reference_to_bytes_that_are_given_up_says_so() {
    let [given_up, kept] = [png(THRESHOLD), png(THRESHOLD + 1)];
    let policy = Policy {
        dropped: BTreeSet::from([Digest::of(&given_up)]),
        ..policy()
    };
    let request = [&given_up, &kept].map(|file| span(BYTES, file)).concat();
    let extraction = extract(Traces, &request.into(), &policy).unwrap();
    let digest = Digest::of(&given_up);
    let dropped = format!(
        r#"{{"type":"artifact","sha256":"{digest}","content_type":"image/png","size_bytes":{THRESHOLD},"dropped":true,"encoding":"bytes"}}"#
    );
    let kept = reference(&kept, "image/png", r#""bytes""#);
    assert_eq!(extraction.request, [text(dropped), text(kept)].concat());
}

/// Base64 with one thing wrong in it, each with its name.
fn odd_base64() -> Vec<(&'static str, String)> {
    // Two characters of padding, and bytes that need both of the characters that alphabets differ in.
    let mut file = png(THRESHOLD + 3);
    file[9..12].copy_from_slice(&[0xfb, 0xff, 0xbf]);
    let sound = STANDARD.encode(&file);
    assert!(sound.ends_with("==") && &sound[12..16] == "+/+/");
    let digits = sound.trim_end_matches('=');
    let (body, last) = digits.split_at(digits.len() - 1);
    let set_bits = char::from(last.as_bytes()[0] + 1);
    let wrapped = |newline: &str| {
        let lines = sound.as_bytes().chunks(76).map(String::from_utf8_lossy);
        lines.collect::<Vec<_>>().join(newline)
    };
    vec![
        ("one = too few", format!("{digits}=")),
        ("one = too many", format!("{sound}=")),
        ("lines", wrapped("\n")),
        ("lines of MIME", wrapped("\r\n")),
        ("a newline at the end", format!("{sound}\n")),
        ("a space before", format!(" {sound}")),
        ("both alphabets", sound.replacen("+/+/", "+/+_", 1)),
        ("set bits behind the end", format!("{body}{set_bits}==")),
        ("trailing garbage", format!("{sound}!!")),
        ("two texts", format!("{sound}{sound}")),
        ("a NUL", sound.replacen("+/+/", "+/\0/", 1)),
        ("4k + 1 characters", format!("{digits}AAA")),
        (
            "percent escapes",
            sound.replace('+', "%2B").replace('=', "%3D"),
        ),
    ]
}

#[test]
fn base64_that_would_not_come_back_stays() {
    for (oddity, base64) in odd_base64() {
        let uri = format!("{DATA}{base64}");
        assert_untouched(Traces, &text(&base64), oddity);
        assert_untouched(Traces, &text(&uri), oddity);
        assert_untouched(Traces, &text(format!(r#"{{"url":"{uri}"}}"#)), oddity);
    }
}

#[test]
fn text_that_only_looks_like_base64_stays() {
    let mut random = Random::new(1);
    let mut letters = |alphabet: &[u8]| -> String {
        let pick = |_| char::from(random.pick(alphabet));
        (0..4 * THRESHOLD).map(pick).collect()
    };
    let payload = "eyJzdWIiOiJ1In0".repeat(THRESHOLD);
    for (what, content) in [
        ("hex", letters(b"0123456789abcdef")),
        ("digits", letters(b"0123456789")),
        ("DNA", letters(b"ACGT")),
        ("one letter", letters(b"A")),
        ("random letters", letters(b"ABCDEFGHabcdefgh01234567+/")),
        ("a token", format!("eyJhbGciOiJIUzI1NiJ9.{payload}.c2ln")),
        ("prose", STANDARD.encode("as text\n".repeat(THRESHOLD))),
        (
            "base64 of base64",
            STANDARD.encode(STANDARD.encode(png(THRESHOLD))),
        ),
    ] {
        assert_untouched(Traces, &text(content), what);
    }
}

#[test]
fn data_uris_of_other_forms_stay() {
    let payload = STANDARD.encode(png(THRESHOLD));
    let long = |len: usize| format!("data:{};base64,", "x".repeat(len - 13));
    let longest = format!("{}{payload}", long(256));
    assert_eq!(slim(&text(longest)).references, 1, "as long as can be");
    for prefix in [
        &long(257),
        "data:,",
        "data:text/html,<script>",
        "data:image/png,",
        "data:image/png;base64;base64,",
        "data:image/png;base64;charset=utf-8,",
        "data:image/png;base64",
        "data:image/png;base64, ",
        "data:image/png;base64,,",
        "data:text/html\r\nSet-Cookie: a=b;base64,",
        "data:image/png\n;base64,",
        "data:image/\"png\";base64,",
        "data:image\\/png;base64,",
        "data:image/png ;base64,",
        "data:bild/grün;base64,",
        "data:\0;base64,",
        " data:image/png;base64,",
        "date:image/png;base64,",
        "see data:image/png;base64,",
    ] {
        let uri = format!("{prefix}{payload}");
        assert_untouched(Traces, &text(&uri), prefix);
        let json = format!(r#"{{"url":"{uri}"}}"#);
        assert_untouched(Traces, &text(json), prefix);
    }
}

#[test]
fn strings_in_json_that_are_no_values_of_their_own_stay() {
    let payload = STANDARD.encode(png(THRESHOLD));
    let uri = format!("{DATA}{payload}");
    for json in [
        format!(r#"{{"{uri}":1}}"#),
        format!(r#"{{"a":1, "{uri}" : "b"}}"#),
        format!(r#"["{}"]"#, uri.replace('/', r"\/")),
        format!(r#"["data:image\/png;base64,{payload}"]"#),
        format!(r#"["{uri}\n"]"#),
        format!(r#"["see {uri}"]"#),
        format!(r#"["say \"{uri}\" now"]"#),
        format!(r#"["{{\"url\":\"{uri}\"}}"]"#),
        format!(r#"["{uri}"#),
        format!(r#"["{uri}\"#),
        format!(r#""{uri}""#),
        format!(r"['{uri}']"),
    ] {
        assert_untouched(Traces, &text(&json), &json[..json.len().min(60)]);
    }
}

/// Decoders keep the last of two, so a reference in place of one would change what they read.
#[test]
fn values_that_are_given_twice_stay() {
    let file = png(THRESHOLD);
    let [bytes, string] = [
        nested(&[BYTES], &file),
        nested(&[STRING], STANDARD.encode(&file).as_bytes()),
    ];
    for pair in [[&bytes, &bytes], [&string, &string], [&bytes, &string]] {
        let twice = nested(SPAN_ATTRIBUTE, &pair.map(Vec::as_slice).concat());
        assert_untouched(Traces, &twice.into(), "two fields of the oneof");
        let values = pair.map(|value| nested(&[2], value)).concat();
        let twice = nested(&SPAN_ATTRIBUTE[..4], &values);
        assert_untouched(Traces, &twice.into(), "two values of an attribute");
    }
}

#[test]
fn a_request_without_files_is_the_same_bytes() {
    let prose = "no file here, ".repeat(THRESHOLD);
    assert_untouched(Traces, &Bytes::new(), "an empty request");
    assert_untouched(Traces, &text(""), "an empty text");
    assert_untouched(Traces, &text(&prose), "a long text");
    assert_untouched(Traces, &text(format!(r#"{{"a":"{prose}"}}"#)), "long JSON");
    let file = png(THRESHOLD);
    let point = nested(&[1, 2, 2, 5, 1, 7, 2, BYTES], &file);
    assert_untouched(Signal::Metrics, &point.into(), "a metric");
}
