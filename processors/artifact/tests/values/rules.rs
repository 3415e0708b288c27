//! Exceptions: for attributes, for media types, for bytes that are given up.

use std::collections::BTreeSet;

use slimspan_artifact::{
    Action, Digest, Form, MediaTypes, Pattern, Policy, Unrestored, extract, restore,
};
use slimspan_proto::Signal::{Logs, Traces};

use crate::request::*;

fn patterns(globs: &[&str]) -> Vec<Pattern> {
    globs.iter().map(|glob| Pattern::any_case(glob)).collect()
}

/// A request with the picture as bytes, as text, in JSON and in a kvlist, in four attributes.
fn four(file: &[u8]) -> [(&'static str, Vec<u8>); 4] {
    [
        ("a.bytes", bytes(file)),
        ("a.text", string(base64(file))),
        ("a.json", string(format!(r#"["{}"]"#, base64(file)))),
        (
            "a.list",
            list(&[("type", string("blob")), ("content", bytes(file))]),
        ),
    ]
}

#[test]
fn what_is_kept_stays() {
    for one in FORMS {
        let keep = Policy {
            rules: vec![rule("a.*", Action::Keep), rule("*", Action::Drop)],
            ..form(one)
        };
        let request = span(&four(&png(THRESHOLD)));
        assert_untouched_by(Traces, &request, &keep, "kept");
        let some = Policy {
            rules: vec![rule("a.text", Action::Keep)],
            ..form(one)
        };
        assert_eq!(slim(Traces, &request, &some).moves.len(), 3);
    }
}

#[test]
fn thresholds_of_rules_hold_for_their_attributes() {
    for one in FORMS {
        let [higher, lower] = [2_000, 500].map(|threshold| Policy {
            rules: vec![
                slimspan_artifact::Rule {
                    threshold: Some(threshold),
                    ..rule("a.*", Action::Move)
                },
                // The first that fits holds.
                rule("*", Action::Keep),
            ],
            ..form(one)
        });
        for (policy, len, moves) in [
            (&higher, 1_999, 0),
            (&higher, 2_000, 4),
            (&lower, 499, 0),
            (&lower, 500, 4),
        ] {
            let extraction = slim(Traces, &span(&four(&png(len))), policy);
            assert_eq!(extraction.moves.len(), moves, "{len} {one:?}");
        }
        let other = span(&[("b", bytes(png(2_000)))]);
        assert_untouched_by(Traces, &other, &lower, "the second rule");
    }
    let body = Policy {
        rules: vec![rule("", Action::Keep)],
        ..policy()
    };
    let request = log_body(&bytes(png(THRESHOLD)));
    assert_untouched_by(Logs, &request, &body, "a body has the empty key");
}

/// Bytes are given up by a rule, or because the store could not take them.
#[test]
fn what_is_dropped_leaves_a_reference_to_nowhere() {
    let file = png(THRESHOLD);
    let digest = Digest::of(&file);
    let nowhere = format!("artifact://dropped/{digest}.png?size={THRESHOLD}");
    let object = |kind: &str, token: &str| {
        format!(
            r#"{{"type":"{kind}","sha256":"{digest}","content_type":"image/png","size_bytes":{THRESHOLD},"dropped":true,"encoding":"{token}"}}"#
        )
    };
    for one in FORMS {
        let by_rule = Policy {
            rules: vec![rule("a.*", Action::Drop)],
            ..form(one)
        };
        let by_store = Policy {
            dropped: BTreeSet::from([digest]),
            ..form(one)
        };
        for policy in [by_rule, by_store] {
            let request = span(&four(&file));
            let extraction = slim(Traces, &request, &policy);
            assert_eq!(extraction.artifacts, []);
            assert_eq!(digests(&extraction), [digest; 4]);
            assert!(extraction.moves.iter().all(|of| !of.stored));
            let restored = restore(Traces, &extraction.request, &policy.location, |digest| {
                panic!("fetched {digest}")
            });
            let restored = restored.unwrap();
            assert_eq!(restored.left, [Unrestored::Dropped(digest); 4]);
            assert_eq!(restored.request, extraction.request);

            let (key, left) = match one {
                Form::Native | Form::Uri => ("a.text", format!("{nowhere}&as=base64")),
                Form::Semconv => ("a.text_ref", format!("{nowhere}&as=base64&ref")),
                Form::Object => ("a.text", object("artifact", "base64")),
                Form::Logfire => ("a.text", object("logfire.artifact", "base64")),
            };
            let text = span(&[("a.text", string(base64(&file)))]);
            let slim = extract(Traces, &text, &policy).unwrap().request;
            assert_eq!(slim, span(&[(key, string(left))]), "{one:?}");
        }
    }
    // What is not in the rule is stored, though its bytes are the same.
    let policy = Policy {
        rules: vec![rule("a", Action::Drop)],
        ..policy()
    };
    let request = span(&[("a", bytes(&file)), ("b", bytes(&file))]);
    let extraction = extract(Traces, &request, &policy).unwrap();
    assert_eq!(extraction.artifacts.len(), 1);
    let left = [
        ("a", string(format!("{nowhere}&as=bytes"))),
        ("b", string(address(&file, "png") + "?as=bytes")),
    ];
    assert_eq!(extraction.request, span(&left));
}

#[test]
fn media_types_are_moved_by_what_the_bytes_show() {
    let (picture, plain) = (base64(&png(THRESHOLD)), base64(&noise(THRESHOLD)));
    let zip = base64(&[b"PK\x03\x04", &noise(THRESHOLD)[..]].concat());
    let moved = |text: &str, include: &[&str], exclude: &[&str]| {
        let policy = Policy {
            media_types: MediaTypes {
                include: patterns(include),
                exclude: patterns(exclude),
            },
            ..policy()
        };
        slim(Traces, &text_of(text), &policy).moves.len()
    };
    let docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
    for (text, include, exclude, expected) in [
        (
            format!("data:image/png;base64,{picture}"),
            &["image/*"][..],
            &[][..],
            1,
        ),
        (
            format!("data:IMAGE/PNG;base64,{picture}"),
            &["image/png"],
            &[],
            1,
        ),
        (
            format!("data:image/png;base64,{picture}"),
            &["audio/*"],
            &[],
            0,
        ),
        (
            format!("data:image/png;base64,{picture}"),
            &[],
            &["image/*"],
            0,
        ),
        (
            format!("data:image/png;base64,{picture}"),
            &["image/*"],
            &["*/png"],
            0,
        ),
        // It is no page, whatever it calls itself.
        (
            format!("data:text/html;base64,{picture}"),
            &["text/*"],
            &[],
            0,
        ),
        (
            format!("data:text/html;base64,{picture}"),
            &["image/*"],
            &[],
            1,
        ),
        (format!("data:text/csv;base64,{plain}"), &["text/*"], &[], 1),
        (
            format!("data:image/png;base64,{plain}"),
            &["image/*"],
            &[],
            0,
        ),
        (picture.clone(), &["image/png"], &[], 1),
        (picture.clone(), &[], &["image/png"], 0),
        (format!("see {picture} "), &[], &["image/png"], 0),
        (
            format!("see data:image/png;base64,{picture} "),
            &[],
            &["image/png"],
            0,
        ),
        // A part of what is not moved is not moved either.
        (
            format!("see data:{docx};base64,{zip} "),
            &[],
            &["*wordprocessingml*"],
            0,
        ),
        (
            format!("data:{docx};base64,{zip}"),
            &[],
            &["*wordprocessingml*"],
            0,
        ),
        (
            format!("see data:{docx};base64,{zip} "),
            &[],
            &["application/pdf"],
            1,
        ),
        (
            format!(r#"{{"a":"{picture}","b":"data:text/csv;base64,{plain}"}}"#),
            &["text/*"],
            &[],
            1,
        ),
        (
            format!(r#"{{"data":"{plain}","mime":"audio/wav"}}"#),
            &[],
            &["audio/*"],
            0,
        ),
    ] {
        let start = &text[..text.len().min(40)];
        assert_eq!(
            moved(&text, include, exclude),
            expected,
            "{start} {include:?} {exclude:?}"
        );
    }
    let bytes = span(&[
        ("a", bytes(png(THRESHOLD))),
        (
            "b",
            list(&[("content", string(&picture)), ("type", string("blob"))]),
        ),
    ]);
    let none = Policy {
        media_types: MediaTypes {
            include: vec![],
            exclude: patterns(&["image/*"]),
        },
        ..policy()
    };
    assert_untouched_by(Traces, &bytes, &none, "excluded");
}

fn text_of(text: &str) -> bytes::Bytes {
    crate::request::text(text)
}

/// What docs/presets.md says to leave to Langfuse, which makes uploads of its own out of it.
#[test]
fn audio_parts_stay_where_their_keys_are_denied() {
    let sound = [b"WAVEfmt ", &noise(THRESHOLD)[..]].concat();
    let audio = base64(&[b"RIFF", &(sound.len() as u32).to_le_bytes()[..], &sound].concat());
    let policy = Policy {
        deny_keys: patterns(&["input_audio", "audio"]),
        ..policy()
    };
    for data in [audio.clone(), format!("data:audio/wav;base64,{audio}")] {
        for part in [
            format!(
                r#"[{{"role":"user","content":[{{"type":"input_audio","input_audio":{{"data":"{data}","format":"wav"}}}}]}}]"#
            ),
            format!(
                r#"{{"role":"assistant","audio":{{"id":"a","data":"{data}","transcript":"words"}}}}"#
            ),
        ] {
            assert_untouched_by(Traces, &text_of(&part), &policy, "denied");
            let moved = slim(Traces, &text_of(&part), &crate::request::policy());
            assert_eq!(moved.moves.len(), 1, "{}", &part[..60]);
        }
    }
}
