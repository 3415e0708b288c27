//! Whether it is worth reading a text: most hold no file of any kind.

use std::sync::LazyLock;

use memchr::memchr2;
use memchr::memmem::Finder;

/// Bytes that are looked at in one place: more than words and numbers are long.
pub(super) const WINDOW: usize = 32;

/// Whether there may be a file in `text`, in any shape and however the text is escaped.
pub(super) fn may_hold_file(text: &[u8], base64_len: usize) -> bool {
    may_hold_base64(text, base64_len)
        || text.starts_with(b"b'")
        || text.starts_with(b"b\"")
        // All other shapes have one of these.
        || memchr2(b'\\', b'"', text).is_some()
            && (PYTHON_ESCAPE.find(text).is_some()
                || PYTHON_LITERAL.find(text).is_some()
                || BUFFER.find(text).is_some()
                || may_hold_index_object(text))
}

/// Whether `text` may have a run of at least `min_len` characters of base64 in it. Most texts have
/// none, and to look in places as far apart as such a run is long costs nothing beside reading
/// them.
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

/// What Python prints for bytes that it need not escape, as a string in JSON.
static PYTHON_LITERAL: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"b'"));

/// Hardly any file is without bytes that Python escapes.
static PYTHON_ESCAPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\\x"));

/// What every Node.js buffer begins with.
static BUFFER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"Buffer"));

/// The first key of an index object.
static FIRST_INDEX: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"0"));

/// Whether there is a key `0`, with or without backslashes in front of its quotes.
fn may_hold_index_object(text: &[u8]) -> bool {
    FIRST_INDEX.find_iter(text).any(|at| {
        let after = text.get(at + 2..).unwrap_or_default();
        let mut after = after.iter().skip_while(|c| **c == b'\\');
        after.next() == Some(&b'"') && after.next() == Some(&b':')
    })
}

/// Base64, and what breaks it into lines, escapes it in JSON or in URLs.
fn in_run(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_=\\%\r\n".contains(&byte)
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
    fn a_run_is_seen_with_what_breaks_it() {
        for broken in [
            r"AAAAAAA\/AAAAAA\u002B",
            "AAAAAAAAAAAAAAAAAAAAA\n",
            "AAAA%2F",
        ] {
            let text = format!(" {} ", broken.repeat(40));
            assert!(may_hold_base64(text.as_bytes(), 200), "{broken}");
        }
    }

    #[test]
    fn numbers_are_seen_at_any_depth() {
        for (text, expected) in [
            (r#"{"0":137,"1":80}"#, true),
            (r#""{\"0\":137}""#, true),
            (r#""{\\\"0\\\":137}""#, true),
            (r#"{"type":"Buffer","data":[]}"#, true),
            (r#"{"01":1,"a":"0"}"#, false),
        ] {
            assert_eq!(may_hold_file(text.as_bytes(), 10_000), expected, "{text}");
        }
    }

    #[test]
    fn prose_holds_none() {
        let prose = b"words, and \"quoted words\", ".repeat(1_000);
        assert!(!may_hold_base64(&prose, 200));
    }
}
