//! Bytes as Python prints them: `repr(b)`, with or without the `b'` and `'` around it.

use super::Codec;

/// Reads what Python printed for bytes; `None` where Python would have printed the bytes
/// differently. Text that holds nothing but ASCII without escapes is no bytes literal but text,
/// unless it is quoted as one.
pub(crate) fn read(text: &[u8]) -> Option<(Vec<u8>, Codec)> {
    let quoted = text.starts_with(b"b'") || text.starts_with(b"b\"");
    let inner = if quoted {
        text.get(2..text.len().checked_sub(1)?)?
    } else {
        text
    };
    let bytes = unescape(inner)?;
    let codec = Codec::PythonRepr { quoted };
    (codec.encode(&bytes) == text).then_some((bytes, codec))
}

/// The bytes at the start of a literal, for a look at what they are.
pub(crate) fn head(text: &[u8]) -> Vec<u8> {
    let inner = text
        .strip_prefix(b"b'")
        .or_else(|| text.strip_prefix(b"b\""))
        .unwrap_or(text);
    // No escape is longer than four characters, so cutting may lose the last few bytes only.
    let inner = inner.get(..256).unwrap_or(inner);
    (0..4)
        .find_map(|cut| unescape(inner.get(..inner.len().checked_sub(cut)?)?))
        .unwrap_or_default()
}

fn unescape(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&c) = rest.next() {
        bytes.push(match c {
            b'\\' => match rest.next()? {
                b't' => b'\t',
                b'n' => b'\n',
                b'r' => b'\r',
                b'x' => nibble(*rest.next()?)? << 4 | nibble(*rest.next()?)?,
                c @ (b'\\' | b'\'') => *c,
                _ => return None,
            },
            b' '..=b'~' => c,
            _ => return None,
        });
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// `bytes` as Python prints them (`bytes.__repr__`): in single quotes, unless there are single
/// quotes and no double quotes in them.
pub(super) fn repr(bytes: &[u8], quoted: bool) -> Vec<u8> {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let double = bytes.contains(&b'\'') && !bytes.contains(&b'"');
    let quote = if double { b'"' } else { b'\'' };
    let mut out = Vec::with_capacity(bytes.len() * 3 + 3);
    if quoted {
        out.extend_from_slice(&[b'b', quote]);
    }
    for &byte in bytes {
        match byte {
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\'' if !double => out.extend_from_slice(b"\\'"),
            b' '..=b'~' => out.push(byte),
            _ => {
                let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or_default();
                out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    if quoted {
        out.push(quote);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_python_does() {
        // Each pair was printed by CPython 3.11.
        for (bytes, printed) in [
            (&b""[..], "b''"),
            (b"a\t\n\r\\\x00\x7f\xff~", r"b'a\t\n\r\\\x00\x7f\xff~'"),
            (b"it's", r#"b"it's""#),
            (b"say \"it's\"", r#"b'say "it\'s"'"#),
            (b"say \"it\"", r#"b'say "it"'"#),
        ] {
            assert_eq!(repr(bytes, true), printed.as_bytes());
            let quoted = Codec::PythonRepr { quoted: true };
            assert_eq!(read(printed.as_bytes()), Some((bytes.to_vec(), quoted)));
            let inner = &printed[2..printed.len() - 1];
            let unquoted = Codec::PythonRepr { quoted: false };
            assert_eq!(read(inner.as_bytes()), Some((bytes.to_vec(), unquoted)));
        }
    }

    #[test]
    fn nothing_is_read_that_python_would_print_differently() {
        for text in [
            r"b'",
            r"b'a",
            r#"b'a""#,
            r"b'\x0'",
            r"b'\xFF'",
            r"b'\u0041'",
            r"b'\x41'",
            r"b'\0'",
            r#"b"a""#,
            r"b'it's'",
            "b'\n'",
            "b'ä'",
            r"b'a' ",
            r"B'a'",
            r"b'\'",
        ] {
            let read = read(text.as_bytes());
            let quoted = Codec::PythonRepr { quoted: true };
            assert!(read.is_none_or(|(_, codec)| codec != quoted), "{text}");
        }
    }

    #[test]
    fn the_head_may_be_cut_anywhere() {
        let bytes: Vec<u8> = (0..200).collect();
        let text = repr(&bytes, true);
        for len in 20..text.len() {
            let head = head(&text[..len]);
            assert!(head.len() > 3 && bytes.starts_with(&head), "{len}");
        }
    }
}
