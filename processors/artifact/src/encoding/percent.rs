//! Percent-encoding (RFC 3986, 2.1), of everything but letters and digits.

use std::fmt::Write as _;

/// `bytes` with `%XX` for all that is no letter or digit.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            // Writing to memory does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Undoes [`encode`], whatever else is encoded; `None` where a `%` has no two digits behind it.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            out.push(first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        rest = after;
        let digits = std::str::from_utf8(digits).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        out.push(u8::from_str_radix(digits, 16).ok()?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        let text = encode(&all);
        assert!(text.bytes().all(|c| c == b'%' || c.is_ascii_alphanumeric()));
        assert_eq!(decode(text.as_bytes()), Some(all));
        for text in ["%", "%2", "%+1", "%zz", "a%é"] {
            assert_eq!(decode(text.as_bytes()), None, "{text}");
        }
    }
}
