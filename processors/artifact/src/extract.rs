use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;
use slimspan_proto::{Edit, Malformed, OnMalformed, Signal, Value, ValueKind, Walk, walk};

use crate::detect::{Candidate, Found};
use crate::reference::{OPENING, Reference};
use crate::untrusted::{self, Opening};
use crate::{Artifact, Policy};

/// What [`extract`] makes of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extraction {
    /// The request with references in place of artifacts; the very same bytes if there are none.
    pub request: Bytes,
    /// The artifacts in the order of the request, each once.
    pub artifacts: Vec<Artifact>,
    /// How many values were replaced; at least as many as there are artifacts.
    pub references: usize,
}

/// Takes the files out of an `Export{Trace,Logs,Metrics}ServiceRequest`.
///
/// Values of metrics are left where they are. The request is refused where it is not sound
/// protobuf on the way to a value of at least `policy.threshold` bytes; what is smaller is not
/// looked at. Only what [`restore`](crate::restore) can put back byte for byte is taken.
pub fn extract(signal: Signal, request: &Bytes, policy: &Policy) -> Result<Extraction, Malformed> {
    let large = Walk {
        min_len: policy.threshold,
        on_malformed: OnMalformed::Fail,
    };
    if signal == Signal::Metrics {
        walk(signal, request, large, |_, _| {})?;
        return Ok(Extraction::untouched(request));
    }

    let mut extractor = Extractor::new(request, policy, false);
    let mut splice = walk(signal, request, large, |value, edit| {
        extractor.visit(value, edit);
    })?;
    if splice.untouched(request).any(untrusted::any) {
        // Rare enough to begin again: texts like these are short and anywhere. One that a file
        // was taken out of is none any more.
        let everything = Walk {
            min_len: OPENING.len(),
            on_malformed: OnMalformed::StepOver,
        };
        extractor = Extractor::new(request, policy, true);
        splice = walk(signal, request, everything, |value, edit| {
            extractor.visit(value, edit);
        })?;
    }
    if splice.is_empty() {
        return Ok(Extraction::untouched(request));
    }
    Ok(Extraction {
        request: splice.apply(request)?.into(),
        artifacts: extractor.artifacts,
        references: extractor.references,
    })
}

impl Extraction {
    fn untouched(request: &Bytes) -> Self {
        Self {
            request: request.clone(),
            artifacts: Vec::new(),
            references: 0,
        }
    }
}

struct Extractor<'a> {
    request: &'a Bytes,
    policy: &'a Policy,
    /// Whether references that the sender wrote are looked for and marked.
    marks: bool,
    artifacts: Vec<Artifact>,
    seen: HashSet<crate::Digest>,
    references: usize,
}

impl<'a> Extractor<'a> {
    fn new(request: &'a Bytes, policy: &'a Policy, marks: bool) -> Self {
        Self {
            request,
            policy,
            marks,
            artifacts: Vec::new(),
            seen: HashSet::new(),
            references: 0,
        }
    }

    fn visit(&mut self, value: &Value<'a>, edit: &mut Edit<'_>) {
        let mut replacements: Vec<(Range<usize>, Vec<u8>)> = Vec::new();
        let forged: Vec<Opening> = if self.marks && value.kind == ValueKind::String {
            untrusted::openings(value.content).collect()
        } else {
            Vec::new()
        };
        for found in Candidate::artifacts(self.request, value, self.policy) {
            let whole = found.range.len() == value.content.len();
            let reference = self.reference(&found);
            // A text that is to come back as it was is not taken apart.
            let inside = |opening: &Opening| {
                opening.range.start < found.range.end && found.range.start < opening.range.end
            };
            if reference.len() >= found.range.len()
                || whole && !value.canonical
                || forged.iter().any(inside)
            {
                continue;
            }
            self.references += 1;
            let range = found.range.clone();
            self.keep(found);
            if whole {
                edit.set_string(&reference);
                return;
            }
            replacements.push((range, reference));
        }
        for opening in forged {
            let mark = opening.mark();
            replacements.push((mark..mark, untrusted::MARK.to_vec()));
        }
        replacements.sort_by_key(|(range, _)| range.start);
        for (range, with) in replacements {
            edit.replace(range, with);
        }
    }

    fn reference(&self, found: &Found) -> Vec<u8> {
        Reference {
            digest: found.digest,
            media_type: found.media_type.clone(),
            size: found.bytes.len() as u64,
            encoding: found.encoding,
            prefix: found.prefix.clone(),
            uri: self.policy.uri(found.digest),
        }
        .to_json()
    }

    fn keep(&mut self, found: Found) {
        if self.seen.insert(found.digest) {
            self.artifacts.push(Artifact {
                digest: found.digest,
                media_type: found.media_type,
                bytes: found.bytes,
            });
        }
    }
}
