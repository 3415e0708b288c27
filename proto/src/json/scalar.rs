//! Values without messages in them, as they stand in JSON and on the wire.

use base64::Engine as _;

use super::number;
use super::output::Output;
use super::problem::{JsonError, Reason};
use super::table::{Content, Field, Presence};
use super::text::{LoneSurrogate, Quoted, Text};
use super::{STANDARD, URL_SAFE};

/// A value without values in it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar<'a> {
    Text(Quoted<'a>),
    Number(&'a [u8]),
    Bool(bool),
    Null,
}

impl<'a> Scalar<'a> {
    /// Reads the value that is next, which is no object and no array.
    #[inline]
    pub(super) fn read(text: &mut Text<'a>) -> Result<Self, JsonError> {
        Ok(match text.peek() {
            Some(b'"') => Self::Text(text.string()?),
            Some(b't') => {
                text.literal("true")?;
                Self::Bool(true)
            }
            Some(b'f') => {
                text.literal("false")?;
                Self::Bool(false)
            }
            Some(b'n') => {
                text.literal("null")?;
                Self::Null
            }
            _ => Self::Number(text.number()?),
        })
    }
}

/// Writes a value as `field`. Packed values have no tag of their own.
pub(super) fn put(
    out: &mut Output,
    scratch: &mut Vec<u8>,
    field: &Field,
    packed: bool,
    value: Scalar<'_>,
) -> Result<(), Reason> {
    let number = |out| Number { out, field, packed };
    match (field.content, value) {
        (Content::Text, Scalar::Text(text)) => put_text(out, field, text),
        (Content::Hex, Scalar::Text(text)) => put_hex(out, scratch, field, text),
        (Content::Base64, Scalar::Text(text)) => put_base64(out, scratch, field, text),
        (Content::Bool, Scalar::Bool(value)) => {
            number(out).varint(value.into());
            Ok(())
        }
        (Content::Enum, Scalar::Text(_)) => Err(Reason::EnumName),
        (
            Content::Text | Content::Hex | Content::Base64 | Content::Bool | Content::Message(_),
            _,
        )
        | (_, Scalar::Bool(_) | Scalar::Null) => Err(Reason::Type),
        (Content::Double, Scalar::Number(text)) => {
            let double = number::double(text).ok_or(Reason::Number)?;
            number(out).fixed64(double.to_bits());
            Ok(())
        }
        (content, Scalar::Number(text)) => put_integer(number(out), content, text),
        (content, Scalar::Text(text)) => {
            let text = plain(text, scratch).map_err(|LoneSurrogate| Reason::LoneSurrogate)?;
            if !matches!(content, Content::Double) {
                return put_integer(number(out), content, text);
            }
            let double = match text {
                b"NaN" => f64::NAN,
                b"Infinity" => f64::INFINITY,
                b"-Infinity" => f64::NEG_INFINITY,
                text => number::double(text).ok_or(Reason::Number)?,
            };
            number(out).fixed64(double.to_bits());
            Ok(())
        }
    }
}

/// The text itself, in `scratch` if it has escapes.
pub(super) fn plain<'s>(
    text: Quoted<'s>,
    scratch: &'s mut Vec<u8>,
) -> Result<&'s [u8], LoneSurrogate> {
    if !text.has_escapes {
        return Ok(text.raw);
    }
    scratch.clear();
    text.unescape(scratch)?;
    Ok(scratch)
}

fn put_text(out: &mut Output, field: &Field, text: Quoted<'_>) -> Result<(), Reason> {
    if text.raw.is_empty() && field.presence == Presence::Implicit {
        return Ok(());
    }
    if !text.has_escapes {
        put_bytes(out, field, text.raw);
        return Ok(());
    }
    let open = out.open(field.number);
    let unescaped = text.unescape(&mut out.bytes);
    out.close(open);
    unescaped.map_err(|LoneSurrogate| Reason::LoneSurrogate)
}

fn put_bytes(out: &mut Output, field: &Field, bytes: &[u8]) {
    out.tag(field.number, 2);
    out.varint(bytes.len() as u64);
    out.bytes.extend_from_slice(bytes);
}

fn put_hex(
    out: &mut Output,
    scratch: &mut Vec<u8>,
    field: &Field,
    text: Quoted<'_>,
) -> Result<(), Reason> {
    let text = plain(text, scratch).map_err(|LoneSurrogate| Reason::LoneSurrogate)?;
    let (pairs, []) = text.as_chunks::<2>() else {
        return Err(Reason::Hex);
    };
    if pairs.is_empty() {
        return Ok(());
    }
    out.tag(field.number, 2);
    out.varint(pairs.len() as u64);
    let digit = |c: u8| char::from(c).to_digit(16);
    for [high, low] in pairs {
        let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
            return Err(Reason::Hex);
        };
        out.bytes.push((high << 4 | low) as u8);
    }
    Ok(())
}

fn put_base64(
    out: &mut Output,
    scratch: &mut Vec<u8>,
    field: &Field,
    text: Quoted<'_>,
) -> Result<(), Reason> {
    let text = plain(text, scratch).map_err(|LoneSurrogate| Reason::LoneSurrogate)?;
    // Text with the characters of both alphabets is neither.
    let special = |c: &&u8| matches!(c, b'+' | b'/' | b'-' | b'_');
    let engine = match text.iter().find(special) {
        Some(b'-' | b'_') => &*URL_SAFE,
        _ => &*STANDARD,
    };
    let open = out.open(field.number);
    let start = out.bytes.len();
    out.bytes.resize(start + text.len().div_ceil(4) * 3, 0);
    let space = out.bytes.get_mut(start..).unwrap_or_default();
    let written = engine.decode_slice(text, space);
    out.bytes
        .truncate(start + written.as_ref().map_or(0, |len| *len));
    out.close(open);
    written.map(|_| ()).map_err(|_| Reason::Base64)
}

fn put_integer(number: Number<'_>, content: Content, text: &[u8]) -> Result<(), Reason> {
    let integer = number::integer(text).ok_or(Reason::Number)?;
    let signed = || number::signed(integer).ok_or(Reason::Number);
    let unsigned = || number::unsigned(integer).ok_or(Reason::Number);
    let small = || i32::try_from(signed()?).map_err(|_| Reason::Number);
    let small_unsigned = || u32::try_from(unsigned()?).map_err(|_| Reason::Number);
    match content {
        Content::Enum | Content::Int32 => {
            number.varint(i64::from(small()?).cast_unsigned());
        }
        Content::Sint32 => {
            let value = small()?;
            number.varint(((value << 1) ^ (value >> 31)).cast_unsigned().into());
        }
        Content::Uint32 => number.varint(small_unsigned()?.into()),
        Content::Int64 => number.varint(signed()?.cast_unsigned()),
        Content::Uint64 => number.varint(unsigned()?),
        Content::Fixed32 => number.fixed32(small_unsigned()?),
        Content::Fixed64 => number.fixed64(unsigned()?),
        Content::Sfixed64 => number.fixed64(signed()?.cast_unsigned()),
        _ => return Err(Reason::Type),
    }
    Ok(())
}

/// Where a number goes.
struct Number<'o> {
    out: &'o mut Output,
    field: &'o Field,
    packed: bool,
}

impl<'o> Number<'o> {
    /// Writes the tag; `None` where the value is not written, because it is the default.
    fn begin(self, value: u64, wire_type: u8) -> Option<&'o mut Output> {
        if value == 0 && self.field.presence == Presence::Implicit {
            return None;
        }
        if !self.packed {
            self.out.tag(self.field.number, wire_type);
        }
        Some(self.out)
    }

    fn varint(self, value: u64) {
        if let Some(out) = self.begin(value, 0) {
            out.varint(value);
        }
    }

    fn fixed64(self, value: u64) {
        if let Some(out) = self.begin(value, 1) {
            out.bytes.extend_from_slice(&value.to_le_bytes());
        }
    }

    fn fixed32(self, value: u32) {
        if let Some(out) = self.begin(value.into(), 5) {
            out.bytes.extend_from_slice(&value.to_le_bytes());
        }
    }
}
