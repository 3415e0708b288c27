//! What was seen before comes out as it did the first time, and is not decoded for it.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::{BTreeSet, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use proptest::prelude::*;
use slimspan_artifact::{
    Action, Digest, Extraction, Facts, Fingerprint, Form, Location, Pattern, Policy, Recall, Rule,
    extract, extract_recalling,
};
use slimspan_generators::{Generator, Random, fake_file, files, noise};
use slimspan_proto::{Member, Signal, ValueKind};

const FORMS: [Form; 5] = [
    Form::Native,
    Form::Object,
    Form::Uri,
    Form::Semconv,
    Form::Logfire,
];

/// Remembers everything.
#[derive(Default)]
struct Memory(HashMap<Fingerprint, Facts>);

impl Recall for Memory {
    fn key(&self) -> &[u8; 32] {
        b"a secret that only the tests know"[..32]
            .try_into()
            .unwrap()
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

impl Memory {
    fn learn(&mut self, extraction: Extraction) {
        self.0.extend(extraction.learned);
    }
}

/// The digests of what has to be stored, and everything but the artifacts.
fn parts(mut extraction: Extraction) -> (BTreeSet<Digest>, Extraction) {
    let artifacts = std::mem::take(&mut extraction.artifacts);
    let recalled = std::mem::take(&mut extraction.recalled);
    let count = artifacts.len() + recalled.len();
    let digests: BTreeSet<_> = artifacts
        .iter()
        .map(|artifact| artifact.digest)
        .chain(recalled)
        .collect();
    assert_eq!(digests.len(), count, "each once");
    extraction.learned.clear();
    (digests, extraction)
}

fn policy(random: &mut Random) -> Policy {
    let [store, public] = files::LOCATIONS.map(str::to_owned);
    let location = random.pick(&[Location::Store(store), Location::Public(public)]);
    let mut policy = Policy::new(random.pick(&[100, 100, 300]), location);
    policy.form = random.pick(&FORMS);
    if random.one_in(2) {
        policy.text_threshold = Some(random.pick(&[100, 500, 5_000]));
    }
    if random.one_in(4) {
        policy.media_types.exclude = vec![Pattern::any_case("image/*")];
    }
    policy
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever was learned where, and under which policy.
    #[test]
    fn a_request_comes_out_the_same(seed: u64) {
        let mut random = Random::new(seed);
        let signal = random.pick(&[Signal::Traces, Signal::Logs]);
        let request = Generator::new(&mut random, 3, files::value).request(signal).encode();
        let request: Bytes = if random.one_in(3) {
            noise::noisy(signal, &request, &mut random).into()
        } else {
            request.into()
        };
        let mut memory = Memory::default();
        for _ in 0..3 {
            let policy = policy(&mut random);
            let plain = extract(signal, &request, &policy);
            let recalling = extract_recalling(signal, &request, &policy, &memory);
            let (Ok(plain), Ok(recalling)) = (&plain, &recalling) else {
                prop_assert_eq!(plain.err(), recalling.err());
                return Ok(());
            };
            prop_assert!(parts(plain.clone()) == parts(recalling.clone()), "{:?}", policy);
            memory.learn(recalling.clone());
            // What was moved just now is not decoded again.
            let again = extract_recalling(signal, &request, &policy, &memory).unwrap();
            prop_assert_eq!(&again.learned, &[]);
            prop_assert!(parts(plain.clone()) == parts(again), "{:?}", policy);
        }
    }
}

/// A message in a field, for every number of `path`.
fn nested(path: &[u8], content: Vec<u8>) -> Vec<u8> {
    path.iter().rev().fold(content, |inner, number| {
        let mut message = vec![number << 3 | 2];
        let mut len = inner.len();
        while len >= 0x80 {
            message.push(len as u8 | 0x80);
            len >>= 7;
        }
        message.push(len as u8);
        message.extend(inner);
        message
    })
}

/// A request for the span with these attributes.
fn span(attributes: &[(&str, &str)]) -> Bytes {
    let attributes: Vec<u8> = attributes
        .iter()
        .flat_map(|(key, text)| {
            let entry = Member::encode(key.as_bytes(), ValueKind::String, text.as_bytes());
            // A member of a kvlist is field 1, an attribute of a span field 9.
            [vec![9 << 3 | 2], entry[1..].to_vec()].concat()
        })
        .collect();
    nested(&[1, 2, 2], attributes).into()
}

fn encoded() -> String {
    STANDARD.encode(fake_file(&mut Random::new(7), 20_000))
}

fn plain_policy() -> Policy {
    Policy::new(1_000, Location::Store("memory:/default/sha256".to_owned()))
}

/// Each way to write a file, in each form of reference.
#[test]
fn what_is_recalled_is_not_decoded() {
    let base64 = encoded();
    let in_lines: Vec<&str> = (0..base64.len())
        .step_by(76)
        .map(|at| &base64[at..base64.len().min(at + 76)])
        .collect();
    let json = format!(r#"[{{"type":"image_url","url":"data:image/png;base64,{base64}"}}]"#);
    let in_json = serde_json::to_string(&json).unwrap();
    let with_slashes = json.replace('/', r"\/");
    let printed = r"\x01\x02\x03\xfe".repeat(3_000);
    for text in [
        base64.clone(),
        format!("data:image/png;base64,{base64}"),
        format!(
            "data:image/png;base64,{}",
            base64.replace('/', "%2F").replace('+', "%2B")
        ),
        in_lines.join("\n"),
        format!("![a](data:image/png;base64,{base64}) and more"),
        json,
        format!(r#"{{"messages":{in_json}}}"#),
        with_slashes,
        format!(r"b'\x89PNG\r\n\x1a\n{printed}'"),
    ] {
        for form in FORMS {
            let policy = Policy {
                form,
                ..plain_policy()
            };
            let request = span(&[("input.value", &text)]);
            let mut memory = Memory::default();
            let first = extract_recalling(Signal::Traces, &request, &policy, &memory).unwrap();
            let case = format!("{form:?} {}", &text[..40]);
            assert_eq!(first.artifacts.len(), 1, "{case}");
            assert_eq!(first.recalled, [], "{case}");
            memory.learn(first.clone());
            let second = extract_recalling(Signal::Traces, &request, &policy, &memory).unwrap();
            assert_eq!(second.artifacts, [], "{case}");
            assert_eq!(second.recalled, [first.artifacts[0].digest], "{case}");
            assert!(second.request == first.request, "{case}");
            assert_eq!(second.moves, first.moves, "{case}");
        }
    }
}

fn rule(attribute: &str, action: Action) -> Rule {
    Rule {
        attributes: vec![Pattern::new(attribute)],
        action,
        threshold: None,
        text_threshold: None,
    }
}

/// What happens to a value is up to what stands around it, not around the one that was learned.
#[test]
fn what_is_recalled_is_treated_by_its_own_surroundings() {
    let base64 = encoded();
    let data_uri = |media_type: &str| format!("data:{media_type};base64,{base64}");
    let part = |key: &str, label: &str| {
        format!(r#"{{"type":"blob","mime_type":"{label}","{key}":"{base64}"}}"#)
    };
    let mut policy = plain_policy();
    policy.rules = vec![rule("keep", Action::Keep), rule("drop", Action::Drop)];
    policy.rules.push(Rule {
        threshold: Some(1 << 20),
        ..rule("large", Action::Move)
    });
    policy.deny_keys = vec![Pattern::any_case("sealed")];
    policy.media_types.exclude = vec![Pattern::any_case("image/tiff")];
    let cases = [
        ("input.value", base64.clone()),
        ("input.value", data_uri("image/png")),
        ("input.value", data_uri("image/jpeg")),
        ("input.value", data_uri("text/html")),
        ("input.value", data_uri("image/tiff")),
        ("keep", data_uri("image/png")),
        ("drop", data_uri("image/png")),
        ("large", data_uri("image/png")),
        ("sealed", base64.clone()),
        ("signature", base64.clone()),
        ("input.value", part("content", "image/png")),
        ("input.value", part("content", "text/csv")),
        ("input.value", part("sealed", "image/png")),
        ("input.value", part("encrypted_content", "image/png")),
        ("input.value", format!("https://example.com/?q={base64}")),
        ("input.value", format!("{base64}!")),
        ("input.value", format!("{base64}=")),
        ("input.value", format!("b'{base64}'")),
    ];
    for form in FORMS {
        policy.form = form;
        let mut memory = Memory::default();
        let first = span(
            &[cases[0].clone(), cases[1].clone()]
                .each_ref()
                .map(|(k, v)| (*k, v.as_str())),
        );
        let learned = extract_recalling(Signal::Traces, &first, &policy, &memory).unwrap();
        memory.learn(learned);
        let mut moved = 0;
        for (key, text) in &cases {
            let request = span(&[(key, text)]);
            let plain = extract(Signal::Traces, &request, &policy).unwrap();
            let recalling = extract_recalling(Signal::Traces, &request, &policy, &memory).unwrap();
            assert_eq!(recalling.artifacts, [], "{form:?} {key} {}", &text[..40]);
            moved += recalling.moves.len();
            assert!(
                parts(plain) == parts(recalling),
                "{form:?} {key} {}",
                &text[..40]
            );
        }
        assert!(moved >= 8, "{form:?}: {moved}");
    }
}

/// Equal texts that are read in two ways are two values.
#[test]
fn a_text_is_not_taken_for_the_file_that_it_encodes() {
    let base64 = encoded();
    let mut policy = plain_policy();
    policy.text_threshold = Some(1_000);
    let mut memory = Memory::default();
    let file = span(&[("input.value", &base64)]);
    let first = extract_recalling(Signal::Traces, &file, &policy, &memory).unwrap();
    assert_eq!(first.artifacts.len(), 1);
    memory.learn(first);
    // Files of this size are not moved here, but texts are.
    policy.threshold = 1 << 20;
    let text = extract_recalling(Signal::Traces, &file, &policy, &memory).unwrap();
    assert_eq!(text.texts, 1);
    let digest = Digest::of(base64.as_bytes());
    assert!(text.moves.iter().all(|moved| moved.digest == digest));
    assert_eq!(text.artifacts[0].digest, digest);
}

/// A file that stands in a request in a known way and in a new one has its bytes.
#[test]
fn what_is_there_in_a_new_way_too_is_not_only_recalled() {
    let base64 = encoded();
    let unpadded = base64.trim_end_matches('=');
    assert_ne!(unpadded, base64);
    let policy = plain_policy();
    let mut memory = Memory::default();
    let known = span(&[("a", &base64)]);
    memory.learn(extract_recalling(Signal::Traces, &known, &policy, &memory).unwrap());
    for texts in [[&base64[..], unpadded], [unpadded, &base64]] {
        let request = span(&[("a", texts[0]), ("b", texts[1])]);
        let both = extract_recalling(Signal::Traces, &request, &policy, &memory).unwrap();
        assert_eq!((both.artifacts.len(), both.moves.len()), (1, 2));
        assert_eq!(both.recalled, []);
    }
}

/// What a rule drops is stored nowhere, and so nothing of it may be learned.
#[test]
fn nothing_is_learned_of_what_is_dropped() {
    let request = span(&[("drop", &encoded())]);
    let mut policy = plain_policy();
    let memory = Memory::default();
    let moved = extract_recalling(Signal::Traces, &request, &policy, &memory).unwrap();
    assert_eq!(moved.learned.len(), 1);
    policy.dropped = [moved.artifacts[0].digest].into();
    let dropped = extract_recalling(Signal::Traces, &request, &policy, &memory).unwrap();
    assert_eq!((dropped.moves.len(), dropped.learned.len()), (1, 0));
    policy.dropped.clear();
    policy.rules = vec![rule("drop", Action::Drop)];
    let dropped = extract_recalling(Signal::Traces, &request, &policy, &memory).unwrap();
    assert_eq!((dropped.moves.len(), dropped.learned.len()), (1, 0));
}
