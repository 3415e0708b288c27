use memchr::memchr;

/// The text of a JSON string in which nothing is escaped but quotes and backslashes, which
/// restoring writes the same way again.
pub(super) fn unescape(content: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = memchr(b'\\', rest) {
        text.extend_from_slice(rest.get(..at)?);
        let escaped = *rest.get(at + 1)?;
        if !matches!(escaped, b'"' | b'\\') {
            return None;
        }
        text.push(escaped);
        rest = rest.get(at + 2..)?;
    }
    text.extend_from_slice(rest);
    Some(text)
}
