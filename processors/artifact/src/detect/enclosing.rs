//! The lists and arrays around a value: what is denied to one of them is denied to all in it.

use slimspan_proto::{Value, ValueKind};

use super::about;
use crate::pattern::Pattern;

/// The containers around the value that was asked about last, the outermost first.
#[derive(Debug, Default)]
pub(crate) struct Enclosing<'a>(Vec<Container<'a>>);

#[derive(Debug)]
struct Container<'a> {
    /// Where it ends.
    end: usize,
    /// Its key, or that of the list that the array is in which holds it.
    key: &'a [u8],
    denied: bool,
}

impl<'a> Enclosing<'a> {
    /// Whether what is in `value` may not be taken apart, or the value itself if it holds nothing,
    /// because of a key around it. Values come in the order of a walk.
    pub(crate) fn denies(&mut self, value: &Value<'a>, deny_keys: &[Pattern]) -> bool {
        let start = value.content.as_ptr().addr();
        while self.0.pop_if(|last| last.end <= start).is_some() {}
        let around = self.0.last();
        let denied = around.is_some_and(|around| around.denied);
        if !matches!(value.kind, ValueKind::Array | ValueKind::KeyValueList) {
            return denied;
        }
        // Keys can be long, and each element of an array has that of the array.
        let is_asked = around.is_some_and(|around| std::ptr::eq(around.key, value.key));
        let denied = denied || !is_asked && about::is_denied(value.key, b"", deny_keys);
        self.0.push(Container {
            end: start + value.content.len(),
            key: value.key,
            denied,
        });
        denied
    }
}
