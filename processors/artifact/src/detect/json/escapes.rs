//! The text of a JSON string, and where each of its characters stands in the string.

use memchr::memchr;

/// The text of the JSON string with the given content. What is no escape stays as it is, and half
/// of a surrogate pair becomes a replacement character, so that every string has a text.
pub(super) fn unescape(content: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        text.extend_from_slice(plain);
        let (len, character) = read(escape);
        let mut utf8 = [0; 4];
        text.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
        rest = escape.get(len..).unwrap_or_default();
    }
    text.extend_from_slice(rest);
    text
}

/// Where the characters at `places` of the text, in ascending order, stand in the content.
pub(super) fn origins(content: &[u8], places: &[usize]) -> Vec<usize> {
    let mut origins = Vec::with_capacity(places.len());
    let mut places = places.iter().peekable();
    // The same place in the text and in the content.
    let (mut text, mut at) = (0, 0);
    let mut rest = content;
    while places.peek().is_some() {
        let plain = memchr(b'\\', rest).unwrap_or(rest.len());
        while let Some(place) = places.next_if(|place| **place <= text + plain) {
            origins.push(at + (place - text));
        }
        let escape = rest.get(plain..).unwrap_or_default();
        if escape.is_empty() {
            // Nothing is beyond the end.
            origins.extend(places.by_ref().map(|_| content.len()));
            break;
        }
        let (len, character) = read(escape);
        text += plain + character.len_utf8();
        at += plain + len;
        rest = escape.get(len..).unwrap_or_default();
    }
    origins
}

/// The escape at the start of `text`: its length, and what it stands for.
fn read(text: &[u8]) -> (usize, char) {
    let plain = match text.get(1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unicode(text),
        _ => return (1, '\\'),
    };
    (2, plain)
}

fn unicode(text: &[u8]) -> (usize, char) {
    let Some(first) = unit(text) else {
        return (1, '\\');
    };
    if let Some(character) = char::from_u32(first) {
        return (6, character);
    }
    let second = text.get(6..).and_then(unit);
    match second {
        Some(second) if first < 0xdc00 && (0xdc00..0xe000).contains(&second) => {
            let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            (
                12,
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
            )
        }
        _ => (6, char::REPLACEMENT_CHARACTER),
    }
}

/// The number in `\uXXXX` at the start of `text`.
fn unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(br"\u")?.get(..4)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unescapes_as_json_does() {
        for content in [
            "",
            "plain",
            r#"\"\\\/\b\f\n\r\t"#,
            r"\u0041\u00e9\u20ac\ud83d\ude00 end",
            r"a\u003D\u003d",
        ] {
            let expected: String = serde_json::from_str(&format!("\"{content}\"")).unwrap();
            assert_eq!(
                unescape(content.as_bytes()),
                expected.as_bytes(),
                "{content}"
            );
        }
    }

    #[test]
    fn every_string_has_a_text() {
        for (content, expected) in [
            (r"\", r"\"),
            (r"\x\u12", r"\x\u12"),
            (r"\ud83d!", "\u{fffd}!"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
            (r"\u+123", r"\u+123"),
        ] {
            let text = unescape(content.as_bytes());
            assert_eq!(String::from_utf8(text).unwrap(), expected, "{content}");
        }
    }

    #[test]
    fn every_character_is_found_again() {
        let content = r#"ab\/c\u003d\\é\ud83d\ude00\"z"#;
        let text = String::from_utf8(unescape(content.as_bytes())).unwrap();
        let places: Vec<usize> = text
            .char_indices()
            .map(|(at, _)| at)
            .chain([text.len()])
            .collect();
        let origins = origins(content.as_bytes(), &places);
        assert_eq!(origins.len(), places.len());
        for (pair, plain) in origins.windows(2).zip(text.chars()) {
            let written = &content[pair[0]..pair[1]];
            let read: String = serde_json::from_str(&format!("\"{written}\"")).unwrap();
            assert_eq!(read, plain.to_string());
        }
        assert_eq!(origins.last(), Some(&content.len()));
    }
}
