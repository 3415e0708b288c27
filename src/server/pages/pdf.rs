//! What a PDF says of itself, as far as that shows without unpacking anything in it.

use super::words::grouped;

/// Of a longer one nothing is looked for.
pub(super) const LONGEST: u64 = 8 << 20;

/// The version of the format, the number of pages, and whether it wants a password, in words.
pub(super) fn facts(file: &[u8]) -> String {
    let version = file
        .strip_prefix(b"%PDF-")
        .and_then(|rest| rest.get(..3))
        .filter(|version| matches!(version, [b'0'..=b'9', b'.', b'0'..=b'9']))
        .map(|version| String::from_utf8_lossy(version).into_owned());
    let mut told = match version {
        Some(version) => format!("PDF {version}"),
        None => "PDF".to_owned(),
    };
    match pages(file) {
        Some(1) => told.push_str(", 1 page"),
        Some(pages) => {
            told.push_str(", ");
            told.push_str(&grouped(pages));
            told.push_str(" pages");
        }
        None => {}
    }
    if names(file, b"/Encrypt").next().is_some() {
        told.push_str(", encrypted");
    }
    told.push('.');
    told
}

/// Where objects are packed, only a file that is made for the web says how many pages there are.
fn pages(file: &[u8]) -> Option<u64> {
    let beginning = file.get(..1024).unwrap_or(file);
    if let Some(after) = names(beginning, b"/Linearized").next() {
        let count = names(after, b"/N").find_map(number);
        if count.is_some() {
            return count;
        }
    }
    if names(file, b"/ObjStm").next().is_some() {
        return None;
    }
    let types = names(file, b"/Type");
    let pages = types.filter(|after| {
        let value = after.trim_ascii_start();
        value
            .strip_prefix(b"/Page")
            .is_some_and(|after| !is_within(after))
    });
    Some(pages.count() as u64).filter(|pages| *pages > 0)
}

/// What stands behind each occurrence of a name.
fn names<'f>(file: &'f [u8], name: &'static [u8]) -> impl Iterator<Item = &'f [u8]> {
    let mut left = file;
    std::iter::from_fn(move || {
        loop {
            let at = left.iter().position(|byte| *byte == b'/')?;
            let found = left.get(at..)?;
            left = found.get(1..)?;
            if let Some(after) = found.strip_prefix(name)
                && !is_within(after)
            {
                return Some(after);
            }
        }
    })
}

/// Whether a name goes on.
fn is_within(after: &[u8]) -> bool {
    after.first().is_some_and(u8::is_ascii_alphanumeric)
}

fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let end = text.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(text.get(..end)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_counted_where_they_show() {
        for (file, told) in [
            (&b"%PDF-1.7\n<< /Type /Pages /Count 2 >> << /Type /Page >> << /Type/Page/Parent 1 0 R >>"[..], "PDF 1.7, 2 pages."),
            (b"%PDF-1.4\n<</Type/Page>>", "PDF 1.4, 1 page."),
            (b"%PDF-1.5\n<</Linearized 1/L 9/N 1234/O 1>> <</Type/ObjStm>>", "PDF 1.5, 1,234 pages."),
            (b"%PDF-1.5\n<</Type /ObjStm>> <</Type/Page>>", "PDF 1.5."),
            (b"%PDF-2.0\n<</Type/Page>> trailer <</Encrypt 5 0 R>>", "PDF 2.0, 1 page, encrypted."),
            (b"%PDF-1.5\n<</Linearized 1/N x>>", "PDF 1.5."),
            (b"%PDF-<b>\n/Type /PageLabel /EncryptMetadata", "PDF."),
            (b"%PDF-", "PDF."),
            (b"", "PDF."),
        ] {
            let found = facts(file);
            assert_eq!(found, told, "{}", String::from_utf8_lossy(file));
        }
    }
}
