use std::collections::HashSet;
use std::iter;
use std::ops::Range;

use bytes::Bytes;
use slimspan_proto::{Edit, Malformed, OnMalformed, Signal, Value, ValueKind, Walk, walk};

use crate::detect::{Candidate, Found};
use crate::reference::{OPENING, Reference};
use crate::{Artifact, Policy, untrusted};

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

    let mut extractor = Extractor::new(request, policy);
    let mut splice = walk(signal, request, large, |value, edit| {
        extractor.visit(value, edit);
    })?;
    if splice.untouched(request).any(untrusted::any) {
        // Rare enough to walk twice: texts like these are short and anywhere.
        let everything = Walk {
            min_len: OPENING.len(),
            on_malformed: OnMalformed::StepOver,
        };
        extractor = Extractor::new(request, policy);
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

/// What stands in place of a range of a value.
type Replacement = (Range<usize>, Vec<u8>);

/// The marks for what looks like a reference in the text between `replacements`. Data URIs hold
/// nothing like it, and are nearly all of a text that has them.
fn untrusted_marks(text: &[u8], replacements: &[Replacement]) -> Vec<Replacement> {
    let starts = iter::once(0).chain(replacements.iter().map(|(range, _)| range.end));
    let ends = replacements.iter().map(|(range, _)| range.start);
    starts
        .zip(ends.chain(iter::once(text.len())))
        .flat_map(|(start, end)| {
            let between = text.get(start..end).unwrap_or_default();
            untrusted::openings(between).map(move |opening| start + opening.mark)
        })
        .map(|at| (at..at, untrusted::MARK.to_vec()))
        .collect()
}

struct Extractor<'a> {
    request: &'a Bytes,
    policy: &'a Policy,
    artifacts: Vec<Artifact>,
    seen: HashSet<crate::Digest>,
    references: usize,
}

impl<'a> Extractor<'a> {
    fn new(request: &'a Bytes, policy: &'a Policy) -> Self {
        Self {
            request,
            policy,
            artifacts: Vec::new(),
            seen: HashSet::new(),
            references: 0,
        }
    }

    fn visit(&mut self, value: &Value<'a>, edit: &mut Edit<'_>) {
        let mut replacements: Vec<Replacement> = Vec::new();
        for found in Candidate::artifacts(self.request, value, self.policy) {
            let whole = found.range.len() == value.content.len();
            let reference = self.reference(&found);
            if reference.len() >= found.range.len() || whole && !value.canonical {
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
        if value.kind == ValueKind::String {
            let marks = untrusted_marks(value.content, &replacements);
            replacements.extend(marks);
            replacements.sort_by_key(|(range, _)| range.start);
        }
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
            uri: Reference::uri(self.policy, found.digest),
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
