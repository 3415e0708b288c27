//! The wire form to JSON.

mod value;

use self::value::MEMBER;
use super::table::{Content, Field, Message, Presence};
use crate::Signal;
use crate::wire::{DEEPEST, Fields, Malformed, Reason, WireType, varint};

/// A request in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// One object, in one line without an end.
    pub text: Vec<u8>,
    /// Fields that OTLP does not have, which JSON has no names for.
    pub unknown: usize,
    /// Strings that are not UTF-8, which no JSON can hold; what is not text in them stands there as
    /// U+FFFD.
    pub replaced: usize,
}

/// Why a request is not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// It is no request.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// There is no memory for the text; it had as many bytes by then.
    #[error("there is no memory for the text, which has {0} bytes and more")]
    NoMemory(usize),
    /// Its signal is not written as JSON.
    #[error("{0} are not written as JSON: their schema is still being developed")]
    NoSchema(Signal),
}

/// What memory for a text is asked for at a time.
const STEP: usize = 4 << 10;

/// The fields of as many messages as requests mostly have in each other.
const PIECES: usize = 64;

/// Writes an `Export{Trace,Logs,Metrics}ServiceRequest` as JSON. What stands in it is what a decoder
/// reads: of what occurs twice the last, messages merged. Other signals than those of
/// [`Signal::READ`] are refused.
pub fn write(signal: Signal, request: &[u8]) -> Result<Written, WriteError> {
    write_charging(signal, request, &mut |_| true)
}

/// The same, where memory for the text is asked for before it is taken: a text may be many times as long
/// as its request. What there is memory for is so many bytes `more`.
pub fn write_charging(
    signal: Signal,
    request: &[u8],
    more: &mut dyn FnMut(usize) -> bool,
) -> Result<Written, WriteError> {
    let schema = Message::request(signal).ok_or(WriteError::NoSchema(signal))?;
    let mut writer = Writer {
        request,
        more,
        charged: 0,
        text: Vec::new(),
        pieces: Vec::new(),
        stack: Vec::with_capacity(16),
        unknown: 0,
        replaced: 0,
    };
    let whole = Piece {
        index: 0,
        start: 0,
        end: request.len(),
        is_packed: false,
    };
    writer.push(whole)?;
    writer.enter(schema, 0..1)?;
    writer.run()?;
    Ok(Written {
        text: writer.text,
        unknown: writer.unknown,
        replaced: writer.replaced,
    })
}

struct Writer<'a> {
    request: &'a [u8],
    /// Asks for memory.
    more: &'a mut dyn FnMut(usize) -> bool,
    /// What there is memory for.
    charged: usize,
    text: Vec<u8>,
    /// The fields of the messages in the stack, of each one those that are not written yet.
    pieces: Vec<Piece>,
    stack: Vec<Frame>,
    unknown: usize,
    replaced: usize,
}

/// A field of a message.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Which one in the table.
    index: usize,
    start: usize,
    end: usize,
    is_packed: bool,
}

/// More than any message has.
const MOST_FIELDS: usize = 32;

/// Whether only the last value counts, and those before it are no part of it.
fn is_single(field: &Field) -> bool {
    field.presence != Presence::Repeated && !matches!(field.content, Content::Message(_))
}

/// A message whose object has begun.
#[derive(Debug)]
struct Frame {
    message: &'static Message,
    /// Its fields, among the pieces.
    first: usize,
    next: usize,
    end: usize,
    /// The repeated field whose array has begun.
    list: Option<usize>,
    is_fresh: bool,
}

impl Writer<'_> {
    /// Makes sure that there is memory for as much text.
    fn afford(&mut self, more: usize) -> Result<(), WriteError> {
        let needed = self.text.len() + more;
        let missing = needed.saturating_sub(self.charged);
        if missing > 0 {
            // By half of it, so that it is not moved too often, and for as much as the request to begin with: its
            // text is seldom shorter.
            let ample = match self.charged {
                0 => self.request.len(),
                charged => charged / 2,
            };
            let step = missing.max(STEP).max(ample);
            if !(self.more)(step) {
                return Err(WriteError::NoMemory(needed));
            }
            self.charged += step;
            self.text.reserve_exact(self.charged - self.text.len());
        }
        Ok(())
    }

    /// Keeps a field for when it is its turn. There may be one for every two bytes of a request, and each
    /// takes more than that: so they are asked for, too.
    fn push(&mut self, piece: Piece) -> Result<(), WriteError> {
        let room = self.pieces.capacity();
        if self.pieces.len() == room {
            let larger = (room * 2).max(PIECES);
            // All of it and not only what is new: while they are moved, both are there.
            if !(self.more)(larger * size_of::<Piece>()) {
                return Err(WriteError::NoMemory(
                    self.charged + larger * size_of::<Piece>(),
                ));
            }
            self.pieces.reserve_exact(larger - room);
        }
        self.pieces.push(piece);
        Ok(())
    }

    fn run(&mut self) -> Result<(), WriteError> {
        self.afford(self.request.len() + self.request.len() / 2)?;
        loop {
            // A name, and what stands around it.
            self.afford(MEMBER)?;
            let Some(frame) = self.stack.last_mut() else {
                break;
            };
            let piece = self
                .pieces
                .get(frame.next)
                .filter(|_| frame.next < frame.end);
            let index = piece.map(|piece| piece.index);
            if let Some(list) = frame.list {
                if index != Some(list) {
                    self.text.push(b']');
                    frame.list = None;
                    frame.is_fresh = false;
                    continue;
                }
                if !std::mem::take(&mut frame.is_fresh) {
                    self.text.push(b',');
                }
                let at = frame.next;
                frame.next += 1;
                if let Some(Content::Message(message)) =
                    frame.message.fields.get(list).map(|field| field.content)
                {
                    self.enter(message, at..at + 1)?;
                }
                continue;
            }
            let Some((index, field)) =
                index.and_then(|index| Some((index, frame.message.fields.get(index)?)))
            else {
                self.text.push(b'}');
                self.pieces.truncate(frame.first);
                self.stack.pop();
                continue;
            };
            if !std::mem::take(&mut frame.is_fresh) {
                self.text.push(b',');
            }
            self.text.push(b'"');
            self.text.extend_from_slice(field.name.as_bytes());
            self.text.extend_from_slice(b"\":");
            let of_field = self.pieces.get(frame.next..frame.end).unwrap_or_default();
            let same = of_field.iter().take_while(|piece| piece.index == index);
            let range = frame.next..frame.next + same.count();
            match (field.presence, field.content) {
                (Presence::Repeated, Content::Message(_)) => {
                    self.text.push(b'[');
                    frame.list = Some(index);
                    frame.is_fresh = true;
                }
                (Presence::Repeated, _) => {
                    frame.next = range.end;
                    self.array(field, range)?;
                }
                (_, Content::Message(message)) => {
                    frame.next = range.end;
                    self.enter(message, range)?;
                }
                _ => {
                    frame.next = range.end;
                    let last = self.pieces.get(range.end - 1);
                    if let Some(&Piece { start, end, .. }) = last {
                        self.scalar(field.content, start, end)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Begins the object of a message that stands in some pieces, which are read as if they stood
    /// behind each other: that is how decoders merge them.
    fn enter(
        &mut self,
        message: &'static Message,
        pieces: std::ops::Range<usize>,
    ) -> Result<(), WriteError> {
        let first = self.pieces.len();
        let mut chosen = None;
        let mut chosen_from = first;
        let mut is_sorted = true;
        // Of all pieces: members that two of them have stand together.
        let mut last = 0;
        // Where the values stand that only the last one counts of.
        let mut single = [None; MOST_FIELDS];
        for piece in pieces {
            let Some(&Piece { start, end, .. }) = self.pieces.get(piece) else {
                continue;
            };
            if self.stack.len() >= DEEPEST {
                return Err(Reason::TooDeep.at(start).into());
            }
            for field in Fields::new(self.request, start..end) {
                let field = field?;
                let found = message.fields.iter().enumerate();
                let Some((index, of_table)) =
                    { found }.find(|(_, of_table)| of_table.number == field.number)
                else {
                    self.unknown += 1;
                    continue;
                };
                let wire_type = of_table.content.wire_type();
                let is_packed = field.wire_type != wire_type;
                let may_be_packed = of_table.presence == Presence::Repeated
                    && wire_type != WireType::Len
                    && field.wire_type == WireType::Len;
                if is_packed && !may_be_packed {
                    return Err(Reason::UnexpectedWireType.at(field.start).into());
                }
                let own = Piece {
                    index,
                    start: field.body.start,
                    end: field.body.end,
                    is_packed,
                };
                if of_table.presence == Presence::OneOf && chosen != Some(index) {
                    chosen = Some(index);
                    chosen_from = self.pieces.len();
                } else if is_single(of_table)
                    && let Some(before) = single.get(index).copied().flatten()
                    && let Some(before) = self.pieces.get_mut(before)
                {
                    *before = own;
                    continue;
                }
                if let Some(single) = single.get_mut(index) {
                    *single = Some(self.pieces.len());
                }
                is_sorted &= last <= index;
                last = index;
                self.push(own)?;
            }
        }
        self.choose(message, first, chosen_from);
        if !is_sorted && let Some(own) = self.pieces.get_mut(first..) {
            // In the order of the request, with nothing kept beside them for it.
            own.sort_unstable_by_key(|piece| (piece.index, piece.start));
        }
        self.text.push(b'{');
        let has_first = self.pieces.get(first).is_some_and(|piece| piece.index == 0);
        let absent = if has_first { "" } else { message.absent };
        self.text.extend_from_slice(absent.as_bytes());
        self.stack.push(Frame {
            message,
            first,
            next: first,
            end: self.pieces.len(),
            list: None,
            is_fresh: absent.is_empty(),
        });
        Ok(())
    }

    /// Of fields that exclude each other, only the last one counts.
    fn choose(&mut self, message: &Message, first: usize, chosen_from: usize) {
        let is_one_of = |piece: &Piece| {
            let field = message.fields.get(piece.index);
            field.is_some_and(|field| field.presence == Presence::OneOf)
        };
        let before = self.pieces.get(first..chosen_from).unwrap_or_default();
        if !before.iter().any(is_one_of) {
            return;
        }
        let mut kept = first;
        for at in first..self.pieces.len() {
            let Some(&piece) = self.pieces.get(at) else {
                break;
            };
            if at < chosen_from && is_one_of(&piece) {
                continue;
            }
            if let Some(place) = self.pieces.get_mut(kept) {
                *place = piece;
            }
            kept += 1;
        }
        self.pieces.truncate(kept);
    }

    /// An array of what holds no messages.
    fn array(&mut self, field: &Field, range: std::ops::Range<usize>) -> Result<(), WriteError> {
        self.text.push(b'[');
        let mut is_first = true;
        for piece in range {
            let Some(&Piece {
                start,
                end,
                is_packed,
                ..
            }) = self.pieces.get(piece)
            else {
                continue;
            };
            let mut at = start;
            // An empty string is one value, too; nothing packed is none.
            while at < end || (!is_packed && at == start) {
                let next = match (is_packed, field.content.wire_type()) {
                    (false, _) => end.max(at + 1),
                    (true, WireType::Varint) => varint(self.request, at, end)?.1,
                    (true, WireType::Fixed32) => at + 4,
                    (true, _) => at + 8,
                };
                if is_packed && next > end {
                    return Err(Reason::Truncated.at(at).into());
                }
                if !std::mem::take(&mut is_first) {
                    self.text.push(b',');
                }
                self.scalar(field.content, at, next.min(end))?;
                at = next;
            }
        }
        self.text.push(b']');
        Ok(())
    }
}

#[cfg(test)]
mod tests;
