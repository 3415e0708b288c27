//! Messages whose lengths are known only when they end.

use crate::wire::{varint_width, write_varint};

/// The wire form, with the lengths of messages left out until all of it is there: then what is
/// behind the first of them moves once.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    lengths: Vec<Length>,
    /// What the lengths of closed messages will take.
    widths: usize,
}

/// A length that is missing.
#[derive(Debug)]
struct Length {
    at: usize,
    value: usize,
}

/// A message that has not ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    /// Where its tag is.
    start: usize,
    length: usize,
    widths: usize,
}

impl Output {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    pub(super) fn tag(&mut self, number: u32, wire_type: u8) {
        self.varint(u64::from(number) << 3 | u64::from(wire_type));
    }

    pub(super) fn varint(&mut self, value: u64) {
        write_varint(&mut self.bytes, value, varint_width(value));
    }

    pub(super) fn open(&mut self, number: u32) -> Open {
        let open = Open {
            start: self.bytes.len(),
            length: self.lengths.len(),
            widths: self.widths,
        };
        self.tag(number, 2);
        self.lengths.push(Length {
            at: self.bytes.len(),
            value: 0,
        });
        open
    }

    pub(super) fn close(&mut self, open: Open) {
        if let Some(length) = self.lengths.get_mut(open.length) {
            length.value = self.bytes.len() - length.at + (self.widths - open.widths);
            self.widths += varint_width(length.value as u64);
        }
    }

    /// As if it had not been opened.
    pub(super) fn discard(&mut self, open: Open) {
        self.bytes.truncate(open.start);
        self.lengths.truncate(open.length);
        self.widths = open.widths;
    }

    /// Whether nothing was written into it.
    pub(super) fn is_empty(&self, open: Open) -> bool {
        self.lengths
            .get(open.length)
            .is_none_or(|length| length.at == self.bytes.len())
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let mut from = self.bytes.len();
        let mut to = from + self.widths;
        self.bytes.resize(to, 0);
        let mut varint = Vec::with_capacity(10);
        for length in self.lengths.iter().rev() {
            self.bytes
                .copy_within(length.at..from, to - (from - length.at));
            to -= from - length.at;
            from = length.at;
            varint.clear();
            let value = length.value as u64;
            write_varint(&mut varint, value, varint_width(value));
            to -= varint.len();
            if let Some(place) = self.bytes.get_mut(to..to + varint.len()) {
                place.copy_from_slice(&varint);
            }
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_come_before_what_they_measure() {
        let mut output = Output::default();
        let outer = output.open(1);
        let inner = output.open(2);
        output.bytes.extend(vec![7; 200]);
        output.close(inner);
        let gone = output.open(3);
        let too = output.open(4);
        output.bytes.push(9);
        output.close(too);
        output.discard(gone);
        let empty = output.open(5);
        assert!(output.is_empty(empty));
        output.close(empty);
        output.close(outer);
        let expected = [
            &[0x0a, 0xcd, 0x01, 0x12, 0xc8, 0x01][..],
            &[7; 200],
            &[0x2a, 0],
        ]
        .concat();
        assert_eq!(output.finish(), expected);
    }
}
