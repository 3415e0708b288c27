//! Bytes that stay in the request, in a text that holds them.
//!
//! `artifact://bytes/base64,<base64>` is no reference: the bytes are in it, however few they are. It is
//! told from what a sender writes as references are, by a mark: `artifact://bytes/untrusted/base64,`. It is
//! always a string as a whole, and exactly one text holds the same bytes.

use std::ops::Range;

use super::uri::Bases;
use crate::encoding::{Codec, decode_padded};

/// What all of them start with. A mark comes behind it.
pub(super) const STEM: &str = "artifact://bytes/";

/// What stands in front of the bytes. No mark reads like it.
const BASE64: &str = "base64,";

/// A text that holds bytes.
pub(crate) struct Inline {
    is_marked: bool,
    pub(crate) bytes: Vec<u8>,
}

impl Inline {
    /// Reads a string.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let after = text.strip_prefix(STEM.as_bytes())?;
        let mark = Bases::mark();
        let mut rest = after;
        while let Some(bare) = rest.strip_prefix(&*mark) {
            rest = bare;
        }
        let bytes = decode_padded(rest.strip_prefix(BASE64.as_bytes())?)?;
        Some(Self {
            is_marked: rest.len() < after.len(),
            bytes,
        })
    }

    /// The text that holds `bytes`.
    pub(crate) fn write(bytes: &[u8]) -> Vec<u8> {
        let mut text = [STEM, BASE64].concat().into_bytes();
        text.append(&mut Codec::BASE64.encode(bytes));
        text
    }

    /// How long the text is that holds so many bytes.
    pub(crate) fn len_of(bytes: usize) -> usize {
        let base64 = bytes.div_ceil(3).saturating_mul(4);
        base64.saturating_add(STEM.len() + BASE64.len())
    }

    /// Whether a sender wrote it.
    pub(crate) fn is_marked(&self) -> bool {
        self.is_marked
    }

    /// The change that marks it once more.
    pub(crate) fn mark() -> (Range<usize>, Vec<u8>) {
        (STEM.len()..STEM.len(), Bases::mark())
    }

    /// The change that takes a mark away.
    pub(crate) fn unmark() -> Range<usize> {
        STEM.len()..STEM.len() + Bases::mark().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for (bytes, text) in [
            (&b""[..], "artifact://bytes/base64,"),
            (b"\0", "artifact://bytes/base64,AA=="),
            (b"\xff\xff\xfe", "artifact://bytes/base64,///+"),
            // As base64 this is the word of a mark, which it is not in this place.
            (
                b"\xba\x7b\x6b\xba\xcb\x5e\x77\xff",
                "artifact://bytes/base64,untrusted/8=",
            ),
        ] {
            let written = Inline::write(bytes);
            assert_eq!(written, text.as_bytes(), "{text}");
            assert_eq!(written.len(), Inline::len_of(bytes.len()));
            let read = Inline::read(&written).unwrap();
            assert_eq!((read.is_marked(), &*read.bytes), (false, bytes), "{text}");
        }
    }

    #[test]
    fn marks_are_counted_by_those_that_are_taken_away() {
        let mut text = Inline::write(b"abc");
        for marks in 1..=3 {
            let (at, mark) = Inline::mark();
            text.splice(at, mark);
            assert!(Inline::read(&text).unwrap().is_marked(), "{marks}");
        }
        for _ in 0..3 {
            assert!(Inline::read(&text).unwrap().is_marked());
            text.drain(Inline::unmark());
        }
        assert_eq!(text, Inline::write(b"abc"));
    }

    #[test]
    fn what_is_only_similar_holds_nothing() {
        for text in [
            "artifact://bytes/",
            "artifact://bytes/base64",
            "artifact://bytes/base64,A",
            "artifact://bytes/base64,AA",
            "artifact://bytes/base64,AB==",
            "artifact://bytes/base64,AA==\n",
            "artifact://bytes/base64,__8=",
            " artifact://bytes/base64,AA==",
            "artifact://bytes/base64,AA== ",
            "artifact://bytes/trusted/base64,AA==",
            "ARTIFACT://bytes/base64,AA==",
            "artifact://bytes/base64url,AA==",
        ] {
            assert!(Inline::read(text.as_bytes()).is_none(), "{text}");
        }
    }
}
