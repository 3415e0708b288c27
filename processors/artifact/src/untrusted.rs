//! References that a sender wrote.
//!
//! A value that looks like one of our references is data like any other and must come back as it
//! was, yet nothing in its text tells it from a real one. So every such text is marked on the way
//! in by a word after its type, and the word is taken away on the way back: as many times as a
//! text was marked before, one more or one less.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem;

/// [`OPENING`](crate::reference::OPENING) without its last quote.
const STEM: &[u8] = br#"{"type":"artifact"#;

/// What a marked reference's type ends with.
pub(crate) const MARK: &[u8] = b".untrusted";

static FINDER: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(STEM));

/// A text that starts like a reference.
pub(crate) struct Opening {
    /// Where it starts.
    pub(crate) start: usize,
    /// Where a mark goes in.
    pub(crate) mark: usize,
    /// Whether a mark is there.
    pub(crate) marked: bool,
}

impl Opening {
    /// The mark, where there is one.
    pub(crate) fn range(&self) -> Range<usize> {
        self.mark..self.mark + MARK.len()
    }
}

/// Whether any text in `bytes` starts like a reference, marked or not.
pub(crate) fn any(bytes: &[u8]) -> bool {
    openings(bytes).next().is_some()
}

/// The texts that start like a reference, marked or not, in ascending order.
pub(crate) fn openings(bytes: &[u8]) -> impl Iterator<Item = Opening> {
    FINDER.find_iter(bytes).filter_map(|start| {
        let mark = start + STEM.len();
        let mut rest = bytes.get(mark..)?;
        let marked = rest.starts_with(MARK);
        while let Some(after) = rest.strip_prefix(MARK) {
            rest = after;
        }
        rest.starts_with(b"\"").then_some(Opening {
            start,
            mark,
            marked,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_how_a_text_starts() {
        let openings = |text: &str| -> Vec<(usize, bool)> {
            openings(text.as_bytes())
                .map(|opening| (opening.start, opening.marked))
                .collect()
        };
        assert_eq!(openings(r#"x {"type":"artifact","#), [(2, false)]);
        assert_eq!(openings(r#"{"type":"artifact.untrusted""#), [(0, true)]);
        assert_eq!(
            openings(r#"{"type":"artifact.untrusted.untrusted""#),
            [(0, true)]
        );
        assert_eq!(openings(r#"{"type":"artifactory"}"#), []);
        assert_eq!(openings(r#"{"type": "artifact"}"#), []);
    }
}
