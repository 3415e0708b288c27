use crate::detect::Found;
use crate::encoding::Codec;

/// How a file stood in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// A `bytes_value`.
    Bytes,
    /// A data URI.
    DataUri,
    /// Base64 without the head of a data URI.
    Base64,
    /// What Python prints for bytes.
    PythonLiteral,
    /// An array of bytes, as JavaScript writes it into JSON.
    ByteArray,
    /// A text that was moved whole.
    Text,
}

impl Shape {
    /// All there are, in the order of their declaration.
    pub const ALL: [Self; 6] = [
        Self::Bytes,
        Self::DataUri,
        Self::Base64,
        Self::PythonLiteral,
        Self::ByteArray,
        Self::Text,
    ];

    /// Its name, for programs: lower case, and `_` between words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::DataUri => "data_uri",
            Self::Base64 => "base64",
            Self::PythonLiteral => "python_literal",
            Self::ByteArray => "byte_array",
            Self::Text => "text",
        }
    }

    /// The shape of a file that was found.
    pub(crate) fn of(found: &Found) -> Self {
        match found.content.codec {
            Codec::Bytes => Self::Bytes,
            Codec::Text => Self::Text,
            Codec::Base64 { .. } if found.payload > found.range.start => Self::DataUri,
            Codec::Base64 { .. } => Self::Base64,
            Codec::IndexObject | Codec::NodeBuffer => Self::ByteArray,
            Codec::PythonRepr { .. } => Self::PythonLiteral,
        }
    }
}
