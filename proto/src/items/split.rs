use std::ops::Range;

use bytes::Bytes;

use super::{Items, Size};
use crate::Signal;
use crate::wire::Malformed;

/// A request in parts that are small enough.
#[derive(Debug)]
pub struct Split {
    items: Items,
    /// The items that fit, in order, and how many of them each part takes.
    fitting: Vec<usize>,
    parts: Vec<Range<usize>>,
    oversize: Vec<usize>,
}

/// Divides a request into as few parts as possible that have at most `max_bytes` each. Items keep
/// their order, and each part has the resources and scopes of its items. Who calls this asks before
/// whether the signal [is divisible](Signal::is_divisible).
pub fn split(signal: Signal, request: &Bytes, max_bytes: usize) -> Result<Split, Malformed> {
    let items = Items::read(signal, request)?;
    let mut split = Split {
        fitting: Vec::with_capacity(items.len()),
        parts: Vec::new(),
        oversize: Vec::new(),
        items,
    };
    let items = &split.items;
    let empty = Size::new(items);
    let mut part = 0..0;
    let mut size = empty.clone();
    for index in 0..items.len() {
        let mut with = size.clone();
        with.add(items, index);
        if with.total() > max_bytes {
            with = empty.clone();
            with.add(items, index);
            if with.total() > max_bytes {
                split.oversize.push(index);
                continue;
            }
            split.parts.push(part.clone());
            part = part.end..part.end;
        }
        split.fitting.push(index);
        part.end += 1;
        size = with;
    }
    split.parts.push(part);
    split.parts.retain(|part| !part.is_empty());
    Ok(split)
}

impl Split {
    /// The parts in order. Each is written when it is asked for: together they can be far larger
    /// than the request, where a large resource has to go with each.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = Bytes> {
        self.parts.iter().map(|part| {
            let chosen = self.fitting.get(part.clone()).unwrap_or_default();
            self.items.write(chosen)
        })
    }

    /// The items that, alone with what they stand in, are larger than a part may be; in no part.
    pub fn oversize(&self) -> &[usize] {
        &self.oversize
    }

    /// All items, for those that are in no part.
    pub fn items(&self) -> &Items {
        &self.items
    }
}

/// The first and the second half of the items of a request, to find out by halving which of them is
/// refused. `None` where there is nothing to halve, and for signals that are not divided.
pub fn halves(signal: Signal, request: &Bytes) -> Option<(Bytes, Bytes)> {
    if !signal.is_divisible() {
        return None;
    }
    let items = Items::read(signal, request).ok()?;
    let middle = items.len() / 2;
    (middle > 0).then(|| {
        let first = items.carve(|index| index < middle);
        (first, items.carve(|index| index >= middle))
    })
}
