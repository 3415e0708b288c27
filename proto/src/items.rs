//! A request item by item: its spans, log records or metrics, each with the bytes it came as.
//!
//! What stands around the items is kept as well: a request that is made of some of them has their
//! resources and scopes, schema URLs and unknown fields, in the order they came in. Only the lengths
//! of these are written anew.

mod count;
mod parts;

use std::ops::Range;

use bytes::Bytes;

use crate::Signal;
use crate::wire::{Field, Fields, Malformed, WireType, expect, varint_width, write_varint};
pub use count::count;
pub(crate) use count::points;
pub use parts::Parts;

/// The spans, log records or metrics of a request, and what they stand in.
#[derive(Debug, Clone)]
pub struct Items {
    signal: Signal,
    request: Bytes,
    list: Vec<Item>,
    scopes: Vec<Envelope>,
    resources: Vec<Envelope>,
    /// What the envelopes hold beside what is counted above, level by level.
    rest: [Vec<Range<usize>>; 3],
}

/// One of [`Items`], as offsets into the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The `ResourceSpans`, `ResourceLogs` or `ResourceMetrics` that it stands in.
    pub resource: usize,
    /// The `ScopeSpans`, `ScopeLogs` or `ScopeMetrics` that it stands in, counted over the request.
    pub scope: usize,
    /// All of it, with the tag and length in front.
    pub range: Range<usize>,
    /// The message alone.
    pub body: Range<usize>,
}

/// A message that items stand in.
#[derive(Debug, Clone)]
struct Envelope {
    tag: Range<usize>,
    /// Its part of the rest of its level.
    rest: Range<usize>,
    /// The bytes of that.
    rest_len: usize,
}

/// The levels of a request above its items.
const REQUEST: usize = 0;
const RESOURCE: usize = 1;
const SCOPE: usize = 2;

impl Items {
    /// Finds the items of an `Export{Trace,Logs,Metrics}ServiceRequest`. What is in them is not
    /// looked at; nor is a field that stands where a scope or an item should, and is written as
    /// neither can be.
    pub fn read(signal: Signal, request: &Bytes) -> Result<Self, Malformed> {
        let mut this = Self {
            signal,
            request: request.clone(),
            list: Vec::new(),
            scopes: Vec::new(),
            resources: Vec::new(),
            rest: [const { Vec::new() }; 3],
        };
        for field in Fields::new(request, 0..request.len()) {
            let field = field?;
            if field.number != 1 {
                this.beside(REQUEST, &field);
                continue;
            }
            expect(WireType::Len, &field)?;
            let resource = this.resources.len();
            let envelope = this.open(RESOURCE, &field);
            this.resources.push(envelope);
            for field in Fields::new(request, field.body) {
                let field = field?;
                if (field.number, field.wire_type) != (2, WireType::Len) {
                    this.beside(RESOURCE, &field);
                    continue;
                }
                let scope = this.scopes.len();
                let envelope = this.open(SCOPE, &field);
                this.scopes.push(envelope);
                for field in Fields::new(request, field.body) {
                    let field = field?;
                    if (field.number, field.wire_type) != (2, WireType::Len) {
                        this.beside(SCOPE, &field);
                        continue;
                    }
                    this.list.push(Item {
                        resource,
                        scope,
                        range: field.range(),
                        body: field.body,
                    });
                }
                close(&mut this.scopes, &this.rest[SCOPE]);
            }
            close(&mut this.resources, &this.rest[RESOURCE]);
        }
        Ok(this)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Each in turn.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Item> {
        self.list.iter()
    }

    /// What the item at `index` counts as: a metric as its data points, any other as one.
    pub fn weight(&self, index: usize) -> usize {
        match (self.signal, self.list.get(index)) {
            (Signal::Metrics, Some(item)) => points(&self.request, item.body.clone()),
            (_, Some(_)) => 1,
            (_, None) => 0,
        }
    }

    /// The request with those items only that `keep` chooses by their index. Resources and scopes
    /// that are left without items are left out.
    pub fn carve(&self, mut keep: impl FnMut(usize) -> bool) -> Bytes {
        let chosen: Vec<_> = (0..self.len()).filter(|index| keep(*index)).collect();
        self.of(&chosen)
    }

    /// How large the request [of these items](Self::of) is.
    pub fn len_of(&self, chosen: &[usize]) -> usize {
        let mut size = Size::new(self);
        for index in chosen {
            size.add(self, *index);
        }
        size.total()
    }

    fn open(&self, level: usize, field: &Field) -> Envelope {
        let rest = self.rest.get(level).map_or(0, Vec::len);
        Envelope {
            tag: field.start..field.tag_end,
            rest: rest..rest,
            rest_len: 0,
        }
    }

    /// Keeps a field that leads to no items.
    fn beside(&mut self, level: usize, field: &Field) {
        let opened = match level {
            RESOURCE => self.resources.last(),
            SCOPE => self.scopes.last(),
            _ => None,
        };
        let start = opened.map_or(0, |envelope| envelope.rest.start);
        let Some(rest) = self.rest.get_mut(level) else {
            return;
        };
        let touches = rest.len() > start;
        match rest.last_mut() {
            Some(last) if touches && last.end == field.start => last.end = field.body.end,
            _ => rest.push(field.range()),
        }
    }

    fn scope_of(&self, index: usize) -> usize {
        self.list.get(index).map_or(0, |item| item.scope)
    }

    fn resource_of(&self, index: usize) -> usize {
        self.list.get(index).map_or(0, |item| item.resource)
    }

    fn item_len(&self, index: usize) -> usize {
        self.list.get(index).map_or(0, |item| item.range.len())
    }

    fn request_rest(&self) -> usize {
        self.rest[REQUEST].iter().map(Range::len).sum()
    }

    /// The request with the `chosen` items, whose indices ascend, as [`carve`](Self::carve) writes it.
    pub fn of(&self, chosen: &[usize]) -> Bytes {
        let by_resource = || chosen.chunk_by(|a, b| self.resource_of(*a) == self.resource_of(*b));
        let by_scope = |items: &[usize]| {
            let bodies = items
                .chunk_by(|a, b| self.scope_of(*a) == self.scope_of(*b))
                .map(|items| {
                    let scope = items
                        .first()
                        .and_then(|i| self.scopes.get(self.scope_of(*i)));
                    let of_items: usize = items.iter().map(|index| self.item_len(*index)).sum();
                    (scope, scope.map_or(0, |scope| scope.rest_len) + of_items)
                });
            bodies.collect::<Vec<_>>()
        };

        let mut out = Vec::with_capacity(self.len_of(chosen));
        let mut of_request = Rest::new(self, REQUEST, 0..self.rest[REQUEST].len());
        for items in by_resource() {
            let Some(resource) = items
                .first()
                .and_then(|index| self.resources.get(self.resource_of(*index)))
            else {
                continue;
            };
            let scopes = by_scope(items);
            let inner: usize = scopes
                .iter()
                .map(|(scope, body)| enveloped(scope.map_or(0, |scope| scope.tag.len()), *body))
                .sum();
            of_request.copy_until(resource.tag.start, &mut out);
            self.write_opening(resource, resource.rest_len + inner, &mut out);
            let mut of_resource = Rest::new(self, RESOURCE, resource.rest.clone());
            let in_scopes = items.chunk_by(|a, b| self.scope_of(*a) == self.scope_of(*b));
            for (items, (scope, body)) in in_scopes.zip(scopes) {
                let Some(scope) = scope else { continue };
                of_resource.copy_until(scope.tag.start, &mut out);
                self.write_opening(scope, body, &mut out);
                let mut of_scope = Rest::new(self, SCOPE, scope.rest.clone());
                for item in items.iter().filter_map(|index| self.list.get(*index)) {
                    of_scope.copy_until(item.range.start, &mut out);
                    self.copy(item.range.clone(), &mut out);
                }
                of_scope.copy_until(usize::MAX, &mut out);
            }
            of_resource.copy_until(usize::MAX, &mut out);
        }
        of_request.copy_until(usize::MAX, &mut out);
        out.into()
    }

    fn write_opening(&self, envelope: &Envelope, body: usize, out: &mut Vec<u8>) {
        self.copy(envelope.tag.clone(), out);
        write_varint(out, body as u64, varint_width(body as u64));
    }

    fn copy(&self, range: Range<usize>, out: &mut Vec<u8>) {
        out.extend_from_slice(self.request.get(range).unwrap_or_default());
    }
}

/// Ends the envelope opened last.
fn close(envelopes: &mut [Envelope], rest: &[Range<usize>]) {
    if let Some(envelope) = envelopes.last_mut() {
        envelope.rest.end = rest.len();
        let rest = rest.get(envelope.rest.clone()).unwrap_or_default();
        envelope.rest_len = rest.iter().map(Range::len).sum();
    }
}

/// The bytes of a message with its tag and length.
fn enveloped(tag: usize, body: usize) -> usize {
    tag + varint_width(body as u64) + body
}

/// What an envelope holds beside what leads to items, copied piece by piece.
struct Rest<'a> {
    items: &'a Items,
    pieces: std::iter::Peekable<std::slice::Iter<'a, Range<usize>>>,
}

impl<'a> Rest<'a> {
    fn new(items: &'a Items, level: usize, rest: Range<usize>) -> Self {
        let of_level = items.rest.get(level).map_or(&[][..], Vec::as_slice);
        let pieces = of_level.get(rest).unwrap_or_default();
        Self {
            items,
            pieces: pieces.iter().peekable(),
        }
    }

    /// Copies what stands before `end`.
    fn copy_until(&mut self, end: usize, out: &mut Vec<u8>) {
        while let Some(piece) = self.pieces.next_if(|piece| piece.start < end) {
            self.items.copy(piece.clone(), out);
        }
    }
}

/// The size of a request to which items are added one by one, in order.
#[derive(Clone)]
struct Size {
    /// The request without the resource and scope that were opened last.
    closed: usize,
    resource: Option<usize>,
    /// The tag of that resource, and its body without the scope opened last.
    resource_tag: usize,
    resource_body: usize,
    scope: Option<usize>,
    scope_tag: usize,
    scope_body: usize,
}

impl Size {
    fn new(items: &Items) -> Self {
        Self {
            closed: items.request_rest(),
            resource: None,
            resource_tag: 0,
            resource_body: 0,
            scope: None,
            scope_tag: 0,
            scope_body: 0,
        }
    }

    fn add(&mut self, items: &Items, index: usize) {
        let Some(item) = items.list.get(index) else {
            return;
        };
        if self.scope != Some(item.scope) {
            self.close_scope();
            if self.resource != Some(item.resource) {
                self.close_resource();
                self.resource = Some(item.resource);
                if let Some(resource) = items.resources.get(item.resource) {
                    self.resource_tag = resource.tag.len();
                    self.resource_body = resource.rest_len;
                }
            }
            self.scope = Some(item.scope);
            if let Some(scope) = items.scopes.get(item.scope) {
                self.scope_tag = scope.tag.len();
                self.scope_body = scope.rest_len;
            }
        }
        self.scope_body += item.range.len();
    }

    fn total(&self) -> usize {
        let mut all = self.clone();
        all.close_scope();
        all.close_resource();
        all.closed
    }

    fn close_scope(&mut self) {
        if self.scope.take().is_some() {
            self.resource_body += enveloped(self.scope_tag, self.scope_body);
        }
    }

    fn close_resource(&mut self) {
        if self.resource.take().is_some() {
            self.closed += enveloped(self.resource_tag, self.resource_body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field `number` with a body.
    fn field(number: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2];
        write_varint(&mut out, body.len() as u64, varint_width(body.len() as u64));
        out.extend_from_slice(body);
        out
    }

    fn request(resources: &[Vec<Vec<u8>>]) -> Bytes {
        let resources = resources.iter().map(|scopes| {
            let mut resource = field(1, &field(1, b""));
            resource.extend(scopes.concat());
            field(1, &resource)
        });
        resources.collect::<Vec<_>>().concat().into()
    }

    #[test]
    fn what_stands_around_chosen_items_stays_in_its_place() {
        // Unknown fields between and behind the items of each level; a length in three bytes.
        let scope = [
            field(2, b""),
            field(9, b"between"),
            vec![0x12, 0x80, 0x80, 0x00],
            field(3, b"url"),
        ]
        .concat();
        let whole = [
            field(
                1,
                &[field(2, &scope), field(3, b"of the resource")].concat(),
            ),
            field(1, &[field(1, b""), field(2, &field(2, b""))].concat()),
            field(7, b"of the request"),
        ]
        .concat();
        let items = Items::read(Signal::Traces, &whole.clone().into()).unwrap();
        assert_eq!(items.len(), 3);
        assert_eq!(items.carve(|_| true), whole);
        let kept = [
            field(9, b"between"),
            vec![0x12, 0x80, 0x80, 0x00],
            field(3, b"url"),
        ]
        .concat();
        let expected = [
            field(1, &[field(2, &kept), field(3, b"of the resource")].concat()),
            field(7, b"of the request"),
        ]
        .concat();
        assert_eq!(items.carve(|index| index == 1), expected);
        assert_eq!(items.carve(|_| false), field(7, b"of the request"));
    }

    #[test]
    fn an_oversize_item_is_named_and_its_neighbours_go() {
        let scope = field(
            2,
            &[field(2, b"ab"), field(2, &[0; 99]), field(2, b"cd")].concat(),
        );
        let request = request(&[vec![scope]]);
        let items = Items::read(Signal::Logs, &request).unwrap();
        let parts = items.parts(0..items.len(), 60);
        let expected = Parts {
            fitting: vec![vec![0, 2]],
            oversize: vec![1],
        };
        assert_eq!(parts, expected, "the two others fit into one");
    }

    #[test]
    fn metrics_count_as_their_data_points() {
        let gauge = field(5, &[field(1, b""), field(1, b"")].concat());
        let metrics = [
            field(2, &gauge),
            field(2, b""),
            field(2, b"\x0f"),
            field(2, &[field(5, &field(1, b"")), b"\x0f".to_vec()].concat()),
        ];
        let request = request(&[vec![field(2, &metrics.concat())]]);
        let items = Items::read(Signal::Metrics, &request).unwrap();
        let weights: Vec<_> = (0..items.len()).map(|index| items.weight(index)).collect();
        assert_eq!(weights, [2, 0, 1, 1]);
        assert_eq!(count(Signal::Metrics, &request), 4);
    }

    #[test]
    fn a_request_that_is_cut_is_counted_up_to_there() {
        let whole = request(&[vec![field(2, &[field(2, b""), field(2, b"")].concat())]]);
        let mut cut = whole.to_vec();
        cut.extend_from_slice(&[0x0a, 0x7f]);
        assert_eq!(count(Signal::Traces, &cut), 2);
        assert!(Items::read(Signal::Traces, &cut.into()).is_err());
    }
}
