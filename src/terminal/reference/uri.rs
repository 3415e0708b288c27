//! References that are a URI and nothing else.

use slimspan_artifact::{Digest, media_type_of_extension};
use url::form_urlencoded;

use super::Reference;

/// Where artifacts are that are nowhere.
const DROPPED: &str = "artifact://dropped/";

const HEX_DIGITS: usize = 64;

/// The reference whose `://` is at `colon`, and where it starts and ends in `text`.
pub(super) fn around(text: &str, colon: usize) -> Option<(Reference, usize, usize)> {
    let before = text.get(..colon)?;
    let is_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let start = before.trim_end_matches(is_scheme).len();
    let uri = text.get(start..)?;
    let is_end =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\\' | '<' | '>');
    let uri = uri.split(is_end).next()?;
    let mut slashes = uri.match_indices('/');
    slashes.find_map(|(slash, _)| {
        let (reference, len) = read(uri, slash + 1)?;
        Some((reference, start, start + len))
    })
}

/// Reads `uri`, whose digest would be at `at`; returns its length, too.
fn read(uri: &str, at: usize) -> Option<(Reference, usize)> {
    let (folder, rest) = uri.split_at_checked(at)?;
    let (hex, mut rest) = rest.split_at_checked(HEX_DIGITS)?;
    let digest: Digest = hex.parse().ok()?;
    let parent = |folder: &str| {
        let name = folder.strip_suffix('/')?.rsplit('/').next()?;
        Some(name.to_owned())
    };
    let name = parent(folder)?;
    let mut content_type = None;
    if folder == DROPPED || name == "artifacts" {
        let end = rest.strip_prefix('.')?;
        let len = end.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let (extension, end) = end.split_at_checked(len)?;
        content_type = Some(media_type_of_extension(extension)?.to_owned());
        rest = end;
    } else if !hex.starts_with(&name)
        || name.len() != 2
        // A sender wrote it, and nothing is known of what is there.
        || folder.ends_with(&format!("/untrusted/{name}/"))
    {
        return None;
    }
    let mut size = None;
    if let Some(query) = rest.strip_prefix('?') {
        let is_part = |c: &u8| c.is_ascii_alphanumeric() || b"&=%.-".contains(c);
        let len = query.bytes().take_while(is_part).count();
        let (query, end) = query.split_at_checked(len)?;
        rest = end;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "size" => size = value.parse().ok(),
                "prefix" => content_type = of_data_uri(&value).or(content_type),
                _ => {}
            }
        }
    }
    let whole = uri.get(..uri.len() - rest.len())?;
    let len = match rest.strip_prefix('~') {
        Some(_) => whole.len() + 1,
        None if rest.starts_with(reads_on) => return None,
        None => whole.len(),
    };
    let reference = Reference {
        digest,
        content_type,
        size,
        preview: None,
        uri: (folder != DROPPED).then(|| whole.to_owned()),
    };
    Some((reference, len))
}

/// The media type of `data:<media type>;base64,`.
fn of_data_uri(prefix: &str) -> Option<String> {
    let declared = prefix.strip_prefix("data:")?;
    let media_type = declared.split([';', ',']).next()?;
    media_type.contains('/').then(|| media_type.to_owned())
}

/// Whether a character behind a URI would be a part of it.
fn reads_on(c: char) -> bool {
    c.is_ascii_alphanumeric() || "?&=%.,_-/:#+;@!$*".contains(c)
}
