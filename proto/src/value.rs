use crate::member::Members;
use crate::message::Carrier;
use crate::wire::WireType;

/// An AnyValue, as it stands in the request.
#[derive(Debug)]
pub struct Value<'a> {
    /// Which kind of value it is.
    pub kind: ValueKind,
    /// The text, the bytes, or the encoding of any other kind.
    pub content: &'a [u8],
    /// What the attribute or body belongs to.
    pub carrier: Carrier,
    /// Key of the attribute that holds the value at any depth; empty in a log body.
    pub attribute: &'a [u8],
    /// Key beside the value itself; empty for a log body or an element of an array in one.
    pub key: &'a [u8],
    /// What stands beside the value in its list, itself included; none for a log body.
    pub members: Option<Members<'a>>,
    /// What stands beside the kvlist that holds the value, and the key of that kvlist.
    pub outer: Option<(Members<'a>, &'a [u8])>,
    /// Whether the value stands in a kvlist or an array.
    pub nested: bool,
    /// How many messages are around the content, the value's own and the request included.
    pub depth: usize,
    /// Whether tag and length stand in as few bytes as possible. The tag and length of a value
    /// that is replaced as a whole are lost, so only a canonical one can be put back exactly.
    pub canonical: bool,
}

/// The kinds of AnyValue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// No field of the oneof is set.
    Empty,
    /// More than one field of the oneof is set. Decoders keep the last; nothing inside is visited.
    Ambiguous,
    /// `string_value`; not checked to be UTF-8.
    String,
    /// `bool_value`, `int_value`, `double_value` or an index into a string table.
    Scalar,
    /// `array_value`; its elements are visited next.
    Array,
    /// `kvlist_value`; its values are visited next.
    KeyValueList,
    /// `bytes_value`.
    Bytes,
}

impl ValueKind {
    /// The kind that a field of AnyValue is, and how it is written.
    pub(crate) fn of_field(number: u32) -> Option<(WireType, Self)> {
        Some(match number {
            1 => (WireType::Len, Self::String),
            2 | 3 | 8 => (WireType::Varint, Self::Scalar),
            4 => (WireType::Fixed64, Self::Scalar),
            5 => (WireType::Len, Self::Array),
            6 => (WireType::Len, Self::KeyValueList),
            7 => (WireType::Len, Self::Bytes),
            _ => return None,
        })
    }

    /// The field that a value of this kind stands in, where there is one only and it has a length.
    pub(crate) fn number(self) -> Option<u8> {
        match self {
            Self::String => Some(1),
            Self::Array => Some(5),
            Self::KeyValueList => Some(6),
            Self::Bytes => Some(7),
            Self::Empty | Self::Ambiguous | Self::Scalar => None,
        }
    }
}
