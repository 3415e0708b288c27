use std::ops::Range;

use super::{Items, Size};

/// Items in parts that are small enough, by their indices.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Those that fit, in order. Each part is written when it goes: together they can be far larger than the
    /// request, where a large resource has to go with each.
    pub fitting: Vec<Vec<usize>>,
    /// Those that, alone with what they stand in, are larger than a part may be.
    pub oversize: Vec<usize>,
}

impl Items {
    /// Divides the `chosen` items into as few parts as possible of which none [is larger](Self::len_of) than
    /// `max_bytes`. They keep their order.
    pub fn parts(&self, chosen: Range<usize>, max_bytes: usize) -> Parts {
        let empty = Size::new(self);
        let mut parts = Parts::default();
        let (mut part, mut size) = (Vec::new(), empty.clone());
        for index in chosen {
            let mut with = size.clone();
            with.add(self, index);
            if with.total() > max_bytes {
                with = empty.clone();
                with.add(self, index);
                if with.total() > max_bytes {
                    parts.oversize.push(index);
                    continue;
                }
                parts.fitting.push(std::mem::take(&mut part));
            }
            part.push(index);
            size = with;
        }
        parts.fitting.push(part);
        parts.fitting.retain(|part| !part.is_empty());
        parts
    }
}
