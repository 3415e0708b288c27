//! The check against prost: an item is sound where prost decodes it.

#![allow(clippy::unwrap_used, missing_docs)]

use bytes::Bytes;
use proptest::prelude::*;
use slimspan_generators::wire::{message, tagged as field};
use slimspan_generators::{Generator, Random, Request, files, noise};
use slimspan_proto::{
    CheckError, Checked, Fault, Items, Malformed, Reason, Signal, Verdict, check,
};

const NO_LIMIT: usize = usize::MAX;

fn checked(signal: Signal, request: &[u8]) -> Result<Checked, Malformed> {
    match check(signal, request, NO_LIMIT) {
        Ok(checked) => Ok(checked),
        Err(CheckError::Malformed(malformed)) => Err(malformed),
        Err(CheckError::TooMany) => unreachable!("there is no limit"),
    }
}

/// `body` in the fields of `path`, the first outermost.
fn within(path: &[u32], body: Vec<u8>) -> Vec<u8> {
    let path = path.iter().rev();
    path.fold(body, |body, number| message(*number, &body))
}

/// The answers of a decoder to a field, written in every way and with what only some contents can be.
fn answers(mut decodes: impl FnMut(Vec<u8>) -> bool, number: u32) -> Vec<bool> {
    let end_of_group = field(number, 4, &[]);
    let probes = [
        field(number, 0, &[1]),
        field(number, 0, &[0xff; 9]),
        field(number, 1, &[0; 8]),
        field(number, 5, &[0; 4]),
        field(number, 3, &end_of_group),
        message(number, b""),
        message(number, &[0xff]),       // no text, no number
        message(number, &[0x0f]),       // no message
        message(number, &[0xff, 0x01]), // no text; a number
        message(number, &[0; 8]),       // no message
        message(number, &[0; 12]),
    ];
    probes.into_iter().map(&mut decodes).collect()
}

/// Every message of the schema, found by asking prost, has the same fields in the table.
#[test]
fn the_table_is_the_schema_of_the_generated_types() {
    const FIELDS: u32 = 40;
    const DEEPEST: usize = 10;
    let mut messages = 0;
    for signal in Signal::READ {
        let prost = |bytes: &[u8]| Request::decode(signal, bytes).is_ok();
        let mut open: Vec<Vec<u32>> = vec![vec![]];
        while let Some(path) = open.pop() {
            messages += 1;
            for number in (1..=FIELDS).chain([200, 18_999, 536_870_911]) {
                let theirs = answers(|probe| prost(&within(&path, probe)), number);
                let ours = answers(
                    |probe| {
                        let request = within(&path, probe);
                        checked(signal, &request).is_ok_and(|checked| checked.faults.is_empty())
                    },
                    number,
                );
                assert_eq!(ours, theirs, "{signal}, field {number} of {path:?}");
                let is_message = theirs[5] && !theirs[0] && !theirs[2] && !theirs[7];
                let is_text = theirs[7] && !theirs[6] && !theirs[0];
                if is_text {
                    let verdict = verdict_of(signal, &within(&path, message(number, &[0xff])));
                    assert_eq!(verdict, Some(Verdict::Isolated), "{number} of {path:?}");
                }
                if is_message && path.len() < DEEPEST {
                    open.push([&path[..], &[number]].concat());
                }
            }
        }
    }
    assert!(messages > 300, "{messages}");
}

fn verdict_of(signal: Signal, request: &[u8]) -> Option<Verdict> {
    let checked = checked(signal, request).unwrap();
    checked.faults.first().map(|fault| fault.verdict)
}

fn generate(signal: Signal, seed: u64) -> (Random, Vec<u8>) {
    let mut random = Random::new(seed);
    let request = Generator::new(&mut random, 3, files::value).request(signal);
    let bytes = noise::noisy(signal, &request.encode(), &mut random);
    (random, bytes)
}

fn signals() -> impl Strategy<Value = Signal> {
    prop::sample::select(Signal::READ.to_vec())
}

/// Changes a byte or two in the items of a request.
fn damage(signal: Signal, mut bytes: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let items = Items::read(signal, &Bytes::from(bytes.clone())).unwrap();
    for item in items.iter() {
        if !item.body.is_empty() && random.one_in(2) {
            for _ in 0..=random.below(2) {
                let at = item.body.start + random.below(item.body.len());
                bytes[at] = random.bytes(1)[0];
            }
        }
    }
    bytes
}

/// The verdicts on each item, the worse where there are two.
fn verdicts(checked: &Checked, items: usize) -> Vec<Option<Verdict>> {
    let mut verdicts = vec![None; items];
    for Fault { items, verdict } in &checked.faults {
        for of_item in &mut verdicts[items.clone()] {
            if !matches!(of_item, Some(Verdict::Rejected(_))) {
                *of_item = Some(*verdict);
            }
        }
    }
    verdicts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever noise protobuf allows is sound, and counts as many items as prost decodes.
    #[test]
    fn what_protobuf_allows_is_sound(signal in signals(), seed: u64) {
        let (_, bytes) = generate(signal, seed);
        let checked = checked(signal, &bytes).unwrap();
        prop_assert_eq!(checked.faults, vec![]);
        prop_assert_eq!(checked.count, slimspan_proto::count(signal, &bytes));
    }

    /// An item with damage is sound exactly where prost decodes it, and is isolated exactly where it
    /// would be sound but for texts that are not UTF-8. Items beside it stay what they were.
    #[test]
    fn an_item_is_sound_where_prost_decodes_it(signal in signals(), seed: u64) {
        let (mut random, bytes) = generate(signal, seed);
        let bytes = Bytes::from(damage(signal, bytes, &mut random));
        let items = Items::read(signal, &bytes).unwrap();
        let verdicts = verdicts(&checked(signal, &bytes).unwrap(), items.len());
        for (index, verdict) in verdicts.iter().enumerate() {
            let alone = items.carve(|one| one == index);
            let theirs = Request::decode(signal, &alone);
            prop_assert_eq!(verdict.is_none(), theirs.is_ok(), "{:?}, {:?}", verdict, theirs);
            if let Err(error) = theirs {
                let of_text = error.to_string().contains("UTF-8");
                // Where both are wrong, prost names what comes first.
                prop_assert!(of_text || *verdict != Some(Verdict::Isolated), "{}", error);
            }
        }
        let sound = items.carve(|index| verdicts[index].is_none());
        prop_assert!(Request::decode(signal, &sound).is_ok(), "what is left is a sound request");
    }

    /// Cut or damaged anywhere, there is an answer; and where the check finds nothing, prost decodes.
    #[test]
    fn whatever_comes_is_answered(signal in signals(), seed: u64) {
        let (mut random, mut bytes) = generate(signal, seed);
        prop_assume!(!bytes.is_empty());
        for _ in 0..200 {
            let at = random.below(bytes.len());
            bytes[at] = random.bytes(1)[0];
            let cut = &bytes[..random.below(bytes.len() + 1)];
            for bytes in [cut, &bytes[..]] {
                let sound = checked(signal, bytes).is_ok_and(|checked| checked.faults.is_empty());
                prop_assert_eq!(sound, Request::decode(signal, bytes).is_ok());
            }
        }
    }

    /// What the check finds sound, extraction and the walk never refuse.
    #[test]
    fn what_is_sound_can_be_walked(signal in signals(), seed: u64) {
        let (mut random, bytes) = generate(signal, seed);
        let bytes = Bytes::from(damage(signal, bytes, &mut random));
        let items = Items::read(signal, &bytes).unwrap();
        let verdicts = verdicts(&checked(signal, &bytes).unwrap(), items.len());
        let readable = items.carve(|index| !matches!(verdicts[index], Some(Verdict::Rejected(_))));
        let everything = slimspan_proto::Walk {
            min_len: 0,
            on_malformed: slimspan_proto::OnMalformed::Fail,
        };
        let walked = slimspan_proto::walk(signal, &readable, everything, |_, _| {});
        prop_assert!(walked.is_ok(), "{:?}", walked);
    }
}

/// A span with an attribute whose value is `arrays` arrays deep.
fn nested(arrays: usize) -> Vec<u8> {
    let mut value = Vec::new();
    for _ in 0..arrays {
        value = message(5, &message(1, &value));
    }
    within(&[1, 2, 2, 9, 2], value)
}

/// prost allows one message more than [`slimspan_proto::MAX_DEPTH`]: it does not count the outermost.
#[test]
fn what_some_decoders_find_too_deep_goes_apart() {
    // Request, resource, scope, span, attribute and value are six; an array and its element two.
    for arrays in [0, 47] {
        let request = nested(arrays);
        assert_eq!(verdict_of(Signal::Traces, &request), None, "{arrays}");
        assert!(Request::decode(Signal::Traces, &request).is_ok());
    }
    for arrays in [48, 49, 51] {
        let verdict = verdict_of(Signal::Traces, &nested(arrays));
        assert_eq!(verdict, Some(Verdict::Isolated), "{arrays}");
    }
    assert!(Request::decode(Signal::Traces, &nested(48)).is_err());
    for arrays in [52, 1_000] {
        let Some(Verdict::Rejected(malformed)) = verdict_of(Signal::Traces, &nested(arrays)) else {
            unreachable!("{arrays} arrays");
        };
        assert_eq!(malformed.reason, Reason::TooDeep);
    }
}

/// As decoders do, groups are counted with the messages around them; prost allows one more.
#[test]
fn groups_are_bounded_with_the_messages_around_them() {
    let groups = |depth: usize| {
        let open = field(200, 3, &[]).repeat(depth);
        [open, field(200, 4, &[]).repeat(depth)].concat()
    };
    // A span is the fourth message of a request.
    for (depth, sound) in [(1, true), (96, true), (97, false), (100_000, false)] {
        let request = within(&[1, 2, 2], groups(depth));
        let verdict = verdict_of(Signal::Traces, &request);
        assert_eq!(verdict.is_none(), sound, "{depth}");
        if sound {
            assert!(Request::decode(Signal::Traces, &request).is_ok(), "{depth}");
        }
    }
    // Beside the items nothing but the whole can be refused.
    for (path, allowed) in [(&[][..], 99), (&[1], 98), (&[1, 2], 97)] {
        for (depth, sound) in [(allowed, true), (allowed + 1, false)] {
            let request = within(path, groups(depth));
            assert_eq!(checked(Signal::Traces, &request).is_ok(), sound, "{path:?}");
        }
    }
    for broken in [&[0x0b][..], &[0x0b, 0x14], &[0x0c]] {
        let request = within(&[1, 2, 2], broken.to_vec());
        assert!(verdict_of(Signal::Traces, &request).is_some());
        assert!(checked(Signal::Traces, broken).is_err());
    }
}

/// A fault in a resource or scope concerns all items below it and no others.
#[test]
fn faults_above_items_concern_all_below() {
    let spans = |count: usize| message(2, &message(2, b"").repeat(count));
    let in_resource = |fault: &[u8], count| message(1, &[fault, &spans(count)].concat());
    let in_scope = |fault: &[u8], count| {
        let scope = [fault, &message(2, b"").repeat(count)].concat();
        within(&[1, 2], scope)
    };
    let text = |text: &[u8]| message(1, &message(1, &message(1, text)));
    for (fault, verdict) in [
        (text(b"\xff"), "isolated"),
        (message(3, b"\xff"), "isolated"),
        (field(3, 0, &[1]), "rejected"),
        (field(2, 0, &[1]), "rejected"),
        (field(2, 5, &[0; 4]), "rejected"),
        (field(2, 3, &field(2, 4, &[])), "rejected"),
        (field(1, 0, &[1]), "rejected"),
        (message(1, &[0x0f]), "rejected"),
        (text(b"sound"), "sound"),
    ] {
        for envelope in [&in_resource as &dyn Fn(&[u8], usize) -> Vec<u8>, &in_scope] {
            let sound = envelope(b"", 2);
            let request = Bytes::from([&sound[..], &envelope(&fault, 3), &sound].concat());
            let faults = checked(Signal::Traces, &request).unwrap().faults;
            let found = match &faults[..] {
                [] => "sound",
                [fault] => {
                    assert_eq!(fault.items, 2..5);
                    match fault.verdict {
                        Verdict::Isolated => "isolated",
                        Verdict::Rejected(malformed) => {
                            assert!((10..request.len()).contains(&malformed.at));
                            "rejected"
                        }
                    }
                }
                more => unreachable!("{more:?}"),
            };
            assert_eq!(found, verdict, "{}", fault.escape_ascii());
            // Whatever is wrong above some of them, the others can be had.
            let items = Items::read(Signal::Traces, &request).unwrap();
            assert_eq!(items.len(), 7);
            assert_eq!(items.carve(|_| true), request);
            let others = items.carve(|index| !(2..5).contains(&index));
            assert_eq!(others, sound.repeat(2), "{}", fault.escape_ascii());
        }
    }
    let scope = within(&[1, 2, 1, 1], b"\xff".to_vec());
    let faults = checked(Signal::Traces, &scope).unwrap().faults;
    assert_eq!(faults[0].items, 0..0, "told even where nothing is below");
}

/// What can be repeated is bounded, wherever it stands, and attributes less than spans.
#[test]
fn whatever_can_be_repeated_is_bounded() {
    const LIMIT: usize = 1_000;
    let traces: [(&[u32], usize); 10] = [
        (&[1], LIMIT),
        (&[1, 2], LIMIT - 1),
        (&[1, 2, 2], LIMIT - 2),
        (&[1, 2, 2, 11], LIMIT - 3),
        (&[1, 2, 2, 13], LIMIT - 3),
        (&[1, 2, 2, 9], (LIMIT - 3) * 16),
        (&[1, 2, 2, 9, 2, 5, 1], (LIMIT - 3) * 16 - 1),
        (&[1, 2, 2, 9, 2, 6, 1], (LIMIT - 3) * 16 - 1),
        (&[1, 1, 3], LIMIT - 1),
        (&[1, 1, 3, 3], (LIMIT - 2) * 16),
    ];
    let metrics: [(&[u32], usize); 6] = [
        (&[1, 2, 2, 5, 1], LIMIT - 3),
        (&[1, 2, 2, 7, 1, 5], LIMIT - 4),
        (&[1, 2, 2, 9, 1, 8], LIMIT - 4),
        (&[1, 2, 2, 10, 1, 11], LIMIT - 4),
        (&[1, 2, 2, 11, 1, 6], LIMIT - 4),
        (&[1, 2, 2, 12], (LIMIT - 3) * 16),
    ];
    let cases = traces.map(|case| (Signal::Traces, case));
    let cases = cases
        .into_iter()
        .chain(metrics.map(|case| (Signal::Metrics, case)));
    for (signal, (path, most)) in cases {
        let (last, around) = path.split_last().unwrap();
        let request = |count| within(around, message(*last, b"").repeat(count));
        assert!(check(signal, &request(most), LIMIT).is_ok(), "{path:?}");
        assert_eq!(
            check(signal, &request(most + 1), LIMIT),
            Err(CheckError::TooMany),
            "{path:?}"
        );
    }
}

/// A request of profiles whose only scope has these bytes.
fn profiles(scope: &[u8]) -> Vec<u8> {
    message(1, &message(2, scope))
}

#[test]
fn profiles_are_counted_and_not_looked_into() {
    let profile = message(2, &[field(3, 1, &[0; 8]), message(900, b"\xff")].concat());
    let scope = [message(1, b""), profile.repeat(3), message(3, b"\xff")].concat();
    let dictionary = message(2, &message(5, b"text"));
    let request = [
        profiles(&scope),
        dictionary,
        profiles(&profile),
        field(9, 0, &[1]),
    ]
    .concat();
    let sound = checked(Signal::Profiles, &request).unwrap();
    assert_eq!((sound.count, sound.faults), (4, vec![]));
    assert_eq!(slimspan_proto::count(Signal::Profiles, &request), 4);
    assert_eq!(checked(Signal::Profiles, b"").unwrap().count, 0);
}

#[test]
fn profiles_are_sound_together_or_not_at_all() {
    let number = |at: u32| field(at, 0, &[1]);
    let sound = profiles(&message(2, b""));
    for broken in [
        number(1),
        number(2),
        message(1, &number(1)),
        message(1, &number(2)),
        message(1, &number(3)),
        profiles(&number(1)),
        profiles(&number(2)),
        profiles(&number(3)),
        profiles(&message(1, &[0x0f])),
        profiles(&message(2, &[0x0f])),
        profiles(&message(2, &[0x0a, 5, 1])),
        message(2, &[0x0f]),
        field(7, 3, &[]),
        vec![0x0a, 5, 1],
    ] {
        for request in [
            [&sound[..], &broken].concat(),
            [&broken[..], &sound].concat(),
        ] {
            assert!(checked(Signal::Profiles, &request).is_err(), "{request:x?}");
        }
    }
    let deep = |groups: usize| {
        let (open, close) = (field(9, 3, &[]), field(9, 4, &[]));
        profiles(&message(
            2,
            &[open.repeat(groups), close.repeat(groups)].concat(),
        ))
    };
    assert!(checked(Signal::Profiles, &deep(90)).is_ok());
    assert!(checked(Signal::Profiles, &deep(100)).is_err());
}

#[test]
fn entries_of_profiles_have_a_limit() {
    let too_many =
        |request: &[u8], most| check(Signal::Profiles, request, most) == Err(CheckError::TooMany);
    // A resource, a scope, and the profiles.
    let request = profiles(&message(2, b"").repeat(10));
    assert!(!too_many(&request, 12) && too_many(&request, 11));
    // Of a dictionary and of a profile, sixteen fields are one.
    let dictionary = message(2, &message(5, b"").repeat(160));
    assert!(!too_many(&dictionary, 10) && too_many(&dictionary, 9));
    let samples = profiles(&message(2, &message(2, b"").repeat(160)));
    assert!(!too_many(&samples, 13) && too_many(&samples, 12));
}

#[test]
fn profiles_have_no_json() {
    use slimspan_proto::json::{Limits, Problem, WriteError, read, write};
    let request = profiles(&message(2, b""));
    assert_eq!(
        write(Signal::Profiles, &request),
        Err(WriteError::NoSchema(Signal::Profiles))
    );
    let refused = read(Signal::Profiles, b"{}", Limits::default()).unwrap_err();
    assert_eq!(refused.problem, Problem::NoSchema);
}
