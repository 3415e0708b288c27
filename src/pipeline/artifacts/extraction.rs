//! Taking files out, with what is known of values before they are decoded.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use slimspan_artifact::{
    self as artifact, BytesValues, Extraction, Facts, Fingerprint, Policy, Recall, extract,
    extract_recalling,
};
use slimspan_proto::{OnMalformed, Signal, ValueKind, Walk, walk};

use crate::compute::{self, Panicked};
use crate::refusal::Refusal;
use crate::storage::Store;

/// More than this is decoded and hashed on threads for such work: a mebibyte takes most of a
/// millisecond, in which other requests would wait.
const INLINE: usize = 128 * 1024;

/// Larger requests are not even walked elsewhere than on such a thread.
const WALKED: usize = 256 * 1024;

/// What is known of values before they are decoded.
#[derive(Clone)]
pub(super) enum Memory {
    /// Nothing.
    None,
    /// What a store remembers.
    Of(Store),
    /// What a store remembers, and what was learned of the same request in another form.
    Across(Store, Arc<HashMap<Fingerprint, Facts>>),
}

/// What is known of the values of a request that is taken through in several forms.
struct Across<'a> {
    store: &'a dyn Recall,
    learned: &'a HashMap<Fingerprint, Facts>,
}

impl Recall for Across<'_> {
    fn key(&self) -> &[u8; 32] {
        self.store.key()
    }

    fn shortest(&self) -> usize {
        self.store.shortest()
    }

    fn met(&self, sketch: u64) -> bool {
        // It comes again at once, in the next form.
        self.store.met(sketch);
        true
    }

    fn recall(&self, fingerprint: &Fingerprint) -> Option<Facts> {
        let learned = self.learned.get(fingerprint).copied();
        learned.or_else(|| self.store.recall(fingerprint))
    }
}

impl Memory {
    fn extract(
        &self,
        signal: Signal,
        request: &Bytes,
        policy: &Policy,
    ) -> Result<Extraction, slimspan_proto::Malformed> {
        match self {
            Self::None => extract(signal, request, policy),
            Self::Of(store) => extract_recalling(signal, request, policy, store.recall()),
            Self::Across(store, learned) => {
                let store = store.recall();
                extract_recalling(signal, request, policy, &Across { store, learned })
            }
        }
    }
}

/// Extracts where it does no harm to other requests, and decodes no values that are known.
pub(super) async fn run_extract(
    signal: Signal,
    request: &Bytes,
    policy: &Policy,
    memory: Memory,
) -> Result<Extraction, Refusal> {
    // A request cannot hold more than it has, so a small one need not be asked.
    if request.len() <= INLINE
        || request.len() <= WALKED && large_values(signal, request, policy.smallest()) <= INLINE
    {
        return Ok(memory.extract(signal, request, policy)?);
    }
    let (request, policy) = (request.clone(), policy.clone());
    let work = move || memory.extract(signal, &request, &policy);
    let extraction = compute::run(work).await;
    Ok(extraction.unwrap_or_else(Panicked::go_on)?)
}

/// The most memory that it takes to write bytes as texts, where `policy` asks for that.
pub(super) async fn memory_of_texts(signal: Signal, request: &Bytes, policy: &Policy) -> usize {
    if policy.bytes_values == BytesValues::Keep {
        return 0;
    }
    if request.len() <= WALKED {
        return artifact::memory_of_texts(signal, request, policy);
    }
    let (request, policy) = (request.clone(), policy.clone());
    let work = move || artifact::memory_of_texts(signal, &request, &policy);
    compute::run(work).await.unwrap_or_else(Panicked::go_on)
}

/// The bytes that extraction may have to decode and hash. To look costs next to nothing.
fn large_values(signal: Signal, request: &[u8], threshold: usize) -> usize {
    let mut bytes = 0;
    let large = Walk {
        min_len: threshold,
        on_malformed: OnMalformed::StepOver,
    };
    // A request that is too odd to be walked is told so by the extractor.
    let _ = walk(signal, request, large, |value, _| {
        if matches!(value.kind, ValueKind::String | ValueKind::Bytes) {
            bytes += value.content.len();
        }
    });
    bytes
}
