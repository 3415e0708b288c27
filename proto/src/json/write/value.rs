//! The values of fields that are no messages, as JSON has them.

use std::io::Write as _;

use base64::Engine as _;

use super::{WriteError, Writer};
use crate::json::STANDARD;
use crate::json::table::Content;
use crate::wire::{WireType, varint};

/// A name with its quotes and colon, a number, and what ends objects and lists around it.
pub(super) const MEMBER: usize = 512;

impl Writer<'_> {
    pub(super) fn scalar(
        &mut self,
        content: Content,
        start: usize,
        end: usize,
    ) -> Result<(), WriteError> {
        let bytes = self.request.get(start..end).unwrap_or_default();
        self.afford(MEMBER + longest(content, bytes))?;
        let number = match content.wire_type() {
            WireType::Varint => varint(self.request, start, end)?.0,
            WireType::Fixed64 => bytes
                .first_chunk()
                .map_or(0, |word| u64::from_le_bytes(*word)),
            WireType::Fixed32 => bytes
                .first_chunk()
                .map_or(0, |word| u32::from_le_bytes(*word).into()),
            _ => 0,
        };
        let text = &mut self.text;
        // Writing to memory does not fail.
        let _ = match content {
            Content::Text => {
                self.replaced += usize::from(put_text(text, bytes));
                Ok(())
            }
            Content::Hex => {
                put_hex(text, bytes);
                Ok(())
            }
            Content::Base64 => {
                put_base64(text, bytes);
                Ok(())
            }
            Content::Bool => write!(text, "{}", number != 0),
            Content::Enum | Content::Int32 => {
                put_integer(text, number as i32);
                Ok(())
            }
            Content::Sint32 => {
                let number = number as u32;
                put_integer(
                    text,
                    (number >> 1).cast_signed() ^ -(number & 1).cast_signed(),
                );
                Ok(())
            }
            Content::Uint32 | Content::Fixed32 => {
                put_integer(text, number as u32);
                Ok(())
            }
            Content::Int64 | Content::Sfixed64 => {
                put_quoted(text, number.cast_signed());
                Ok(())
            }
            Content::Uint64 | Content::Fixed64 => {
                put_quoted(text, number);
                Ok(())
            }
            Content::Double => put_double(text, f64::from_bits(number)),
            Content::Message(_) => Ok(()),
        };
        Ok(())
    }
}

/// The most that the text of a value takes beside what any member does.
fn longest(content: Content, bytes: &[u8]) -> usize {
    match content {
        Content::Text => {
            let escaped = |byte: &u8| match byte {
                0..0x20 => 6,
                b'"' | b'\\' => 2,
                // Where it is no UTF-8, three bytes stand for it.
                0x80.. => 3,
                _ => 1,
            };
            // In blocks, which go through vectors: in most of them each byte stands for itself.
            let of_block = |block: &[u8]| {
                if block
                    .iter()
                    .fold(false, |any, byte| any | (escaped(byte) != 1))
                {
                    block.iter().map(escaped).sum()
                } else {
                    block.len()
                }
            };
            bytes.chunks(64).map(of_block).sum()
        }
        Content::Hex | Content::Base64 => bytes.len() * 2,
        _ => 0,
    }
}

fn put_double(text: &mut Vec<u8>, value: f64) -> std::io::Result<()> {
    if value.is_nan() {
        write!(text, "\"NaN\"")
    } else if value == f64::INFINITY {
        write!(text, "\"Infinity\"")
    } else if value == f64::NEG_INFINITY {
        write!(text, "\"-Infinity\"")
    } else {
        // The shortest that is read as the same double.
        write!(text, "{value:?}")
    }
}

fn put_integer(text: &mut Vec<u8>, number: impl itoa::Integer) {
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A number of 64 bits is a string, as JavaScript has none.
fn put_quoted(text: &mut Vec<u8>, number: impl itoa::Integer) {
    text.push(b'"');
    put_integer(text, number);
    text.push(b'"');
}

fn put_hex(text: &mut Vec<u8>, bytes: &[u8]) {
    let digit = |nibble: u8| match nibble & 15 {
        digit @ 0..10 => b'0' + digit,
        letter => b'a' - 10 + letter,
    };
    text.push(b'"');
    text.extend(
        bytes
            .iter()
            .flat_map(|byte| [digit(byte >> 4), digit(*byte)]),
    );
    text.push(b'"');
}

fn put_base64(text: &mut Vec<u8>, bytes: &[u8]) {
    text.push(b'"');
    let start = text.len();
    text.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let space = text.get_mut(start..).unwrap_or_default();
    let written = STANDARD.encode_slice(bytes, space).unwrap_or(0);
    text.truncate(start + written);
    text.push(b'"');
}

/// Returns whether it was not UTF-8.
fn put_text(text: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let is_utf8 = crate::check::is_utf8(bytes);
    text.push(b'"');
    if is_utf8 {
        put_escaped(text, bytes);
    } else {
        put_escaped(text, String::from_utf8_lossy(bytes).as_bytes());
    }
    text.push(b'"');
    !is_utf8
}

fn put_escaped(text: &mut Vec<u8>, mut bytes: &[u8]) {
    while let Some((plain, [special, rest @ ..])) =
        plain_len(bytes).and_then(|len| bytes.split_at_checked(len))
    {
        text.extend_from_slice(plain);
        match special {
            b'"' => text.extend_from_slice(b"\\\""),
            b'\\' => text.extend_from_slice(b"\\\\"),
            b'\n' => text.extend_from_slice(b"\\n"),
            b'\r' => text.extend_from_slice(b"\\r"),
            b'\t' => text.extend_from_slice(b"\\t"),
            control => {
                let _ = write!(text, "\\u{control:04x}");
            }
        }
        bytes = rest;
    }
    text.extend_from_slice(bytes);
}

/// How many bytes come before one that must be escaped, if there is one.
fn plain_len(bytes: &[u8]) -> Option<usize> {
    let is_special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    let mut at = 0;
    // In blocks, which go through vectors.
    for block in bytes.chunks(64) {
        let any = block
            .iter()
            .fold(0, |any, byte| any | u8::from(is_special(byte)));
        if any != 0 {
            return Some(at + block.iter().position(is_special)?);
        }
        at += block.len();
    }
    None
}
