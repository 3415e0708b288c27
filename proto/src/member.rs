use std::ops::Range;

use crate::value::ValueKind;
use crate::wire::{Field, Fields, Malformed, WireType, expect, varint_width, write_varint};

/// Values that stand beside each other: the attributes of one span, the members of one kvlist.
#[derive(Debug, Clone, Copy)]
pub struct Members<'a> {
    pub(crate) request: &'a [u8],
    /// The message that holds them.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The field that each stands in.
    pub(crate) number: u32,
}

/// One of [`Members`].
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Which kind of value it has.
    pub kind: ValueKind,
    /// The text, the bytes, or the encoding of any other kind.
    pub content: &'a [u8],
    /// All of it, with the tag and length in front.
    pub encoded: &'a [u8],
}

impl<'a> Members<'a> {
    /// The members of a kvlist.
    pub fn of_list(content: &'a [u8]) -> Self {
        Self {
            request: content,
            start: 0,
            end: content.len(),
            number: 1,
        }
    }

    /// Where they stand in the request: the same for all that stand beside each other.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Each in turn, up to the first that is not sound.
    pub fn iter(&self) -> impl Iterator<Item = Member<'a>> + use<'a> {
        let request = self.request;
        let number = self.number;
        Fields::new(request, self.start..self.end)
            .map_while(Result::ok)
            .filter(move |field| field.number == number)
            .map_while(move |field| Member::read(request, &field))
    }

    /// Whether the message holds nothing else.
    pub fn are_all(&self) -> bool {
        Fields::new(self.request, self.start..self.end).all(|field| {
            field.is_ok_and(|field| {
                field.number == self.number && Member::read(self.request, &field).is_some()
            })
        })
    }
}

impl<'a> Member<'a> {
    fn read(request: &'a [u8], field: &Field) -> Option<Self> {
        if field.wire_type != WireType::Len {
            return None;
        }
        let mut key: &[u8] = &[];
        let (mut kind, mut content): (_, &[u8]) = (ValueKind::Empty, &[]);
        let mut values = 0;
        for part in Fields::new(request, field.body.clone()) {
            let part = part.ok()?;
            match (part.number, part.wire_type) {
                (1, WireType::Len) => key = request.get(part.body)?,
                (2, WireType::Len) => {
                    values += 1;
                    let (of_value, value) = read_value(request, part.body).ok()?;
                    kind = of_value;
                    content = value.map_or(Some(&[][..]), |value| request.get(value.body))?;
                }
                (1 | 2, _) => return None,
                _ => {}
            }
        }
        if values > 1 {
            kind = ValueKind::Ambiguous;
        }
        Some(Self {
            key,
            kind,
            content,
            encoded: request.get(field.range())?,
        })
    }

    /// Whether it stands in as few bytes as possible, so that its parts are all there is to know.
    pub fn is_canonical(&self) -> bool {
        let Some(number) = self.kind.number() else {
            return false;
        };
        let opening = opening(self.key, number, self.content.len());
        self.encoded.len() == opening.len() + self.content.len()
            && self.encoded.starts_with(&opening)
    }

    /// The encoding of a member with a whole number.
    pub fn encode_int(key: &[u8], value: u64) -> Vec<u8> {
        Self::encode_scalar(key, 3, value)
    }

    /// The encoding of a member with a truth value.
    pub fn encode_bool(key: &[u8], value: bool) -> Vec<u8> {
        Self::encode_scalar(key, 2, value.into())
    }

    fn encode_scalar(key: &[u8], number: u8, value: u64) -> Vec<u8> {
        let width = varint_width(value);
        let mut encoded = Vec::with_capacity(key.len() + 24);
        let member = 1 + varint_width(key.len() as u64) + key.len() + 3 + width;
        open(&mut encoded, 1, member);
        open(&mut encoded, 1, key.len());
        encoded.extend_from_slice(key);
        open(&mut encoded, 2, 1 + width);
        encoded.push(number << 3);
        write_varint(&mut encoded, value, width);
        encoded
    }

    /// The encoding of a member with a string or bytes.
    pub fn encode(key: &[u8], kind: ValueKind, content: &[u8]) -> Vec<u8> {
        let mut encoded = opening(key, kind.number().unwrap_or(1), content.len());
        encoded.extend_from_slice(content);
        encoded
    }
}

/// Everything of a canonical member of a list before the content.
fn opening(key: &[u8], number: u8, content: usize) -> Vec<u8> {
    let value = 1 + varint_width(content as u64) + content;
    let member =
        1 + varint_width(key.len() as u64) + key.len() + 1 + varint_width(value as u64) + value;
    let mut out = Vec::with_capacity(key.len() + 40);
    open(&mut out, 1, member);
    out.extend_from_slice(&entry_opening(key, number, content));
    out
}

/// Everything of the body of a canonical KeyValue before the content.
pub(crate) fn entry_opening(key: &[u8], number: u8, content: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(key.len() + 32);
    open(&mut out, 1, key.len());
    out.extend_from_slice(key);
    open(&mut out, 2, 1 + varint_width(content as u64) + content);
    open(&mut out, number, content);
    out
}

fn open(out: &mut Vec<u8>, number: u8, len: usize) {
    out.push(number << 3 | 2);
    write_varint(out, len as u64, varint_width(len as u64));
}

/// The kind of the AnyValue at `range`, and the field that it is in.
pub(crate) fn read_value(
    request: &[u8],
    range: Range<usize>,
) -> Result<(ValueKind, Option<Field>), Malformed> {
    let mut kind = ValueKind::Empty;
    let mut chosen = None;
    for field in Fields::new(request, range) {
        let field = field?;
        let Some((wire_type, of_field)) = ValueKind::of_field(field.number) else {
            continue;
        };
        expect(wire_type, &field)?;
        kind = match chosen {
            None => of_field,
            Some(_) => ValueKind::Ambiguous,
        };
        chosen = Some(field);
    }
    Ok((kind, chosen))
}
