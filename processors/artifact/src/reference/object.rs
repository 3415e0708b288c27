//! References that are an object, as JSON text.
//!
//! The members stand in one order and without white space, so that exactly one text stands for a
//! reference and a text can be told to be one by writing it again.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Reference, Standing, UNTRUSTED};
use crate::encoding::Written;
use crate::media_type::is_media_type;

/// The longest reference that is read: longer ones are nobody's.
const LONGEST: usize = 8 * 1024;

/// What the object calls itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Artifact,
    Logfire,
}

impl Kind {
    /// The longer ones first, because one ends like another.
    const ALL: [Self; 2] = [Self::Logfire, Self::Artifact];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Artifact => "artifact",
            Self::Logfire => "logfire.artifact",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Whether an object of that type may be a reference, marked or not.
pub(crate) fn is_type(name: &[u8]) -> bool {
    Kind::ALL.iter().any(|kind| {
        let rest = name.strip_prefix(kind.name().as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(&mark()))
    })
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Object<'a> {
    #[serde(rename = "type")]
    pub(super) kind: Cow<'a, str>,
    pub(super) sha256: Cow<'a, str>,
    pub(super) content_type: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sniffed_type: Option<Cow<'a, str>>,
    pub(super) size_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) filename: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) preview: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) uri: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) dropped: bool,
    pub(super) encoding: Cow<'a, str>,
}

impl<'a> Reference<'a> {
    pub(super) fn to_object(&self, kind: Kind) -> Object<'a> {
        let media_type = self.media_type;
        Object {
            kind: kind.name().into(),
            sha256: self.digest.to_string().into(),
            content_type: media_type.declared.as_str().into(),
            sniffed_type: media_type.contradiction.as_deref().map(Cow::Borrowed),
            size_bytes: self.size,
            filename: self.file_name.map(Cow::Borrowed),
            preview: self.preview.map(Cow::Borrowed),
            uri: self
                .location
                .map(|location| location.address(self.digest, media_type.proven()).into()),
            dropped: self.location.is_none(),
            encoding: self.written.to_token(Some(&media_type.declared)).into(),
        }
    }

    /// The reference as JSON text, in a JSON text whose quotes have so many backslashes in front.
    /// None where it would be too long to be read again.
    pub(crate) fn to_json(&self, kind: Kind, backslashes: usize) -> Option<Vec<u8>> {
        let mut object = self.to_object(kind);
        let mut text = object.to_json(backslashes)?;
        if text.len() > LONGEST {
            object.preview = None;
            object.filename = None;
            text = object.to_json(backslashes)?;
        }
        (text.len() <= LONGEST).then_some(text)
    }
}

impl Object<'_> {
    fn to_json(&self, backslashes: usize) -> Option<Vec<u8>> {
        let mut text = serde_json::to_vec(self).ok()?;
        for _ in 0..levels(backslashes)? {
            text = escape(&text);
        }
        Some(text)
    }

    /// What the object says, if its values are what they have to be.
    ///
    /// Whether they are may not depend on a text in which a reference can be: with a mark in that,
    /// an object could become what it was not.
    pub(super) fn standing(&self) -> Option<Standing> {
        let mut types = std::iter::once(&self.content_type).chain(&self.sniffed_type);
        if !types.all(|text| is_media_type(text)) {
            return None;
        }
        Some(Standing {
            digest: self.sha256.parse().ok()?,
            dropped: self.dropped,
            written: Written::parse(&self.encoding, Some(&self.content_type))?,
        })
    }
}

/// How many times a text was made a JSON string whose quotes have so many backslashes in front: 0,
/// 1, 3 and so on.
pub(crate) fn levels(backslashes: usize) -> Option<usize> {
    [0, 1, 3, 7].iter().position(|known| *known == backslashes)
}

/// `text`, which has no control characters, as part of a JSON string.
fn escape(text: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(text.len() * 5 / 4);
    for &c in text {
        if matches!(c, b'"' | b'\\') {
            escaped.push(b'\\');
        }
        escaped.push(c);
    }
    escaped
}

/// Undoes [`escape`], as far as it can.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(&c) = rest.next() {
        match c {
            b'\\' => match rest.next() {
                Some(&escaped) => plain.push(escaped),
                None => break,
            },
            c => plain.push(c),
        }
    }
    plain
}

/// The members' name that is looked for: every reference has it, and little else.
pub(super) const NEEDLE: &[u8] = b"sha256";

/// An object that was found.
pub(super) struct Sighting {
    pub(super) start: usize,
    pub(super) len: usize,
    /// Where a mark goes in, and the length of the marks there.
    pub(super) mark_at: usize,
    pub(super) marks: usize,
    /// Backslashes in front of its quotes.
    pub(super) backslashes: usize,
    pub(super) standing: Standing,
}

/// The beginning of an object: `{"type":"artifact","sha256`.
pub(super) struct Stem {
    start: usize,
    /// Where a mark goes in, and the length of the marks there.
    mark_at: usize,
    marks: usize,
    backslashes: usize,
    levels: usize,
    /// Without the name of its kind.
    opening: Vec<u8>,
}

impl Stem {
    /// Reads backwards from the `sha256` at `at`.
    pub(super) fn before(text: &[u8], at: usize) -> Option<Self> {
        let before = text.get(..at)?.strip_suffix(b"\"")?;
        let backslashes = before.iter().rev().take_while(|c| **c == b'\\').count();
        let levels = levels(backslashes)?;
        let quote = [vec![b'\\'; backslashes], vec![b'"']].concat();
        let before = before.get(..before.len() - backslashes)?;
        let typed = before.strip_suffix(b",")?.strip_suffix(&*quote)?;
        let mark = mark();
        let mut bare = typed;
        while let Some(rest) = bare.strip_suffix(&*mark) {
            bare = rest;
        }
        let opening = [b"{", &*quote, b"type", &*quote, b":", &*quote].concat();
        let opened = Kind::ALL.iter().find_map(|kind| {
            let rest = bare.strip_suffix(kind.name().as_bytes())?;
            rest.strip_suffix(&*opening)
        })?;
        Some(Self {
            start: opened.len(),
            mark_at: bare.len(),
            marks: typed.len() - bare.len(),
            backslashes,
            levels,
            opening,
        })
    }

    /// Reads the rest of the object.
    pub(super) fn read(self, text: &[u8]) -> Option<Sighting> {
        let Self {
            start,
            mark_at,
            marks,
            backslashes,
            ..
        } = self;
        let stem = text.get(start..mark_at)?;
        // Up to where the next of the same depth starts, which is in none of its strings.
        let rest = text.get(mark_at + marks..)?;
        let mut rest = rest.get(..LONGEST).unwrap_or(rest);
        if let Some(next) = memchr::memmem::find(rest, &self.opening) {
            rest = rest.get(..next)?;
        }
        let mut plain = [stem, rest].concat();
        for _ in 0..self.levels {
            plain = unescape(&plain);
        }
        let mut documents = serde_json::Deserializer::from_slice(&plain).into_iter::<Object<'_>>();
        let object = documents.next()?.ok()?;
        let standing = object.standing()?;
        let exact = object.to_json(backslashes)?;
        let exact_rest = exact.strip_prefix(stem)?;
        if exact.len() > LONGEST || !rest.starts_with(exact_rest) {
            return None;
        }
        Some(Sighting {
            start,
            len: exact.len() + marks,
            mark_at,
            marks,
            backslashes,
            standing,
        })
    }
}

/// The mark of an object that a sender wrote.
pub(super) fn mark() -> Vec<u8> {
    format!(".{UNTRUSTED}").into_bytes()
}
