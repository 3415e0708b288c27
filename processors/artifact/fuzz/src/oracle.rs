//! What has to hold of every extraction, whatever the request was.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use slimspan_artifact::{
    Digest, Extraction, Facts, Fingerprint, Policy, Recall, extract, extract_recalling, restore,
};
use slimspan_generators::Request;
use slimspan_proto::Signal;

/// What senders' references name in the dictionary and the generators: a digest whose bytes a
/// restorer may well have.
const KNOWN: &[u8] = b"abc";

/// Panics unless everything that was taken out of `request` can be put back, also where it is taken
/// out twice.
pub fn check(signal: Signal, request: &[u8], policy: &Policy) {
    let request = Bytes::copy_from_slice(request);
    survive(signal, &request, policy);
    let Some(first) = pass(signal, &request, policy) else {
        return;
    };
    if first.request != request {
        pass(signal, &first.request, policy);
    }
}

/// Takes out and puts back.
fn pass(signal: Signal, request: &Bytes, policy: &Policy) -> Option<Extraction> {
    let sound = Request::decode(signal, request).is_ok();
    let extraction = match extract(signal, request, policy) {
        Ok(extraction) => extraction,
        Err(error) => {
            assert!(!sound, "refused what prost reads: {error}");
            return None;
        }
    };
    if sound {
        let slim = Request::decode(signal, &extraction.request);
        assert!(
            slim.is_ok(),
            "prost reads the request, but not the slim one"
        );
    }
    if extraction.request == *request {
        assert_eq!(extraction.request.as_ptr(), request.as_ptr(), "copied");
    }
    restorable(signal, request, policy, &extraction);
    recallable(signal, request, policy, &extraction);
    Some(extraction)
}

/// Remembers values of any length.
#[derive(Default)]
struct Memory(HashMap<Fingerprint, Facts>);

impl Recall for Memory {
    fn key(&self) -> &[u8; 32] {
        &[7; 32]
    }

    fn shortest(&self) -> usize {
        0
    }

    fn met(&self, _: u64) -> bool {
        true
    }

    fn recall(&self, fingerprint: &Fingerprint) -> Option<Facts> {
        self.0.get(fingerprint).copied()
    }
}

/// What is recalled comes out as it did when it was decoded.
fn recallable(signal: Signal, request: &Bytes, policy: &Policy, decoded: &Extraction) {
    let mut memory = Memory::default();
    for _ in 0..2 {
        let found = extract_recalling(signal, request, policy, &memory);
        let found = found.expect("what can be extracted can be recalled");
        assert!(found.request == decoded.request, "another: {policy:?}");
        assert_eq!(found.moves, decoded.moves);
        assert_eq!(found.untrusted, decoded.untrusted);
        assert_eq!(
            (found.truncated, found.mislabelled, found.texts),
            (decoded.truncated, decoded.mislabelled, decoded.texts)
        );
        let digests = |of: &Extraction| -> BTreeSet<Digest> {
            let artifacts = of.artifacts.iter().map(|artifact| artifact.digest);
            artifacts.chain(of.recalled.iter().copied()).collect()
        };
        assert_eq!(digests(&found), digests(decoded));
        memory.0.extend(found.learned);
    }
}

fn restorable(signal: Signal, request: &Bytes, policy: &Policy, extraction: &Extraction) {
    let mut stored = HashMap::new();
    for artifact in &extraction.artifacts {
        assert_eq!(artifact.digest, Digest::of(&artifact.bytes));
        let large = artifact.bytes.len() >= policy.smallest();
        assert!(large, "too small for {policy:?}: {artifact:?}");
        let twice = stored.insert(artifact.digest, artifact.bytes.clone());
        assert!(twice.is_none(), "{} stands twice", artifact.digest);
    }
    let dropped = extraction.moves.iter().filter(|one| !one.stored).count();
    for one in extraction.moves.iter().filter(|one| one.stored) {
        assert_eq!(stored.get(&one.digest).map(Bytes::len), Some(one.size));
    }
    let restored = restore(signal, &extraction.request, &policy.location, |digest| {
        let bytes = stored.get(&digest).cloned();
        assert!(bytes.is_some(), "fetched {digest}, which a sender named");
        bytes
    });
    let restored = restored.expect("what was extracted can be read");
    assert_eq!(restored.restored, extraction.moves.len() - dropped);
    assert_eq!(restored.left.len(), dropped);
    if dropped == 0 {
        assert_eq!(restored.left, []);
        assert!(restored.request == *request, "not what it was: {policy:?}");
    }
}

/// Restoring what nobody extracted must do no harm.
fn survive(signal: Signal, request: &Bytes, policy: &Policy) {
    let _ = restore(signal, request, &policy.location, |_| {
        Some(Bytes::from_static(KNOWN))
    });
}
