use std::ops::Range;

use crate::Signal;
use crate::member::{Members, Order, read_value};
use crate::message::{Carrier, Message};
use crate::splice::{LengthId, Splice};
use crate::value::{Value, ValueKind};
use crate::wire::{
    DEEPEST, Field, Fields, Malformed, Reason, WireType, expect, varint_width, write_varint,
};

/// How a request is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walk {
    /// Messages shorter than this are stepped over unread: they cannot hold a longer value.
    pub min_len: usize,
    /// What happens where the request is not sound.
    pub on_malformed: OnMalformed,
}

/// What the walker does with a message that it enters and that is not sound protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMalformed {
    /// The walk fails.
    Fail,
    /// That message is stepped over as a whole; its neighbours are walked.
    StepOver,
}

/// Replaces the value that is being visited, or parts of it.
#[derive(Debug)]
pub struct Edit<'w> {
    request: &'w [u8],
    frames: &'w mut [Frame],
    splice: &'w mut Splice,
    field: Field,
    length: Option<LengthId>,
    /// Whether the value as a whole is another now, or stays as it is.
    replaced: bool,
}

/// A message on the way from the request to where the walker is.
#[derive(Debug)]
struct Frame {
    message: Message,
    /// The number of the field that this message stands in.
    number: u32,
    /// Where the next field starts.
    at: usize,
    end: usize,
    /// The length prefix; empty for the request itself, which has none.
    prefix: Range<usize>,
    /// The key, for a KeyValue.
    key: Range<usize>,
    length: Option<LengthId>,
}

/// Visits every AnyValue of an `Export{Trace,Logs,Metrics}ServiceRequest` that is at least
/// `walk.min_len` bytes long, in the order of the request, containers before what they hold.
///
/// Values are handed over as slices; nothing reads them here. The way down is a stack of at most
/// [`DEEPEST`] messages, not recursion. What stands behind a length with more than
/// [`MAX_SURPLUS`] bytes too many is not visited: it may grow by an edit, and with it its length,
/// which no longer one can be.
pub fn walk<'a>(
    signal: Signal,
    request: &'a [u8],
    walk: Walk,
    mut visit: impl FnMut(&Value<'a>, &mut Edit<'_>),
) -> Result<Splice, Malformed> {
    let mut walker = Walker {
        request,
        walk,
        frames: Vec::new(),
        splice: Splice::default(),
    };
    let root = Frame {
        message: Message::Request(signal),
        number: 0,
        at: 0,
        end: request.len(),
        prefix: 0..0,
        key: 0..0,
        length: None,
    };
    if !walker.steps_over(&root) {
        walker.frames.push(root);
    }
    while let Some((message, field)) = walker.next_message()? {
        match walker.enter(message, &field, &mut visit) {
            Err(_) if walk.on_malformed == OnMalformed::StepOver => {}
            outcome => outcome?,
        }
    }
    Ok(walker.splice)
}

struct Walker<'a> {
    request: &'a [u8],
    walk: Walk,
    frames: Vec<Frame>,
    splice: Splice,
}

impl<'a> Walker<'a> {
    /// The next field that holds a message worth entering.
    fn next_message(&mut self) -> Result<Option<(Message, Field)>, Malformed> {
        while let Some(frame) = self.frames.last_mut() {
            if frame.at == frame.end {
                self.frames.pop();
                continue;
            }
            let field = Field::read(self.request, frame.at, frame.end)?;
            frame.at = field.body.end;
            if let Some(message) = frame.message.child(field.number) {
                expect(WireType::Len, &field)?;
                if field.body.len() >= self.walk.min_len {
                    return Ok(Some((message, field)));
                }
            }
        }
        Ok(None)
    }

    fn enter(
        &mut self,
        message: Message,
        field: &Field,
        visit: &mut impl FnMut(&Value<'a>, &mut Edit<'_>),
    ) -> Result<(), Malformed> {
        // The request itself is no level.
        if self.frames.len() > DEEPEST {
            return Err(Reason::TooDeep.at(field.start));
        }
        if field.is_sealed() {
            return Ok(());
        }
        let frame = Frame {
            message,
            number: field.number,
            at: field.body.start,
            end: field.body.end,
            prefix: field.tag_end..field.body.start,
            key: 0..0,
            length: None,
        };
        if self.steps_over(&frame) {
            return Ok(());
        }
        match message {
            Message::KeyValue => self.enter_key_value(frame),
            Message::AnyValue => self.enter_value(frame, visit),
            _ => {
                self.frames.push(frame);
                Ok(())
            }
        }
    }

    fn enter_key_value(&mut self, mut frame: Frame) -> Result<(), Malformed> {
        let mut values = 0;
        for field in Fields::new(self.request, frame.at..frame.end) {
            let field = field?;
            match field.number {
                1 => {
                    expect(WireType::Len, &field)?;
                    frame.key = field.body;
                }
                2 => {
                    expect(WireType::Len, &field)?;
                    values += 1;
                }
                _ => {}
            }
        }
        // Decoders merge two values into one, which no replacement of one of them survives.
        if values == 1 {
            self.frames.push(frame);
        }
        Ok(())
    }

    fn enter_value(
        &mut self,
        mut frame: Frame,
        visit: &mut impl FnMut(&Value<'a>, &mut Edit<'_>),
    ) -> Result<(), Malformed> {
        let (kind, chosen) = read_value(self.request, frame.at..frame.end)?;
        let field = chosen.unwrap_or(Field {
            number: 0,
            wire_type: WireType::Len,
            start: frame.end,
            tag_end: frame.end,
            body: frame.end..frame.end,
        });
        if !matches!(kind, ValueKind::Array | ValueKind::KeyValueList) {
            frame.at = frame.end;
        }
        self.frames.push(frame);
        if field.is_sealed() {
            return Ok(());
        }
        let value = self.value(kind, &field);
        let mut edit = Edit {
            request: self.request,
            frames: &mut self.frames,
            splice: &mut self.splice,
            field,
            length: None,
            replaced: false,
        };
        visit(&value, &mut edit);
        let replaced = edit.replaced;
        if replaced && let Some(frame) = self.frames.last_mut() {
            // What it held is not there any more.
            frame.at = frame.end;
        }
        Ok(())
    }

    /// Describes the value on top of the stack.
    fn value(&self, kind: ValueKind, field: &Field) -> Value<'a> {
        let key = |frame: &Frame| self.request.get(frame.key.clone()).unwrap_or_default();
        let members = |parent: &Frame, child: &Frame| Members {
            request: self.request,
            start: parent.prefix.end,
            end: parent.end,
            number: child.number,
        };
        // The attribute or body that holds the value, and what that belongs to.
        let is_value =
            |frame: &Frame| matches!(frame.message, Message::KeyValue | Message::AnyValue);
        let top = self.frames.iter().position(is_value).unwrap_or_default();
        let (above, within) = self.frames.split_at(top);
        let (owner, first) = (above.last(), within.first());
        let carrier = owner
            .zip(first)
            .and_then(|(owner, first)| Carrier::of(owner.message, first.number));
        let entry = first.filter(|first| first.message == Message::KeyValue);
        let attribute = entry.map(key).unwrap_or_default();
        let nested = within.len() > 1 + usize::from(entry.is_some());
        let mut value = Value {
            kind,
            content: self.request.get(field.body.clone()).unwrap_or_default(),
            carrier: carrier.unwrap_or(Carrier::Metric),
            attribute,
            key: attribute,
            members: owner.zip(entry).map(|(owner, entry)| members(owner, entry)),
            outer: None,
            nested,
            depth: self.frames.len(),
            canonical: field.tag_end - field.start == 1
                && field.body.start - field.tag_end == varint_width(field.body.len() as u64),
        };
        if nested {
            let mut lists = self.frames.windows(2).rev().filter_map(|pair| match pair {
                [parent, child] if child.message == Message::KeyValue => Some((parent, child)),
                _ => None,
            });
            let outermost = within
                .iter()
                .find(|frame| frame.message == Message::KeyValue);
            value.attribute = outermost.map(key).unwrap_or_default();
            if let Some((parent, entry)) = lists.next() {
                value.key = key(entry);
                value.members = Some(members(parent, entry));
            }
            value.outer = lists
                .next()
                .map(|(parent, holder)| (members(parent, holder), key(holder)));
        }
        value
    }

    /// Whether the message is not sound and the walk goes on without it.
    fn steps_over(&self, frame: &Frame) -> bool {
        self.walk.on_malformed == OnMalformed::StepOver
            && Fields::new(self.request, frame.at..frame.end).any(|field| match field {
                Ok(field) => {
                    frame.message.child(field.number).is_some() && field.wire_type != WireType::Len
                }
                Err(_) => true,
            })
    }
}

impl Edit<'_> {
    /// Makes the value a string.
    pub fn set_string(&mut self, text: &[u8]) {
        self.set(1, text);
    }

    /// Makes the value bytes.
    pub fn set_bytes(&mut self, bytes: &[u8]) {
        self.set(7, bytes);
    }

    /// Makes the value a kvlist with the given encoding.
    pub fn set_list(&mut self, members: &[u8]) {
        self.set(6, members);
    }

    /// Keeps the value as it is, with all that is in it: nothing of that is visited.
    pub fn keep(&mut self) {
        self.replaced = true;
    }

    /// Replaces the value and the key beside it; refused where more than those two, or they in an
    /// unusual encoding, would be lost.
    pub fn set_entry(&mut self, key: &[u8], kind: ValueKind, content: &[u8]) -> bool {
        let [.., entry, value] = &*self.frames else {
            return false;
        };
        let (old, Some(number)) = (self.field.body.clone(), kind.number()) else {
            return false;
        };
        if entry.message != Message::KeyValue || value.end != old.end {
            return false;
        }
        let body = entry.prefix.end..entry.end;
        let old_key = self.request.get(entry.key.clone()).unwrap_or_default();
        let order = self.request.get(body.clone());
        let order =
            order.and_then(|body| Order::of(body, old_key, self.field.number as u8, old.len()));
        let Some(order) = order else {
            return false;
        };
        let (mut with, behind) = order.within(key, number, content.len());
        with.extend_from_slice(content);
        with.extend_from_slice(&behind);
        let within = self.enclose(1);
        self.splice.replace(within, body, with);
        self.replaced = true;
        true
    }

    /// Replaces a range of the content of a string or bytes value; ranges come in ascending order
    /// and do not overlap.
    pub fn replace(&mut self, range: Range<usize>, with: Vec<u8>) {
        let content = self.field.body.clone();
        let length = if let Some(length) = self.length {
            length
        } else {
            let enclosing = self.enclose(0);
            let prefix = self.field.tag_end..content.start;
            self.splice.enclose(enclosing, prefix, content.len())
        };
        self.length = Some(length);
        let range = content.start + range.start..content.start + range.end;
        self.splice.replace(Some(length), range, with);
    }

    fn set(&mut self, number: u8, content: &[u8]) {
        let length = content.len() as u64;
        let length_width = varint_width(length);
        let mut field = Vec::with_capacity(1 + length_width + content.len());
        field.push(number << 3 | 2);
        write_varint(&mut field, length, length_width);
        field.extend_from_slice(content);
        let within = self.enclose(0);
        self.splice.replace(within, self.field.range(), field);
        self.replaced = true;
    }

    /// Announces the lengths around the value that no edit before has announced, but those of the
    /// `without` innermost messages.
    fn enclose(&mut self, without: usize) -> Option<LengthId> {
        let mut enclosing = None;
        let depth = self.frames.len().saturating_sub(without);
        for frame in self.frames.iter_mut().take(depth).skip(1) {
            let length = match frame.length {
                Some(length) => length,
                None => self.splice.enclose(
                    enclosing,
                    frame.prefix.clone(),
                    frame.end - frame.prefix.end,
                ),
            };
            frame.length = Some(length);
            enclosing = frame.length;
        }
        enclosing
    }
}
