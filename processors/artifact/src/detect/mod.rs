//! Is this value an artifact, or is one in it? One file a shape, one table that lists them.

mod about;
mod base64_run;
mod data_uri;
mod enclosing;
mod found;
mod gate;
mod json;
mod python_literal;
mod runs;
mod siblings;
mod text;
pub(crate) mod truncated;

pub(crate) use about::{About, Labels};
pub(crate) use enclosing::Enclosing;
pub(crate) use found::Found;
use found::Payload;
pub(crate) use json::paths_to;

pub(crate) use siblings::Siblings;

use crate::Digest;
use crate::encoding::{Base64Text, Codec, python};
use crate::policy::{Policy, Treatment};
use crate::recall::{Content, Memory, Reading};

/// Looks for a file of one shape that a text is as a whole.
type Shape = fn(&mut Scanner<'_>, &[u8], &About) -> Option<Found>;

/// The shapes of whole texts, the surest first: the first that fits decides. Files within longer
/// texts and JSON are looked for in [`text`] and [`json`].
const WHOLE: [Shape; 3] = [data_uri::whole, base64_run::whole, python_literal::whole];

/// Those that have no character which a JSON string would escape.
const PLAIN: [Shape; 2] = [data_uri::whole, base64_run::whole];

/// JSON texts within JSON texts are looked into so deep.
const MAX_LEVELS: usize = 8;

/// Bytes of JSON texts within a text that may be in memory at a time, one within the other, as a
/// multiple of the text and in all: it bounds what a sender can make us take.
const MAX_COPIES: usize = 3;
const MAX_COPIED: usize = 64 << 20;

/// Looks for files in one value.
pub(crate) struct Scanner<'a> {
    policy: &'a Policy,
    memory: Memory<'a>,
    treatment: Treatment,
    /// JSON texts around the text that is being looked at.
    level: usize,
    /// How many of them had escapes.
    unescaped: usize,
    /// Characters that may still be copied out of JSON texts.
    budget: usize,
    /// Whether base64 at the end of the text was cut before it came here.
    pub(crate) truncated: bool,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(policy: &'a Policy, treatment: Treatment, memory: Memory<'a>) -> Self {
        Self {
            policy,
            memory,
            treatment,
            level: 0,
            unescaped: 0,
            budget: 0,
            truncated: false,
        }
    }

    /// Whether there may be files in the string `text`.
    pub(crate) fn may_find(&self, text: &[u8]) -> bool {
        gate::may_hold_file(text, self.base64_len())
    }

    /// The files in the string `text`, in ascending order.
    pub(crate) fn string(&mut self, text: &[u8], about: &About) -> Vec<Found> {
        self.budget = text.len().saturating_mul(MAX_COPIES).min(MAX_COPIED);
        self.scan(text, about)
    }

    /// The file that `bytes` are.
    pub(crate) fn bytes(&self, bytes: &bytes::Bytes, about: &About) -> Option<Found> {
        if bytes.len() < self.threshold() || about.denied {
            return None;
        }
        let content = self.memory.of_bytes(bytes.clone(), Codec::Bytes);
        let found = Found::of_bytes(content, about);
        self.admits(&found).then_some(found)
    }

    fn scan(&mut self, text: &[u8], about: &About) -> Vec<Found> {
        if about.denied {
            return Vec::new();
        }
        if let Some(found) = self.whole(&WHOLE, text, about) {
            return found;
        }
        if !self.may_find(text) {
            return Vec::new();
        }
        if json::looks_like(text) {
            json::scan(self, text, about)
        } else {
            text::scan(self, text)
        }
    }

    /// The file that `text` is as a whole, or nothing if files of its kind are not moved; `None` if
    /// it is no file.
    fn whole(&mut self, shapes: &[Shape], text: &[u8], about: &About) -> Option<Vec<Found>> {
        let mut found = shapes.iter().find_map(|shape| shape(self, text, about))?;
        if found.file_name.is_none() {
            found.file_name.clone_from(&about.file_name);
        }
        if self.unescaped > 0 {
            found.note_specials(text);
        }
        Some(Vec::from_iter(self.admits(&found).then_some(found)))
    }

    /// The smallest file that is moved, in bytes.
    fn threshold(&self) -> usize {
        self.treatment.threshold
    }

    /// The shortest base64 of such a file.
    fn base64_len(&self) -> usize {
        (self.treatment.threshold.div_ceil(3) * 4).saturating_sub(2)
    }

    /// Whether a file of that kind is moved at all.
    fn admits(&self, found: &Found) -> bool {
        self.policy.media_types.admit(found.media_type.proven())
    }

    /// Reads canonical base64.
    fn base64(&self, base64: Base64Text<'_>) -> Option<Payload> {
        let decode = || {
            let decoded = base64.decode()?;
            Some(Content::new(decoded.bytes, decoded.digest, decoded.codec))
        };
        let content = self.memory.content(Reading::Base64, base64.text, decode);
        content.map(Payload::from)
    }

    /// Reads what Python printed for bytes.
    fn python(&self, text: &[u8]) -> Option<Payload> {
        let decode = || {
            let (bytes, codec) = python::read(text)?;
            let digest = Digest::of(&bytes);
            Some(Content::new(bytes.into(), digest, codec))
        };
        let content = self.memory.content(Reading::Python, text, decode);
        content.map(Payload::from)
    }

    /// Whether nothing is lost of the file, which stands at the end of its text. Senders cut long
    /// values where their limit is, and what is left is base64 of a part of a file as often as not.
    fn is_whole(&mut self, content: &Content) -> bool {
        let cut = self.level == 0 && content.is_cut();
        self.truncated |= cut;
        !cut
    }

    /// The same for a file within a text, which goes on behind it unless it `ends_text`: what stands
    /// there broke the base64 as often as not.
    fn is_whole_within(&mut self, content: &Content, ends_text: bool) -> bool {
        let cut = content.is_cut();
        self.truncated |= cut && ends_text && self.level == 0;
        !cut
    }

    /// Takes note of base64 that reaches the end of its text and is not whole.
    fn note_cut(&mut self, base64: &[u8]) {
        let cut = self.level == 0 && truncated::is_cut_base64(base64);
        self.truncated |= cut;
    }
}
