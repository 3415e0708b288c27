//! The oracle of the extractor: `restore(extract(x)) == x`, byte for byte.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::HashMap;

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use proptest::prelude::*;
use slimspan_artifact::{
    BytesValues, Digest, Form, Location, Policy, Unrestored, extract, restore, restore_within,
};
use slimspan_generators::{Generator, Payload, Random, Request, files, noise};
use slimspan_proto::Signal;

/// A policy of any kind, from a seed.
fn policy(seed: u64) -> Policy {
    let mut random = Random::new(seed);
    let [store, public] = files::LOCATIONS.map(str::to_owned);
    let location = random.pick(&[Location::Store(store), Location::Public(public)]);
    let mut policy = Policy::new(100, location);
    policy.form = random.pick(&[
        Form::Native,
        Form::Object,
        Form::Uri,
        Form::Semconv,
        Form::Logfire,
    ]);
    policy.preview = random.pick(&[0, 1, 50, 300]);
    if random.one_in(2) {
        policy.text_threshold = Some(random.pick(&[100, 500, 5_000]));
    }
    policy.bytes_values = random.pick(&[BytesValues::Keep, BytesValues::Text]);
    policy
}

fn generate(signal: Signal, seed: u64) -> Bytes {
    generate_with(files::value, signal, seed)
}

fn generate_with(payload: Payload, signal: Signal, seed: u64) -> Bytes {
    let mut random = Random::new(seed);
    let request = Generator::new(&mut random, 3, payload).request(signal);
    let bytes = request.encode();
    if random.one_in(3) {
        return bytes.into();
    }
    noise::noisy(signal, &bytes, &mut random).into()
}

fn store(artifacts: &[slimspan_artifact::Artifact]) -> HashMap<Digest, Bytes> {
    artifacts
        .iter()
        .map(|artifact| (artifact.digest, artifact.bytes.clone()))
        .collect()
}

fn signals() -> impl Strategy<Value = Signal> {
    prop::sample::select(Signal::READ.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn restore_is_the_inverse_of_extract(signal in signals(), seed: u64) {
        let request = generate(signal, seed);
        let policy = policy(!seed);
        let extraction = extract(signal, &request, &policy).unwrap();
        for artifact in &extraction.artifacts {
            prop_assert_eq!(artifact.digest, Digest::of(&artifact.bytes));
            prop_assert!(artifact.bytes.len() >= policy.threshold);
        }
        prop_assert!(Request::decode(signal, &extraction.request).is_ok());
        let stored = store(&extraction.artifacts);
        // As large as it was, it fits. Marks are taken away on the way, and the lengths of all messages
        // around them can be a byte shorter then.
        let (slim, location) = (&extraction.request, &policy.location);
        let marks = memchr::memmem::find_iter(slim, b"untrusted").count() * ("untrusted/".len() + 16);
        // And bytes that stand there as texts are longer than they were until it is their turn.
        let texts = memchr::memmem::find_iter(slim, b"artifact://bytes/").count();
        let longer = if texts > 0 { 40 * texts + slim.len() / 3 } else { 0 };
        let room = request.len() + marks + longer;
        let restored = restore_within(room, signal, slim, location, |digest| {
            stored.get(&digest).cloned()
        });
        let restored = restored.unwrap();
        prop_assert_eq!(restored.left, &[]);
        prop_assert!(restored.request == request, "{:?}", policy);
    }

    /// No bytes are left in what is sound, and all come back; so do texts that a sender wrote like theirs.
    #[test]
    fn bytes_come_back_from_texts_that_hold_them(signal in signals(), seed: u64, noisy: bool) {
        let mut request = generate_with(files::value_with_bytes, signal, seed);
        if !noisy {
            // As a library writes it, so that nothing keeps a value from becoming another.
            request = Request::decode(signal, &request).unwrap().encode().into();
        }
        let policy = Policy { bytes_values: BytesValues::Text, ..policy(!seed) };
        let extraction = extract(signal, &request, &policy).unwrap();
        let mut slim = Request::decode(signal, &extraction.request).unwrap();
        // Those in what a sender wrote like a reference stay, lest they make it one.
        let has_forged = memchr::memmem::find(&request, b"sha256").is_some();
        if !noisy && !has_forged && signal != Signal::Metrics {
            slim.visit(&mut |_, _, _, value| {
                assert!(!matches!(value.value, Some(Value::BytesValue(_))), "{policy:?}");
            });
        }
        let stored = store(&extraction.artifacts);
        let restored = restore(signal, &extraction.request, &policy.location, |digest| {
            stored.get(&digest).cloned()
        });
        prop_assert!(restored.unwrap().request == request, "{:?}", policy);
    }

    /// Also what has been through here before: the references of the first pass are a sender's
    /// references to the second, and their artifacts are not fetched on that sender's behalf.
    #[test]
    fn restore_undoes_one_pass_of_two(signal in signals(), seed: u64) {
        let request = generate(signal, seed);
        let policy = policy(!seed);
        let first = extract(signal, &request, &policy).unwrap();
        let second = extract(signal, &first.request, &policy).unwrap();
        let stored = store(&second.artifacts);
        let restored = restore(signal, &second.request, &policy.location, |digest| {
            let own = stored.get(&digest).cloned();
            assert!(own.is_some(), "fetched {digest}");
            own
        });
        prop_assert!(restored.unwrap().request == first.request, "{:?}", policy);
    }

    /// Damaged requests are refused or come back as they were.
    #[test]
    fn a_flipped_request_is_refused_or_restored(signal in signals(), seed: u64) {
        let mut request = generate(signal, seed).to_vec();
        let mut random = Random::new(!seed);
        let policy = policy(seed);
        for _ in 0..if request.is_empty() { 0 } else { 30 } {
            let at = random.below(request.len());
            request[at] ^= 1 << random.below(8);
            let request = Bytes::from(request.clone());
            if let Ok(extraction) = extract(signal, &request, &policy) {
                let stored = store(&extraction.artifacts);
                let restored = restore(signal, &extraction.request, &policy.location, |digest| {
                    stored.get(&digest).cloned()
                });
                prop_assert!(restored.unwrap().request == request, "{:?}", policy);
            }
        }
    }

    #[test]
    fn metrics_pass_untouched(seed: u64) {
        let request = generate(Signal::Metrics, seed);
        let extraction = extract(Signal::Metrics, &request, &policy(seed)).unwrap();
        prop_assert_eq!(extraction.request.as_ptr(), request.as_ptr());
    }
}

/// The properties above hold for an extractor that takes nothing, too.
#[test]
fn generated_requests_have_files_and_forged_references() {
    let extractions: Vec<_> = (0..400)
        .filter_map(|seed| {
            let request = generate(Signal::Traces, seed);
            extract(Signal::Traces, &request, &policy(seed)).ok()
        })
        .collect();
    assert!(extractions.len() > 360, "{}", extractions.len());
    let with = |has: &dyn Fn(&slimspan_artifact::Extraction) -> bool| {
        extractions
            .iter()
            .filter(|extraction| has(extraction))
            .count()
    };
    let files = with(&|extraction| !extraction.artifacts.is_empty());
    assert!(files > 100, "{files}");
    for (text, at_least) in [
        (r#""artifact.untrusted","sha256""#, 3),
        (r#"\"artifact.untrusted\",\"sha256\""#, 1),
        ("/artifacts/untrusted/ba7816bf8f01cfea", 10),
        ("sha256/untrusted/ba/ba7816bf8f01cfea", 1),
        ("artifact://dropped/untrusted/ba7816bf8f01cfea", 3),
        ("part=genai", 2),
        ("&lines=76", 5),
        ("&esc=", 10),
        ("&all=", 2),
        ("&quotes", 10),
        ("&ref", 5),
        ("~", 50),
        (r#""preview":"#, 5),
        ("artifact://bytes/base64,", 10),
    ] {
        let seen = with(&|extraction| {
            memchr::memmem::find(&extraction.request, text.as_bytes()).is_some()
        });
        assert!(seen >= at_least, "{text}: {seen}");
    }
}

#[test]
fn an_artifact_that_is_missing_or_corrupt_is_named_and_its_reference_stays() {
    let policy = policy(0);
    let (request, digest) = (0..1000)
        .find_map(|seed| {
            let request = generate(Signal::Traces, seed);
            let extraction = extract(Signal::Traces, &request, &policy).ok()?;
            let first = extraction.artifacts.first()?.digest;
            Some((extraction.request, first))
        })
        .unwrap();
    let missing = restore(Signal::Traces, &request, &policy.location, |_| None).unwrap();
    assert_eq!(missing.left.first(), Some(&Unrestored::Missing(digest)));
    assert_eq!(missing.restored, 0);
    let corrupt = restore(Signal::Traces, &request, &policy.location, |_| {
        Some(Bytes::from_static(b"else"))
    });
    let corrupt = corrupt.unwrap();
    assert_eq!(corrupt.left.first(), Some(&Unrestored::Corrupt(digest)));
    assert_eq!(corrupt.request, missing.request);
}
