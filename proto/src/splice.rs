use std::ops::Range;

use crate::wire::{MAX_VARINT_WIDTH, Malformed, Reason, varint_width, write_varint};

/// Replacements of ranges of a request, with the lengths around them.
///
/// Both lists are in the order of the request, because they are filled while it is walked from
/// front to back. One pass backwards adds up what each length changes by, one pass forwards
/// writes the result.
#[derive(Debug, Default)]
pub struct Splice {
    lengths: Vec<Length>,
    edits: Vec<Edit>,
}

/// The length prefix of a message that holds an edit.
#[derive(Debug)]
struct Length {
    prefix: Range<usize>,
    body: usize,
    parent: Option<LengthId>,
    /// By how much the body grows, once the edits in it are known.
    growth: isize,
}

#[derive(Debug)]
struct Edit {
    range: Range<usize>,
    with: Vec<u8>,
    within: Option<LengthId>,
}

/// A length prefix that was announced to the splice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LengthId(usize);

impl Splice {
    /// Whether the request stays as it is.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The parts of the request that no replacement touches, in order.
    pub fn untouched<'a>(&'a self, request: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let starts = std::iter::once(0).chain(self.edits.iter().map(|edit| edit.range.end));
        let ends = self.edits.iter().map(|edit| edit.range.start);
        starts
            .zip(ends.chain(std::iter::once(request.len())))
            .filter_map(|(start, end)| request.get(start..end))
    }

    /// Announces the length prefix at `prefix`, which stands before `body` bytes. The prefix around
    /// it must have been announced before.
    pub(crate) fn enclose(
        &mut self,
        parent: Option<LengthId>,
        prefix: Range<usize>,
        body: usize,
    ) -> LengthId {
        debug_assert!(
            self.lengths
                .last()
                .is_none_or(|last| last.prefix.end <= prefix.start)
        );
        self.lengths.push(Length {
            prefix,
            body,
            parent,
            growth: 0,
        });
        LengthId(self.lengths.len() - 1)
    }

    /// Replaces `range`, which must lie behind every range replaced before.
    pub(crate) fn replace(&mut self, within: Option<LengthId>, range: Range<usize>, with: Vec<u8>) {
        debug_assert!(
            self.edits
                .last()
                .is_none_or(|last| last.range.end <= range.start)
        );
        self.edits.push(Edit {
            range,
            with,
            within,
        });
    }

    /// The request with every range replaced and every length around them right again.
    ///
    /// A length that was written longer than it needed to be keeps its surplus bytes, so that
    /// undoing the replacements gives the first request byte for byte. A replacement that makes a
    /// message longer can leave no room for them, and is refused.
    pub fn apply(mut self, request: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut size = request.len().cast_signed();
        for index in 0..self.edits.len() {
            let Some(edit) = self.edits.get(index) else {
                break;
            };
            let growth = edit.with.len().cast_signed() - edit.range.len().cast_signed();
            size += growth;
            self.grow(edit.within, growth);
        }
        // Children were announced after their parents, so backwards is bottom-up.
        for index in (0..self.lengths.len()).rev() {
            let Some(length) = self.lengths.get(index) else {
                break;
            };
            if length.new_width() > MAX_VARINT_WIDTH {
                return Err(Reason::Overlong.at(length.prefix.start));
            }
            let growth = length.new_width().cast_signed() - length.prefix.len().cast_signed();
            size += growth;
            self.grow(length.parent, length.growth + growth);
        }

        let mut out = Vec::with_capacity(size.unsigned_abs());
        let mut copied = 0;
        let mut lengths = self.lengths.iter().peekable();
        for edit in &self.edits {
            while let Some(length) =
                lengths.next_if(|length| length.prefix.start <= edit.range.start)
            {
                copy(&mut out, request, copied..length.prefix.start);
                write_varint(&mut out, length.new_body() as u64, length.new_width());
                copied = length.prefix.end;
            }
            copy(&mut out, request, copied..edit.range.start);
            out.extend_from_slice(&edit.with);
            copied = edit.range.end;
        }
        copy(&mut out, request, copied..request.len());
        Ok(out)
    }

    fn grow(&mut self, length: Option<LengthId>, by: isize) {
        if let Some(length) = length.and_then(|LengthId(index)| self.lengths.get_mut(index)) {
            length.growth += by;
        }
    }
}

impl Length {
    fn new_body(&self) -> usize {
        self.body.saturating_add_signed(self.growth)
    }

    fn new_width(&self) -> usize {
        let surplus = self.prefix.len() - varint_width(self.body as u64);
        varint_width(self.new_body() as u64) + surplus
    }
}

fn copy(out: &mut Vec<u8>, request: &[u8], range: Range<usize>) {
    out.extend_from_slice(request.get(range).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixes_every_length_around_a_replacement() {
        // field 1 { field 2 { "aaaa" } "z" }, the inner length in two bytes
        let request = [0x0a, 9, 0x12, 0x84, 0x00, b'a', b'a', b'a', b'a', 0x18, 1];
        let mut splice = Splice::default();
        let outer = splice.enclose(None, 1..2, 9);
        let inner = splice.enclose(Some(outer), 3..5, 4);
        splice.replace(Some(inner), 5..9, b"b".to_vec());
        assert_eq!(
            splice.apply(&request).unwrap(),
            [0x0a, 6, 0x12, 0x81, 0x00, b'b', 0x18, 1]
        );
    }

    #[test]
    fn a_length_may_need_more_bytes_than_before() {
        let request = [0x0a, 3, 0x12, 1, b'a'];
        let mut splice = Splice::default();
        let outer = splice.enclose(None, 1..2, 3);
        let inner = splice.enclose(Some(outer), 3..4, 1);
        splice.replace(Some(inner), 4..5, vec![b'b'; 126]);
        let spliced = splice.apply(&request).unwrap();
        assert_eq!(spliced[..5], [0x0a, 0x80, 0x01, 0x12, 126]);
        assert_eq!(spliced.len(), 5 + 126);
    }

    #[test]
    fn surplus_bytes_are_never_lost_unsaid() {
        let mut request = vec![0x0a, 0x81];
        request.extend_from_slice(&[0x80; 8]);
        request.extend_from_slice(&[0x00, b'a']);
        for (len, fits) in [(127, true), (128, false)] {
            let mut splice = Splice::default();
            let length = splice.enclose(None, 1..11, 1);
            splice.replace(Some(length), 11..12, vec![b'b'; len]);
            let error = splice.apply(&request).err();
            assert_eq!(error, (!fits).then(|| Reason::Overlong.at(1)));
        }
    }
}
