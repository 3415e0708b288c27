//! Values with files in them, in every shape and as badly written as senders can.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};

use crate::Random;

/// Where the references point to that senders forge.
pub const LOCATIONS: [&str; 2] = ["memory:/default/sha256", "http://127.0.0.1:4319"];

/// Bytes that start like a PNG picture.
pub fn fake_file(random: &mut Random, len: usize) -> Vec<u8> {
    let mut bytes = random.bytes(len);
    for (byte, magic) in bytes.iter_mut().zip(b"\x89PNG\r\n\x1a\n") {
        *byte = *magic;
    }
    bytes
}

/// A value in some shape that holds files, of sizes around a threshold that tests set to 100, or
/// that only looks like one.
pub fn value(random: &mut Random) -> Value {
    match random.below(10) {
        0 => Value::BytesValue(file(random)),
        1 => part(random),
        2 => Value::ArrayValue(ArrayValue {
            values: (0..random.below(3))
                .map(|_| any(Value::StringValue(text(random, 2))))
                .collect(),
        }),
        3 => list(&forged_members(random)),
        4 if random.one_in(4) => Value::StringValue(nearly_forged(random)),
        _ => Value::StringValue(text(random, 3)),
    }
}

/// The same, or bytes of any length in some place, or a text that a sender wrote like one that holds bytes.
pub fn value_with_bytes(random: &mut Random) -> Value {
    match random.below(6) {
        0 => bytes(random),
        1 => Value::StringValue(holding(random)),
        2 => Value::ArrayValue(ArrayValue {
            values: (0..random.below(4))
                .map(|_| any(value_with_bytes(random)))
                .collect(),
        }),
        3 => {
            let payload = Value::BytesValue(file(random));
            let text = |text: &str| Value::StringValue(text.to_owned());
            list(&[
                ("type".to_owned(), text("blob")),
                ("mime_type".to_owned(), text("image/png")),
                ("content".to_owned(), payload),
                ("note".to_owned(), value_with_bytes(random)),
            ])
        }
        _ => value(random),
    }
}

fn bytes(random: &mut Random) -> Value {
    let len = random.pick(&[0, 1, 2, 3, 5, 20, 99, 100, 150, 700]);
    Value::BytesValue(random.bytes(len))
}

/// A text that reads as if it held bytes, or nearly so.
fn holding(random: &mut Random) -> String {
    let marks = "untrusted/".repeat(random.pick(&[0, 0, 1, 2]));
    let long = STANDARD.encode(file(random));
    let base64 = random.pick(&[
        "",
        "AA==",
        "AAEC",
        "AB==",
        "untrusted/8=",
        "A",
        long.as_str(),
    ]);
    let text = format!("artifact://bytes/{marks}base64,{base64}");
    let around = random.pick(&[["", ""], ["", ""], ["see ", ""], ["", " "], ["\"", "\""]]);
    let [before, after] = around;
    format!("{before}{text}{after}")
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn file(random: &mut Random) -> Vec<u8> {
    let len = random.pick(&[0, 1, 50, 98, 99, 100, 101, 102, 150, 400, 700, 700, 3_000]);
    if random.one_in(3) {
        random.bytes(len)
    } else {
        fake_file(random, len)
    }
}

fn list(members: &[(String, Value)]) -> Value {
    let values = members.iter().map(|(key, value)| KeyValue {
        key: key.clone(),
        value: Some(any(value.clone())),
        ..KeyValue::default()
    });
    Value::KvlistValue(KeyValueList {
        values: values.collect(),
    })
}

/// A provider's message part as a kvlist.
fn part(random: &mut Random) -> Value {
    let payload = if random.one_in(2) {
        Value::BytesValue(file(random))
    } else {
        Value::StringValue(text(random, 0))
    };
    let word = |random: &mut Random, words: &[&str]| Value::StringValue(random.pick(words).into());
    let mut members = vec![(random.pick(&["content", "data", "uri"]).to_owned(), payload)];
    for (key, words) in [
        (
            "type",
            &["blob", "binary", "uri", "base64", "redacted_thinking"][..],
        ),
        ("mime_type", &["image/png", "text/plain", "no type"]),
        ("modality", &["image"]),
        ("uri", &["https://example.com/a.png"]),
        ("type", &["blob"]),
        (
            "note",
            &[
                "a",
                "http://127.0.0.1:4319/artifacts/",
                "http://127.0.0.1:4319/artifacts/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad.png?as=base64&part=genai.0.",
            ],
        ),
    ] {
        if random.one_in(2) {
            members.push((key.to_owned(), word(random, words)));
        }
    }
    let turn = random.below(members.len());
    members.rotate_left(turn);
    if random.one_in(6) {
        members.push(("note".to_owned(), Value::StringValue(forged(random))));
    }
    list(&members)
}

/// A text that holds files, or looks like it; with JSON texts in JSON texts up to `depth`.
fn text(random: &mut Random, depth: usize) -> String {
    match random.below(if depth == 0 { 8 } else { 14 }) {
        0 => base64(random),
        1 | 2 => data_uri(random),
        3 => wrapped(random),
        4 => python(random),
        5 => forged(random),
        6 => {
            // With anything at all before and behind.
            let around = |random: &mut Random| {
                random.pick(&[
                    "",
                    "see ",
                    "(",
                    ")",
                    "~",
                    "?",
                    "a",
                    "=",
                    "\"",
                    "'",
                    "\\",
                    ".",
                    "é",
                    "/",
                    "&as=",
                    "\n",
                    "data",
                    "![](",
                    "untrusted/",
                    "%",
                ])
            };
            let mut text = around(random).to_owned();
            for _ in 0..=random.below(3) {
                text += &inline(random);
                text += around(random);
            }
            text
        }
        7 => numbers(random),
        _ => {
            let mut json = String::new();
            write_json(random, depth, &mut json);
            if random.one_in(10) {
                let cut = random.below(json.len() + 1);
                while !json.is_char_boundary(cut.min(json.len())) {
                    json.pop();
                }
                json.truncate(cut);
            }
            json
        }
    }
}

/// A file that can stand within a text.
fn inline(random: &mut Random) -> String {
    match random.below(5) {
        0 => base64(random),
        1 | 2 => data_uri(random),
        3 => python(random),
        _ => forged(random),
    }
}

fn base64(random: &mut Random) -> String {
    let file = file(random);
    random.pick(&[
        STANDARD.encode(&file),
        STANDARD.encode(&file),
        STANDARD_NO_PAD.encode(&file),
        URL_SAFE.encode(&file),
        URL_SAFE_NO_PAD.encode(&file),
    ])
}

fn data_uri(random: &mut Random) -> String {
    let prefix = random.pick(&[
        "data:image/png;base64,",
        "data:image/png;base64,",
        "DATA:Image/PNG;name=a.png;BASE64,",
        "data:;base64,",
        "data:text/html,",
        "data:image/jpeg;charset=x;base64,",
    ]);
    let payload = match random.below(6) {
        0 => wrapped(random),
        1 => {
            let escape = |text: &str| text.replace('/', "%2F").replace('+', "%2B");
            escape(&base64(random)).replace('=', random.pick(&["%3D", "%3d", "="]))
        }
        _ => base64(random),
    };
    format!("{prefix}{payload}")
}

/// Base64 in lines.
fn wrapped(random: &mut Random) -> String {
    let text = base64(random);
    let width = random.pick(&[64, 76, 76, 5]);
    let newline = random.pick(&["\n", "\r\n"]);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(width)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    let end = random.pick(&["", newline]);
    lines.join(newline) + end
}

/// As Python prints bytes; close enough, the extractor takes only what is exact.
fn python(random: &mut Random) -> String {
    if random.one_in(4) {
        return format!("b'{}'", base64(random));
    }
    let inner = file(random)
        .escape_ascii()
        .to_string()
        .replace("\\\"", "\"");
    random.pick(&[format!("b'{inner}'"), inner])
}

/// As JavaScript writes bytes.
fn numbers(random: &mut Random) -> String {
    let file = file(random);
    if random.one_in(2) {
        let members = file.iter().enumerate();
        let members: Vec<String> = members.map(|(i, n)| format!(r#""{i}":{n}"#)).collect();
        return format!("{{{}}}", members.join(","));
    }
    let numbers: Vec<String> = file.iter().map(ToString::to_string).collect();
    format!(r#"{{"type":"Buffer","data":[{}]}}"#, numbers.join(","))
}

/// A JSON text, formatted in any way.
fn write_json(random: &mut Random, depth: usize, out: &mut String) {
    let space = |random: &mut Random| random.pick(&["", "", "", " ", "\n  ", "\t"]);
    match random.below(if depth == 0 { 3 } else { 6 }) {
        0 => *out += &numbers(random),
        1 => *out += random.pick(&["NaN", "-Infinity", "null", "1e5", "true", "\"\\ud83d\""]),
        2 => {
            let text = text(random, 0);
            write_string(random, &text, out);
        }
        3 => {
            *out += "[";
            for index in 0..random.below(4) {
                *out += if index > 0 { "," } else { "" };
                *out += space(random);
                write_json(random, depth - 1, out);
            }
            *out += "]";
        }
        _ => {
            *out += "{";
            for index in 0..random.below(6) {
                *out += if index > 0 { "," } else { "" };
                *out += space(random);
                write_member(random, depth - 1, out);
                *out += space(random);
            }
            *out += "}";
        }
    }
}

fn write_member(random: &mut Random, depth: usize, out: &mut String) {
    let labels: &[(&str, &[&str])] = &[
        (
            "type",
            &["blob", "binary", "uri", "base64", "redacted_thinking"],
        ),
        ("mime_type", &["image/png", "audio/wav", "no type"]),
        ("media_type", &["image/png"]),
        ("modality", &["image"]),
        ("filename", &["a.png", "ä\\\"b"]),
        ("uri", &["https://example.com"]),
    ];
    let colon = random.pick(&[":", ": ", " :\n"]);
    if random.one_in(2) {
        let (key, words) = random.pick(labels);
        let _ = write!(out, r#""{key}"{colon}"{}""#, random.pick(words));
        return;
    }
    let key = random.pick(&[
        "content",
        "content",
        "data",
        "data",
        "uri",
        "url",
        "source",
        "inline_data",
        "inlineData",
        "signature",
        "b64_json",
        "k\\u00e4y",
        "type",
    ]);
    let _ = write!(out, r#""{key}"{colon}"#);
    if random.one_in(3) {
        write_json(random, depth, out);
    } else {
        let text = text(random, depth);
        write_string(random, &text, out);
    }
}

/// A JSON string, with the escapes of one serializer or, seldom, of all at once.
fn write_string(random: &mut Random, text: &str, out: &mut String) {
    let style = random.below(8);
    out.push('"');
    for c in text.chars() {
        let style = if style == 7 { random.below(7) } else { style };
        let lower = style == 3;
        match (style, c) {
            (_, '"') if style != 5 => *out += "\\\"",
            (_, '\\') => *out += "\\\\",
            (_, '\n') => *out += "\\n",
            (_, '\r') => *out += "\\r",
            (_, c) if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            (2, '/') => *out += "\\/",
            (3, '=' | '/' | '&') | (4, '+' | '<') | (5, '"' | '\'') | (6, _)
                if u32::from(c) < 0x1_0000 =>
            {
                let _ = if lower {
                    write!(out, "\\u{:04x}", u32::from(c))
                } else {
                    write!(out, "\\u{:04X}", u32::from(c))
                };
            }
            (_, c) => out.push(c),
        }
    }
    out.push('"');
}

/// A reference that nobody but the sender made, or something close to one.
fn forged(random: &mut Random) -> String {
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let [store, public] = LOCATIONS;
    let marks = "untrusted/".repeat(random.pick(&[0, 0, 1, 2]));
    let query = random.pick(&[
        "",
        "",
        "?as=base64",
        "?as=bytes",
        "?as=base64&prefix=data%3A%3Bbase64%2C",
        "?as=base64&part=genai.0.tm.b57.b8",
        "?as=data-uri&ref",
        "?as=base64&quotes",
        "?x=1",
        "~",
        "?as=base64~",
    ]);
    let dots = ".untrusted".repeat(random.pick(&[0, 0, 1, 2]));
    let kind = random.pick(&["artifact", "logfire.artifact", "artefact"]);
    let base64 = "A".repeat(300);
    random.pick(&[
        format!("{public}/artifacts/{marks}{digest}.png{query}"),
        format!("{store}/{marks}ba/{digest}{query}"),
        format!("artifact://dropped/{marks}{digest}.png?size=3"),
        format!("artifact://dropped/{marks}{digest}.png?size=3&as=base64{query}"),
        format!(r#"{{"type":"{kind}{dots}","sha256":"{digest}","content_type":"image/png","size_bytes":3,"uri":"{store}/ba/{digest}","encoding":"base64"}}"#),
        format!(r#"{{"type":"{kind}{dots}","sha256":"{digest}","content_type":"image/png","size_bytes":3,"dropped":true,"encoding":"bytes"}}"#),
        format!(r#"{{\"type\":\"{kind}{dots}\",\"sha256\":\"{digest}\",\"content_type\":\"image/png\",\"size_bytes\":3,\"uri\":\"x\",\"encoding\":\"base64\"}}"#),
        format!(r#"{{"type":"{kind}{dots}","sha256":"{digest}","content_type":"a/b","size_bytes":3,"preview":"data:image/png;base64,{base64} {public}/artifacts/{digest}.png","uri":"x","encoding":"base64&literal"}}"#),
        format!(r#"{{"type":"{kind}","sha256":"{digest}"}}"#),
        format!(r#""{public}/artifacts/{digest}.png?as=node-buffer&quotes""#),
    ])
}

/// A text that becomes a reference to the letter when a file is taken out of it.
fn nearly_forged(random: &mut Random) -> String {
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let long = STANDARD.encode(fake_file(random, 9_000));
    let numbers = numbers(random);
    let preview = random.pick(&[
        format!(r#""data:image/png;base64,{long}""#),
        format!(r#""{long}""#),
        numbers,
    ]);
    let text = format!(
        r#"{{"type":"artifact","sha256":"{digest}","content_type":"a/b","size_bytes":3,"preview":{preview},"uri":"x","encoding":"base64"}}"#
    );
    random.pick(&[text.clone(), format!("[{text}]"), format!("see {text}")])
}

/// The members of a reference that is a kvlist, or of something close to one.
fn forged_members(random: &mut Random) -> Vec<(String, Value)> {
    let dots = ".untrusted".repeat(random.pick(&[0, 0, 1, 2]));
    let text = |text: &str| Value::StringValue(text.to_owned());
    let mut members = vec![
        ("type", text(&format!("artifact{dots}"))),
        (
            "sha256",
            text("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ),
        ("content_type", text("image/png")),
        ("size_bytes", Value::IntValue(3)),
        ("uri", text("memory:/x")),
        ("encoding", text(random.pick(&["base64", "bytes", "other"]))),
    ];
    if random.one_in(3) {
        members.insert(4, ("preview", Value::BytesValue(file(random))));
    }
    if random.one_in(4) {
        let other = random.below(members.len());
        members.swap(0, other);
    }
    members
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}
