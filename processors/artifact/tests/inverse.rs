//! The oracle of the extractor: `restore(extract(x)) == x`, byte for byte.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use proptest::prelude::*;
use slimspan_artifact::{Digest, Policy, RestoreError, extract, restore};
use slimspan_generators::{Generator, Random, Request, noise};
use slimspan_proto::Signal;

fn policy() -> Policy {
    Policy {
        threshold: 100,
        uri_base: "memory:/default/sha256".into(),
        dropped: BTreeSet::new(),
    }
}

fn generate(signal: Signal, seed: u64) -> Bytes {
    let mut random = Random::new(seed);
    let request = Generator::new(&mut random, 3, Generator::files).request(signal);
    noise::noisy(signal, &request.encode(), &mut random).into()
}

fn store(artifacts: &[slimspan_artifact::Artifact]) -> HashMap<Digest, Bytes> {
    artifacts
        .iter()
        .map(|artifact| (artifact.digest, artifact.bytes.clone()))
        .collect()
}

fn signals() -> impl Strategy<Value = Signal> {
    prop::sample::select(Signal::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn restore_is_the_inverse_of_extract(signal in signals(), seed: u64) {
        let request = generate(signal, seed);
        let Ok(extraction) = extract(signal, &request, &policy()) else {
            // A sender's reference in a length of ten bytes: there is no room to mark it.
            return Ok(());
        };
        for artifact in &extraction.artifacts {
            prop_assert_eq!(artifact.digest, Digest::of(&artifact.bytes));
            prop_assert!(artifact.bytes.len() >= policy().threshold);
        }
        prop_assert!(Request::decode(signal, &extraction.request).is_ok());
        let stored = store(&extraction.artifacts);
        let restored = restore(signal, &extraction.request, |digest| stored.get(&digest).cloned());
        prop_assert!(restored.unwrap() == request);
    }

    /// Also what has been through here before: the references of the first pass are a sender's
    /// references to the second, and its artifacts are not fetched on that sender's behalf.
    #[test]
    fn restore_undoes_one_pass_of_two(signal in signals(), seed: u64) {
        let first = extract(signal, &generate(signal, seed), &policy());
        let Ok(first) = first else { return Ok(()) };
        let second = extract(signal, &first.request, &policy());
        let Ok(second) = second else { return Ok(()) };
        prop_assert_eq!(&second.artifacts, &[]);
        let restored = restore(signal, &second.request, |digest| panic!("fetched {digest}"));
        prop_assert!(restored.unwrap() == first.request);
    }

    /// Damaged requests are refused or come back as they were.
    #[test]
    fn a_flipped_request_is_refused_or_restored(signal in signals(), seed: u64) {
        let mut request = generate(signal, seed).to_vec();
        let mut random = Random::new(!seed);
        for _ in 0..if request.is_empty() { 0 } else { 30 } {
            let at = random.below(request.len());
            request[at] ^= 1 << random.below(8);
            let request = Bytes::from(request.clone());
            if let Ok(extraction) = extract(signal, &request, &policy()) {
                let stored = store(&extraction.artifacts);
                let restored = restore(signal, &extraction.request, |digest| stored.get(&digest).cloned());
                prop_assert!(restored.unwrap() == request);
            }
        }
    }

    #[test]
    fn metrics_pass_untouched(seed: u64) {
        let request = generate(Signal::Metrics, seed);
        let extraction = extract(Signal::Metrics, &request, &policy()).unwrap();
        prop_assert_eq!(extraction.request.as_ptr(), request.as_ptr());
    }
}

#[test]
fn an_artifact_that_is_missing_or_corrupt_is_named() {
    let (request, digest) = (0..)
        .find_map(|seed| {
            let request = generate(Signal::Traces, seed);
            let extraction = extract(Signal::Traces, &request, &policy()).ok()?;
            let first = extraction.artifacts.first()?.digest;
            Some((extraction.request, first))
        })
        .unwrap();
    let missing = restore(Signal::Traces, &request, |_| None);
    assert_eq!(missing, Err(RestoreError::Missing(digest)));
    let corrupt = restore(Signal::Traces, &request, |_| {
        Some(Bytes::from_static(b"else"))
    });
    assert_eq!(corrupt, Err(RestoreError::Corrupt(digest)));
}
