//! Where values stand in what they belong to.
#![allow(clippy::unwrap_used, missing_docs)]

use slimspan_generators::wire::nested;
use slimspan_proto::{OnMalformed, Signal, Step, ValueKind, Walk, spots, walk};

fn string(text: &str) -> Vec<u8> {
    nested(&[1], text)
}

fn entry(key: &str, value: &[u8]) -> Vec<u8> {
    [nested(&[1], key), nested(&[2], value)].concat()
}

/// All strings of a request, each with where it stands.
fn told(signal: Signal, request: &[u8]) -> Vec<String> {
    let (mut texts, mut offsets) = (Vec::new(), Vec::new());
    let all = Walk {
        min_len: 0,
        on_malformed: OnMalformed::Fail,
    };
    walk(signal, request, all, |value, _| {
        if value.kind == ValueKind::String {
            texts.push(String::from_utf8(value.content.to_vec()).unwrap());
            offsets.push(value.content.as_ptr().addr() - request.as_ptr().addr());
        }
    })
    .unwrap();
    let mut told = Vec::new();
    spots(signal, request, &offsets, |number, spot| {
        let steps = spot.steps.iter().map(|step| match step {
            Step::Key(key) => format!(".{}", String::from_utf8_lossy(key)),
            Step::Index(index) => format!("[{index}]"),
        });
        let steps: String = steps.collect();
        let event = String::from_utf8_lossy(spot.event);
        let number_of = spot.number.map(|number| number.to_string());
        let number_of = number_of.unwrap_or_default();
        told.push(format!("{} {number_of}{event} {steps}", texts[number]));
    });
    assert_eq!(told.len(), offsets.len());
    told
}

#[test]
fn spots_are_found() {
    let list = [
        nested(&[1], entry("text", &string("a"))),
        nested(&[1], entry("data", &string("b"))),
    ]
    .concat();
    let elements = [
        nested(&[1], string("c")),
        nested(&[1], ""),
        nested(&[1], nested(&[6], list)),
    ]
    .concat();
    let array = nested(&[5], elements);
    let event =
        |name: &str, value: &[u8]| [nested(&[2], name), nested(&[3], entry("e", value))].concat();
    let span = [
        nested(&[9], entry("parts", &array)),
        nested(&[11], event("first", &string("d"))),
        nested(&[9], entry("plain", &string("e"))),
        nested(&[13], nested(&[4], entry("l", &string("f")))),
        nested(&[11], event("second", &array)),
        nested(&[13], nested(&[4], entry("l", &string("g")))),
    ]
    .concat();
    let resource = nested(&[1, 1], entry("r", &string("h")));
    let request = nested(&[1], [resource, nested(&[2, 2], span)].concat());
    let expected = [
        "h  ",
        "c  [0]",
        "a  [2].text",
        "b  [2].data",
        "d 0first ",
        "e  ",
        "f 0 ",
        "c 1second [0]",
        "a 1second [2].text",
        "b 1second [2].data",
        "g 1 ",
    ];
    assert_eq!(told(Signal::Traces, &request), expected);
    let body = nested(&[1, 2, 2, 5], nested(&[6, 1], entry("parts", &array)));
    let expected = ["c  .parts[0]", "a  .parts[2].text", "b  .parts[2].data"];
    assert_eq!(told(Signal::Logs, &body), expected);
}

/// What is cut off is told as far as it was read, and once.
#[test]
fn all_are_told_also_where_it_is_not_sound() {
    let request = nested(&[1, 2, 2, 9], entry("parts", &nested(&[5, 1, 1], "text")));
    for end in 0..=request.len() {
        let offsets: Vec<usize> = (0..end).flat_map(|at| [at, at]).collect();
        let mut told = Vec::new();
        let request = request.get(..end).unwrap();
        spots(Signal::Traces, request, &offsets, |number, _| {
            told.push(number);
        });
        assert_eq!(told, (0..offsets.len()).collect::<Vec<_>>());
    }
}
