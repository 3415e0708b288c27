//! One message and all that is in it, read once from front to back.

use super::schema::Shape;
use super::table::{Action, Row, row};
use super::{SMALL, Verdict};
use crate::wire::{
    DEEPEST, MAX_DEPTH, Malformed, Reason, WireType, field_number, skip_group, varint,
};

/// Reads messages; keeps its stack from one to the next.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    request: &'a [u8],
    /// The messages around the one being read that have more to read behind it.
    stack: Vec<Frame<'a>>,
    /// What has been read would cost whoever decodes it, in sixteenths of a span.
    pub(super) cost: usize,
    /// Texts that stand in a dictionary.
    pub(super) indices: usize,
}

#[derive(Debug, Clone, Copy)]
struct Frame<'a> {
    row: &'static Row,
    rest: &'a [u8],
    /// How many messages are around what it holds, itself included.
    depth: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(request: &'a [u8]) -> Self {
        Self {
            request,
            stack: Vec::with_capacity(DEEPEST),
            cost: 0,
            indices: 0,
        }
    }

    /// Whether the message `body`, which has `depth` messages around what it holds, is sound.
    pub(super) fn scan(&mut self, shape: Shape, body: &'a [u8], depth: usize) -> Option<Verdict> {
        self.stack.clear();
        match self.run(shape, body, depth) {
            Ok(true) => None,
            Ok(false) => Some(Verdict::Isolated),
            Err(malformed) => Some(Verdict::Rejected(malformed)),
        }
    }

    /// Returns whether any decoder can read it: whether all texts are UTF-8, and nothing is too deep for some.
    fn run(&mut self, shape: Shape, body: &'a [u8], depth: usize) -> Result<bool, Malformed> {
        let mut all_read = true;
        let mut current = Frame {
            row: row(shape),
            rest: body,
            depth,
        };
        self.cost += shape.cost();
        loop {
            let Some((&tag, mut rest)) = current.rest.split_first() else {
                match self.stack.pop() {
                    Some(frame) => current = frame,
                    None => return Ok(all_read),
                }
                continue;
            };
            let mut action = *current
                .row
                .actions
                .get(usize::from(tag))
                .unwrap_or(&Action::Resolve);
            if action == Action::Resolve {
                (action, rest) = self.resolve(&current)?;
            }
            current.rest = match action {
                Action::Text => {
                    let (text, rest) = self.delimited(rest)?;
                    all_read &= is_utf8(text);
                    rest
                }
                Action::Enter(shape) => {
                    let (body, after) = self.delimited(rest)?;
                    if current.depth >= MAX_DEPTH {
                        if current.depth >= DEEPEST {
                            return Err(self.error(Reason::TooDeep, current.rest));
                        }
                        all_read = false;
                    }
                    self.cost += shape.cost();
                    if shape == Shape::KeyValue
                        && current.depth + 2 <= MAX_DEPTH
                        && is_plain_attribute(body)
                    {
                        current.rest = after;
                        continue;
                    }
                    // What has nothing behind it need not be come back to.
                    if !after.is_empty() {
                        self.stack.push(Frame {
                            rest: after,
                            ..current
                        });
                    }
                    current = Frame {
                        row: row(shape),
                        rest: body,
                        depth: current.depth + 1,
                    };
                    continue;
                }
                Action::Varint => self.varint(rest)?.1,
                Action::Index => {
                    self.indices += 1;
                    self.varint(rest)?.1
                }
                Action::Fixed64 => self.fixed(rest, 8)?,
                Action::Fixed32 => self.fixed(rest, 4)?,
                Action::Skip => self.delimited(rest)?.1,
                Action::OneText => {
                    self.cost += SMALL;
                    let (text, rest) = self.delimited(rest)?;
                    all_read &= is_utf8(text);
                    rest
                }
                Action::PackedVarints => {
                    let (mut packed, after) = self.delimited(rest)?;
                    while !packed.is_empty() {
                        packed = self.varint(packed)?.1;
                    }
                    after
                }
                Action::PackedFixed64s => {
                    let (packed, after) = self.delimited(rest)?;
                    if !packed.len().is_multiple_of(8) {
                        return Err(self.error(Reason::Truncated, after));
                    }
                    after
                }
                // A group, read to its end already.
                Action::Resolve => rest,
            };
        }
    }

    /// What to do with a field that is not in the table, and what is behind its tag. Unknown fields
    /// are passed over; a group is read to its end.
    #[cold]
    fn resolve(&self, frame: &Frame<'a>) -> Result<(Action, &'a [u8]), Malformed> {
        let at = frame.rest;
        let (tag, rest) = self.varint(at)?;
        let number = field_number(tag, 0).map_err(|error| self.error(error.reason, at))?;
        let wire_type = match tag & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Len,
            3 => WireType::Group,
            4 => return Err(self.error(Reason::GroupEnd, at)),
            5 => WireType::Fixed32,
            other => return Err(self.error(Reason::WireType(other as u8), at)),
        };
        if let Some(content) = frame.row.shape.field(number) {
            return if content.may_be(wire_type) {
                Ok((Action::of(content, wire_type), rest))
            } else {
                Err(self.error(Reason::UnexpectedWireType, at))
            };
        }
        Ok(match wire_type {
            WireType::Varint => (Action::Varint, rest),
            WireType::Fixed64 => (Action::Fixed64, rest),
            WireType::Fixed32 => (Action::Fixed32, rest),
            WireType::Len => (Action::Skip, rest),
            WireType::Group => {
                // Decoders count groups and messages together.
                let left = MAX_DEPTH.saturating_sub(frame.depth);
                let end = skip_group(rest, number, 0, rest.len(), left)
                    .map_err(|error| self.error(error.reason, at))?;
                (Action::Resolve, rest.get(end..).unwrap_or_default())
            }
        })
    }

    /// The payload of a field with a length, and what is behind it.
    #[inline]
    fn delimited(&self, at: &'a [u8]) -> Result<(&'a [u8], &'a [u8]), Malformed> {
        let (len, rest) = self.varint(at)?;
        usize::try_from(len)
            .ok()
            .and_then(|len| rest.split_at_checked(len))
            .ok_or_else(|| self.error(Reason::LengthPastEnd, at))
    }

    #[inline]
    fn varint(&self, at: &'a [u8]) -> Result<(u64, &'a [u8]), Malformed> {
        match at {
            [byte @ 0..0x80, rest @ ..] => Ok((u64::from(*byte), rest)),
            [low, byte @ 0..0x80, rest @ ..] => {
                Ok((u64::from(low & 0x7f) | u64::from(*byte) << 7, rest))
            }
            _ => self.long_varint(at),
        }
    }

    #[inline(never)]
    fn long_varint(&self, at: &'a [u8]) -> Result<(u64, &'a [u8]), Malformed> {
        let (value, end) = varint(at, 0, at.len()).map_err(|error| self.error(error.reason, at))?;
        Ok((value, at.get(end..).unwrap_or_default()))
    }

    #[inline]
    fn fixed(&self, at: &'a [u8], width: usize) -> Result<&'a [u8], Malformed> {
        at.get(width..)
            .ok_or_else(|| self.error(Reason::Truncated, at))
    }

    #[cold]
    fn error(&self, reason: Reason, at: &[u8]) -> Malformed {
        reason.at(at.as_ptr().addr() - self.request.as_ptr().addr())
    }
}

/// Whether this is an attribute as nearly all are written, with nothing wrong in it: a short key,
/// then a text in ASCII, a number or a truth value. What is not is read field by field.
#[inline]
fn is_plain_attribute(body: &[u8]) -> bool {
    let [0x0a, key @ 0..0x80, rest @ ..] = body else {
        return false;
    };
    let Some((key, [0x12, rest @ ..])) = rest.split_at_checked(usize::from(*key)) else {
        return false;
    };
    let value = match rest {
        [len @ 0..0x80, value @ ..] if value.len() == usize::from(*len) => value,
        [low @ 0x80..=0xff, high @ 0..0x80, value @ ..] if value.len() == short(*low, *high) => {
            value
        }
        _ => return false,
    };
    let sound = match value {
        [0x0a, len @ 0..0x80, text @ ..] if text.len() == usize::from(*len) => is_ascii(text),
        [0x0a, low @ 0x80..=0xff, high @ 0..0x80, text @ ..]
            if text.len() == short(*low, *high) =>
        {
            is_ascii(text)
        }
        [0x10 | 0x18, 0..0x80] | [0x10 | 0x18, 0x80..=0xff, 0..0x80] => true,
        [0x21, double @ ..] => double.len() == 8,
        _ => false,
    };
    sound && is_ascii(key)
}

/// The value of a varint of two bytes.
#[inline]
fn short(low: u8, high: u8) -> usize {
    usize::from(low & 0x7f) | usize::from(high) << 7
}

/// Nearly all texts are ASCII, which is seen faster.
#[inline]
pub(crate) fn is_utf8(text: &[u8]) -> bool {
    is_ascii(text) || simdutf8::basic::from_utf8(text).is_ok()
}

/// As the one of the standard library, which is slow with texts of less than 32 bytes, and nearly
/// all keys are such.
#[inline]
fn is_ascii(text: &[u8]) -> bool {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const LONG: usize = 256;
    if text.len() > LONG {
        return text.is_ascii();
    }
    if let Some(last) = text.last_chunk() {
        let (words, _) = text.as_chunks();
        let words = words.iter().map(|word| u64::from_ne_bytes(*word));
        let all = words.fold(u64::from_ne_bytes(*last), |all, word| all | word);
        return all & HIGH == 0;
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let all = u32::from_ne_bytes(*first) | u32::from_ne_bytes(*last);
        return u64::from(all) & HIGH == 0;
    }
    text.iter().all(u8::is_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_cuts_end_where_the_long_way_does() {
        // Any three bytes in the place of each part of an attribute.
        let lengths = [1, 2, 7, 8, 9, 31, 127, 128, 129, 300];
        let attributes = lengths.map(|len: usize| {
            let mut text = vec![0x0a];
            if len < 128 {
                text.push(len as u8);
            } else {
                text.extend([len as u8 | 0x80, (len >> 7) as u8]);
            }
            text.extend(vec![b'a'; len]);
            let mut body = vec![0x0a, 3, b'k', b'e', b'y', 0x12];
            if text.len() < 128 {
                body.push(text.len() as u8);
            } else {
                body.extend([text.len() as u8 | 0x80, (text.len() >> 7) as u8]);
            }
            body.extend(text);
            body
        });
        let numbers = [
            &[0x0a, 1, b'k', 0x12, 2, 0x18, 5][..],
            &[0x0a, 1, b'k', 0x12, 3, 0x18, 0x85, 1],
            &[0x0a, 0, 0x12, 2, 0x10, 1],
            &[0x0a, 0, 0x12, 9, 0x21, 1, 2, 3, 4, 5, 6, 7, 8],
        ];
        let mut plain = 0;
        for sound in attributes.iter().map(Vec::as_slice).chain(numbers) {
            assert!(is_plain_attribute(sound), "{sound:02x?}");
            for at in 0..sound.len() {
                for byte in 0..=255 {
                    let mut body = sound.to_vec();
                    body[at] = byte;
                    if is_plain_attribute(&body) {
                        let mut scanner = Scanner::new(&body);
                        // In its place among 99 messages, there are no short cuts.
                        let verdict = scanner.scan(Shape::KeyValue, &body, MAX_DEPTH - 1);
                        assert_eq!(verdict, None, "{body:02x?}");
                        plain += 1;
                    }
                }
            }
        }
        assert!(plain > 10_000, "{plain}");
    }

    #[test]
    fn ascii_is_what_it_is_in_the_standard_library() {
        for len in 0..300 {
            let mut text = vec![b'a'; len];
            assert!(is_ascii(&text));
            for at in 0..len {
                text[at] = 0x80;
                assert!(!is_ascii(&text), "byte {at} of {len}");
                text[at] = 0x7f;
            }
        }
    }
}
