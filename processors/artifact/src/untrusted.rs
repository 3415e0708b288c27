//! References that a sender wrote.
//!
//! A value that is one of our references to the letter is data like any other and must come back
//! as it was, yet nothing in its text tells it from a real one. So every such text is marked on
//! the way in by a word after its type, and the word is taken away on the way back: as many times
//! as a text was marked before, one more or one less. Text that is only similar is nobody's
//! reference, and stays as it is.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem;

use crate::reference::Reference;

/// How every reference starts, without the last quote of its type.
const STEM: &[u8] = br#"{"type":"artifact"#;

/// What a marked reference's type ends with.
pub(crate) const MARK: &[u8] = b".untrusted";

/// The longest reference that is read: longer ones are nobody's.
const LONGEST: usize = 8 * 1024;

static FINDER: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(STEM));

/// A text that is a reference, marked or not.
pub(crate) struct Opening {
    /// All of it.
    pub(crate) range: Range<usize>,
    /// What it says, if it is not marked.
    pub(crate) reference: Option<Reference>,
}

impl Opening {
    /// Where a mark goes in.
    pub(crate) fn mark(&self) -> usize {
        self.range.start + STEM.len()
    }
}

/// Whether any text in `bytes` is a reference, marked or not.
pub(crate) fn any(bytes: &[u8]) -> bool {
    openings(bytes).next().is_some()
}

/// The texts that are references, marked or not, in ascending order.
pub(crate) fn openings(bytes: &[u8]) -> impl Iterator<Item = Opening> {
    FINDER.find_iter(bytes).filter_map(|start| {
        let mut rest = bytes.get(start + STEM.len()..)?;
        let mut marks = 0;
        while let Some(after) = rest.strip_prefix(MARK) {
            rest = after;
            marks += MARK.len();
        }
        if !rest.starts_with(br#"","sha256":""#) {
            return None;
        }
        let rest = rest.get(..LONGEST).unwrap_or(rest);
        let text = if marks == 0 {
            Cow::Borrowed(bytes.get(start..start + STEM.len() + rest.len())?)
        } else {
            Cow::Owned([STEM, rest].concat())
        };
        let (reference, len) = Reference::parse(&text)?;
        Some(Opening {
            range: start..start + len + marks,
            reference: (marks == 0).then_some(reference),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: &str = r#"","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","content_type":"image/png","size_bytes":3,"uri":"memory:/ba7816","encoding":"base64"}"#;

    #[test]
    fn only_what_is_a_reference_to_the_letter_is_one() {
        let openings = |text: &str| -> Vec<(Range<usize>, bool)> {
            openings(text.as_bytes())
                .map(|opening| (opening.range, opening.reference.is_some()))
                .collect()
        };
        let stem = r#"{"type":"artifact"#;
        let real = format!("{stem}{REST}");
        let marked = format!("{stem}.untrusted.untrusted{REST}");
        assert_eq!(openings(&real), [(0..real.len(), true)]);
        assert_eq!(openings(&marked), [(0..marked.len(), false)]);
        let two = format!("x {real}{marked}y");
        let first = 2 + real.len();
        assert_eq!(
            openings(&two),
            [(2..first, true), (first..first + marked.len(), false)]
        );
        for text in [
            r#"{"type":"artifact","title":"my chart"}"#.to_owned(),
            format!("{stem}ory{REST}"),
            real.replace(":3,", ": 3,"),
            real.replace("memory:/ba7816", &"x".repeat(LONGEST)),
            real[..real.len() - 1].to_owned(),
        ] {
            assert_eq!(openings(&text), [], "{text}");
        }
    }
}
