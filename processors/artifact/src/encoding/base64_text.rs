//! Base64 text (RFC 4648), canonical only.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig, Simd};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::{Alphabet, Codec, base64};
use crate::Digest;

/// Characters that are decoded and digested in one go: a multiple of four, small enough that the
/// bytes are still in the cache when the digest reads them.
const CHUNK: usize = 32 * 1024;

/// Bytes that are enough to judge a file by: a multiple of three, and past the latest magic number
/// there is, that of tar at 257.
pub(crate) const HEAD: usize = 288;

/// Decoded base64, its digest, and the variant it was written in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) bytes: Bytes,
    pub(crate) digest: Digest,
    pub(crate) codec: Codec,
}

/// A text that could be base64, judged by its length and its end alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Base64Text<'a> {
    pub(crate) text: &'a [u8],
    padded: bool,
    /// Exact number of bytes that the text decodes to, if it is base64 at all.
    pub(crate) decoded_len: usize,
}

impl<'a> Base64Text<'a> {
    /// `None` where no canonical base64 has that length and padding.
    pub(crate) fn new(text: &'a [u8]) -> Option<Self> {
        let pad = text
            .iter()
            .rev()
            .take(3)
            .take_while(|c| **c == b'=')
            .count();
        let digits = text.len() - pad;
        let padded = match (digits % 4, pad) {
            // Whole groups need no padding, so both ways to write them are the same.
            (0 | 2, 0 | 2) if digits % 4 == pad => true,
            (3, 1) => true,
            (2 | 3, 0) => false,
            _ => return None,
        };
        Some(Self {
            text,
            padded,
            decoded_len: digits / 4 * 3 + (digits % 4).saturating_sub(1),
        })
    }

    /// The first bytes of what `text` begins with, as many as fit in `buffer`, whatever follows.
    /// Nothing is allocated, because most texts are asked no more.
    pub(crate) fn head<'b>(text: &[u8], buffer: &'b mut [u8; HEAD]) -> Option<&'b [u8]> {
        let head = text.get(..HEAD / 3 * 4).unwrap_or(text);
        let is_digit = |c: &u8| c.is_ascii_alphanumeric() || b"+/-_".contains(c);
        let digits = head.iter().position(|c| !is_digit(c)).unwrap_or(head.len());
        let head = head.get(..digits / 4 * 4)?;
        let written = engine(alphabet(head), false)
            .decode_slice(head, buffer)
            .ok()?;
        buffer.get(..written)
    }

    /// Decodes and digests the text; `None` where encoding the bytes again would not give the very
    /// same text.
    pub(crate) fn decode(&self) -> Option<Decoded> {
        let alphabet = alphabet(self.text);
        let inner = engine(alphabet, false);
        let mut hasher = Sha256::new();
        let mut bytes = Vec::with_capacity(self.decoded_len + 3);
        let mut rest = self.text;
        while !rest.is_empty() {
            // Padding is legal at the end of the text only, not at the end of a chunk.
            let (chunk, engine) = match rest.split_at_checked(CHUNK) {
                Some((chunk, after)) if !after.is_empty() => {
                    rest = after;
                    (chunk, inner)
                }
                _ => (std::mem::take(&mut rest), engine(alphabet, self.padded)),
            };
            // Cleared, written and read while it is in the cache: memory is touched once.
            let start = bytes.len();
            bytes.resize(start + chunk.len().div_ceil(4) * 3, 0);
            let decoded = bytes.get_mut(start..)?;
            let written = engine.decode_slice(chunk, decoded).ok()?;
            hasher.update(decoded.get(..written)?);
            bytes.truncate(start + written);
        }
        Some(Decoded {
            bytes: bytes.into(),
            digest: Digest::finish(hasher),
            codec: base64(alphabet, self.padded),
        })
    }
}

/// Writes `bytes` in the variant that [`Base64Text::decode`] read.
pub(super) fn encode(alphabet: Alphabet, padded: bool, bytes: &[u8]) -> Vec<u8> {
    engine(alphabet, padded).encode(bytes).into_bytes()
}

/// The bytes of usual base64, padded; `None` where encoding them again would not give the very same
/// text.
pub(crate) fn decode_padded(text: &[u8]) -> Option<Vec<u8>> {
    engine(Alphabet::Standard, true).decode(text).ok()
}

/// The alphabet that a text is in, if it is in one. Text with the characters of both fails later.
fn alphabet(text: &[u8]) -> Alphabet {
    // Most texts have one of these four characters within their first hundred.
    match text.iter().find(|c| matches!(c, b'+' | b'/' | b'-' | b'_')) {
        Some(b'-' | b'_') => Alphabet::UrlSafe,
        _ => Alphabet::Standard,
    }
}

/// The engine that takes exactly the canonical text: with the padding asked for, no set bits
/// behind the last byte, nothing else in between.
fn engine(alphabet: Alphabet, padded: bool) -> &'static Simd {
    fn config(padded: bool) -> GeneralPurposeConfig {
        GeneralPurposeConfig::new()
            .with_encode_padding(padded)
            .with_decode_padding_mode(if padded {
                DecodePaddingMode::RequireCanonical
            } else {
                DecodePaddingMode::RequireNone
            })
    }
    static ENGINES: LazyLock<[Simd; 4]> = LazyLock::new(|| {
        [
            Simd::standard(config(true)),
            Simd::standard(config(false)),
            Simd::url_safe(config(true)),
            Simd::url_safe(config(false)),
        ]
    });
    let [standard, standard_unpadded, url_safe, url_safe_unpadded] = &*ENGINES;
    match (alphabet, padded) {
        (Alphabet::Standard, true) => standard,
        (Alphabet::Standard, false) => standard_unpadded,
        (Alphabet::UrlSafe, true) => url_safe,
        (Alphabet::UrlSafe, false) => url_safe_unpadded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::NAMES;

    fn decode(text: &[u8]) -> Option<Decoded> {
        Base64Text::new(text)?.decode()
    }

    #[test]
    fn every_variant_comes_back_as_it_was() {
        let bytes: Vec<u8> = (0..=255).cycle().take(100_001).collect();
        for len in [1, 2, 3, 4, 100, 24_575, 24_576, 24_577, 49_152, 100_001] {
            for (name, codec) in &NAMES[1..5] {
                let text = codec.encode(&bytes[..len]);
                let decoded = decode(&text).unwrap_or_else(|| panic!("{name} of {len}"));
                assert_eq!(decoded.bytes, bytes[..len]);
                assert_eq!(decoded.digest, Digest::of(&bytes[..len]));
                assert_eq!(Base64Text::new(&text).unwrap().decoded_len, len);
                assert_eq!(
                    decoded.codec.encode(&decoded.bytes),
                    text,
                    "{name} of {len}"
                );
            }
        }
    }

    #[test]
    fn takes_nothing_that_it_would_write_differently() {
        let texts: [&[u8]; 18] = [
            b"aGk==",
            b"aG=k",
            b"aGl=",
            b"aGm",
            b"aGk=!!",
            b"aGk=aGk=",
            b"aG\0k",
            b"a",
            b"aGVsb",
            b"aGVs\naGVs",
            b"aGVs aGVs",
            b"+_+_",
            b"-/-/",
            b"====",
            b"=",
            b"a===",
            b"aGVs=",
            b"%3D%3D%3D%3D",
        ];
        for text in texts {
            assert_eq!(decode(text), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn padding_at_the_end_of_a_chunk_is_not_the_end_of_the_text() {
        let mut text = base64(Alphabet::Standard, true).encode(&vec![7; CHUNK / 4 * 3 - 1]);
        assert_eq!((text.len(), text.last()), (CHUNK, Some(&b'=')));
        text.extend_from_slice(b"aGVs");
        assert_eq!(decode(&text), None);
    }

    #[test]
    fn the_head_needs_no_sound_rest() {
        let mut text = base64(Alphabet::Standard, true).encode(&vec![7; 600]);
        text.truncate(400);
        text.extend_from_slice(b"!!!!");
        let mut buffer = [0; HEAD];
        assert_eq!(Base64Text::head(&text, &mut buffer), Some(&[7; HEAD][..]));
        for (text, head) in [
            (&b"aGlo"[..], &b"hih"[..]),
            (b"aGloaGk=", b"hih"),
            (b"aGloa", b"hih"),
            (b"aGlo\naGlo", b"hih"),
            (b"!", b""),
        ] {
            assert_eq!(Base64Text::head(text, &mut buffer), Some(head));
        }
    }
}
