//! Whether a request is sound, item by item.
//!
//! Decoders refuse a request as a whole for one text that is not UTF-8, one field that is written
//! otherwise than the schema says, one value nested too deep. Whoever forwards many items in one
//! request has to find the one before the backend does. This reads every field of the schema once;
//! what decoders accept, it accepts: unknown fields and enum values, numbers in more bytes than
//! they need, fields that occur twice, ids of any length.

mod profiles;
mod scan;
mod schema;
mod table;

use std::ops::Range;

use self::scan::Scanner;
pub(crate) use self::scan::is_utf8;
use self::schema::Shape;
use crate::Signal;
use crate::items::points;
use crate::wire::{Field, Fields, MAX_DEPTH, Malformed, WireType, expect, skip_group};

/// What a span, a log record and the like cost, and what is small beside them: an attribute, an
/// element of an array. Empty, a span takes a decoder some 250 bytes, an attribute or an element
/// 30 to 80; and spans have many of these.
pub(crate) const ENTRY: usize = 16;
pub(crate) const SMALL: usize = 1;

/// What was found out about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// How many items it has: spans, log records, data points of metrics, or profiles.
    pub count: usize,
    /// What is not sound, by the items that it concerns, in no order.
    pub faults: Vec<Fault>,
    /// Keys and values that are indices of a dictionary, which no request has but one of profiles.
    pub indices: usize,
}

/// Something in a request that is not sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The items that it concerns, by their index: all below a resource or scope that it is in.
    pub items: Range<usize>,
    /// What it means for them.
    pub verdict: Verdict,
}

/// What a fault means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No decoder can read it.
    Rejected(Malformed),
    /// A text that is not UTF-8, or more than [`MAX_DEPTH`] messages inside each other: some backends take it and
    /// some refuse all that comes with it.
    Isolated,
}

/// Why a request cannot be taken item by item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// What stands around the items is not sound.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It has more entries than are allowed.
    #[error("too many entries")]
    TooMany,
}

/// Reads all of an `Export{Trace,Logs,Metrics}ServiceRequest` and tells which of its items are not
/// sound. Entries are resources, scopes, items, and what else may be repeated: events, links, data
/// points, exemplars; attributes and elements of arrays count a sixteenth.
///
/// An `ExportProfilesServiceRequest` is sound as a whole or not at all, and of what stands in a profile
/// or in the dictionary only the fields themselves are read; each of these counts a sixteenth.
pub fn check(signal: Signal, request: &[u8], max_entries: usize) -> Result<Checked, CheckError> {
    let shape = match signal {
        Signal::Traces => Shape::Span,
        Signal::Logs => Shape::LogRecord,
        Signal::Metrics => Shape::Metric,
        Signal::Profiles => return profiles::check(request, max_entries),
    };
    let mut check = Check {
        signal,
        shape,
        request,
        scanner: Scanner::new(request),
        max_cost: max_entries.saturating_mul(ENTRY),
        items: 0,
        checked: Checked {
            count: 0,
            faults: Vec::new(),
            indices: 0,
        },
    };
    for field in Fields::new(request, 0..request.len()) {
        let field = field?;
        if field.number == 1 {
            expect(WireType::Len, &field)?;
            check.entry()?;
            check.resource(field.body)?;
        } else {
            check.unknown(&field, 1)?;
        }
    }
    check.checked.indices = check.scanner.indices;
    Ok(check.checked)
}

struct Check<'a> {
    signal: Signal,
    /// That of an item.
    shape: Shape,
    request: &'a [u8],
    scanner: Scanner<'a>,
    max_cost: usize,
    items: usize,
    checked: Checked,
}

impl Check<'_> {
    /// A `ResourceSpans`, `ResourceLogs` or `ResourceMetrics`.
    fn resource(&mut self, body: Range<usize>) -> Result<(), CheckError> {
        let first = self.items;
        let mut verdict = None;
        for field in Fields::new(self.request, body) {
            let field = field?;
            if (field.number, field.wire_type) == (2, WireType::Len) {
                self.entry()?;
                self.scope(field.body)?;
            } else {
                verdict = worse(verdict, self.beside(Shape::Resource, &field, 2)?);
            }
        }
        self.found(first, verdict);
        Ok(())
    }

    /// A `ScopeSpans`, `ScopeLogs` or `ScopeMetrics`.
    fn scope(&mut self, body: Range<usize>) -> Result<(), CheckError> {
        let first = self.items;
        let mut verdict = None;
        for field in Fields::new(self.request, body) {
            let field = field?;
            if (field.number, field.wire_type) != (2, WireType::Len) {
                verdict = worse(verdict, self.beside(Shape::Scope, &field, 3)?);
                continue;
            }
            let item = self.request.get(field.body.clone()).unwrap_or_default();
            let of_item = self.scanner.scan(self.shape, item, 4);
            self.items += 1;
            self.checked.count += match self.signal {
                Signal::Metrics => points(self.request, field.body),
                Signal::Traces | Signal::Logs | Signal::Profiles => 1,
            };
            self.found(self.items - 1, of_item);
            self.affordable()?;
        }
        self.found(first, verdict);
        Ok(())
    }

    /// A field beside those that lead to items: the resource or scope itself, the schema URL, or
    /// one that is unknown. `depth` is that of the message that it stands in.
    fn beside(
        &mut self,
        shape: Shape,
        field: &Field,
        depth: usize,
    ) -> Result<Option<Verdict>, CheckError> {
        if field.number > 3 {
            self.unknown(field, depth)?;
            return Ok(None);
        }
        if let Err(malformed) = expect(WireType::Len, field) {
            return Ok(Some(Verdict::Rejected(malformed)));
        }
        let content = self.request.get(field.body.clone()).unwrap_or_default();
        let verdict = if field.number == 1 {
            self.scanner.scan(shape, content, depth + 1)
        } else {
            (!is_utf8(content)).then_some(Verdict::Isolated)
        };
        self.affordable()?;
        Ok(verdict)
    }

    /// A field that the schema does not have is sound, but a group can be too deep in its place.
    fn unknown(&self, field: &Field, depth: usize) -> Result<(), Malformed> {
        if field.wire_type == WireType::Group {
            let (start, end) = (field.body.start, field.body.end);
            skip_group(self.request, field.number, start, end, MAX_DEPTH - depth)?;
        }
        Ok(())
    }

    /// One more envelope.
    fn entry(&mut self) -> Result<(), CheckError> {
        self.scanner.cost += ENTRY;
        self.affordable()
    }

    fn affordable(&self) -> Result<(), CheckError> {
        if self.scanner.cost > self.max_cost {
            return Err(CheckError::TooMany);
        }
        Ok(())
    }

    /// Keeps a verdict for the items from `first` to the last so far.
    fn found(&mut self, first: usize, verdict: Option<Verdict>) {
        if let Some(verdict) = verdict {
            self.checked.faults.push(Fault {
                items: first..self.items,
                verdict,
            });
        }
    }
}

/// What cannot be read at all outweighs a text that is not UTF-8.
fn worse(one: Option<Verdict>, other: Option<Verdict>) -> Option<Verdict> {
    match (one, other) {
        (Some(Verdict::Rejected(_)), _) | (_, None) => one,
        _ => other,
    }
}
