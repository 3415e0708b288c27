use std::ops::Range;

use super::About;
use crate::encoding::Lines;
use crate::media_type::MediaType;
use crate::recall::Content;
use crate::shapes::Fit;

/// A file in a text.
#[derive(Debug)]
pub(crate) struct Found {
    /// What holds its bytes, with the head of a data URI and without quotes around it.
    pub(crate) range: Range<usize>,
    /// Where the codec's text starts.
    pub(crate) payload: usize,
    pub(crate) content: Content,
    pub(crate) media_type: MediaType,
    pub(crate) lines: Option<Lines>,
    /// The codec's text, in lines if it was, where that cannot be had from the bytes.
    pub(crate) plain: Option<Vec<u8>>,
    pub(crate) file_name: Option<String>,
    /// Whether the text around it may write it in another way than the codec does.
    pub(crate) rewritten: bool,
    /// For characters that may be written in another way, where the first of each stands.
    pub(crate) specials: Vec<(u8, Range<usize>)>,
    /// The quotes around it, where a JSON string is this file and nothing else.
    pub(crate) literal: Option<Literal>,
    /// The message part around it, where its provider has a way to say it by link.
    pub(crate) part: Option<PartPlace>,
}

/// The quotes of a JSON string.
#[derive(Debug, Clone)]
pub(crate) struct Literal {
    pub(crate) open: Range<usize>,
    pub(crate) close: Range<usize>,
}

/// Where the words of a message part stand that change with its payload.
#[derive(Debug, Clone)]
pub(crate) struct PartPlace {
    pub(crate) fit: Fit,
    /// Its type or the key it has, without quotes.
    pub(crate) word: Range<usize>,
    /// The key of the payload, without quotes, and where its opening quote starts.
    pub(crate) key: Range<usize>,
    pub(crate) key_quote: usize,
}

/// A file that was read from a text.
pub(crate) struct Payload {
    pub(crate) content: Content,
    pub(crate) lines: Option<Lines>,
    /// The codec's text, where it stood otherwise and the file was recalled.
    pub(crate) plain: Option<Vec<u8>>,
}

impl From<Content> for Payload {
    fn from(content: Content) -> Self {
        Self {
            content,
            lines: None,
            plain: None,
        }
    }
}

impl Found {
    /// A file that the text at `range` is.
    pub(super) fn new(range: Range<usize>, payload: Payload, label: Option<&str>) -> Self {
        Self {
            payload: range.start,
            range,
            media_type: MediaType::of(payload.content.shown, label),
            content: payload.content,
            lines: payload.lines,
            plain: payload.plain,
            file_name: None,
            rewritten: false,
            specials: Vec::new(),
            literal: None,
            part: None,
        }
    }

    /// A file that stands as what it is.
    pub(super) fn of_bytes(content: Content, about: &About) -> Self {
        let mut found = Self::new(0..content.size, content.into(), about.label.as_deref());
        found.file_name.clone_from(&about.file_name);
        found
    }

    /// A text that is moved whole.
    pub(crate) fn of_text(content: Content, media_type: &str) -> Self {
        let mut found = Self::new(0..content.size, content.into(), None);
        found.media_type = MediaType::shown(media_type);
        found
    }

    /// Takes note of where the special characters stand, in `text`, which is its text with
    /// everything around it taken off that could write them differently.
    pub(super) fn note_specials(&mut self, text: &[u8]) {
        let Some(payload) = text.get(self.payload..self.range.end) else {
            return;
        };
        self.rewritten = true;
        if self.content.bytes.is_none() && self.plain.is_none() {
            self.plain = Some(payload.to_vec());
        }
        if !self.specials.is_empty() {
            return;
        }
        for &special in self.content.codec.specials() {
            if let Some(at) = memchr::memchr(special, payload) {
                let at = self.payload + at;
                self.specials.push((special, at..at + 1));
            }
        }
    }

    /// Every place in the text that it knows.
    fn places(&mut self) -> impl Iterator<Item = &mut usize> {
        let Self {
            range,
            payload,
            specials,
            literal,
            part,
            ..
        } = self;
        let literal = literal
            .iter_mut()
            .flat_map(|Literal { open, close }| [open, close]);
        let words = part.iter_mut().flat_map(|part| {
            let PartPlace {
                word,
                key,
                key_quote,
                ..
            } = part;
            let Range { start, end } = word;
            let Range {
                start: from,
                end: to,
            } = key;
            [start, end, from, to, key_quote]
        });
        let ranges = specials.iter_mut().map(|(_, range)| range).chain(literal);
        std::iter::once(range)
            .chain(ranges)
            .flat_map(|Range { start, end }| [start, end])
            .chain(std::iter::once(payload))
            .chain(words)
    }

    /// The places of all of `found` in the text that `translate` gives for them in this one.
    pub(super) fn translate(found: &mut [Self], translate: impl FnOnce(&[usize]) -> Vec<usize>) {
        let mut places: Vec<usize> = found
            .iter_mut()
            .flat_map(Self::places)
            .map(|place| *place)
            .collect();
        places.sort_unstable();
        places.dedup();
        let translated = translate(&places);
        for place in found.iter_mut().flat_map(Self::places) {
            let index = places.binary_search(place).unwrap_or_default();
            *place = translated.get(index).copied().unwrap_or_default();
        }
    }
}
