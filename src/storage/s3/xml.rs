//! As much of XML as the answers of S3 have: elements without attributes, and none in one of its own name.

/// What stands in the elements of this name.
pub(super) fn elements<'t>(text: &'t str, name: &str) -> impl Iterator<Item = &'t str> {
    let (opens, closes) = (format!("<{name}>"), format!("</{name}>"));
    let mut left = text;
    std::iter::from_fn(move || {
        let (_, rest) = left.split_once(&opens)?;
        let (element, rest) = rest.split_once(&closes)?;
        left = rest;
        Some(element)
    })
}

/// What stands in the first of them.
pub(super) fn first<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    elements(text, name).next()
}

/// The text in the first of them, as it was before it was written as XML.
pub(super) fn text(within: &str, name: &str) -> Option<String> {
    let written = first(within, name)?;
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
        // The last, or what it comes to would be taken for another.
        ("&amp;", "&"),
    ];
    let mut text = written.to_owned();
    for (entity, character) in entities {
        text = text.replace(entity, character);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_what_it_was() {
        let xml = "<Key>a&amp;lt;b&lt;c</Key><Key>d</Key>";
        assert_eq!(text(xml, "Key").as_deref(), Some("a&lt;b<c"));
        assert_eq!(text(xml, "Id"), None);
        assert_eq!(elements(xml, "Key").count(), 2);
        assert_eq!(first("<Key>never ends", "Key"), None);
    }
}
