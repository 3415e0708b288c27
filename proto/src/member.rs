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

    /// In which order it stands, if it does so in as few bytes as possible: then its parts and that are all there is
    /// to know.
    pub fn order(&self) -> Option<Order> {
        let number = self.kind.number()?;
        let orders = [Order::KeyFirst, Order::ValueFirst];
        orders.into_iter().find(|order| {
            let (before, behind) = order.around(self.key, number, self.content.len());
            self.encoded.len() == before.len() + self.content.len() + behind.len()
                && self.encoded.starts_with(&before)
                && self.encoded.ends_with(&behind)
        })
    }

    /// The encoding of a member with a whole number, as most write it.
    pub fn encode_int(key: &[u8], value: u64) -> Vec<u8> {
        Order::KeyFirst.int(key, value)
    }

    /// The encoding of a member with a truth value, as most write it.
    pub fn encode_bool(key: &[u8], value: bool) -> Vec<u8> {
        Order::KeyFirst.bool(key, value)
    }

    /// The encoding of a member with a string or bytes, as most write it.
    pub fn encode(key: &[u8], kind: ValueKind, content: &[u8]) -> Vec<u8> {
        Order::KeyFirst.encode(key, kind, content)
    }
}

/// The order in which the two fields of a member stand. Protobuf leaves that to who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As most write it.
    KeyFirst,
    /// As the Collector does, which writes each message from its end (its `pdata/internal`).
    ValueFirst,
}

impl Order {
    /// The encoding of a member with a whole number.
    pub fn int(self, key: &[u8], value: u64) -> Vec<u8> {
        self.scalar(key, 3, value)
    }

    /// The encoding of a member with a truth value.
    pub fn bool(self, key: &[u8], value: bool) -> Vec<u8> {
        self.scalar(key, 2, value.into())
    }

    fn scalar(self, key: &[u8], number: u8, value: u64) -> Vec<u8> {
        let width = varint_width(value);
        let mut field = Vec::with_capacity(16);
        open(&mut field, 2, 1 + width);
        field.push(number << 3);
        write_varint(&mut field, value, width);
        let name = name(key);
        let mut encoded = Vec::with_capacity(name.len() + 24);
        open(&mut encoded, 1, name.len() + field.len());
        let (first, last) = match self {
            Self::KeyFirst => (name, field),
            Self::ValueFirst => (field, name),
        };
        encoded.extend_from_slice(&first);
        encoded.extend_from_slice(&last);
        encoded
    }

    /// The encoding of a member with a string or bytes.
    pub fn encode(self, key: &[u8], kind: ValueKind, content: &[u8]) -> Vec<u8> {
        let number = kind.number().unwrap_or(1);
        let (mut encoded, behind) = self.around(key, number, content.len());
        encoded.reserve_exact(content.len() + behind.len());
        encoded.extend_from_slice(content);
        encoded.extend_from_slice(&behind);
        encoded
    }

    /// Everything of a canonical member of a list before its content, and behind it.
    fn around(self, key: &[u8], number: u8, content: usize) -> (Vec<u8>, Vec<u8>) {
        let (within, behind) = self.within(key, number, content);
        let mut before = Vec::with_capacity(within.len() + 8);
        open(&mut before, 1, within.len() + content + behind.len());
        before.extend_from_slice(&within);
        (before, behind)
    }

    /// The same of the body of a canonical KeyValue.
    pub(crate) fn within(self, key: &[u8], number: u8, content: usize) -> (Vec<u8>, Vec<u8>) {
        let name = name(key);
        let mut value = Vec::with_capacity(name.len() + 24);
        let (mut before, behind) = match self {
            Self::KeyFirst => (name, Vec::new()),
            Self::ValueFirst => (Vec::new(), name),
        };
        open(&mut value, 2, 1 + varint_width(content as u64) + content);
        open(&mut value, number, content);
        before.extend_from_slice(&value);
        (before, behind)
    }

    /// In which order the body of a canonical KeyValue stands that has so many bytes of content, and an opening and an
    /// end around it.
    pub(crate) fn of(body: &[u8], key: &[u8], number: u8, content: usize) -> Option<Self> {
        [Self::KeyFirst, Self::ValueFirst]
            .into_iter()
            .find(|order| {
                let (before, behind) = order.within(key, number, content);
                body.len() == before.len() + content + behind.len()
                    && body.starts_with(&before)
                    && body.ends_with(&behind)
            })
    }
}

/// The field that the key of a member stands in.
fn name(key: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(key.len() + 8);
    open(&mut name, 1, key.len());
    name.extend_from_slice(key);
    name
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
