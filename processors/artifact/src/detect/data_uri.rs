//! Data URIs (RFC 2397) with a base64 payload, whole and in texts.

use memchr::memchr;
use memchr::memmem::Finder;

use super::found::{Found, Payload};
use super::{About, Scanner, base64_run, runs};
use crate::encoding::{Base64Text, percent};

/// Everything up to and including the comma. Longer ones are nobody's, and would make references
/// that are not small.
const MAX_PREFIX: usize = 256;

const SCHEME: &[u8] = b"data:";

/// A text that is one data URI.
pub(super) fn whole(scanner: &mut Scanner<'_>, text: &[u8], about: &About) -> Option<Found> {
    if !starts(text) || text.len() < scanner.base64_len() {
        return None;
    }
    let header = Header::read(text)?;
    let payload = text.get(header.len..)?;
    let found = read(scanner, payload, true);
    if found.is_none() && runs::len(payload) == payload.len() {
        scanner.note_cut(payload);
    }
    let (payload, specials) = found?;
    if !scanner.is_whole(&payload.content) {
        return None;
    }
    let label = header.media_type.or(about.label.as_deref());
    let mut found = Found::new(0..text.len(), payload, label);
    found.payload = header.len;
    found.rewritten = specials.is_some();
    found.specials = shift(specials.unwrap_or_default(), header.len);
    Some(found)
}

/// The data URIs in `text`, which is longer than they are.
pub(super) fn within(scanner: &mut Scanner<'_>, text: &[u8]) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let mut end = 0;
    let mut commas: Vec<usize> = [&b"base64,"[..], b"BASE64,"]
        .iter()
        .flat_map(|marker| {
            let finder = Finder::new(marker);
            finder
                .find_iter(text)
                .map(|at| at + marker.len())
                .collect::<Vec<_>>()
        })
        .collect();
    commas.sort_unstable();
    for comma in commas {
        let Some(start) = start_before(text, end, comma) else {
            continue;
        };
        let rest = text.get(start..).unwrap_or_default();
        let Some(header) = Header::read(rest).filter(|header| start + header.len == comma) else {
            continue;
        };
        let payload = text.get(comma..).unwrap_or_default();
        let Some((len, payload, specials)) = read_start(scanner, payload) else {
            let run = payload.get(..runs::len(payload)).unwrap_or_default();
            if run.len() == payload.len() {
                scanner.note_cut(run);
            }
            continue;
        };
        let stop = comma + len;
        if start != end && runs::is_in_url(text, start) {
            continue;
        }
        if !scanner.is_whole_within(&payload.content, stop == text.len()) {
            continue;
        }
        let mut one = Found::new(start..stop, payload, header.media_type);
        one.payload = comma;
        one.file_name = header.name;
        one.rewritten = specials.is_some();
        one.specials = shift(specials.unwrap_or_default(), comma);
        found.push(one);
        end = stop;
    }
    found
}

type Specials = Vec<(u8, std::ops::Range<usize>)>;

fn shift(specials: Specials, by: usize) -> Specials {
    let shift = |(special, range): (u8, std::ops::Range<usize>)| {
        (special, range.start + by..range.end + by)
    };
    specials.into_iter().map(shift).collect()
}

/// Whether `text` starts like a data URI.
fn starts(text: &[u8]) -> bool {
    text.get(..SCHEME.len())
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
}

/// Colons in the head of a data URI: one after the scheme, and hardly ever one more.
const MAX_COLONS: usize = 4;

/// Where the data URI starts whose payload starts at `comma`, not before `from`.
fn start_before(text: &[u8], from: usize, comma: usize) -> Option<usize> {
    let first = from.max(comma.saturating_sub(MAX_PREFIX));
    let head = text.get(first..comma)?;
    let mut colons = memchr::memrchr_iter(b':', head).take(MAX_COLONS);
    let start = colons.find_map(|colon| {
        let start = (colon + 1).checked_sub(SCHEME.len())?;
        starts(head.get(start..)?).then_some(first + start)
    })?;
    // Part of a longer word, unless it follows another data URI.
    let is_word = |c: &u8| c.is_ascii_alphanumeric() || *c == b'_' || *c == b'-';
    let free = start == from || !text.get(start.checked_sub(1)?).is_some_and(is_word);
    free.then_some(start)
}

/// Reads the payload that `text` begins with, and its length.
fn read_start(scanner: &Scanner<'_>, text: &[u8]) -> Option<(usize, Payload, Option<Specials>)> {
    let mut len = runs::len(text);
    let next = text.get(len).copied();
    // Without padding, the next data URI's scheme reads like the end of this one.
    let run = text.get(..len)?;
    if next == Some(b':')
        && let Some(before) = len.checked_sub(SCHEME.len() - 1)
        && run
            .get(before..)
            .is_some_and(|end| end.eq_ignore_ascii_case(b"data"))
    {
        len = before;
    }
    if matches!(next, Some(b'\r' | b'\n' | b'%')) {
        let broken = runs::broken_len(text);
        if let Some(stretch) = text.get(..broken)
            && let Some((payload, specials)) = read(scanner, stretch, false)
        {
            return Some((broken, payload, specials));
        }
    }
    // Padding ends base64, and only another data URI may follow without a gap.
    let odd = text.get(len..)?;
    if run.ends_with(b"=") && runs::padded_len(odd) > 0 && !starts(odd) {
        return None;
    }
    let (payload, specials) = read(scanner, text.get(..len)?, false)?;
    Some((len, payload, specials))
}

/// Reads a payload that is all of `text`; with where the specials stand if any character of it is
/// escaped, whichever it is.
fn read(scanner: &Scanner<'_>, text: &[u8], whole: bool) -> Option<(Payload, Option<Specials>)> {
    let threshold = scanner.threshold();
    let fits = |base64: &Base64Text<'_>| base64.decoded_len >= threshold;
    if let Some(base64) = Base64Text::new(text).filter(fits)
        && let Some(payload) = scanner.base64(base64)
    {
        return Some((payload, None));
    }
    if let Some(payload) = base64_run::in_lines(scanner, text) {
        return Some((payload, None));
    }
    // A URI may be escaped as a whole; not every `%` behind a comma is one.
    if !whole && scanner.level > 0 {
        return None;
    }
    let first = memchr(b'%', text)?;
    if first > 4096 {
        return None;
    }
    let plain = percent::decode(text)?;
    let base64 = Base64Text::new(&plain).filter(fits)?;
    let mut payload = scanner.base64(base64)?;
    if payload.content.bytes.is_none() {
        payload.plain = Some(plain);
    }
    let mut specials = Vec::new();
    for (special, upper, lower) in [
        (b'/', &b"%2F"[..], &b"%2f"[..]),
        (b'+', b"%2B", b"%2b"),
        (b'=', b"%3D", b"%3d"),
    ] {
        let at = Finder::new(upper)
            .find(text)
            .or_else(|| Finder::new(lower).find(text));
        if let Some(at) = at {
            specials.push((special, at..at + upper.len()));
        }
    }
    Some((payload, Some(specials)))
}

/// The part before the payload, where `;base64` stands once, at its end.
struct Header<'a> {
    /// Up to and including the comma.
    len: usize,
    media_type: Option<&'a str>,
    /// The parameter `name`.
    name: Option<String>,
}

impl<'a> Header<'a> {
    fn read(uri: &'a [u8]) -> Option<Self> {
        let head = uri.get(..MAX_PREFIX).unwrap_or(uri);
        let comma = memchr(b',', head)?;
        let prefix = head.get(..=comma)?;
        let plain = |c: &u8| c.is_ascii_graphic() && !matches!(c, b'"' | b'\\');
        if !prefix.iter().all(plain) {
            return None;
        }
        let prefix = std::str::from_utf8(prefix).ok()?;
        let header = prefix.get(SCHEME.len()..comma)?;
        let (media_type, marker) = header.rsplit_once(';')?;
        let is_base64 = |parameter: &str| parameter.eq_ignore_ascii_case("base64");
        let mut parameters = media_type.split(';');
        let media_type = parameters.next().filter(|text| !text.is_empty());
        let mut name = None;
        for parameter in parameters {
            if is_base64(parameter) {
                return None;
            }
            if let Some((key, value)) = parameter.split_once('=')
                && (key.eq_ignore_ascii_case("name") || key.eq_ignore_ascii_case("filename"))
            {
                let plain = percent::decode(value.as_bytes());
                name = plain.and_then(|plain| String::from_utf8(plain).ok());
            }
        }
        is_base64(marker).then_some(Self {
            len: prefix.len(),
            media_type,
            name: name.filter(|name| !name.is_empty()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_media_type_and_name_in_parameters() {
        for (uri, expected) in [
            ("data:image/png;base64,AA", Some((Some("image/png"), None))),
            ("DATA:Image/PNG;BASE64,AA", Some((Some("Image/PNG"), None))),
            (
                "data:text/plain;charset=utf-8;base64,AA",
                Some((Some("text/plain"), None)),
            ),
            (
                "data:image/png;name=a%20b.png;base64,AA",
                Some((Some("image/png"), Some("a b.png"))),
            ),
            ("data:;base64,AA", Some((None, None))),
            ("data:image/png;base64;base64,AA", None),
            ("data:image/png;base64;charset=x,AA", None),
            ("data:image/svg+xml,%3Csvg", None),
            ("data:,hello", None),
            ("data:image/png;base64", None),
            ("data:a\"b/c;base64,AA", None),
            ("data:a b/c;base64,AA", None),
        ] {
            let header = Header::read(uri.as_bytes());
            let found = header.map(|header| (header.media_type, header.name));
            let expected = expected.map(|(kind, name)| (kind, name.map(str::to_owned)));
            assert_eq!(found, expected, "{uri}");
        }
    }

    #[test]
    fn a_prefix_has_an_end() {
        let uri = |len: usize| format!("data:{};base64,", "x".repeat(len - 13));
        assert!(Header::read(uri(MAX_PREFIX).as_bytes()).is_some());
        assert!(Header::read(uri(MAX_PREFIX + 1).as_bytes()).is_none());
    }
}
