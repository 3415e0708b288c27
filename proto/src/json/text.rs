//! JSON (RFC 8259), token by token. Nothing here calls itself, however deep a text nests.

use memchr::{memchr, memchr2};

use super::problem::{JsonError, Problem};

/// The longest number. What a double is exactly, written out, has some 1,100 characters.
const LONGEST_NUMBER: usize = 4096;

/// The longest name of a member.
const LONGEST_NAME: usize = 4096;

/// A text that is UTF-8, and how far it has been read.
#[derive(Debug)]
pub(super) struct Text<'a> {
    bytes: &'a [u8],
    pub(super) at: usize,
}

/// A string as it stands between its quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quoted<'a> {
    pub(super) raw: &'a [u8],
    pub(super) has_escapes: bool,
}

/// Half of a surrogate pair.
#[derive(Debug)]
pub(super) struct LoneSurrogate;

impl<'a> Text<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, JsonError> {
        if bytes.starts_with("\u{feff}".as_bytes()) {
            return Err(Problem::ByteOrderMark.at(0));
        }
        if simdutf8::basic::from_utf8(bytes).is_err() {
            let at = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
            return Err(Problem::NotUtf8.at(at));
        }
        Ok(Self { bytes, at: 0 })
    }

    /// The next byte that is not white space, which stays to be read.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Passes over `symbol` if it is next.
    #[inline]
    pub(super) fn take(&mut self, symbol: u8) -> bool {
        let taken = self.peek() == Some(symbol);
        self.at += usize::from(taken);
        taken
    }

    #[inline]
    pub(super) fn expect(&mut self, symbol: u8, what: &'static str) -> Result<(), JsonError> {
        if self.take(symbol) {
            Ok(())
        } else {
            Err(self.expected(what))
        }
    }

    #[cold]
    pub(super) fn expected(&mut self, what: &'static str) -> JsonError {
        match self.peek() {
            None => Problem::Ends.at(self.bytes.len()),
            Some(_) => Problem::Expected(what).at(self.at),
        }
    }

    /// Nothing but white space may be left.
    pub(super) fn end(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(Problem::Trailing.at(self.at)),
        }
    }

    /// The name of a member and the colon behind it.
    pub(super) fn name(&mut self) -> Result<Quoted<'a>, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("the name of a member in double quotes"));
        }
        let start = self.at;
        let name = self.string()?;
        if name.raw.len() > LONGEST_NAME {
            return Err(Problem::LongName.at(start));
        }
        self.expect(b':', "a colon behind the name of a member")?;
        Ok(name)
    }

    /// The string whose quote is next.
    pub(super) fn string(&mut self) -> Result<Quoted<'a>, JsonError> {
        let start = self.at + 1;
        let mut at = start;
        let mut has_escapes = false;
        loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let Some(found) = memchr2(b'"', b'\\', rest) else {
                return Err(Problem::Ends.at(self.bytes.len()));
            };
            let (plain, rest) = rest.split_at(found);
            if has_control(plain) {
                let control = plain.iter().position(|byte| *byte < 0x20);
                return Err(Problem::ControlCharacter.at(at + control.unwrap_or(0)));
            }
            at += found;
            at += match rest {
                [b'"', ..] => {
                    self.at = at + 1;
                    let raw = self.bytes.get(start..at).unwrap_or_default();
                    return Ok(Quoted { raw, has_escapes });
                }
                [_, b'u', a, b, c, d, ..] if [a, b, c, d].iter().all(|c| c.is_ascii_hexdigit()) => {
                    6
                }
                [
                    _,
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
                    ..,
                ] => 2,
                [_] => return Err(Problem::Ends.at(self.bytes.len())),
                _ => return Err(Problem::Escape.at(at)),
            };
            has_escapes = true;
        }
    }

    /// The number that is next.
    pub(super) fn number(&mut self) -> Result<&'a [u8], JsonError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(len) = number_len(rest) else {
            return Err(self.expected("a value"));
        };
        if len > LONGEST_NUMBER {
            return Err(Problem::LongNumber.at(self.at));
        }
        self.at += len;
        Ok(rest.get(..len).unwrap_or_default())
    }

    /// Passes over `true`, `false` or `null`.
    pub(super) fn literal(&mut self, literal: &'static str) -> Result<(), JsonError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(literal.as_bytes()) {
            return Err(self.expected("a value"));
        }
        self.at += literal.len();
        Ok(())
    }

    /// Passes over a value of any type.
    pub(super) fn skip(&mut self) -> Result<(), JsonError> {
        // Of each container around what is being read, whether it is an object: a bit each,
        // because they nest as deep as a sender likes.
        let mut objects = Bits::default();
        loop {
            let opened = self.peek();
            match opened {
                Some(symbol @ (b'{' | b'[')) => {
                    self.at += 1;
                    let is_object = symbol == b'{';
                    if !self.take(if is_object { b'}' } else { b']' }) {
                        objects.push(is_object);
                        if is_object {
                            self.name()?;
                        }
                        continue;
                    }
                }
                _ => self.skip_scalar()?,
            }
            loop {
                let Some(is_object) = objects.last() else {
                    return Ok(());
                };
                if self.take(b',') {
                    if is_object {
                        self.name()?;
                    }
                    break;
                }
                if is_object {
                    self.expect(b'}', "a comma or the end of an object")?;
                } else {
                    self.expect(b']', "a comma or the end of an array")?;
                }
                objects.pop();
            }
        }
    }

    fn skip_scalar(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b't') => self.literal("true"),
            Some(b'f') => self.literal("false"),
            Some(b'n') => self.literal("null"),
            _ => self.number().map(|_| ()),
        }
    }
}

impl Quoted<'_> {
    /// Appends the text that it stands for.
    pub(super) fn unescape(&self, out: &mut Vec<u8>) -> Result<(), LoneSurrogate> {
        let mut rest = self.raw;
        while let Some(found) = memchr(b'\\', rest) {
            let (plain, escape) = rest.split_at(found);
            out.extend_from_slice(plain);
            let (c, len) = match escape {
                [_, b'u', ..] => unicode(escape)?,
                [_, b'b', ..] => ('\u{8}', 2),
                [_, b'f', ..] => ('\u{c}', 2),
                [_, b'n', ..] => ('\n', 2),
                [_, b'r', ..] => ('\r', 2),
                [_, b't', ..] => ('\t', 2),
                [_, c, ..] => (char::from(*c), 2),
                _ => break,
            };
            if c.is_ascii() {
                out.push(c as u8);
            } else {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            rest = escape.get(len..).unwrap_or_default();
        }
        out.extend_from_slice(rest);
        Ok(())
    }
}

/// The character that one or two escapes at the beginning of `text` stand for, and their length.
fn unicode(text: &[u8]) -> Result<(char, usize), LoneSurrogate> {
    let unit = |at: usize| {
        let digits = text.get(at..)?.strip_prefix(b"\\u")?.get(..4)?;
        let mut digits = digits.iter().map(|digit| char::from(*digit).to_digit(16));
        digits.try_fold(0, |sum, digit| Some(sum << 4 | digit?))
    };
    let high = unit(0).ok_or(LoneSurrogate)?;
    if let Some(c) = char::from_u32(high) {
        return Ok((c, 6));
    }
    match (high, unit(6)) {
        (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
            let c = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            char::from_u32(c).map(|c| (c, 12)).ok_or(LoneSurrogate)
        }
        _ => Err(LoneSurrogate),
    }
}

/// Whether a byte stands in it that a string must escape; in blocks, which go through vectors.
fn has_control(text: &[u8]) -> bool {
    text.chunks(128).any(|block| {
        block
            .iter()
            .fold(0, |any, byte| any | u8::from(*byte < 0x20))
            != 0
    })
}

/// How long the number is that `text` begins with.
pub(super) fn number_len(text: &[u8]) -> Option<usize> {
    let digits = |at: usize| {
        let rest = text.get(at..).unwrap_or_default();
        rest.iter().take_while(|c| c.is_ascii_digit()).count()
    };
    let mut at = usize::from(text.first() == Some(&b'-'));
    at += match (text.get(at), digits(at)) {
        (_, 0) => return None,
        (Some(b'0'), _) => 1,
        (_, digits) => digits,
    };
    if text.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return None;
        }
        at += 1 + fraction;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        at += usize::from(matches!(text.get(at), Some(b'+' | b'-')));
        let exponent = digits(at);
        if exponent == 0 {
            return None;
        }
        at += exponent;
    }
    Some(at)
}

/// A stack of bits.
#[derive(Debug, Default)]
struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(64) {
            self.words.push(0);
        }
        if let Some(word) = self.words.last_mut() {
            let place = 1 << (self.len % 64);
            *word = if bit { *word | place } else { *word & !place };
        }
        self.len += 1;
    }

    fn last(&self) -> Option<bool> {
        let last = self.len.checked_sub(1)?;
        Some(self.words.last()? >> (last % 64) & 1 == 1)
    }

    fn pop(&mut self) {
        self.len = self.len.saturating_sub(1);
        if self.len.is_multiple_of(64) {
            self.words.pop();
        }
    }
}
