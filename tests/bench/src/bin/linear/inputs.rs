//! Requests that somebody would send to keep a core busy.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use slimspan_generators::wire::{field, nested};

/// Makes a request of about so many bytes.
pub(crate) type Input = fn(usize) -> Bytes;

/// Each with its name.
pub(crate) const INPUTS: [(&str, Input); 35] = [
    ("one span with ever more attributes", attributes),
    ("the same with one key", colliding_keys),
    ("a long key of many values", long_key),
    ("a long key of many message parts", long_key_of_parts),
    ("ever more events", events),
    ("arrays within arrays, side by side", deep_arrays),
    (
        "one value that is an array again and again",
        repeated_arrays,
    ),
    ("one that is an array and a list in turns", arrays_and_lists),
    ("strings of one byte", short_strings),
    ("message parts in kvlists", list_parts),
    ("small files in attributes", small_files),
    ("small files in a text", |size| {
        let file = format!(" data:image/png;base64,{}", "iVBORw0KGgoA".repeat(30));
        text(size, b"", file.as_bytes(), b"")
    }),
    ("small files in message parts", |size| {
        let file = format!(
            r#"{{"type":"blob","content":"{}"}},"#,
            "iVBORw0KGgoA".repeat(30)
        );
        text(size, b"[", file.as_bytes(), b"]")
    }),
    ("small files and references of a sender", |size| {
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let file = format!(
            " http://127.0.0.1:4319/artifacts/{digest}.png data:image/png;base64,{}",
            "iVBORw0KGgoA".repeat(30)
        );
        text(size, b"", file.as_bytes(), b"")
    }),
    ("entries of a TIFF that share their numbers", shared_numbers),
    ("payloads without data URIs", |size| {
        prose(size, b"see ", b":base64,", b"")
    }),
    ("base64 with a newline after every byte", |size| {
        text(size, b"data:image/png;base64,", b"a\n", b"")
    }),
    ("a data URI with ever more parameters", |size| {
        prose(size, b"data:image/png", b";a=b", b";base64,aGk=")
    }),
    ("data URIs without payload", |size| {
        prose(size, b"see ", b"data:;base64,", b"")
    }),
    ("data URIs that are cut", |size| {
        prose(size, b"see ", b"data:image/png;base64,iVBORw0KGgo ", b"")
    }),
    ("percent-escapes in two spellings", |size| {
        text(size, b"data:image/png;base64,", b"%2F%2F%2F%2f", b"")
    }),
    ("base64 in lines that are not regular", |size| {
        text(
            size,
            b"data:image/png;base64,",
            b"iVBORw0KGgo\niVBORw0KGg\n",
            b"",
        )
    }),
    ("objects in JSON", |size| json(size, b"[", b"{\"a\":", b"")),
    ("arrays in JSON", |size| json(size, b"[", b"[", b"")),
    ("index objects that end early", |size| {
        json(size, b"[", b"{\"0\":1,\"1\":2,", b"")
    }),
    ("backslashes in JSON", |size| {
        json(size, b"[\"", b"\\", b"\"]")
    }),
    ("quotes with a backslash in JSON", |size| {
        json(size, b"[\"b'\\\\x89", b"\\\"", b"\"]")
    }),
    ("quotes in JSON", |size| json(size, b"[", b"\"", b"")),
    ("JSON in JSON in JSON", json_in_json),
    ("bytes that Python did not close", |size| {
        text(size, b"\\x89 ", b"b' b\"", b"")
    }),
    ("bytes that Python did not write", |size| {
        text(size, b"\\x89 ", b"b'\\q' ", b"")
    }),
    ("beginnings of references", |size| {
        prose(size, b"", br#"{"type":"artifact","sha256":""#, b"")
    }),
    ("beginnings of references in JSON in JSON", |size| {
        let opening = br#"{\"type\":\"artifact\",\"sha256\":\"ba7816bf\",\"preview\":\""#;
        text(size, b"[\"", opening, b"\"]")
    }),
    ("references of a sender", |size| {
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let uri = format!(" http://127.0.0.1:4319/artifacts/{digest}.png");
        prose(size, b"", uri.as_bytes(), b"")
    }),
    ("beginnings of links", |size| {
        prose(
            size,
            b"",
            b"http://127.0.0.1:4319/artifacts/untrusted/",
            b"",
        )
    }),
];

/// The fields on the way to a span.
const SPAN: [u8; 3] = [1, 2, 2];

fn text(size: usize, before: &[u8], repeated: &[u8], after: &[u8]) -> Bytes {
    let mut text = before.to_vec();
    text.extend(repeated.repeat(size / repeated.len()));
    text.extend_from_slice(after);
    span_of(&[9, 2, 1], text)
}

/// The same behind what looks like a file, so that nobody can say at once that there is none.
fn prose(size: usize, before: &[u8], repeated: &[u8], after: &[u8]) -> Bytes {
    let run = [b'A'; 12_000];
    text(size, &[&run, &b" "[..], before].concat(), repeated, after)
}

/// The same in JSON.
fn json(size: usize, before: &[u8], repeated: &[u8], after: &[u8]) -> Bytes {
    let run = [b'A'; 12_000];
    let before = before.strip_prefix(b"[").unwrap_or(before);
    text(
        size,
        &[&b"[\""[..], &run, b"\",", before].concat(),
        repeated,
        after,
    )
}

fn span_of(path: &[u8], content: Vec<u8>) -> Bytes {
    nested(&[&SPAN, path].concat(), content).into()
}

fn key_value(key: &[u8], number: u8, content: &[u8]) -> Vec<u8> {
    [field(1, key), nested(&[2, number], content)].concat()
}

fn attributes(size: usize) -> Bytes {
    let mut span = Vec::with_capacity(size);
    for number in 0.. {
        if span.len() >= size {
            break;
        }
        let key = format!("key.{number}");
        span.extend(field(9, key_value(key.as_bytes(), 1, &[b'v'; 100])));
    }
    nested(&SPAN, span).into()
}

fn colliding_keys(size: usize) -> Bytes {
    // Each value is judged, and each could be told by any other.
    let value = [&b"iVBORw0KGgo"[..], &[b'A'; 101], b"!"].concat();
    let one = nested(&[9], key_value(b"image.mime_type", 1, &value));
    nested(&SPAN, one.repeat(size / one.len())).into()
}

fn small_files(size: usize) -> Bytes {
    let mut span = Vec::with_capacity(size);
    for number in 0_u64.. {
        if span.len() >= size {
            break;
        }
        let key = format!("key.{number}");
        let file = [number as u8; 200];
        span.extend(field(9, key_value(key.as_bytes(), 7, &file)));
    }
    nested(&SPAN, span).into()
}

fn long_key(size: usize) -> Bytes {
    of_long_key(size, &nested(&[1, 7], vec![b'v'; 10_000]))
}

fn long_key_of_parts(size: usize) -> Bytes {
    let mut part = nested(&[1], key_value(b"type", 1, b"blob"));
    part.extend(nested(&[1], key_value(b"content", 7, &[7; 10_000])));
    of_long_key(size, &nested(&[1, 6], part))
}

/// An attribute of which one half is the key, and the other ever more of an element.
fn of_long_key(size: usize, element: &[u8]) -> Bytes {
    let elements = element.repeat(size / 2 / element.len());
    let key = vec![b'k'; size / 2];
    span_of(
        &[9],
        [nested(&[1], key), nested(&[2, 5], elements)].concat(),
    )
}

fn events(size: usize) -> Bytes {
    let one = nested(&[11, 3], key_value(b"exception.message", 1, &[b'm'; 100]));
    nested(&SPAN, one.repeat(size / one.len())).into()
}

fn deep_arrays(size: usize) -> Bytes {
    let value = nested(
        &[1],
        b"a text of more bytes than the threshold that is used here, and more",
    );
    let deep = (0..45).fold(value, |inner, _| nested(&[5, 1], inner));
    let one = nested(&[9, 2], deep);
    nested(&SPAN, one.repeat(size / one.len())).into()
}

/// Decoders join them.
fn repeated_arrays(size: usize) -> Bytes {
    let one = nested(&[5, 1, 1], b"a");
    span_of(&[9, 2], one.repeat(size / one.len()))
}

/// Of which only the last one counts.
fn arrays_and_lists(size: usize) -> Bytes {
    let both = [nested(&[5, 1, 1], b"a"), nested(&[6, 1, 1], b"key")].concat();
    span_of(&[9, 2], both.repeat(size / both.len()))
}

fn short_strings(size: usize) -> Bytes {
    let one = nested(&[1, 1], b"a");
    span_of(&[9, 2, 5], one.repeat(size / one.len()))
}

fn list_parts(size: usize) -> Bytes {
    let mut part = nested(&[1], key_value(b"type", 1, b"blob"));
    part.extend(nested(&[1], key_value(b"content", 7, &[7; 200])));
    let one = nested(&[1, 6], part);
    span_of(&[9, 2, 5], one.repeat(size / one.len()))
}

fn shared_numbers(size: usize) -> Bytes {
    let entries = u16::MAX;
    let at = 8 + 2 + u32::from(entries) * 12 + 4;
    let count = (size as u32 / 4 * 3).saturating_sub(at) / 2;
    // StripOffsets, as short numbers.
    let entry = [
        &273_u16.to_le_bytes()[..],
        &3_u16.to_le_bytes(),
        &count.to_le_bytes(),
        &at.to_le_bytes(),
    ];
    let mut file = b"II*\0\x08\0\0\0".to_vec();
    file.extend_from_slice(&entries.to_le_bytes());
    file.extend(entry.concat().repeat(entries.into()));
    // The same directory follows.
    file.extend_from_slice(&8_u32.to_le_bytes());
    file.resize(file.len() + count as usize * 2, 0);
    let text = format!("data:image/tiff;base64,{}", STANDARD.encode(file));
    span_of(&[9, 2, 1], text.into_bytes())
}

fn json_in_json(size: usize) -> Bytes {
    let mut text = br"b'\x89' ".repeat(size / 64);
    for _ in 0..3 {
        let mut escaped = b"[\"".to_vec();
        for c in text {
            if matches!(c, b'"' | b'\\') {
                escaped.push(b'\\');
            }
            escaped.push(c);
        }
        escaped.extend_from_slice(b"\"]");
        text = escaped;
    }
    span_of(&[9, 2, 1], text)
}
