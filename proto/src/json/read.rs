//! JSON to the wire form.

mod cost;

pub use self::cost::Limits;
use super::output::{Open, Output};
use super::problem::{Cause, JsonError, Problem, Reason, note};
use super::scalar::{Scalar, plain, put};
use super::table::{Content, Field, Message, Presence, Role};
use super::text::{Quoted, Text};
use crate::Signal;

/// A request that was JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The wire form, without the items that were rejected.
    pub request: Vec<u8>,
    /// How many items it has: spans, log records, or data points of metrics.
    pub items: usize,
    /// How many items were rejected, counted in the same way; of metrics, one at least for each.
    pub rejected: usize,
    /// Why, in the order it was seen.
    pub causes: Vec<Cause>,
    /// Members that OTLP does not have, which are ignored, as the specification asks for.
    pub unknown: usize,
    /// Those of them that are names of OTLP in snake_case: a sender meant them, and what they hold
    /// is not in the request.
    pub snake_case: usize,
}

/// Reads an `Export{Trace,Logs,Metrics}ServiceRequest` in JSON. Fields stand in the order of the
/// text, numbers in as few bytes as possible, defaults not at all. Other signals than those of
/// [`Signal::READ`] are refused.
pub fn read(signal: Signal, text: &[u8], limits: Limits) -> Result<Read, JsonError> {
    read_charging(signal, text, limits, &mut |_| true)
}

/// The same, where memory is asked for before the message takes more than its text does, as numbers of one
/// digit make it. What there is memory for is so many bytes `more`.
pub fn read_charging(
    signal: Signal,
    text: &[u8],
    limits: Limits,
    more: &mut dyn FnMut(usize) -> bool,
) -> Result<Read, JsonError> {
    let charged = text.len();
    let text = Text::new(text)?;
    let mut reader = Reader {
        more,
        charged,
        signal,
        max_depth: limits.max_depth,
        max_cost: limits.max_entries.saturating_mul(crate::check::ENTRY),
        text,
        // A message seldom takes more than its text, and what it does not take is never touched.
        out: Output::with_capacity(charged),
        scratch: Vec::new(),
        stack: Vec::with_capacity(16),
        cost: 0,
        points: 0,
        rejected: 0,
        causes: Vec::new(),
        unknown: 0,
        snake_case: 0,
        items: 0,
    };
    reader.run()?;
    Ok(Read {
        request: reader.out.finish(),
        items: reader.items,
        rejected: reader.rejected,
        causes: reader.causes,
        unknown: reader.unknown,
        snake_case: reader.snake_case,
    })
}

struct Reader<'a> {
    signal: Signal,
    /// Asks for memory.
    more: &'a mut dyn FnMut(usize) -> bool,
    /// What there is memory for.
    charged: usize,
    max_depth: usize,
    max_cost: usize,
    text: Text<'a>,
    out: Output,
    scratch: Vec<u8>,
    /// The messages around what is being read, the request first.
    stack: Vec<Frame>,
    cost: usize,
    /// Data points of the item that is being read.
    points: usize,
    items: usize,
    rejected: usize,
    causes: Vec<Cause>,
    unknown: usize,
    snake_case: usize,
}

/// A message whose object has begun.
#[derive(Debug)]
struct Frame {
    message: &'static Message,
    open: Option<Open>,
    /// The repeated field whose array has begun.
    list: Option<&'static Field>,
    /// Nothing of the object, or of the array, has been read.
    is_fresh: bool,
    /// The fields that have been seen, a bit each.
    seen: u32,
    /// The number of the field that was chosen of those that exclude each other.
    chosen: Option<u32>,
    /// The cause for which it goes when it ends.
    cause: Option<usize>,
    /// Items in it that were not rejected.
    items: usize,
}

impl Frame {
    fn new(message: &'static Message, open: Option<Open>) -> Self {
        Self {
            message,
            open,
            list: None,
            is_fresh: true,
            seen: 0,
            chosen: None,
            cause: None,
            items: 0,
        }
    }
}

impl<'a> Reader<'a> {
    fn run(&mut self) -> Result<(), JsonError> {
        self.text.expect(b'{', "a request, which is an object")?;
        let request = Message::request(self.signal).ok_or_else(|| Problem::NoSchema.at(0))?;
        self.stack.push(Frame::new(request, None));
        while let Some(frame) = self.stack.last_mut() {
            let is_first = std::mem::take(&mut frame.is_fresh);
            if let Some(field) = frame.list {
                if self.text.take(b']') {
                    frame.list = None;
                    continue;
                }
                if !is_first {
                    self.text.expect(b',', "a comma or the end of an array")?;
                }
                self.element(field)?;
            } else if self.text.take(b'}') {
                self.leave();
            } else {
                if !is_first {
                    self.text.expect(b',', "a comma or the end of an object")?;
                }
                let at = self.text.at;
                let name = self.text.name()?;
                self.member(name, at)?;
            }
        }
        self.text.end()
    }

    /// A member of the object that is being read, whose value is next.
    fn member(&mut self, name: Quoted<'a>, at: usize) -> Result<(), JsonError> {
        let Some(frame) = self.stack.last_mut() else {
            return Ok(());
        };
        let message = frame.message;
        let name = plain(name, &mut self.scratch).unwrap_or_default();
        let found = message.fields.iter().enumerate();
        let Some((index, field)) = { found }.find(|(_, field)| field.name.as_bytes() == name)
        else {
            self.unknown += 1;
            self.snake_case += usize::from(is_snake_case(message, name));
            return self.text.skip();
        };
        let bit = 1 << index;
        if frame.seen & bit != 0 && message.role != Role::AnyValue {
            return Err(Problem::Duplicate(field.name).at(at));
        }
        frame.seen |= bit;
        let symbol = self.text.peek();
        if symbol == Some(b'n') {
            // As if it were not there.
            return self.text.literal("null");
        }
        if field.presence == Presence::OneOf {
            if frame.chosen.is_some_and(|chosen| chosen != field.number) {
                self.reject(field, Reason::SecondValue, at)?;
            } else {
                frame.chosen = Some(field.number);
            }
        }
        match (field.presence, field.content, symbol) {
            (Presence::Repeated, Content::Message(_), Some(b'[')) => {
                self.text.at += 1;
                if let Some(frame) = self.stack.last_mut() {
                    frame.list = Some(field);
                    frame.is_fresh = true;
                }
                Ok(())
            }
            (Presence::Repeated, _, Some(b'[')) => self.scalars(field),
            (Presence::Repeated, _, _) => self.mismatch(field),
            (_, Content::Message(message), Some(b'{')) => self.enter(field, message),
            (_, Content::Message(_), _) | (_, _, Some(b'{' | b'[')) => self.mismatch(field),
            _ => self.scalar(field, false),
        }
    }

    /// An element of an array of messages.
    fn element(&mut self, field: &'static Field) -> Result<(), JsonError> {
        let Content::Message(message) = field.content else {
            return self.mismatch(field);
        };
        if self.text.peek() == Some(b'{') {
            return self.enter(field, message);
        }
        if message.role != Role::Item {
            return self.mismatch(field);
        }
        // One item that is none.
        let cause = note(&mut self.causes, field.name, Reason::Type, self.text.at);
        self.drop_items(cause, 1);
        self.afford(message)?;
        self.text.skip()
    }

    /// Numbers or strings in an array.
    fn scalars(&mut self, field: &'static Field) -> Result<(), JsonError> {
        self.text.at += 1;
        let packed = (!matches!(field.content, Content::Text)).then(|| self.out.open(field.number));
        let mut is_first = true;
        while !self.text.take(b']') {
            if !is_first {
                self.text.expect(b',', "a comma or the end of an array")?;
            }
            is_first = false;
            if packed.is_none() {
                self.spend(crate::check::SMALL)?;
            }
            match self.text.peek() {
                Some(b'{' | b'[') => self.mismatch(field)?,
                _ => self.scalar(field, packed.is_some())?,
            }
            self.grow()?;
        }
        match packed {
            Some(open) if self.out.is_empty(open) => self.out.discard(open),
            Some(open) => self.out.close(open),
            None => {}
        }
        Ok(())
    }

    fn scalar(&mut self, field: &'static Field, packed: bool) -> Result<(), JsonError> {
        let at = self.text.at;
        let value = Scalar::read(&mut self.text)?;
        match put(&mut self.out, &mut self.scratch, field, packed, value) {
            Ok(()) => Ok(()),
            Err(reason) => self.reject(field, reason, at),
        }
    }

    /// A value of another type than the field has.
    fn mismatch(&mut self, field: &'static Field) -> Result<(), JsonError> {
        self.reject(field, Reason::Type, self.text.at)?;
        self.text.skip()
    }

    /// The object that is next, as a message.
    fn enter(&mut self, field: &'static Field, message: &'static Message) -> Result<(), JsonError> {
        if self.stack.len() >= self.max_depth {
            self.reject(field, Reason::TooDeep, self.text.at)?;
            return self.text.skip();
        }
        self.afford(message)?;
        self.text.at += 1;
        match message.role {
            Role::Item => self.points = 0,
            Role::Point => self.points += 1,
            _ => {}
        }
        let open = self.out.open(field.number);
        self.stack.push(Frame::new(message, Some(open)));
        Ok(())
    }

    /// The end of the innermost message.
    fn leave(&mut self) {
        let Some(mut frame) = self.stack.pop() else {
            return;
        };
        if frame.message.role == Role::Item {
            frame.items = match self.signal {
                Signal::Metrics if frame.cause.is_some() => self.points.max(1),
                Signal::Metrics => self.points,
                Signal::Traces | Signal::Logs | Signal::Profiles => 1,
            };
        }
        match (frame.open, frame.cause) {
            (Some(open), Some(cause)) => {
                self.out.discard(open);
                self.drop_items(cause, frame.items);
                return;
            }
            (Some(open), None) => self.out.close(open),
            (None, _) => {}
        }
        match self.stack.last_mut() {
            Some(around) => around.items += frame.items,
            None => self.items = frame.items,
        }
    }

    fn drop_items(&mut self, cause: usize, items: usize) {
        self.rejected += items;
        if let Some(cause) = self.causes.get_mut(cause) {
            cause.items += items;
        }
    }

    /// Makes the item that is being read go when it ends, or what holds items if none is being
    /// read; without either, the request is refused.
    fn reject(&mut self, field: &Field, reason: Reason, at: usize) -> Result<(), JsonError> {
        // No more than three messages stand around what is in an item.
        let outer = self.stack.iter_mut().take(4).skip(1).rev();
        let told_apart =
            |frame: &&mut Frame| matches!(frame.message.role, Role::Envelope | Role::Item);
        let Some(frame) = { outer }.find(told_apart) else {
            return Err(Problem::Field(field.name, reason).at(at));
        };
        let cause = note(&mut self.causes, field.name, reason, at);
        frame.cause.get_or_insert(cause);
        Ok(())
    }
}

/// Whether a name that the message does not have is one that it has, with underscores.
fn is_snake_case(message: &Message, name: &[u8]) -> bool {
    let is_same = |field: &Field| {
        let mut camel = field.name.bytes();
        let mut rest = name.iter();
        while let Some(c) = rest.next() {
            let c = match (c, rest.clone().next()) {
                (b'_', Some(next)) => {
                    rest.next();
                    next.to_ascii_uppercase()
                }
                _ => *c,
            };
            if camel.next() != Some(c) {
                return false;
            }
        }
        camel.next().is_none()
    };
    name.contains(&b'_') && message.fields.iter().any(is_same)
}
