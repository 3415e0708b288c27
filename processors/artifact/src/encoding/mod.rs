//! How bytes stand in a request, and how they are written there again.

mod base64_text;
mod numbers;
pub(crate) mod python;

use std::fmt;
use std::str::FromStr;

pub(crate) use base64_text::{Base64Text, Decoded, HEAD};
pub(crate) use numbers::Numbers;

/// How the bytes of an artifact stood in the request. Together with the bytes it gives the value
/// back exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// A `bytes_value`.
    Bytes,
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
pub enum Alphabet {
    /// `+` and `/`.
    Standard,
    /// `-` and `_`.
    UrlSafe,
}

const NAMES: [(&str, Encoding); 9] = [
    ("bytes", Encoding::Bytes),
    ("base64", base64(Alphabet::Standard, true)),
    ("base64-unpadded", base64(Alphabet::Standard, false)),
    ("base64url", base64(Alphabet::UrlSafe, true)),
    ("base64url-unpadded", base64(Alphabet::UrlSafe, false)),
    ("index-object", Encoding::IndexObject),
    ("node-buffer", Encoding::NodeBuffer),
    ("python-repr", Encoding::PythonRepr { quoted: true }),
    (
        "python-repr-unquoted",
        Encoding::PythonRepr { quoted: false },
    ),
];

const fn base64(alphabet: Alphabet, padded: bool) -> Encoding {
    Encoding::Base64 { alphabet, padded }
}

impl Encoding {
    /// The text or bytes that stood in the request.
    pub(crate) fn encode(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Bytes => bytes.to_vec(),
            Self::Base64 { alphabet, padded } => base64_text::encode(alphabet, padded, bytes),
            Self::IndexObject => numbers::index_object(bytes),
            Self::NodeBuffer => numbers::node_buffer(bytes),
            Self::PythonRepr { quoted } => python::repr(bytes, quoted),
        }
    }

    /// Whether the encoding is a string where it stands in JSON.
    pub(crate) fn is_json_string(self) -> bool {
        matches!(self, Self::Base64 { .. } | Self::PythonRepr { .. })
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, encoding)| encoding == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

impl FromStr for Encoding {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let known = NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, encoding)| *encoding).ok_or(())
    }
}
