//! Bytes that become texts which hold them, for backends that lose what is around a bytes value.

use slimspan_artifact::{
    Action, BytesValues, MediaTypes, Pattern, Policy, memory_of_texts, restore,
};
use slimspan_proto::Signal::{Logs, Metrics, Traces};

use crate::request::*;

fn texts(policy: Policy) -> Policy {
    Policy {
        bytes_values: BytesValues::Text,
        ..policy
    }
}

/// The text that holds `bytes`.
fn held(bytes: &[u8]) -> Vec<u8> {
    string(format!("artifact://bytes/base64,{}", base64(bytes)))
}

#[test]
fn bytes_of_every_length_and_place_become_texts_in_every_form() {
    let few = |value: fn(&[u8]) -> Vec<u8>| {
        [
            ("none", value(b"")),
            ("one", value(b"\0")),
            ("message_content.signature", value(b"sign")),
            ("array", array(&[value(b"ab"), string("cd"), value(b"ef")])),
            ("list", list(&[("a", list(&[("b", value(b"abc"))]))])),
            ("text", string("artifact://bytes")),
            ("last", value(&[0xff; 5])),
        ]
    };
    let (request, expected) = (span(&few(|of| bytes(of))), span(&few(held)));
    for one in FORMS {
        let extraction = slim(Traces, &request, &texts(form(one)));
        assert!(
            extraction.request == expected,
            "{one:?}: {}",
            extraction.request.escape_ascii()
        );
        assert_eq!(extraction.untrusted, 0);
        // Only who asks for it gets it.
        assert_untouched_by(Traces, &request, &form(one), "bytes stay bytes");
    }
    let body = slim(Logs, &log_body(&bytes(b"abc")), &texts(policy()));
    assert_eq!(body.request, log_body(&held(b"abc")));
}

#[test]
fn bytes_that_may_not_be_moved_become_texts_however_many_they_are() {
    let file = png(THRESHOLD);
    let by_rule = Policy {
        rules: vec![rule("a", Action::Keep)],
        ..policy()
    };
    let by_type = Policy {
        media_types: MediaTypes {
            include: vec![Pattern::any_case("audio/*")],
            exclude: vec![],
        },
        ..policy()
    };
    let by_key = Policy {
        deny_keys: vec![Pattern::any_case("a")],
        ..policy()
    };
    for policy in [by_rule, by_type, by_key, policy().leaving_files()] {
        let policy = texts(policy);
        let extraction = slim(Traces, &span(&[("a", bytes(&file))]), &policy);
        assert_eq!(extraction.moves, [], "{policy:?}");
        assert_eq!(extraction.request, span(&[("a", held(&file))]));
    }
}

/// A reference would be longer, and so there is none.
#[test]
fn bytes_shorter_than_their_reference_become_a_text() {
    for one in FORMS {
        let policy = texts(Policy {
            threshold: 10,
            ..form(one)
        });
        let extraction = slim(Traces, &span(&[("a", bytes([7; 20]))]), &policy);
        assert_eq!(extraction.request, span(&[("a", held(&[7; 20]))]));
        let extraction = slim(Traces, &span(&[("a", bytes(png(THRESHOLD)))]), &policy);
        assert_eq!(extraction.moves.len(), 1, "{one:?}");
        assert!(extraction.request.len() < 500, "{one:?}");
    }
}

/// What becomes a link is not looked into any more.
#[test]
fn a_part_with_other_bytes_in_it_becomes_no_link() {
    let file = png(THRESHOLD);
    let part = |content: Vec<u8>, other: Vec<u8>| {
        let part = list(&[
            ("type", string("blob")),
            ("mime_type", string("image/png")),
            ("modality", string("image")),
            ("content", content),
            ("other", other),
        ]);
        span(&[("a", part)])
    };
    let uri = string(address(&file, "png") + "?as=bytes");
    for (other, expected) in [
        (bytes(b"abc"), held(b"abc")),
        (array(&[bytes(b"abc")]), array(&[held(b"abc")])),
        (list(&[("b", bytes(b"abc"))]), list(&[("b", held(b"abc"))])),
    ] {
        let request = part(bytes(&file), other);
        let extraction = slim(Traces, &request, &texts(policy()));
        assert_eq!(extraction.request, part(uri.clone(), expected));
    }
    let plain = part(bytes(&file), string("words"));
    let slim = [texts(policy()), policy()].map(|policy| slim(Traces, &plain, &policy).request);
    assert_eq!(slim[0], slim[1]);
    assert!(slim[0].windows(5).any(|word| word == b"part="));
}

/// Such a text is data like any other where a sender wrote it, and comes back as a text.
#[test]
fn a_text_that_a_sender_wrote_is_marked_whatever_becomes_of_bytes() {
    let text = |marks: usize| {
        let marks = "untrusted/".repeat(marks);
        string(format!("artifact://bytes/{marks}base64,AAEC"))
    };
    for marks in 0..3 {
        let [came, went] = [marks, marks + 1].map(|marks| {
            let nested = list(&[("b", array(&[text(marks)]))]);
            span(&[("a", text(marks)), ("list", nested)])
        });
        for policy in [policy(), texts(policy())] {
            let extraction = slim(Traces, &came, &policy);
            assert_eq!(extraction.request, went, "{}", went.escape_ascii());
            assert_eq!(extraction.untrusted, 2);
        }
    }
    // It holds nothing unless it is the whole of a string.
    for similar in [
        "see artifact://bytes/base64,AAEC",
        "artifact://bytes/base64,AAEC ",
        "\"artifact://bytes/base64,AAEC\"",
        "artifact://bytes/base64,AAE",
    ] {
        let request = crate::request::text(similar);
        assert_untouched(Traces, &request, similar);
        let nobody = |digest| panic!("fetched {digest}");
        let restored = restore(Traces, &request, &policy().location, nobody).unwrap();
        assert_eq!(restored.request, request);
    }
}

/// A request that goes on with its files is as it came but for marks.
#[test]
fn what_a_sender_wrote_is_marked_where_files_stay() {
    let file = bytes(png(THRESHOLD));
    let of = |mark: &str| {
        let text = string(format!("artifact://bytes/{mark}base64,AAEC"));
        span(&[("a", text), ("file", file.clone())])
    };
    for one in FORMS {
        let policy = form(one).leaving_files();
        let extraction = slim(Traces, &of(""), &policy);
        assert_eq!(extraction.request, of("untrusted/"), "{one:?}");
        assert_eq!(extraction.moves, []);
        let plain = span(&[("file", file.clone())]);
        assert_untouched_by(Traces, &plain, &policy, "files stay");
    }
}

/// A long one is a file or a text like any other where these are moved.
#[test]
fn a_long_text_that_a_sender_wrote_comes_back_too() {
    let text = held(&png(THRESHOLD));
    let request = span(&[("a", text), ("b", bytes(b"abc"))]);
    for text_threshold in [None, Some(THRESHOLD)] {
        for one in FORMS {
            let policy = texts(Policy {
                text_threshold,
                ..form(one)
            });
            let extraction = slim(Traces, &request, &policy);
            let (texts, marked) = (extraction.texts, extraction.untrusted);
            let expected = if text_threshold.is_some() {
                (1, 0)
            } else {
                (0, 1)
            };
            assert_eq!((texts, marked), expected, "{one:?}");
        }
    }
}

#[test]
fn the_memory_of_texts_is_known_before_they_are_written() {
    let policy = texts(Policy {
        threshold: 8192,
        ..policy()
    });
    let memory = |value: Vec<u8>| memory_of_texts(Traces, &span(&[("a", value)]), &policy);
    assert_eq!(memory(string("words")), 0);
    let one = memory(bytes(b""));
    assert!((500..2000).contains(&one), "{one}");
    assert_eq!(memory(array(&vec![bytes(b""); 1000])), 1000 * one);
    // In the change and in the request, each a third longer.
    assert!(memory(bytes([7; 6000])) > 2 * 8000);
    // A file is moved, and a denied one stays.
    assert_eq!(memory(bytes(png(9000))), 0);
    let denied = memory(list(&[("vector", bytes(png(9000)))]));
    assert!(denied > 2 * 12_000, "{denied}");
    let request = span(&[("a", bytes(b""))]);
    assert_eq!(
        memory_of_texts(Traces, &request, &crate::request::policy()),
        0
    );
    assert_eq!(memory_of_texts(Metrics, &request, &policy), 0);
}
