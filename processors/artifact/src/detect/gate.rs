use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::encoding::Numbers;

/// Bytes that are looked at in one place: more than words and numbers are long.
const WINDOW: usize = 32;

/// Whether it is worth reading `text`: most texts hold no file of any kind.
pub(super) fn may_hold_file(text: &[u8], base64_len: usize) -> bool {
    may_hold_base64(text, base64_len)
        || PYTHON_ESCAPE.find(text).is_some()
        || NUMBERS.iter().any(|opening| opening.find(text).is_some())
}

/// Whether `text` may have a run of at least `min_len` characters of base64 in it, without
/// escapes. Most texts have none, and to look in places as far apart as such a run is long costs
/// nothing beside reading them.
fn may_hold_base64(text: &[u8], min_len: usize) -> bool {
    if text.len() < min_len {
        return false;
    }
    let Some(step) = min_len.checked_sub(WINDOW).filter(|step| *step > 0) else {
        return true;
    };
    (0..text.len())
        .step_by(step)
        .filter_map(|at| text.get(at..at + WINDOW))
        .any(|window| window.iter().copied().all(in_run))
}

/// No file is without bytes that Python escapes, with a backslash that JSON escapes again.
static PYTHON_ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\\\x"));

static NUMBERS: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| Numbers::OPENINGS.map(Finder::new));

fn in_run(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_seen_wherever_it_stands() {
        for before in 0..300 {
            let text = [vec![b' '; before], vec![b'A'; 200], vec![b'"'; 100]].concat();
            assert!(may_hold_base64(&text, 200), "after {before}");
        }
    }

    #[test]
    fn prose_holds_none() {
        let prose = b"words, and \"quoted words\", ".repeat(1_000);
        assert!(!may_hold_base64(&prose, 200));
    }
}
