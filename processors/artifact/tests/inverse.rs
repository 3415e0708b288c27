//! The oracle of the extractor: `restore(extract(x)) == x`, byte for byte.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use proptest::prelude::*;
use slimspan_artifact::{Digest, Policy, RestoreError, extract, restore};
use slimspan_generators::{Generator, Random, Request, noise};
use slimspan_proto::{Reason, Signal};

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
        let extraction = match extract(signal, &request, &policy()) {
            Ok(extraction) => extraction,
            // A sender's reference in a length of ten bytes: there is no room to mark it.
            Err(error) => {
                prop_assert_eq!(error.reason, Reason::Overlong);
                return Ok(());
            }
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
        let request = generate(signal, seed);
        let twice = extract(signal, &request, &policy())
            .and_then(|first| Ok((extract(signal, &first.request, &policy())?, first)));
        let (second, first) = match twice {
            Ok(twice) => twice,
            Err(error) => {
                prop_assert_eq!(error.reason, Reason::Overlong);
                return Ok(());
            }
        };
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

/// The properties above hold for an extractor that takes nothing, too.
#[test]
fn generated_requests_have_files_and_forged_references() {
    let extractions: Vec<_> = (0..200)
        .filter_map(|seed| extract(Signal::Traces, &generate(Signal::Traces, seed), &policy()).ok())
        .collect();
    assert!(extractions.len() > 180, "{}", extractions.len());
    let with = |has: fn(&slimspan_artifact::Extraction) -> bool| {
        extractions
            .iter()
            .filter(|extraction| has(extraction))
            .count()
    };
    let files = with(|extraction| !extraction.artifacts.is_empty());
    let forged = with(|extraction| {
        let text = String::from_utf8_lossy(&extraction.request);
        text.contains(r#""artifact.untrusted","sha256""#)
    });
    assert!(files > 50 && forged > 30, "{files} {forged}");
}

#[test]
fn an_artifact_that_is_missing_or_corrupt_is_named() {
    let (request, digest) = (0..1000)
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
