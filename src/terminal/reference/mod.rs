//! Finds the references in a text, to show what they stand for.

mod object;
mod uri;

use std::borrow::Cow;

use bytesize::ByteSize;
use slimspan_artifact::Digest;

use super::excerpt;

/// What [`replace_references`] puts where a reference stood.
pub const PLACEHOLDER: &str = "‹artifact›";

/// How many characters of a preview are shown.
const PREVIEW: usize = 60;

/// What a value says about the artifact that stood in its place. Only a display may believe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// SHA-256 of the artifact's bytes.
    pub digest: Digest,
    /// The artifact's media type, if the reference tells.
    pub content_type: Option<String>,
    /// The artifact's size in bytes, if the reference tells.
    pub size: Option<u64>,
    /// The beginning of a text.
    pub preview: Option<String>,
    /// Where the artifact lies; nowhere if it was given up.
    pub uri: Option<String>,
}

impl Reference {
    /// One line: media type, size, beginning of the digest, and place.
    pub fn summary(&self) -> String {
        let digest = self.digest.to_string();
        let mut words = vec!["artifact".to_owned()];
        words.extend(self.content_type.clone());
        words.extend(self.size.map(|size| ByteSize::b(size).to_string()));
        words.push(format!("sha256 {}…", digest.get(..12).unwrap_or(&digest)));
        words.push(self.uri.clone().unwrap_or_else(|| "dropped".to_owned()));
        if let Some(preview) = &self.preview {
            words.push(format!("“{}”", excerpt(preview, PREVIEW)));
        }
        words.join(" ")
    }
}

/// `text` with [`PLACEHOLDER`] for each reference in it, and the references in their order.
///
/// A reference is found as the whole text, inside other text or JSON, and in JSON held by the
/// strings of other JSON.
pub fn replace_references(text: &str) -> (Cow<'_, str>, Vec<Reference>) {
    let mut replaced = String::new();
    let mut references = Vec::new();
    let mut done = 0;
    let mut searched = 0;
    while let Some(sign) = next_sign(text, searched) {
        let found = match sign {
            Sign::Brace(at) => text
                .get(at..)
                .and_then(object::leading)
                .map(|(reference, len)| (reference, at, at + len)),
            Sign::Scheme(at) => uri::around(text, at).filter(|(_, start, _)| *start >= done),
        };
        searched = match found {
            Some((reference, start, end)) => {
                replaced.push_str(text.get(done..start).unwrap_or_default());
                replaced.push_str(PLACEHOLDER);
                references.push(reference);
                done = end;
                end
            }
            None => sign.at() + 1,
        };
    }
    if references.is_empty() {
        return (Cow::Borrowed(text), references);
    }
    replaced.push_str(text.get(done..).unwrap_or_default());
    (Cow::Owned(replaced), references)
}

/// What a reference may be around.
enum Sign {
    /// The brace at the start of an object.
    Brace(usize),
    /// The `://` in a URI.
    Scheme(usize),
}

impl Sign {
    fn at(&self) -> usize {
        match self {
            Self::Brace(at) | Self::Scheme(at) => *at,
        }
    }
}

/// The first sign in `text` from `from` on.
fn next_sign(text: &str, from: usize) -> Option<Sign> {
    let bytes = text.as_bytes();
    memchr::memchr2_iter(b'{', b':', bytes.get(from..)?).find_map(|offset| {
        let at = from + offset;
        if bytes.get(at) == Some(&b'{') {
            return Some(Sign::Brace(at));
        }
        bytes
            .get(at..)?
            .starts_with(b"://")
            .then_some(Sign::Scheme(at))
    })
}

#[cfg(test)]
mod tests;
