//! Runs of base64 characters.

/// Whether base64 of either alphabet has the character; padding is none.
pub(super) fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// The length of the run at the start of `text`, with up to two characters of padding.
pub(super) fn len(text: &[u8]) -> usize {
    let mut digits = 0;
    // Blocks first: checking one has no branches.
    while let Some(block) = text.get(digits..digits + 64) {
        if !block.iter().fold(true, |all, byte| all & is_digit(*byte)) {
            break;
        }
        digits += 64;
    }
    let rest = text.get(digits..).unwrap_or_default();
    digits += rest.iter().take_while(|byte| is_digit(**byte)).count();
    let rest = text.get(digits..).unwrap_or_default();
    digits
        + rest
            .iter()
            .take(2)
            .take_while(|byte| **byte == b'=')
            .count()
}

/// The length of the stretch at the start of `text` of base64, line breaks and percent-escapes.
pub(super) fn broken_len(text: &[u8]) -> usize {
    let may = |byte: &&u8| is_digit(**byte) || matches!(**byte, b'=' | b'%' | b'\r' | b'\n');
    text.iter().take_while(may).count()
}

/// The length of the stretch at the start of `text` of base64 and padding in any order.
pub(super) fn padded_len(text: &[u8]) -> usize {
    let may = |byte: &&u8| is_digit(**byte) || **byte == b'=';
    text.iter().take_while(may).count()
}

/// How many characters before `at` belong to the run there, not going back beyond `from`.
pub(super) fn len_before(text: &[u8], from: usize, at: usize) -> usize {
    let before = text.get(from..at).unwrap_or_default();
    before
        .iter()
        .rev()
        .take_while(|byte| is_digit(**byte))
        .count()
}

/// How far back the beginning of a URL is looked for.
const LONGEST_URL: usize = 2048;

/// Whether what starts at `at` is a part of a URL: those belong to somebody, and are left alone.
pub(super) fn is_in_url(text: &[u8], at: usize) -> bool {
    let before = text
        .get(at.saturating_sub(LONGEST_URL)..at)
        .unwrap_or_default();
    let ends = |c: &u8| c.is_ascii_whitespace() || b"\"'<>()[]{}\\|`".contains(c);
    let start = before.iter().rposition(ends).map_or(0, |end| end + 1);
    let before = before.get(start..).unwrap_or_default();
    memchr::memmem::find(before, b"://").is_some()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_url_reaches_back_to_what_cannot_be_in_one() {
        for (text, is) in [
            ("https://example.com/x?img=", true),
            ("see s3://bucket/", true),
            ("see (https://example.com) ", false),
            ("![](", false),
            ("url: ", false),
            ("", false),
        ] {
            assert_eq!(is_in_url(text.as_bytes(), text.len()), is, "{text}");
        }
    }

    use super::*;

    #[test]
    fn a_run_ends_with_its_first_padding() {
        for (text, expected) in [
            ("", 0),
            ("aGk=", 4),
            ("aGk==", 5),
            ("aGk===", 5),
            ("aGk=aGk=", 4),
            ("a-_+/Z9.", 7),
            ("=a", 1),
            ("\"", 0),
        ] {
            assert_eq!(len(text.as_bytes()), expected, "{text}");
        }
        for digits in [0, 1, 63, 64, 65, 127, 128, 129, 1000] {
            let text = format!("{}=\"", "a".repeat(digits));
            assert_eq!(len(text.as_bytes()), digits + 1);
        }
    }

    #[test]
    fn a_run_is_followed_back_to_its_start() {
        assert_eq!(len_before(b"x'abcd", 0, 6), 4);
        assert_eq!(len_before(b"abcd", 1, 4), 3);
        assert_eq!(len_before(b"abcd", 0, 0), 0);
    }
}
