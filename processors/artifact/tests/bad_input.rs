//! Values that must not hurt, by the rows of the catalogue of bad input.
//!
//! The number of a row is the catalogue's. Everything is tried as a string attribute, and as a
//! string in JSON where it can stand in one.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    dead_code
)]

#[path = "values/request.rs"]
mod request;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use ::base64::Engine as _;
use ::base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use request::*;
use slimspan_artifact::{Digest, Form, Location, Policy, extract};
use slimspan_proto::Signal::{Logs, Traces};

const DATA: &str = "data:image/png;base64,";

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// The file in it is extracted, and restored exactly.
    X,
    /// It stays, and so does everything around it.
    I,
}

use Answer::{I, X};

/// A value, the file that it holds if any, and its answer.
struct Row {
    number: u32,
    words: &'static str,
    value: String,
    answer: Answer,
}

fn row(number: u32, words: &'static str, value: impl Into<String>, answer: Answer) -> Row {
    Row {
        number,
        words,
        value: value.into(),
        answer,
    }
}

/// A picture with two characters of padding, and with bytes that need both of the characters that
/// alphabets differ in. A half of it is large enough to be moved, too.
fn file() -> Vec<u8> {
    let mut file = whole_png(4 * THRESHOLD + 3);
    file[600..603].copy_from_slice(&[0xfb, 0xff, 0xbf]);
    let sound = base64(&file);
    assert!(sound.ends_with("==") && &sound[800..804] == "+/+/");
    file
}

fn rows() -> Vec<Row> {
    let file = file();
    let sound = base64(&file);
    let digits = sound.trim_end_matches('=');
    let (body, last) = digits.split_at(digits.len() - 1);
    let set_bits = char::from(last.as_bytes()[0] + 1);
    let mut middle = sound.clone();
    middle.insert_str(2_000, "==");
    let wrapped = |width: usize, newline: &str| {
        let lines = sound.as_bytes().chunks(width).map(String::from_utf8_lossy);
        lines.collect::<Vec<_>>().join(newline)
    };
    let irregular = format!(
        "{}\n{}",
        &sound[..76],
        wrapped(76, "\n").replacen('\n', "", 3)
    );
    let (first, second) = sound.split_at(2_000);
    let mut spaced = sound.clone();
    spaced.insert(2_000, ' ');
    let mut tabbed = sound.clone();
    tabbed.insert(2_000, '\t');
    let payload = "eyJzdWIiOiJ1In0".repeat(THRESHOLD);
    let mut random = slimspan_generators::Random::new(1);
    let mut letters = |alphabet: &[u8]| -> String {
        let pick = |_| char::from(random.pick(alphabet));
        (0..100_000).map(pick).collect()
    };
    let gzip = [b"\x1f\x8b\x08\0", &noise(THRESHOLD)[..]].concat();
    let escaped = sound
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    // Bytes that show nothing: only what stands in front of them says that they are a file.
    let unshown = base64(&noise(THRESHOLD));
    let parameters = |len: usize| format!("data:a/b{};base64,{unshown}", ";x".repeat(len / 2));
    let typed = |media_type: &str, payload: &str| format!("data:{media_type};base64,{payload}");
    let hex: String = file.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let numbers: Vec<_> = file.iter().map(ToString::to_string).collect();
    let members: Vec<_> = file
        .iter()
        .enumerate()
        .map(|(index, byte)| format!(r#""{index}":{byte}"#))
        .collect();
    let python = file.escape_ascii().to_string().replace("\\\"", "\"");
    let message = format!(r#"[{{"role":"user","content":[{{"url":"{DATA}{sound}"}}]}}]"#);
    let php = message.replace('/', "\\/");
    let dot_net = message.replace('+', "\\u002b");
    vec![
        row(85, "correct, padded", &*sound, X),
        row(86, "no padding", STANDARD_NO_PAD.encode(&file), X),
        row(
            86,
            "no padding, in a data URI",
            format!("{DATA}{digits}"),
            X,
        ),
        row(87, "too much padding", format!("{sound}="), I),
        row(
            87,
            "too much padding, in a data URI",
            format!("{DATA}{sound}="),
            I,
        ),
        row(87, "padding for another length", format!("{digits}="), I),
        row(87, "padding in the middle", &*middle, I),
        row(
            87,
            "padding in the middle of a data URI",
            format!("{DATA}{middle}"),
            I,
        ),
        row(88, "newline every 76", wrapped(76, "\n"), X),
        row(
            88,
            "CRLF, with the last line ended",
            wrapped(76, "\r\n") + "\r\n",
            X,
        ),
        row(
            88,
            "newline every 76, in a data URI",
            format!("{DATA}{}", wrapped(76, "\n")),
            X,
        ),
        row(88, "lines of different width", irregular, I),
        row(
            88,
            "two lines of different width",
            format!("{first}\n{second}\n"),
            I,
        ),
        row(
            88,
            "two lines in a data URI",
            format!("{DATA}{first}\n{second}\n"),
            I,
        ),
        row(88, "a space", spaced, I),
        row(88, "a tab", tabbed, I),
        row(88, "CR alone", wrapped(76, "\r"), I),
        row(
            88,
            "an empty line at the end",
            wrapped(76, "\n") + "\n\n",
            I,
        ),
        row(88, "a space every 76", wrapped(76, " "), I),
        row(88, "a tab every 76", wrapped(76, "\t"), I),
        row(89, "url alphabet", URL_SAFE.encode(&file), X),
        row(
            89,
            "url alphabet without padding",
            URL_SAFE_NO_PAD.encode(&file),
            X,
        ),
        row(
            89,
            "url alphabet in a data URI",
            format!("{DATA}{}", URL_SAFE.encode(&file)),
            X,
        ),
        row(90, "mixed alphabets", sound.replacen("+/+/", "+/+_", 1), I),
        row(
            90,
            "mixed, in a data URI",
            format!("{DATA}{}", sound.replacen("+/+/", "-/-/", 1)),
            I,
        ),
        row(91, "trailing bits", format!("{body}{set_bits}=="), I),
        row(
            91,
            "trailing bits in a data URI",
            format!("{DATA}{body}{set_bits}=="),
            I,
        ),
        row(92, "concatenated", format!("{sound}{sound}"), I),
        row(92, "inner NUL", format!("{first}\0{second}"), I),
        row(92, "inner garbage", format!("{first}!!{second}"), I),
        row(
            92,
            "garbage behind bytes that show nothing",
            format!("{unshown}!!"),
            I,
        ),
        row(
            92,
            "garbage behind a picture, which is text behind it",
            format!("{sound}!!"),
            X,
        ),
        row(93, "length 4k + 1", format!("{digits}AAA"), I),
        row(
            93,
            "length 4k + 1 in a data URI",
            format!("{DATA}{digits}AAA"),
            I,
        ),
        row(94, "100 KB of hex", letters(b"0123456789abcdef"), I),
        row(94, "digits", letters(b"0123456789"), I),
        row(
            94,
            "a word list",
            "correct horse battery staple ".repeat(4_000),
            I,
        ),
        row(94, "one word", "word".repeat(25_000), I),
        row(
            94,
            "a JWT",
            format!("eyJhbGciOiJIUzI1NiJ9.{payload}.c2ln"),
            I,
        ),
        row(
            94,
            "a list of UUIDs",
            "123e4567-e89b-12d3-a456-426614174000,".repeat(2_700),
            I,
        ),
        row(
            94,
            "minified JavaScript",
            "!function(e,t){return e+t}(1,2);".repeat(3_000),
            I,
        ),
        row(95, "base64 of gzip, bare", base64(&gzip), I),
        row(
            95,
            "base64 of gzip in a data URI",
            format!("data:application/gzip;base64,{}", base64(&gzip)),
            X,
        ),
        row(95, "base64 of base64", base64(sound.as_bytes()), I),
        row(
            95,
            "base64 of base64 in a data URI",
            format!("data:text/plain;base64,{}", base64(sound.as_bytes())),
            X,
        ),
        row(
            95,
            "base64 of a data URI",
            base64(format!("{DATA}{sound}").as_bytes()),
            I,
        ),
        row(96, "data URI", format!("{DATA}{sound}"), X),
        row(
            97,
            "no base64",
            "data:,hello%20".to_owned() + &"hello".repeat(THRESHOLD),
            I,
        ),
        row(
            97,
            "a page",
            "data:text/html,<script>".to_owned() + &"a()".repeat(THRESHOLD),
            I,
        ),
        row(98, "capitals", format!("DATA:Image/PNG;BASE64,{sound}"), X),
        row(
            99,
            "a parameter before",
            format!("data:image/png;charset=x;base64,{sound}"),
            X,
        ),
        row(100, "empty type", format!("data:;base64,{sound}"), X),
        row(100, "empty payload", DATA, I),
        row(103, "percent escapes, bare", &*escaped, I),
        row(
            103,
            "percent escapes in a data URI",
            format!("{DATA}{escaped}"),
            X,
        ),
        row(
            103,
            "in lower case",
            format!(
                "{DATA}{}",
                escaped
                    .replace("%2B", "%2b")
                    .replace("%2F", "%2f")
                    .replace("%3D", "%3d")
            ),
            X,
        ),
        row(
            103,
            "in both cases",
            format!("{DATA}{}", escaped.replacen("%2F", "%2f", 1)),
            I,
        ),
        row(
            103,
            "not everywhere",
            format!("{DATA}{}", escaped.replacen("%2F", "/", 1)),
            I,
        ),
        row(
            103,
            "+ as space",
            format!("{DATA}{}", sound.replace('+', " ")),
            I,
        ),
        row(
            104,
            "one full-width letter",
            format!("{first}\u{ff21}{second}"),
            I,
        ),
        row(104, "full-width letters", sound.replace('A', "\u{ff21}"), I),
        row(104, "look-alike letters", sound.replace('A', "\u{391}"), I),
        row(
            104,
            "zero-width joiners",
            sound.replace('A', "\u{200d}A"),
            I,
        ),
        row(106, "hex dump", hex, I),
        row(106, "Python", format!("b'{python}'"), X),
        row(
            106,
            "a JSON array of numbers",
            format!("[{}]", numbers.join(",")),
            I,
        ),
        row(
            106,
            "Buffer",
            format!(r#"{{"type":"Buffer","data":[{}]}}"#, numbers.join(",")),
            X,
        ),
        row(106, "Uint8Array", format!("{{{}}}", members.join(",")), X),
        row(107, "messages with nested data URIs", &*message, X),
        row(107, "slashes that PHP escaped", php, X),
        row(107, "a + that .NET escaped", dot_net, X),
        row(
            99,
            "two times base64",
            format!("data:image/png;base64;base64,{unshown}"),
            I,
        ),
        row(
            99,
            "base64 in front",
            format!("data:image/png;base64;charset=x,{unshown}"),
            I,
        ),
        row(
            99,
            "base64 in front of a picture",
            format!("data:;base64;charset=x,{sound}"),
            X,
        ),
        row(99, "a prefix of 256 bytes", parameters(256 - 16), X),
        row(99, "a prefix of 258 bytes", parameters(258 - 16), I),
        row(99, "100,000 parameters", parameters(100_000), I),
        row(99, "a prefix of 1 MiB", parameters(1 << 20), I),
        row(
            101,
            "CR and LF in the type",
            typed("text/html\r\nSet-Cookie: x", &sound),
            X,
        ),
        row(101, "NUL in the type", typed("image/\0png", &sound), X),
        row(101, "quotes in the type", typed("image/\"png\"", &sound), X),
        row(
            101,
            "quotes in the type of nothing known",
            typed("image/\"png\"", &unshown),
            I,
        ),
    ]
}

#[test]
fn base64_and_data_uris() {
    let mut wrong = Vec::new();
    for Row {
        number,
        words,
        value,
        answer,
    } in rows()
    {
        let json = format!(r#"{{"a":"{}"}}"#, escaped(&value));
        for (place, text) in [("alone", &value), ("in JSON", &json)] {
            let request = request::text(text);
            for one in FORMS {
                let extraction = slim(Traces, &request, &form(one));
                let moved = !extraction.moves.is_empty();
                let same = extraction.request.as_ptr() == request.as_ptr();
                assert_eq!(moved, !same);
                if moved != (answer == X) {
                    wrong.push(format!(
                        "{number} {words}, {place}, {one:?}: not {answer:?}"
                    ));
                }
                assert!(extraction.artifacts.len() <= 1, "{number} {words}");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A label is never believed: the file is kept, and its link ends, as what its bytes are.
#[test]
fn row_102_a_page_that_calls_itself_a_picture() {
    let page = "<html><script>alert(1)</script>".repeat(50).into_bytes();
    let uri = format!("{DATA}{}", base64(&page));
    let extraction = slim(Traces, &text(uri), &form(Form::Uri));
    assert_eq!(
        extraction.artifacts[0].media_type,
        "application/octet-stream"
    );
    assert_eq!(extraction.mislabelled, 1);
    let left = only_text(&extraction.request);
    assert!(left.starts_with(&address(&page, "bin")), "{left}");
}

#[test]
fn row_105_thresholds_are_exact() {
    for threshold in [1, 2, 3, 200, 999, 1_000, 1_001, 8_192] {
        for len in [threshold - 1, threshold, threshold + 1] {
            for (shape, value) in [
                ("padded", base64(&png(len))),
                ("unpadded", STANDARD_NO_PAD.encode(png(len))),
                ("a data URI", format!("{DATA}{}", base64(&png(len)))),
            ] {
                let policy = Policy {
                    threshold,
                    ..policy()
                };
                let moved = !slim(Traces, &text(&value), &policy).moves.is_empty();
                // Of what is small a reference may be longer.
                let worth = threshold >= 200;
                assert_eq!(
                    moved,
                    len >= threshold && worth,
                    "{shape} of {len} at {threshold}"
                );
            }
        }
    }
    let large = png(64 << 20);
    let policy = form(Form::Uri);
    let extraction = extract(Traces, &text(base64(&large)), &policy).unwrap();
    assert_eq!(digests(&extraction), [Digest::of(&large)]);
    assert!(extraction.artifacts[0].bytes == large);
}

/// Text after text that a scanner could read again and again. Generous: what is not linear takes
/// minutes.
#[test]
fn row_108_odd_json_takes_no_longer_than_other() {
    const LEN: usize = 1 << 18;
    const PATIENCE: Duration = Duration::from_secs(20);
    let images: Vec<_> = (0..1_000)
        .map(|n| format!(r#"{{"url":"{DATA}{}"}}"#, base64(&png(THRESHOLD + n))))
        .collect();
    let request = text(format!("[{}]", images.join(",")));
    let extraction = slim(Traces, &request, &policy());
    assert_eq!(extraction.artifacts.len(), 1_000);

    let image = format!(r#""{DATA}{}""#, base64(&png(THRESHOLD)));
    for (what, json, files) in [
        (
            "duplicate keys",
            format!(r#"{{"a":{image},"a":{image},"a":1}}"#),
            2,
        ),
        (
            "a lone surrogate",
            format!(r#"{{"a":"\ud800","b":{image},"c":"\udfff\ud83d"}}"#),
            1,
        ),
        (
            "a file beside half an escape",
            format!(r#"["\","\u12",{image}]"#),
            1,
        ),
        (
            "10,000 deep",
            format!("{}{image}{}", "[".repeat(10_000), "]".repeat(10_000)),
            1,
        ),
        (
            "10,000 objects deep",
            format!("{}{image}", r#"{"a":"#.repeat(10_000)),
            1,
        ),
    ] {
        for one in FORMS {
            let extraction = slim(Traces, &text(&json), &form(one));
            assert_eq!(extraction.moves.len(), files, "{what} {one:?}");
        }
    }

    let run = "A".repeat(2_000);
    for unit in [
        "[",
        "{",
        "{\"a\":",
        "[[]",
        "\"",
        "\\",
        "\\\"",
        "\"\\\"",
        "{\"0\":1,\"1\":",
        "{\"0\":1,",
        "{\"type\":\"Buffer\",\"data\":[1,",
        "b'",
        "b\"",
        "b'\\",
        "b'\\x00",
        "b'b\"",
        "data:",
        "data:;base64,",
        "data:;base64,AAAA",
        "data:;base64,%",
        "base64,",
        "data:,base64,",
        "=",
        "%",
        "%2B",
        "\n",
        "A\n",
        "AAAA=",
        "\\u0041",
        "\\\\u0041",
        "sha256",
        "{\"type\":\"artifact\",\"sha256\":\"",
        "\"sha256\"",
        "{\\\"type\\\":\\\"artifact\\\",\\\"sha256",
        "http://127.0.0.1:4319/artifacts/",
        "http://127.0.0.1:4319/artifacts/untrusted/",
        "untrusted/",
        "artifact://dropped/",
        ".untrusted",
        "iVBORw0KGgo",
        "iVBORw0KGgo=",
        "{\"type\":\"blob\",\"content\":\"",
    ] {
        let repeated = unit.repeat(LEN / unit.len());
        for value in [
            repeated.clone(),
            format!("[{repeated}"),
            format!("\"{repeated}\""),
            format!("{run}{repeated}"),
            format!(r#"{{"a":"{repeated}{run}"}}"#),
            format!("{PUBLIC}/artifacts/{repeated}"),
        ] {
            let request = text(&value);
            let begin = Instant::now();
            for one in [Form::Native, Form::Object] {
                slim(Traces, &request, &form(one));
            }
            let took = begin.elapsed();
            assert!(took < PATIENCE, "{unit} took {took:?}");
        }
    }
}

/// A reference that its sender wrote is marked, and comes back as it was.
#[test]
fn row_111_our_references_in_what_comes_in() {
    let digest = Digest::of(b"somebody else's");
    let object = format!(
        r#"{{"type":"artifact","sha256":"{digest}","content_type":"image/png","size_bytes":3,"uri":"x","encoding":"base64"}}"#
    );
    for (reference, marked) in [
        (
            format!("{PUBLIC}/artifacts/{digest}.png"),
            format!("{PUBLIC}/artifacts/untrusted/{digest}.png"),
        ),
        (
            object.clone(),
            object.replacen(r#""artifact""#, r#""artifact.untrusted""#, 1),
        ),
    ] {
        assert_eq!(slim_text(&reference, &policy()), marked);
    }
}

#[test]
fn row_113_addresses_stay() {
    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_FLUSHALL",
        "https://example.com/a.png",
        "s3://bucket/key",
        "gs://bucket/key",
        "//example.com/a.png",
    ] {
        let long = format!("{url}?q={}", "A".repeat(4 * THRESHOLD));
        for value in [url, &long] {
            assert_untouched(Traces, &text(value), value);
            assert_untouched(Traces, &text(format!(r#"{{"url":"{value}"}}"#)), value);
            assert_untouched(Logs, &log_body(&string(value)), value);
        }
    }
}

#[test]
fn row_114_a_reference_that_is_no_shorter_is_not_made() {
    let small = |form| Policy {
        threshold: 1,
        ..request::form(form)
    };
    for one in FORMS {
        let attribute = |len| span(&[("a", bytes(png(len)))]);
        let left = slim(Traces, &attribute(THRESHOLD), &small(one)).moves[0].after;
        // The number of digits of the size changes the length of an object.
        let lens: Vec<_> = (1..400)
            .filter(|len| !slim(Traces, &attribute(*len), &small(one)).moves.is_empty())
            .collect();
        let first = lens[0];
        assert!(
            first >= left - 1 && first <= left + 1,
            "{first} {left} {one:?}"
        );
        assert_eq!(lens, (first..400).collect::<Vec<_>>(), "{one:?}");
        assert_untouched_by(Traces, &attribute(first - 1), &small(one), "as long");
        for len in 8..300 {
            let json = format!(r#"{{"type":"blob","content":"{}"}}"#, base64(&png(len)));
            let extraction = slim(Traces, &text(&json), &small(one));
            let shorter = extraction.request.len() < text(&json).len();
            assert_eq!(shorter, !extraction.moves.is_empty(), "{len} {one:?}");
        }
    }
}

#[test]
fn row_115_one_file_by_two_names() {
    let file = noise(THRESHOLD);
    let uri = |media_type: &str| string(format!("data:{media_type};base64,{}", base64(&file)));
    let request = span(&[("a", uri("text/csv")), ("b", uri("audio/wav"))]);
    let extraction = slim(Traces, &request, &form(Form::Uri));
    assert_eq!(extraction.artifacts.len(), 1);
    let types: Vec<_> = extraction.moves.iter().map(|of| &of.media_type).collect();
    assert_eq!(types, ["text/csv", "audio/wav"]);
    let left = [
        ("a", string(address(&file, "csv"))),
        ("b", string(address(&file, "wav"))),
    ];
    assert_eq!(extraction.request, span(&left));
}

/// References that a sender wrote are many, and so are files among them.
#[test]
fn row_111_many_references_and_files_in_one_text() {
    let file = format!("({DATA}{})", base64(&png(THRESHOLD)));
    let digest = Digest::of(b"somebody else's");
    let forged = format!("({PUBLIC}/artifacts/{digest}.png)").repeat(60);
    let request = text(format!("{file}{forged}").repeat(4_000));
    let begin = Instant::now();
    assert_eq!(slim(Traces, &request, &policy()).moves.len(), 4_000);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(20), "took {took:?}");
}

/// The location of another store is as good as any address.
#[test]
fn row_111_references_to_another_place_are_addresses() {
    let digest = Digest::of(b"somebody else's");
    let policy = Policy::new(THRESHOLD, Location::Store("s3://ours/sha256".into()));
    for value in [
        format!("{PUBLIC}/artifacts/{digest}.png"),
        format!("s3://theirs/sha256/{}/{digest}", &digest.to_string()[..2]),
    ] {
        assert_untouched_by(Traces, &text(&value), &policy, &value);
    }
}

/// Attributes are many, and so are files among them. Generous: to look for each file through all
/// attributes takes minutes.
#[test]
fn row_59_many_attributes_on_one_span() {
    let file = bytes(png(THRESHOLD));
    let small = ("a", string("b"));
    let attributes: Vec<_> = (0..1_000)
        .flat_map(|_| {
            let few = std::iter::repeat_n(small.clone(), 500);
            few.chain([("image", file.clone())])
        })
        .collect();
    let request = span(&attributes);
    for one in FORMS {
        let begin = Instant::now();
        assert_eq!(slim(Traces, &request, &form(one)).moves.len(), 1_000);
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(20), "{one:?} took {took:?}");
    }
}
