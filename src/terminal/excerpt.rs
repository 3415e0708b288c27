use std::borrow::Cow;
use std::fmt::Write as _;

use bytesize::ByteSize;

/// How many bytes of a bytes value are shown.
const HEAD: usize = 16;

/// At most the first `limit` characters of `text`, and how much was left out.
pub fn excerpt(text: &str, limit: usize) -> Cow<'_, str> {
    let Some((end, _)) = text.char_indices().nth(limit) else {
        return Cow::Borrowed(text);
    };
    let (head, rest) = text.split_at(end);
    Cow::Owned(format!("{head}… ({} more)", ByteSize::b(rest.len() as u64)))
}

/// `text` with `…` in place of its middle where it is longer than `limit` characters: names that
/// begin alike often differ at their end.
pub fn middle_cut(text: &str, limit: usize) -> Cow<'_, str> {
    let count = text.chars().count();
    if count <= limit {
        return Cow::Borrowed(text);
    }
    let kept = limit.saturating_sub(1);
    let head = kept.div_ceil(2);
    let cut = text.chars().take(head).chain(['…']);
    Cow::Owned(
        cut.chain(text.chars().skip(count - (kept - head)))
            .collect(),
    )
}

/// How many bytes there are, and the first of them as hexadecimal digits.
pub fn bytes_excerpt(bytes: &[u8]) -> String {
    let head = bytes.get(..HEAD).unwrap_or(bytes);
    let more = if bytes.len() > HEAD { "…" } else { "" };
    format!("{} bytes {}{more}", bytes.len(), hex(head))
}

/// `bytes` as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(
        String::with_capacity(bytes.len() * 2),
        |mut digits, byte| {
            // Writing to a String cannot fail.
            let _ = write!(digits, "{byte:02x}");
            digits
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_characters() {
        assert_eq!(excerpt("äöü", 3), "äöü");
        assert_eq!(excerpt("äöü", 2), "äö… (2 B more)");
        assert_eq!(excerpt("", 0), "");
    }

    #[test]
    fn cuts_in_the_middle() {
        for (limit, cut) in [
            (8, "größe.ab"),
            (7, "grö….ab"),
            (6, "grö…ab"),
            (2, "g…"),
            (1, "…"),
        ] {
            assert_eq!(middle_cut("größe.ab", limit), cut);
        }
    }

    #[test]
    fn shows_the_first_bytes() {
        assert_eq!(
            bytes_excerpt(&[1; 17]),
            format!("17 bytes {}…", "01".repeat(16))
        );
        assert_eq!(bytes_excerpt(&[1, 2]), "2 bytes 0102");
    }

    #[test]
    fn hex_keeps_leading_zeros() {
        assert_eq!(hex(&[0, 10, 255]), "000aff");
    }
}
