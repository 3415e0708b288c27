//! The memory that it takes to write bytes as texts that hold them, which are longer.

use bytes::Bytes;
use slimspan_proto::{OnMalformed, Signal, Value, ValueKind, Walk, walk};

use super::Extractor;
use crate::Policy;
use crate::policy::{Action, BytesValues, MediaTypes};
use crate::recall::Memory;
use crate::reference::inline::Inline;
use crate::reference::mention::Mentions;

/// No reference is longer: bytes of this length and more are moved if they may be.
const LONGEST_REFERENCE: usize = 8 * 1024;

/// What one change takes in a splice, with the lengths around it, while lists grow that hold them.
const OF_CHANGE: usize = 640;

/// The most memory that it takes to write the bytes values of a request as texts, where the policy asks
/// for that, beside what a request of its length takes.
pub fn memory_of_texts(signal: Signal, request: &Bytes, policy: &Policy) -> usize {
    let has_none = matches!(signal, Signal::Metrics | Signal::Profiles);
    if policy.bytes_values == BytesValues::Keep || has_none {
        return 0;
    }
    let mentions = Mentions::of(&policy.location);
    let mut extractor = Extractor::new(request, policy, &mentions, Memory::default(), false);
    let mut memory = 0_usize;
    let everything = Walk {
        min_len: 0,
        on_malformed: OnMalformed::StepOver,
    };
    // What cannot be walked is not extracted from, either, and told then.
    let _ = walk(signal, request, everything, |value, _| {
        memory = memory.saturating_add(extractor.memory_of_text(value));
    });
    memory
}

impl<'a> Extractor<'a> {
    fn memory_of_text(&mut self, value: &Value<'a>) -> usize {
        self.denied = self.enclosing.denies(value, &self.policy.deny_keys);
        if value.kind != ValueKind::Bytes {
            return 0;
        }
        let len = value.content.len();
        let treatment = self.treatment(value);
        let is_moved = treatment.action != Action::Keep
            && len >= treatment.threshold.max(LONGEST_REFERENCE)
            && self.policy.media_types == MediaTypes::default()
            && !self.about(value).denied;
        if is_moved {
            return 0;
        }
        // In the change, and in what is made of the request.
        let texts = Inline::len_of(len).saturating_mul(2);
        texts.saturating_add(OF_CHANGE)
    }
}
