use std::ops::Range;

use crate::Signal;
use crate::message::Message;
use crate::wire::{DEEPEST, Fields, WireType};

/// One step into the value of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// To the member of a kvlist with this key.
    Key(&'a [u8]),
    /// To the element of an array with this number.
    Index(usize),
}

/// Where a value stands in what it belongs to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Spot<'a> {
    /// Which of the events or links of its span has it.
    pub number: Option<usize>,
    /// The name of the event; empty where it is on none.
    pub event: &'a [u8],
    /// From the value of the attribute, or from the body, to it.
    pub steps: Vec<Step<'a>>,
}

/// Tells where the values at these offsets of a request stand, each by its number; `offsets` ascend.
///
/// Only what stands around them is read, so it costs what that costs, however many there are. What is not sound is told
/// as far as it was read.
pub fn spots<'a>(
    signal: Signal,
    request: &'a [u8],
    offsets: &[usize],
    tell: impl FnMut(usize, &Spot<'a>),
) {
    let mut descent = Descent {
        request,
        offsets,
        next: 0,
        spot: Spot::default(),
        tell,
    };
    descent.enter(Message::Request(signal), 0..request.len(), 0);
}

struct Descent<'a, 'o, T> {
    request: &'a [u8],
    offsets: &'o [usize],
    /// The number of the first that was not told yet.
    next: usize,
    /// Where it is now.
    spot: Spot<'a>,
    tell: T,
}

impl<'a, T: FnMut(usize, &Spot<'a>)> Descent<'a, '_, T> {
    fn enter(&mut self, message: Message, body: Range<usize>, depth: usize) {
        let (mut events, mut links, mut others) = (0, 0, 0);
        let fields = Fields::new(self.request, body.clone()).map_while(Result::ok);
        for field in fields.filter(|field| field.wire_type == WireType::Len) {
            if !self.has_more_before(body.end) || depth > DEEPEST {
                break;
            }
            let Some(child) = message.child(field.number) else {
                continue;
            };
            let count = match (message, child) {
                (_, Message::Event) => &mut events,
                (_, Message::Link) => &mut links,
                // Of those it matters in arrays, which have nothing else.
                _ => &mut others,
            };
            let number = *count;
            *count += 1;
            self.tell_before(field.body.start);
            if !self.has_more_before(field.body.end) {
                continue;
            }
            match (message, child) {
                (_, Message::Event) => {
                    self.spot.number = Some(number);
                    self.spot.event = self.text(field.body.clone(), 2);
                }
                (_, Message::Link) => self.spot.number = Some(number),
                (Message::ArrayValue, _) => self.spot.steps.push(Step::Index(number)),
                (Message::KeyValueList, _) => {
                    let key = self.text(field.body.clone(), 1);
                    self.spot.steps.push(Step::Key(key));
                }
                _ => {}
            }
            self.enter(child, field.body, depth + 1);
            match message {
                Message::Span => {
                    self.spot.number = None;
                    self.spot.event = &[];
                }
                Message::ArrayValue | Message::KeyValueList => {
                    self.spot.steps.pop();
                }
                _ => {}
            }
        }
        self.tell_before(body.end);
    }

    fn has_more_before(&self, end: usize) -> bool {
        self.offsets.get(self.next).is_some_and(|at| *at < end)
    }

    fn tell_before(&mut self, end: usize) {
        while self.has_more_before(end) {
            (self.tell)(self.next, &self.spot);
            self.next += 1;
        }
    }

    /// The text in a field of a message.
    fn text(&self, message: Range<usize>, number: u32) -> &'a [u8] {
        let fields = Fields::new(self.request, message).map_while(Result::ok);
        let texts = fields.filter(|field| field.number == number);
        let text = texts
            .filter(|field| field.wire_type == WireType::Len)
            .last()
            .and_then(|field| self.request.get(field.body));
        text.unwrap_or_default()
    }
}
