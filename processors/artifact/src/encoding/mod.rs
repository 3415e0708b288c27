//! How bytes stand in a request, and how they are written there again.

mod base64_text;
mod lines;
mod numbers;
pub(crate) mod percent;
pub(crate) mod python;
mod written;

use std::fmt;
use std::str::FromStr;

pub(crate) use base64_text::{Base64Text, HEAD, decode_padded};
pub(crate) use lines::Lines;
pub(crate) use numbers::Numbers;
pub(crate) use written::{AllEscaped, PartToken, Target, Written};

/// The ways in which a value holds bytes. Together with the bytes each gives back one text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Codec {
    /// A `bytes_value`.
    Bytes,
    /// The bytes are the text.
    Text,
    /// Base64 text (RFC 4648).
    Base64 {
        /// Which characters stand for 62 and 63.
        alphabet: Alphabet,
        /// Whether `=` fills the last group of four.
        padded: bool,
    },
    /// `{"0":137,"1":80}`: what JavaScript writes for a `Uint8Array`.
    IndexObject,
    /// `{"type":"Buffer","data":[137,80]}`: what Node.js writes for a `Buffer`.
    NodeBuffer,
    /// `b'\x89PNG'`: what Python prints for bytes.
    PythonRepr {
        /// With `b` and quotes around it; else only what stands between them.
        quoted: bool,
    },
}

/// The two alphabets of RFC 4648.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Alphabet {
    /// `+` and `/`.
    Standard,
    /// `-` and `_`.
    UrlSafe,
}

const NAMES: [(&str, Codec); 10] = [
    ("bytes", Codec::Bytes),
    ("base64", base64(Alphabet::Standard, true)),
    ("base64-unpadded", base64(Alphabet::Standard, false)),
    ("base64url", base64(Alphabet::UrlSafe, true)),
    ("base64url-unpadded", base64(Alphabet::UrlSafe, false)),
    ("index-object", Codec::IndexObject),
    ("node-buffer", Codec::NodeBuffer),
    ("python-repr", Codec::PythonRepr { quoted: true }),
    ("python-repr-unquoted", Codec::PythonRepr { quoted: false }),
    ("text", Codec::Text),
];

const fn base64(alphabet: Alphabet, padded: bool) -> Codec {
    Codec::Base64 { alphabet, padded }
}

impl Codec {
    /// The usual base64.
    pub(crate) const BASE64: Self = base64(Alphabet::Standard, true);

    /// The text or bytes that stood in the request.
    pub(crate) fn encode(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Bytes | Self::Text => bytes.to_vec(),
            Self::Base64 { alphabet, padded } => base64_text::encode(alphabet, padded, bytes),
            Self::IndexObject => numbers::index_object(bytes),
            Self::NodeBuffer => numbers::node_buffer(bytes),
            Self::PythonRepr { quoted } => python::repr(bytes, quoted),
        }
    }

    /// The characters of such text that a text around it may have to write differently.
    pub(crate) fn specials(self) -> &'static [u8] {
        match self {
            Self::Bytes | Self::Text => b"",
            Self::Base64 { .. } => b"/+=-_\r\n",
            Self::IndexObject | Self::NodeBuffer => b"\"",
            Self::PythonRepr { .. } => b"\\\"'",
        }
    }

    /// Whether such text is an object where it stands in JSON; else it is in a string.
    pub(crate) fn is_json_object(self) -> bool {
        matches!(self, Self::IndexObject | Self::NodeBuffer)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, codec)| codec == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

impl FromStr for Codec {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let known = NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, codec)| *codec).ok_or(())
    }
}
