//! The walker and the splice against prost, which decodes what they leave encoded.

#![allow(clippy::unwrap_used, missing_docs)]

use opentelemetry_proto::tonic::common::v1::any_value::Value as Decoded;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, KeyValueList};
use proptest::prelude::*;
use prost::Message as _;
use slimspan_generators::wire::field as message;
use slimspan_generators::{Generator, Random, Request, files, noise};
use slimspan_proto::{
    Carrier, Edit, Malformed, Member, Members, OnMalformed, Order, Signal, Splice, Value,
    ValueKind, Walk, walk,
};

const EVERYTHING: Walk = Walk {
    min_len: 0,
    on_malformed: OnMalformed::Fail,
};

/// Carrier, attribute, key, kind, and of strings and bytes the length and the start.
type Seen = (Carrier, String, String, ValueKind, usize, Vec<u8>);

fn generate(signal: Signal, seed: u64) -> (Request, Vec<u8>) {
    let mut random = Random::new(seed);
    let request = Generator::new(&mut random, 3, files::value).request(signal);
    let bytes = noise::roomy(signal, &request.encode(), &mut random);
    (request, bytes)
}

fn signals() -> impl Strategy<Value = Signal> {
    prop::sample::select(Signal::READ.to_vec())
}

/// Whether a text can be edited as its bytes are: no character is cut.
fn is_plain(text: &[u8]) -> bool {
    text[..5].is_ascii() && text.last().is_some_and(u8::is_ascii)
}

/// Replaces every long value, the whole of it or parts of it, by what depends on it alone.
fn edit_bytes(value: &Value<'_>, edit: &mut Edit<'_>) {
    let len = value.content.len();
    match value.kind {
        ValueKind::String | ValueKind::Bytes if len < 20 => {}
        ValueKind::Bytes => edit.set_string(len.to_string().as_bytes()),
        ValueKind::String if len.is_multiple_of(3) => edit.set_bytes(&value.content.repeat(2)),
        ValueKind::String if is_plain(value.content) => {
            edit.replace(0..2, b"<".to_vec());
            edit.replace(4..4, vec![b'-'; len % 150]);
            edit.replace(len - 1..len, Vec::new());
        }
        _ => {}
    }
}

/// The same on the decoded value.
fn edit_decoded(value: &mut Option<Decoded>) {
    match value {
        Some(Decoded::BytesValue(bytes)) if bytes.len() >= 20 => {
            *value = Some(Decoded::StringValue(bytes.len().to_string()));
        }
        Some(Decoded::StringValue(text)) if text.len() >= 20 => {
            let len = text.len();
            if len.is_multiple_of(3) {
                *value = Some(Decoded::BytesValue(text.repeat(2).into_bytes()));
            } else if is_plain(text.as_bytes()) {
                *value = Some(Decoded::StringValue(format!(
                    "<{}{}{}",
                    &text[2..4],
                    "-".repeat(len % 150),
                    &text[4..len - 1]
                )));
            }
        }
        _ => {}
    }
}

fn kind_of(value: Option<&Decoded>) -> ValueKind {
    match value {
        None => ValueKind::Empty,
        Some(Decoded::StringValue(_)) => ValueKind::String,
        Some(Decoded::BytesValue(_)) => ValueKind::Bytes,
        Some(Decoded::ArrayValue(_)) => ValueKind::Array,
        Some(Decoded::KvlistValue(_)) => ValueKind::KeyValueList,
        Some(_) => ValueKind::Scalar,
    }
}

fn seen(carrier: Carrier, attribute: &str, key: &str, kind: ValueKind, content: &[u8]) -> Seen {
    let content = match kind {
        ValueKind::String | ValueKind::Bytes => content,
        _ => &[],
    };
    let start = content[..content.len().min(40)].to_vec();
    (
        carrier,
        attribute.into(),
        key.into(),
        kind,
        content.len(),
        start,
    )
}

fn no_edit(signal: Signal, bytes: &[u8], how: Walk) -> Result<Splice, Malformed> {
    walk(signal, bytes, how, |_, _| {})
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every value that prost decodes is visited, with its carrier and keys, and no other.
    #[test]
    fn visits_what_prost_decodes(signal in signals(), seed: u64) {
        let (mut request, bytes) = generate(signal, seed);
        let mut expected: Vec<Seen> = Vec::new();
        request.visit(&mut |carrier, attribute, key, value| {
            let content: &[u8] = match &value.value {
                Some(Decoded::StringValue(text)) => text.as_bytes(),
                Some(Decoded::BytesValue(bytes)) => bytes,
                _ => &[],
            };
            expected.push(seen(carrier, attribute, key, kind_of(value.value.as_ref()), content));
        });
        let mut visited: Vec<Seen> = Vec::new();
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        walk(signal, &bytes, EVERYTHING, |value, _| {
            let (attribute, key) = (text(value.attribute), text(value.key));
            visited.push(seen(value.carrier, attribute, key, value.kind, value.content));
        }).unwrap();
        let order = |seen: &Seen| format!("{seen:?}");
        expected.sort_by_key(order);
        visited.sort_by_key(order);
        for pair in visited.iter().zip(&expected) {
            prop_assert_eq!(pair.0, pair.1);
        }
        prop_assert_eq!(visited.len(), expected.len());
    }

    /// `decode(splice(x)) == edit(decode(x))`, whatever noise stands around.
    #[test]
    fn splices_as_prost_would_edit(signal in signals(), seed: u64) {
        let (_, bytes) = generate(signal, seed);
        let mut expected = Request::decode(signal, &bytes).unwrap();
        expected.visit(&mut |_, _, _, value| edit_decoded(&mut value.value));
        let splice = walk(signal, &bytes, EVERYTHING, edit_bytes).unwrap();
        let Ok(spliced) = splice.apply(&bytes) else {
            return Ok(()); // a length of ten bytes that had to grow
        };
        prop_assert!(Request::decode(signal, &spliced).unwrap() == expected);
    }

    /// What no edit touches stays: an edit and its inverse give the first request byte for byte,
    /// unknown fields, order and surplus bytes of lengths included.
    #[test]
    fn an_edit_can_be_undone(signal in signals(), seed: u64) {
        let (_, bytes) = generate(signal, seed);
        let mut taken = Vec::new();
        let slim = walk(signal, &bytes, EVERYTHING, |value, edit| {
            if value.kind == ValueKind::String {
                edit.replace(0..value.content.len(), Vec::new());
                taken.push(value.content.to_vec());
            }
        }).unwrap().apply(&bytes).unwrap();
        let mut taken = taken.into_iter();
        let back = walk(signal, &slim, EVERYTHING, |value, edit| {
            if value.kind == ValueKind::String {
                edit.replace(0..0, taken.next().unwrap());
            }
        }).unwrap().apply(&slim).unwrap();
        prop_assert!(back == bytes);
    }

    /// Small messages are stepped over, large values are found all the same.
    #[test]
    fn a_minimum_length_loses_no_value_of_that_length(signal in signals(), seed: u64, min_len in 1usize..300) {
        let (_, bytes) = generate(signal, seed);
        let collect = |how: Walk| {
            let mut seen = Vec::new();
            walk(signal, &bytes, how, |value, _| {
                if value.content.len() >= min_len {
                    seen.push(value.content.to_vec());
                }
            }).unwrap();
            seen
        };
        let found = collect(Walk { min_len, ..EVERYTHING });
        prop_assert!(found == collect(EVERYTHING));
    }

    /// Cut anywhere, a request is an error or another sound request, never a panic; and what the
    /// walker takes, prost takes too, but for text that is no UTF-8.
    #[test]
    fn every_truncation_is_answered(signal in signals(), seed: u64) {
        let (_, bytes) = generate(signal, seed);
        for len in 0..bytes.len().min(3_000) {
            let cut = &bytes[..len];
            let strict = no_edit(signal, cut, EVERYTHING);
            prop_assert_eq!(strict.is_ok(), Request::decode(signal, cut).is_ok(), "cut at {}", len);
            if let Err(error) = strict {
                prop_assert!(error.at <= len);
            }
            let stepped = Walk { on_malformed: OnMalformed::StepOver, ..EVERYTHING };
            prop_assert!(no_edit(signal, cut, stepped).is_ok());
        }
    }

    /// Flipped bytes give an error or a result, and a result still splices without harm.
    #[test]
    fn flipped_bytes_are_answered(signal in signals(), seed: u64) {
        let (_, mut bytes) = generate(signal, seed);
        let mut random = Random::new(seed ^ 1);
        for _ in 0..if bytes.is_empty() { 0 } else { 200 } {
            let at = random.below(bytes.len());
            let before = bytes[at];
            bytes[at] = random.number() as u8;
            if random.one_in(2) {
                bytes[at] = before ^ 1 << random.below(8);
            }
            for on_malformed in [OnMalformed::Fail, OnMalformed::StepOver] {
                let how = Walk { min_len: random.below(30), on_malformed };
                if let Ok(splice) = walk(signal, &bytes, how, edit_bytes) {
                    let _ = splice.apply(&bytes);
                }
            }
        }
    }

    /// Bytes that were never a request.
    #[test]
    fn random_bytes_are_answered(signal in signals(), bytes: Vec<u8>) {
        if let Ok(splice) = walk(signal, &bytes, EVERYTHING, edit_bytes) {
            let _ = splice.apply(&bytes);
        }
    }
}

/// A trace request with one span attribute that has this AnyValue.
fn with_attribute(any_value: &[u8]) -> Vec<u8> {
    let attribute = [message(1, b"key"), message(2, any_value)].concat();
    message(1, message(2, message(2, message(9, &attribute))))
}

#[test]
fn nesting_has_a_limit_and_no_recursion() {
    let nested = |depth| {
        let mut value = message(1, b"text");
        for _ in 0..depth {
            value = message(5, message(1, &value));
        }
        with_attribute(&value)
    };
    let count = |bytes: &[u8]| {
        let mut count = 0;
        walk(Signal::Traces, bytes, EVERYTHING, |_, _| {
            count += 1;
        })
        .map(|_| count)
    };
    assert_eq!(count(&nested(47)), Ok(48), "what prost takes is taken");
    assert!(Request::decode(Signal::Traces, &nested(47)).is_ok());
    assert_eq!(count(&nested(51)), Ok(52), "and what other decoders take");
    assert!(count(&nested(52)).is_err());
    // The body of a log record stands one level higher.
    for (depth, reads, fits) in [
        (48, true, true),
        (49, false, true),
        (52, false, true),
        (53, false, false),
    ] {
        let value = (0..depth).fold(message(1, b"text"), |value, _| {
            message(5, message(1, &value))
        });
        let request = message(1, message(2, message(2, message(5, &value))));
        assert_eq!(Request::decode(Signal::Logs, &request).is_ok(), reads);
        let walked = walk(Signal::Logs, &request, EVERYTHING, |_, _| {});
        assert_eq!(walked.is_ok(), fits, "{depth}");
    }

    let deep = nested(2_000);
    let error = count(&deep).unwrap_err();
    assert!(
        error.to_string().contains("nest deeper than 100 levels"),
        "{error}"
    );
    let stepped = Walk {
        on_malformed: OnMalformed::StepOver,
        ..EVERYTHING
    };
    assert!(no_edit(Signal::Traces, &deep, stepped).unwrap().is_empty());
}

#[test]
fn what_has_no_room_to_grow_is_not_visited() {
    // A length of one byte in as many.
    let padded = |number: u8, inner: &[u8], width: usize| {
        let mut out = vec![number << 3 | 2, inner.len() as u8 | 0x80];
        out.resize(width, 0x80);
        out.push(0);
        [&out[..], inner].concat()
    };
    for width in 2..=10 {
        let text = with_attribute(&padded(1, b"text", width));
        let value = padded(2, &message(1, b"text"), width);
        let attribute = [message(1, b"key"), value].concat();
        let within = message(1, message(2, message(2, message(9, &attribute))));
        for request in [text, within] {
            assert!(Request::decode(Signal::Traces, &request).is_ok());
            let mut visited = 0;
            let edited = walk(Signal::Traces, &request, EVERYTHING, |value, edit| {
                visited += 1;
                edit.replace(0..value.content.len(), vec![b'x'; 100_000]);
            });
            let edited = edited.unwrap().apply(&request).unwrap();
            assert_eq!(visited, usize::from(width <= 6), "{width}");
            assert!(Request::decode(Signal::Traces, &edited).is_ok());
        }
    }
}

#[test]
fn values_given_twice_are_not_touched() {
    let twice = with_attribute(&[message(1, b"first"), message(1, b"second")].concat());
    let mut kinds = Vec::new();
    walk(Signal::Traces, &twice, EVERYTHING, |value, _| {
        kinds.push(value.kind);
    })
    .unwrap();
    assert_eq!(kinds, [ValueKind::Ambiguous]);

    let any_value = message(1, b"text");
    let attribute = [
        message(1, b"key"),
        message(2, &any_value),
        message(2, &any_value),
    ]
    .concat();
    let merged = message(1, message(2, message(2, message(9, &attribute))));
    let mut visited = 0;
    walk(Signal::Traces, &merged, EVERYTHING, |_, _| {
        visited += 1;
    })
    .unwrap();
    assert_eq!(visited, 0);
}

#[test]
fn known_fields_of_another_wire_type_are_malformed() {
    for (bytes, at) in [
        (vec![0x08, 0x01], 0),
        (message(1, [0x10, 0x01]), 2),
        (with_attribute(&[0x08, 0x01]), 15),
        (with_attribute(&[0x3d, 0, 0, 0, 0]), 15),
    ] {
        let error = no_edit(Signal::Traces, &bytes, EVERYTHING).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "malformed protobuf at byte {at}: a field has another wire type than OTLP gives it"
            )
        );
        assert!(Request::decode(Signal::Traces, &bytes).is_err());
    }
}

#[test]
fn a_malformed_neighbour_is_stepped_over_where_asked() {
    let good = message(
        9,
        [message(1, b"good"), message(2, message(1, b"text"))].concat(),
    );
    let bad = message(9, [message(1, b"bad"), message(2, [0x0a, 0x7f])].concat());
    let bytes = message(1, message(2, message(2, [bad, good].concat())));
    assert!(no_edit(Signal::Traces, &bytes, EVERYTHING).is_err());
    let mut keys = Vec::new();
    let stepped = Walk {
        on_malformed: OnMalformed::StepOver,
        ..EVERYTHING
    };
    walk(Signal::Traces, &bytes, stepped, |value, _| {
        keys.push(value.key.to_vec());
    })
    .unwrap();
    assert_eq!(keys, [b"good".to_vec()]);
}

/// Key and kind of everything that stands in a list.
type Described = Vec<(Vec<u8>, ValueKind)>;

fn described(members: Members<'_>) -> Described {
    members
        .iter()
        .map(|of| (of.key.to_vec(), of.kind))
        .collect()
}

fn describe(list: &[KeyValue]) -> Described {
    let kind = |of: &KeyValue| kind_of(of.value.as_ref().and_then(|any| any.value.as_ref()));
    list.iter()
        .map(|of| (of.key.clone().into_bytes(), kind(of)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    /// The members of every kvlist are those that prost decodes, in their order, with their content.
    #[test]
    fn members_are_what_prost_decodes(signal in signals(), seed: u64) {
        let (mut request, bytes) = generate(signal, seed);
        let mut expected: Vec<Described> = Vec::new();
        request.visit(&mut |_, _, _, value| {
            if let Some(Decoded::KvlistValue(list)) = &value.value {
                expected.push(describe(&list.values));
            }
        });
        let mut lists: Vec<Described> = Vec::new();
        walk(signal, &bytes, EVERYTHING, |value, _| {
            if value.kind == ValueKind::KeyValueList {
                let members = Members::of_list(value.content);
                let list = KeyValueList::decode(value.content).unwrap();
                for (member, decoded) in members.iter().zip(&list.values) {
                    assert_eq!(member.key, decoded.key.as_bytes());
                    let content: &[u8] = match decoded.value.as_ref().and_then(|any| any.value.as_ref()) {
                        Some(Decoded::StringValue(text)) => text.as_bytes(),
                        Some(Decoded::BytesValue(bytes)) => bytes,
                        _ => member.content,
                    };
                    assert_eq!(member.content, content);
                }
                lists.push(described(members));
            }
            // A value knows its list, and its own key is in it.
            if let Some(members) = value.members {
                let keys = described(members);
                assert!(keys.iter().any(|(key, _)| key == value.key), "{keys:?}");
            }
        }).unwrap();
        let order = |list: &Described| format!("{list:?}");
        lists.sort_by_key(order);
        expected.sort_by_key(order);
        prop_assert_eq!(lists, expected);
    }

    /// A member that is written is the one that prost writes, and is read again.
    #[test]
    fn a_member_is_written_as_prost_writes_it(key: String, text: String, content: Vec<u8>, number: u64, truth: bool) {
        for (value, kind, written) in [
            (Decoded::StringValue(text.clone()), ValueKind::String, Member::encode(key.as_bytes(), ValueKind::String, text.as_bytes())),
            (Decoded::BytesValue(content.clone()), ValueKind::Bytes, Member::encode(key.as_bytes(), ValueKind::Bytes, &content)),
            (Decoded::IntValue(number.cast_signed()), ValueKind::Scalar, Member::encode_int(key.as_bytes(), number)),
            (Decoded::BoolValue(truth), ValueKind::Scalar, Member::encode_bool(key.as_bytes(), truth)),
        ] {
            let value = Some(AnyValue { value: Some(value) });
            let of = KeyValue { key: key.clone(), value, ..KeyValue::default() };
            // Prost leaves an empty key out; other writers do not, and both read the same.
            let decoded = KeyValueList::decode(&*written).unwrap();
            prop_assert_eq!(&decoded.values, &[of]);
            if !key.is_empty() {
                prop_assert_eq!(&written, &decoded.encode_to_vec());
            }
            let members = Members::of_list(&written);
            prop_assert!(members.are_all());
            prop_assert_eq!(described(members), [(key.clone().into_bytes(), kind)]);
            let member = members.iter().next().unwrap();
            prop_assert_eq!(member.encoded, &*written);
            let order = (kind != ValueKind::Scalar).then_some(Order::KeyFirst);
            prop_assert_eq!(member.order(), order);
        }
    }

    /// So is one of which the value comes first, as the Collector writes it.
    #[test]
    fn a_member_may_have_its_value_first(key: String, text: String, content: Vec<u8>, number: u64, truth: bool) {
        let (order, key) = (Order::ValueFirst, key.as_bytes());
        for (usual, turned, is_text) in [
            (Member::encode(key, ValueKind::String, text.as_bytes()), order.encode(key, ValueKind::String, text.as_bytes()), true),
            (Member::encode(key, ValueKind::Bytes, &content), order.encode(key, ValueKind::Bytes, &content), true),
            (Member::encode_int(key, number), order.int(key, number), false),
            (Member::encode_bool(key, truth), order.bool(key, truth), false),
        ] {
            let decoded = |encoded: &[u8]| KeyValueList::decode(encoded).unwrap();
            prop_assert_eq!(decoded(&usual), decoded(&turned));
            let member = Members::of_list(&turned).iter().next().unwrap();
            prop_assert_eq!((member.key, member.encoded), (key, &*turned));
            prop_assert_eq!(member.order(), is_text.then_some(order));
        }
    }

    /// `decode(splice(x)) == edit(decode(x))` for a list in place of a value.
    #[test]
    fn a_list_takes_the_place_of_a_value(signal in signals(), seed: u64) {
        let (_, bytes) = generate(signal, seed);
        let list = |len: usize| Member::encode_int(b"len", len as u64);
        let mut expected = Request::decode(signal, &bytes).unwrap();
        expected.visit(&mut |_, _, _, value| {
            if let Some(Decoded::BytesValue(bytes)) = &value.value {
                let list = KeyValueList::decode(&*list(bytes.len())).unwrap();
                value.value = Some(Decoded::KvlistValue(list));
            }
        });
        let splice = walk(signal, &bytes, EVERYTHING, |value, edit| {
            assert!(value.key != b"len", "what was put there is not walked");
            if value.kind == ValueKind::Bytes {
                edit.set_list(&list(value.content.len()));
            }
        }).unwrap();
        let Ok(spliced) = splice.apply(&bytes) else {
            return Ok(()); // a length of ten bytes that had to grow
        };
        prop_assert!(Request::decode(signal, &spliced).unwrap() == expected);
    }

    /// Key and value are replaced together or not at all, and where they are, can be put back.
    #[test]
    fn an_entry_is_replaced_as_a_whole(signal in signals(), seed: u64) {
        let (_, bytes) = generate(signal, seed);
        let mut expected = Request::decode(signal, &bytes).unwrap();
        let mut done = Vec::new();
        let splice = walk(signal, &bytes, EVERYTHING, |value, edit| {
            if value.kind == ValueKind::String && value.members.is_some() {
                let key = [value.key, b"_ref"].concat();
                if edit.set_entry(&key, ValueKind::Bytes, b"taken") {
                    done.push((value.key.to_vec(), value.content.to_vec()));
                }
            }
        }).unwrap();
        let Ok(slim) = splice.apply(&bytes) else {
            return Ok(()); // a length of ten bytes that had to grow
        };
        // As many as were done, and nothing else, is different.
        let mut renamed = 0;
        let mut request = Request::decode(signal, &slim).unwrap();
        request.visit(&mut |_, _, key, value| {
            let taken = Some(Decoded::BytesValue(b"taken".to_vec()));
            renamed += usize::from(key.ends_with("_ref") && value.value == taken);
        });
        prop_assert_eq!(renamed, done.len());
        let mut before = done.into_iter();
        let back = walk(signal, &slim, EVERYTHING, |value, edit| {
            if value.content == b"taken" && value.key.ends_with(b"_ref") {
                let (key, text) = before.next().unwrap();
                assert!(edit.set_entry(&key, ValueKind::String, &text));
            }
        }).unwrap().apply(&slim).unwrap();
        prop_assert!(back == bytes);
        let mut count = 0;
        expected.visit(&mut |_, _, _, _| count += 1);
        request.visit(&mut |_, _, _, _| count -= 1);
        prop_assert_eq!(count, 0);
    }

    /// Bytes that never were a list.
    #[test]
    fn random_members_are_answered(bytes: Vec<u8>) {
        let members = Members::of_list(&bytes);
        let total: usize = members.iter().map(|member| member.encoded.len()).sum();
        prop_assert!(total <= bytes.len());
        if members.are_all() {
            prop_assert_eq!(total, bytes.len());
        }
        for member in members.iter() {
            if let Some(order) = member.order() {
                prop_assert_eq!(order.encode(member.key, member.kind, member.content), member.encoded);
            }
        }
    }
}

/// What more than the key and the value stands there, or in another way, would be lost.
#[test]
fn an_unusual_entry_is_not_replaced() {
    let any_value = message(1, b"text");
    let [key, value] = [message(1, b"key"), message(2, &any_value)];
    for (entry, replaced) in [
        ([&key[..], &value].concat(), true),
        ([&value[..], &key].concat(), true),
        ([&key[..], &value, &[0x18, 1]].concat(), false),
        ([&key[..], &key, &value].concat(), false),
        ([&key[..], &[0x12, 0x86, 0], &any_value].concat(), false),
        (
            [&key[..], &message(2, [&any_value[..], &[0x78, 1]].concat())].concat(),
            false,
        ),
        (
            [&key[..], &message(2, [&[0x78, 1], &any_value[..]].concat())].concat(),
            false,
        ),
        ([&[0x0a, 0x83, 0], &b"key"[..], &value].concat(), false),
    ] {
        let bytes = message(1, message(2, message(2, message(9, &entry))));
        let mut done = None;
        let splice = walk(Signal::Traces, &bytes, EVERYTHING, |_, edit| {
            done = Some(edit.set_entry(b"key_ref", ValueKind::String, b"a"));
        });
        assert_eq!(done, Some(replaced), "{}", entry.escape_ascii());
        assert_eq!(splice.unwrap().is_empty(), !replaced);
    }
    // The body of a log record has no key, and an element of an array none of its own.
    for bytes in [
        message(1, message(2, message(2, message(5, &any_value)))),
        with_attribute(&message(5, message(1, &any_value))),
    ] {
        let signal = if bytes.len() < 16 {
            Signal::Logs
        } else {
            Signal::Traces
        };
        walk(signal, &bytes, EVERYTHING, |value, edit| {
            if value.kind == ValueKind::String {
                assert!(!edit.set_entry(b"a", ValueKind::String, b"b"));
            }
        })
        .unwrap();
    }
}
