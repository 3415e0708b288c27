//! Files out of the values of a request, and references in their places.

mod changes;
mod read_back;
mod taken;
mod texts;

use std::collections::HashSet;

use bytes::Bytes;
use slimspan_proto::{Edit, Malformed, OnMalformed, Signal, Value, ValueKind, Walk, walk};

use self::taken::attribute;
use crate::detect::{About, Enclosing, Found, Scanner, Siblings};
use crate::encoding::Codec;
use crate::extraction::{Cut, Extraction};
use crate::placement::{Change, Placement, Replaced, covers, overlapping};
use crate::policy::{Action, BytesValues, Form, Treatment};
use crate::recall::Memory;
use crate::reference::inline::Inline;
use crate::reference::list::Listed;
use crate::reference::mention::Mentions;
use crate::{Digest, Policy, Recall};

pub use self::texts::memory_of_texts;

/// The shortest text that can be a reference, and that anything need be done about.
pub(crate) const SHORTEST_REFERENCE: usize = 18;

/// Takes the files out of an `Export{Trace,Logs,Metrics}ServiceRequest`.
///
/// Values of metrics are left where they are. The request is refused where it is not sound
/// protobuf on the way to a value of at least the smallest threshold; what is smaller is not
/// looked at, unless bytes become texts. Only what [`restore`](crate::restore) can put back byte for byte is
/// taken.
pub fn extract(signal: Signal, request: &Bytes, policy: &Policy) -> Result<Extraction, Malformed> {
    extract_with(signal, request, policy, Memory::default())
}

/// Does what [`extract`] does without decoding what it recalls.
///
/// The request comes out the same. Artifacts that were recalled have to be stored already: who calls
/// this makes sure of it, or extracts again without recalling.
pub fn extract_recalling(
    signal: Signal,
    request: &Bytes,
    policy: &Policy,
    recall: &dyn Recall,
) -> Result<Extraction, Malformed> {
    extract_with(signal, request, policy, Memory(Some(recall)))
}

fn extract_with(
    signal: Signal,
    request: &Bytes,
    policy: &Policy,
    memory: Memory<'_>,
) -> Result<Extraction, Malformed> {
    let large = Walk {
        min_len: policy.shortest(),
        on_malformed: OnMalformed::Fail,
    };
    if matches!(signal, Signal::Metrics | Signal::Profiles) {
        walk(signal, request, large, |_, _| {})?;
        return Ok(Extraction::untouched(request));
    }

    let mentions = Mentions::of(&policy.location);
    let mut extractor = Extractor::new(request, policy, &mentions, memory, false);
    let mut splice = walk(signal, request, large, |value, edit| {
        extractor.visit(value, edit);
    })?;
    if extractor.suspicious || splice.untouched(request).any(|bytes| mentions.any(bytes)) {
        // Rare enough to begin again: texts like these are short and anywhere. One that a file
        // was taken out of is none any more.
        let everything = Walk {
            min_len: SHORTEST_REFERENCE.min(policy.shortest()),
            on_malformed: OnMalformed::StepOver,
        };
        extractor = Extractor::new(request, policy, &mentions, memory, true);
        splice = walk(signal, request, everything, |value, edit| {
            extractor.visit(value, edit);
        })?;
    }
    let mut extraction = extractor.extraction;
    // One that stood there in another way, too, has its bytes.
    let mut seen = extractor.seen;
    extraction.recalled.retain(|digest| seen.insert(*digest));
    if !splice.is_empty() {
        extraction.request = splice.apply(request)?.into();
    }
    Ok(extraction)
}

struct Extractor<'a> {
    request: &'a Bytes,
    policy: &'a Policy,
    mentions: &'a Mentions,
    memory: Memory<'a>,
    /// Whether references that the sender wrote are looked for and marked.
    marks: bool,
    /// Whether there is a value that the sender made to look like a reference.
    suspicious: bool,
    /// No value shorter than this has a file.
    smallest: usize,
    siblings: Siblings<'a>,
    enclosing: Enclosing<'a>,
    /// Whether a key around the value at hand denies what is in it.
    denied: bool,
    /// What holds for the attribute that was asked for last.
    last: Option<(&'a [u8], Treatment)>,
    seen: HashSet<Digest>,
    extraction: Extraction,
}

impl<'a> Extractor<'a> {
    fn new(
        request: &'a Bytes,
        policy: &'a Policy,
        mentions: &'a Mentions,
        memory: Memory<'a>,
        marks: bool,
    ) -> Self {
        Self {
            request,
            policy,
            mentions,
            memory,
            marks,
            suspicious: false,
            smallest: policy.smallest(),
            siblings: Siblings::default(),
            enclosing: Enclosing::default(),
            denied: false,
            last: None,
            seen: HashSet::new(),
            extraction: Extraction::untouched(request),
        }
    }

    fn visit(&mut self, value: &Value<'a>, edit: &mut Edit<'_>) {
        // Visited because of bytes alone, which are in none of the others or visited by themselves.
        if !self.marks && value.kind != ValueKind::Bytes && value.content.len() < self.smallest {
            return;
        }
        self.denied = self.enclosing.denies(value, &self.policy.deny_keys);
        match value.kind {
            ValueKind::String => self.string(value, edit),
            ValueKind::Bytes => self.bytes(value, edit),
            ValueKind::KeyValueList => self.list(value, edit),
            _ => {}
        }
    }

    fn string(&mut self, value: &Value<'a>, edit: &mut Edit<'_>) {
        let content = value.content;
        let holds_bytes = self.marks && Inline::read(content).is_some();
        let mentions = if self.marks && !holds_bytes {
            self.mentions.within(content)
        } else {
            Vec::new()
        };
        let placement = self.placement(value);
        let mut found = self.files_in(value);
        // A text that is to come back as it was is not taken apart.
        found.retain(|found| {
            overlapping(&mentions, &found.range).all(|mention| covers(&found.range, &mention.range))
                && (!holds_bytes || found.range == (0..content.len()))
        });
        let treatment = self.treatment(value);
        if let [one] = &found[..]
            && one.range == (0..content.len())
        {
            if let Some(whole) = placement.whole(one)
                && self.is_read_back(&whole)
            {
                whole.replace(edit);
                self.moved(value, &found, &[Replaced::whole(content, &whole)]);
                return;
            }
            found.clear();
        }
        let mut changes = changes::of(&placement, &found, &mentions);
        if let Some(threshold) = treatment.text_threshold
            && treatment.action != Action::Keep
            // A mark makes no text long that was short.
            && content.len() >= threshold
            && changes::slim_len(content.len(), &changes.made) >= threshold
            && let Some(text) = self.text(value)
            && let Some(whole) = placement.whole(&text)
            && self.is_read_back(&whole)
        {
            whole.replace(edit);
            self.moved(value, &[text], &[Replaced::whole(content, &whole)]);
            self.extraction.texts += 1;
            return;
        }
        if self.marks {
            self.claimed(value);
        }
        if !changes.replaced.is_empty() && !self.are_read_back(content, &changes.made) {
            // With references where files were, the text reads as if there were others, too. Only a
            // sender that means it writes such a text.
            self.suspicious = true;
            changes = changes::of(&placement, &[], &mentions);
        }
        for Change { range, with, .. } in changes.made {
            edit.replace(range, with);
        }
        if holds_bytes {
            // There is no other change: no file and no reference is in base64.
            let (range, with) = Inline::mark();
            edit.replace(range, with);
            self.extraction.untrusted += 1;
        }
        self.extraction.untrusted += changes.marked;
        self.moved(value, &found, &changes.replaced);
    }

    fn bytes(&mut self, value: &Value<'a>, edit: &mut Edit<'_>) {
        let is_moved = self.moves_bytes(value, edit);
        // They come back in as few bytes as possible.
        if !is_moved
            && self.policy.bytes_values == BytesValues::Text
            && value.canonical
            // A sender's list with a text in it could be a reference that has no mark.
            && !self.siblings.are_of_reference(value)
        {
            edit.set_string(&Inline::write(value.content));
        }
    }

    /// Whether a reference comes in place of the bytes.
    fn moves_bytes(&mut self, value: &Value<'a>, edit: &mut Edit<'_>) -> bool {
        let treatment = self.treatment(value);
        if treatment.action == Action::Keep || value.content.len() < treatment.threshold {
            return false;
        }
        let about = self.about(value);
        let scanner = Scanner::new(self.policy, treatment, self.memory);
        let bytes = self.request.slice_ref(value.content);
        let Some(found) = scanner.bytes(&bytes, &about) else {
            return false;
        };
        let placement = self.placement(value);
        let Some(whole) = placement.whole(&found) else {
            return false;
        };
        let is_moved = self.is_read_back(&whole);
        if is_moved {
            whole.replace(edit);
            self.moved(value, &[found], &[Replaced::whole(value.content, &whole)]);
        }
        is_moved
    }

    /// A kvlist may be a reference that its sender wrote, or a message part that is to become a
    /// link.
    fn list(&mut self, value: &Value<'a>, edit: &mut Edit<'_>) {
        if self.marks
            && value.canonical
            && let Some(listed) = Listed::read(value.content)
        {
            edit.set_list(&listed.mark());
            self.extraction.untrusted += 1;
            return;
        }
        let placement = self.placement(value);
        let Some(part) = placement.part() else {
            return;
        };
        // What else is in it is passed over, and may not be taken for ours.
        if part.others().any(|other| self.mentions.any(other)) {
            return;
        }
        let treatment = self.treatment(value);
        if treatment.action == Action::Keep {
            return;
        }
        let deny_keys = &self.policy.deny_keys;
        let mut about = part.about(deny_keys);
        about.denied |= self.denied || self.siblings.denies(value.attribute, deny_keys);
        let mut scanner = Scanner::new(self.policy, treatment, self.memory);
        let Some(payload) = part.payload() else {
            return;
        };
        let found = if payload.kind == ValueKind::Bytes {
            scanner.bytes(&self.request.slice_ref(payload.content), &about)
        } else {
            let mut found = scanner.string(payload.content, &about);
            let last = found.pop();
            last.filter(|one| found.is_empty() && one.range == (0..payload.content.len()))
        };
        let Some(found) = found else { return };
        if let Some(list) = placement.link(&part, &found) {
            let before = payload.content.len();
            let after = before.saturating_sub(value.content.len() - list.len());
            edit.set_list(&list);
            let replaced = Replaced {
                number: 0,
                before,
                after,
            };
            self.moved(value, &[found], &[replaced]);
        }
    }

    /// The files in a string.
    fn files_in(&mut self, value: &Value<'a>) -> Vec<Found> {
        let treatment = self.treatment(value);
        if treatment.action == Action::Keep || value.content.len() < treatment.threshold {
            return Vec::new();
        }
        let mut scanner = Scanner::new(self.policy, treatment, self.memory);
        // Most texts hold nothing, and what stands beside them need not be asked.
        if !scanner.may_find(value.content) {
            return Vec::new();
        }
        let about = self.about(value);
        let found = scanner.string(value.content, &about);
        if scanner.truncated {
            self.extraction.truncated += 1;
            let cut = Cut {
                attribute: attribute(value).into_owned(),
                carrier: value.carrier,
                at: self.offset(value),
                size: value.content.len(),
            };
            self.extraction.cuts.push(cut);
        }
        found
    }

    /// The whole string as an artifact.
    fn text(&mut self, value: &Value<'a>) -> Option<Found> {
        std::str::from_utf8(value.content).ok()?;
        if self.about(value).denied {
            return None;
        }
        let starts_json = matches!(value.content.trim_ascii_start().first(), Some(b'{' | b'['));
        let is_json =
            starts_json && serde_json::from_slice::<serde::de::IgnoredAny>(value.content).is_ok();
        let media_type = if is_json {
            "application/json"
        } else {
            "text/plain"
        };
        let text = self.request.slice_ref(value.content);
        let content = self.memory.of_bytes(text, Codec::Text);
        Some(Found::of_text(content, media_type))
    }

    /// What stands beside and around the value at hand.
    fn about(&mut self, value: &Value<'a>) -> About {
        let mut about = self.siblings.about(value, &self.policy.deny_keys);
        about.denied |= self.denied;
        about
    }

    /// What holds for the attribute of `value`, which is asked for once: an attribute can have any
    /// number of values, and a key of any length.
    fn treatment(&mut self, value: &Value<'a>) -> Treatment {
        if let Some((attribute, treatment)) = self.last
            && std::ptr::eq(attribute, value.attribute)
        {
            return treatment;
        }
        let treatment = self.policy.treatment(value.attribute);
        self.last = Some((value.attribute, treatment));
        treatment
    }

    fn placement<'v>(&mut self, value: &'v Value<'a>) -> Placement<'a, 'v, 'a> {
        let treatment = self.treatment(value);
        let may_rename = self.policy.form == Form::Semconv && self.siblings.may_be_ref(value);
        Placement::new(self.policy, treatment.action, may_rename, value)
    }
}
