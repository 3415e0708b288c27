#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::wire::{varint_width, write_varint};

fn nested(number: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![number << 3 | 2];
    let len = body.len() as u64;
    write_varint(&mut message, len, varint_width(len));
    message.extend(body);
    message
}

fn span_of(fields: &[u8]) -> Vec<u8> {
    nested(1, &nested(2, &nested(2, fields)))
}

/// A span whose name is as long and has nothing but control characters.
fn controls(len: usize) -> Vec<u8> {
    span_of(&nested(5, &vec![1; len]))
}

#[test]
fn memory_is_asked_for_before_it_is_taken() {
    for len in [10, 10_000, 1 << 20] {
        let request = controls(len);
        let mut asked = 0;
        let mut more = |bytes| {
            asked += bytes;
            true
        };
        let written = write_charging(Signal::Traces, &request, &mut more).unwrap();
        assert!(written.text.len() > 6 * len);
        assert!(asked >= written.text.capacity(), "{asked} {len}");
        assert!(asked <= 10 * len + 10_000, "{asked} {len}");
        assert_eq!(write(Signal::Traces, &request).unwrap(), written);
        let mut left = asked - 1;
        let mut limited = |bytes: usize| {
            let enough = bytes <= left;
            left -= bytes.min(left);
            enough
        };
        let refused = write_charging(Signal::Traces, &request, &mut limited);
        assert!(matches!(refused, Err(WriteError::NoMemory(_))), "{len}");
    }
}

#[test]
fn fields_are_asked_for_where_they_take_more_than_their_text() {
    let count = 1 << 16;
    // Empty attributes, and values of which there may be one.
    for (fields, kept) in [([0x4a, 0], count), ([0x30, 1], 0)] {
        let request = span_of(&fields.repeat(count));
        let mut asked = 0;
        let mut more = |bytes| {
            asked += bytes;
            true
        };
        let written = write_charging(Signal::Traces, &request, &mut more).unwrap();
        let text = written.text.capacity();
        assert!(asked >= text + kept * size_of::<Piece>(), "{asked}");
        assert!(
            asked <= 3 * text + 8 * kept * size_of::<Piece>() + (64 << 10),
            "{asked}"
        );
    }
}

#[test]
fn of_values_that_exclude_each_other_the_last_one_is_written() {
    let value = |fields: &[u8]| {
        let attribute = [&[0x0a, 1, b'k', 0x12, fields.len() as u8][..], fields].concat();
        let request = span_of(&[&[0x4a, attribute.len() as u8][..], &attribute].concat());
        String::from_utf8(write(Signal::Traces, &request).unwrap().text).unwrap()
    };
    for (fields, expected) in [
        (&[0x10, 1, 0x18, 2, 0x10, 0][..], r#""boolValue":false"#),
        (&[0x18, 1, 0x10, 1, 0x18, 2, 0x18, 3], r#""intValue":"3""#),
        (&[0x18, 1, 0x2a, 0, 0x18, 7], r#""intValue":"7""#),
    ] {
        let text = value(fields);
        assert!(text.contains(expected), "{text}");
        assert_eq!(text.matches("Value\":").count(), 1, "{text}");
    }
}
