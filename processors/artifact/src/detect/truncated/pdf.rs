//! PDF (ISO 32000-1, 7.5).

use memchr::memmem;

/// Whether no mark stands at the end, or only one that is none of the file's: that of its first
/// part, where it was written to be read from the front or was changed later, or that of a file
/// in it.
pub(super) fn is_cut(bytes: &[u8]) -> Option<bool> {
    const MARK: &[u8] = b"%%EOF";
    let head = bytes.get(..4096).unwrap_or(bytes);
    memmem::find(head, b" obj")?;
    let Some(mark) = memmem::rfind(bytes, MARK) else {
        return Some(true);
    };
    let rest = bytes.get(mark + MARK.len()..)?.trim_ascii_start();
    let goes_on = [&b"endstream"[..], b"%PDF-"]
        .iter()
        .any(|text| rest.starts_with(text));
    Some(goes_on || begins_object(rest))
}

/// Whether the text begins like `12 0 obj`.
fn begins_object(text: &[u8]) -> bool {
    let number = |text: &[u8]| text.iter().take_while(|c| c.is_ascii_digit()).count();
    let Some((first, rest)) = text.split_at_checked(number(text)) else {
        return false;
    };
    let rest = rest.strip_prefix(b" ").unwrap_or_default();
    let Some((second, rest)) = rest.split_at_checked(number(rest)) else {
        return false;
    };
    !first.is_empty() && !second.is_empty() && rest.starts_with(b" obj")
}
