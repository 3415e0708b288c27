use std::fmt;
use std::ops::Range;

/// How deep messages and groups may nest in a request that everybody can read: protobuf decoders commonly
/// refuse more than 100 levels. Those written in Go allow 10,000.
pub const MAX_DEPTH: usize = 100;

/// How deep messages may nest that are taken at all: a value has [`MAX_DEPTH`] levels wherever it stands. At most
/// eight messages are around one: request, resource, scope, metric, its data, data point, exemplar, attribute.
pub const DEEPEST: usize = MAX_DEPTH + 8;

/// The most bytes that a varint has.
pub(crate) const MAX_VARINT_WIDTH: usize = 10;

/// The most bytes that the length of a message may have beyond those it needs, for the message to be
/// edited. Such surplus is kept whatever is edited, so that an edit can be undone; with no more
/// than this, every length up to 32 GiB has room for it.
pub const MAX_SURPLUS: usize = 5;

/// The largest field number that protobuf allows.
const MAX_FIELD_NUMBER: u64 = (1 << 29) - 1;

/// The request is not sound protobuf, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed protobuf at byte {at}: {reason}")]
pub struct Malformed {
    /// Offset in the request of the tag, varint or length that is wrong.
    pub at: usize,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What can be wrong with a piece of protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The message ends in the middle of a tag, a number or a group.
    Truncated,
    /// A varint of more than ten bytes, or of more than 64 bits.
    VarintTooLong,
    /// A length that reaches past the end of the enclosing message.
    LengthPastEnd,
    /// A field number of zero or above 2^29 - 1.
    FieldNumber,
    /// Wire types 6 and 7 do not exist.
    WireType(u8),
    /// The end of a group that is not open.
    GroupEnd,
    /// A field that OTLP knows, with another wire type than OTLP gives it.
    UnexpectedWireType,
    /// A length written in so many bytes more than it needs that no longer one can be.
    Overlong,
    /// More than [`DEEPEST`] messages inside each other, or more than [`MAX_DEPTH`] with groups among them.
    TooDeep,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the message ends in the middle of a field"),
            Self::VarintTooLong => f.write_str("a varint is longer than 64 bits"),
            Self::LengthPastEnd => f.write_str("a length reaches past the end of its message"),
            Self::FieldNumber => f.write_str("a field number is out of range"),
            Self::WireType(wire_type) => write!(f, "wire type {wire_type} does not exist"),
            Self::GroupEnd => f.write_str("a group ends that is not open"),
            Self::UnexpectedWireType => {
                f.write_str("a field has another wire type than OTLP gives it")
            }
            Self::Overlong => f.write_str("a length has surplus bytes that leave no room to grow"),
            Self::TooDeep => write!(f, "messages nest deeper than {MAX_DEPTH} levels"),
        }
    }
}

impl Reason {
    pub(crate) fn at(self, at: usize) -> Malformed {
        Malformed { at, reason: self }
    }
}

/// The wire type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireType {
    /// A variable-length integer.
    Varint,
    /// Eight bytes.
    Fixed64,
    /// A length, then as many bytes: strings, bytes, messages, packed numbers.
    Len,
    /// A deprecated group: fields up to its end tag.
    Group,
    /// Four bytes.
    Fixed32,
}

/// One field of a message, as offsets into the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Field number, 1 to 2^29 - 1.
    pub number: u32,
    /// Wire type.
    pub wire_type: WireType,
    /// Where the tag starts.
    pub start: usize,
    /// Where the tag ends; for [`WireType::Len`] the length starts here.
    pub tag_end: usize,
    /// The payload: after the length of a [`WireType::Len`] field, after the tag of any other.
    pub body: Range<usize>,
}

impl Field {
    /// Reads the field that starts at `at` in a message that ends at `end`.
    ///
    /// The payload of a length-delimited field is not looked at.
    pub fn read(request: &[u8], at: usize, end: usize) -> Result<Self, Malformed> {
        let (tag, tag_end) = varint(request, at, end)?;
        let number = field_number(tag, at)?;
        let (wire_type, body) = match tag & 7 {
            0 => (WireType::Varint, tag_end..varint(request, tag_end, end)?.1),
            1 => (WireType::Fixed64, fixed(tag_end, 8, end)?),
            2 => {
                let (length, start) = varint(request, tag_end, end)?;
                let body = usize::try_from(length)
                    .ok()
                    .and_then(|length| start.checked_add(length))
                    .filter(|body_end| *body_end <= end)
                    .map(|body_end| start..body_end)
                    .ok_or_else(|| Reason::LengthPastEnd.at(tag_end))?;
                (WireType::Len, body)
            }
            3 => (
                WireType::Group,
                tag_end..skip_group(request, number, tag_end, end, MAX_DEPTH)?,
            ),
            4 => return Err(Reason::GroupEnd.at(at)),
            5 => (WireType::Fixed32, fixed(tag_end, 4, end)?),
            other => return Err(Reason::WireType(other as u8).at(at)),
        };
        Ok(Self {
            number,
            wire_type,
            start: at,
            tag_end,
            body,
        })
    }

    /// Whether its length has more surplus bytes than an edit of its payload leaves room for.
    pub(crate) fn is_sealed(&self) -> bool {
        let prefix = self.body.start - self.tag_end;
        self.wire_type == WireType::Len
            && prefix > varint_width(self.body.len() as u64) + MAX_SURPLUS
    }

    /// The whole field: tag, length and payload.
    pub fn range(&self) -> Range<usize> {
        self.start..self.body.end
    }
}

/// The fields of a message, up to its end or the first that is not sound.
#[derive(Debug)]
pub struct Fields<'a> {
    request: &'a [u8],
    rest: Range<usize>,
}

impl<'a> Fields<'a> {
    /// The fields of the message in `message`, a range of the request.
    pub fn new(request: &'a [u8], message: Range<usize>) -> Self {
        Self {
            request,
            rest: message,
        }
    }
}

impl Iterator for Fields<'_> {
    type Item = Result<Field, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = Field::read(self.request, self.rest.start, self.rest.end);
        self.rest.start = match &field {
            Ok(field) => field.body.end,
            Err(_) => self.rest.end,
        };
        Some(field)
    }
}

/// Reads the varint at `at` in a message that ends at `end`; returns it and the offset after it.
pub fn varint(request: &[u8], at: usize, end: usize) -> Result<(u64, usize), Malformed> {
    let bytes = request
        .get(at..end)
        .ok_or_else(|| Reason::Truncated.at(at))?;
    // As nearly all are.
    if let [byte @ 0..0x80, ..] = bytes {
        return Ok((u64::from(*byte), at + 1));
    }
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(MAX_VARINT_WIDTH).enumerate() {
        if index == MAX_VARINT_WIDTH - 1 && byte > 1 {
            return Err(Reason::VarintTooLong.at(at));
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, at + index + 1));
        }
    }
    Err(Reason::Truncated.at(at))
}

/// How many bytes the shortest varint of `value` has.
pub fn varint_width(value: u64) -> usize {
    (64 - (value | 1).leading_zeros()).div_ceil(7) as usize
}

/// Appends `value` as a varint of `width` bytes; a width above the shortest one makes the same
/// number with leading zeros, which every reader accepts.
pub fn write_varint(out: &mut Vec<u8>, mut value: u64, width: usize) {
    for _ in 1..width {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8 & 0x7f);
}

pub(crate) fn field_number(tag: u64, at: usize) -> Result<u32, Malformed> {
    match tag >> 3 {
        number @ 1..=MAX_FIELD_NUMBER => Ok(number as u32),
        _ => Err(Reason::FieldNumber.at(at)),
    }
}

fn fixed(start: usize, width: usize, end: usize) -> Result<Range<usize>, Malformed> {
    if end - start < width {
        return Err(Reason::Truncated.at(start));
    }
    Ok(start..start + width)
}

/// The offset after the end tag of the group `number`, with groups up to `max_depth` deep. A loop with a bounded stack of its own,
/// because nested groups are as deep as a sender likes.
pub(crate) fn skip_group(
    request: &[u8],
    number: u32,
    start: usize,
    end: usize,
    max_depth: usize,
) -> Result<usize, Malformed> {
    if max_depth == 0 {
        return Err(Reason::TooDeep.at(start));
    }
    let mut open = Vec::from([number]);
    let mut at = start;
    loop {
        let (tag, after) = varint(request, at, end)?;
        let number = field_number(tag, at)?;
        match tag & 7 {
            3 if open.len() == max_depth => return Err(Reason::TooDeep.at(at)),
            3 => {
                open.push(number);
                at = after;
            }
            4 if open.pop() != Some(number) => return Err(Reason::GroupEnd.at(at)),
            4 if open.is_empty() => return Ok(after),
            4 => at = after,
            _ => at = Field::read(request, at, end)?.body.end,
        }
    }
}

/// Fails where the field is not written as its number demands.
pub(crate) fn expect(wire_type: WireType, field: &Field) -> Result<(), Malformed> {
    if field.wire_type == wire_type {
        Ok(())
    } else {
        Err(Reason::UnexpectedWireType.at(field.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Field, Malformed> {
        Field::read(bytes, 0, bytes.len())
    }

    #[test]
    fn reads_every_wire_type() {
        let cases: [(&[u8], u32, WireType, Range<usize>); 5] = [
            (&[0x08, 0x96, 0x01], 1, WireType::Varint, 1..3),
            (&[0x11, 0, 0, 0, 0, 0, 0, 0, 0], 2, WireType::Fixed64, 1..9),
            (&[0x1a, 2, 7, 7], 3, WireType::Len, 2..4),
            (&[0x23, 0x08, 0x01, 0x24], 4, WireType::Group, 1..4),
            (&[0x2d, 0, 0, 0, 0], 5, WireType::Fixed32, 1..5),
        ];
        for (bytes, number, wire_type, body) in cases {
            let field = read(bytes).unwrap();
            assert_eq!(
                (field.number, field.wire_type, field.body),
                (number, wire_type, body)
            );
        }
    }

    #[test]
    fn accepts_overlong_varints_and_finds_the_payload_behind_them() {
        let field = read(&[0x8a, 0x80, 0x00, 0x82, 0x80, 0x00, 9, 9]).unwrap();
        assert_eq!(
            (field.number, field.tag_end, field.body),
            (1, 3, 6..8),
            "tag 0x0a and length 2, each in three bytes"
        );
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let cases: [(&[u8], usize, Reason); 16] = [
            (&[], 0, Reason::Truncated),
            (&[0x80], 0, Reason::Truncated),
            (&[0x08], 1, Reason::Truncated),
            (&[0x08, 0x80], 1, Reason::Truncated),
            (&[0x09, 0, 0], 1, Reason::Truncated),
            (&[0x0d, 0], 1, Reason::Truncated),
            (&[0x0a, 3, 0, 0], 1, Reason::LengthPastEnd),
            (
                &[0x0a, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1],
                1,
                Reason::LengthPastEnd,
            ),
            (
                &[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2],
                1,
                Reason::VarintTooLong,
            ),
            (
                &[0x08, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 0],
                1,
                Reason::VarintTooLong,
            ),
            (&[0x02, 0], 0, Reason::FieldNumber),
            (&[0x82, 0x80, 0x80, 0x80, 0x10, 0], 0, Reason::FieldNumber),
            (&[0x0e], 0, Reason::WireType(6)),
            (&[0x0c], 0, Reason::GroupEnd),
            (&[0x0b, 0x14], 1, Reason::GroupEnd),
            (&[0x0b, 0x08, 0x01], 3, Reason::Truncated),
        ];
        for (bytes, at, reason) in cases {
            assert_eq!(read(bytes), Err(reason.at(at)), "{bytes:02x?}");
        }
    }

    #[test]
    fn nested_groups_are_bounded_without_recursion() {
        let nested = |depth| [vec![0x0b; depth], vec![0x0c; depth]].concat();
        assert!(read(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(
            read(&nested(1_000_000)),
            Err(Reason::TooDeep.at(MAX_DEPTH)),
            "a million levels must not cost a million stack frames"
        );
    }

    #[test]
    fn writes_varints_of_any_width() {
        for value in [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            u64::from(u32::MAX),
            u64::MAX,
        ] {
            for width in varint_width(value)..=10 {
                let mut out = Vec::new();
                write_varint(&mut out, value, width);
                assert_eq!(varint(&out, 0, out.len()), Ok((value, width)));
            }
        }
    }
}
