//! Long texts, which are moved whole where that is asked for.

use slimspan_artifact::{Action, Digest, Form, Pattern, Policy};
use slimspan_proto::Signal::{Logs, Traces};

use crate::request::*;

/// Texts are moved from here on.
const LONG: usize = 2_000;

fn texts(form: Form) -> Policy {
    Policy {
        text_threshold: Some(LONG),
        ..crate::request::form(form)
    }
}

fn prose(len: usize) -> String {
    "what was said, ".repeat(len)[..len].to_owned()
}

/// What is left of a text that was moved, as an object.
fn object(kind: &str, text: &str, media_type: &str, preview: &str) -> String {
    let (digest, size) = (Digest::of(text.as_bytes()), text.len());
    let extension = if media_type == "text/plain" {
        "txt"
    } else {
        "json"
    };
    let uri = address(text.as_bytes(), extension);
    let preview = escaped(preview);
    format!(
        r#"{{"type":"{kind}","sha256":"{digest}","content_type":"{media_type}","size_bytes":{size},"preview":"{preview}","uri":"{uri}","encoding":"text"}}"#
    )
}

#[test]
fn from_the_threshold_on_in_every_form() {
    for one in FORMS {
        let below = text(prose(LONG - 1));
        assert_untouched_by(Traces, &below, &texts(one), "one byte less");
        assert_untouched_by(Traces, &text(prose(LONG)), &form(one), "nobody asked");
        for len in [LONG, LONG + 1] {
            let prose = prose(len);
            let uri = address(prose.as_bytes(), "txt");
            let (key, left) = match one {
                Form::Native | Form::Object => {
                    (KEY, object("artifact", &prose, "text/plain", &prose[..256]))
                }
                Form::Logfire => (
                    KEY,
                    object("logfire.artifact", &prose, "text/plain", &prose[..256]),
                ),
                Form::Uri => (KEY, format!("{uri}?as=text")),
                Form::Semconv => ("input.value_ref", format!("{uri}?as=text&ref")),
            };
            let extraction = slim(Traces, &text(&prose), &texts(one));
            assert_eq!(extraction.request, span(&[(key, string(left))]), "{one:?}");
            assert_eq!(extraction.artifacts[0].bytes, prose);
            assert_eq!(extraction.artifacts[0].media_type, "text/plain");
        }
    }
}

#[test]
fn json_is_told_from_other_text() {
    let prose = prose(LONG);
    for (text, media_type) in [
        (format!(r#"{{"a":"{prose}"}}"#), "application/json"),
        (format!("\n [1, \"{prose}\"]\n"), "application/json"),
        (format!(r#""{prose}""#), "text/plain"),
        (format!(r#"{{"a":"{prose}""#), "text/plain"),
        (format!(r#"[NaN,"{prose}"]"#), "text/plain"),
        (format!("[see below] {prose}"), "text/plain"),
    ] {
        let left = slim_text(&text, &texts(Form::Native));
        assert_eq!(left, object("artifact", &text, media_type, &text[..256]));
    }
}

#[test]
fn a_preview_ends_with_a_character() {
    let text = "aé€😀".repeat(LONG);
    for preview in 0..=40 {
        let policy = Policy {
            preview,
            ..texts(Form::Native)
        };
        let left = slim_text(&text, &policy);
        let cut = (0..=preview).rev().find(|at| text.is_char_boundary(*at));
        let expected = &text[..cut.unwrap()];
        if preview == 0 {
            assert!(!left.contains("preview"));
        } else {
            assert_eq!(left, object("artifact", &text, "text/plain", expected));
        }
    }
    // What JSON has to escape comes back, too, and the whole of a short text fits.
    let odd = "\u{0}\u{1f}\"\\\n\u{7f}\u{2028}".repeat(LONG);
    let left = slim_text(&odd, &texts(Form::Native));
    let json: serde_json::Value = serde_json::from_str(&left).unwrap();
    assert!(odd.starts_with(json["preview"].as_str().unwrap()));
    let whole = Policy {
        preview: LONG,
        ..texts(Form::Native)
    };
    // There is no use in a reference that is longer than its text.
    assert_untouched_by(
        Traces,
        &crate::request::text(prose(LONG)),
        &whole,
        "all of it",
    );
}

#[test]
fn files_are_taken_out_first() {
    let file = png(3 * THRESHOLD);
    let of = |len: usize| {
        format!(
            r#"{{"a":"data:image/png;base64,{}","b":"{}"}}"#,
            base64(&file),
            prose(len)
        )
    };
    let slim_len = slim_text(of(1_000), &policy()).len();
    for (more, whole) in [(LONG - slim_len - 1, false), (LONG - slim_len, true)] {
        let text = of(1_000 + more);
        let extraction = slim(Traces, &crate::request::text(&text), &texts(Form::Native));
        let expected = if whole { text.as_bytes() } else { &file };
        assert_eq!(digests(&extraction), [Digest::of(expected)], "{more} more");
    }
    // Also where the part around the file grows.
    let of = |len: usize| {
        format!(
            r#"{{"type":"blob","content":"{}","b":"{}"}}"#,
            base64(&file),
            prose(len)
        )
    };
    let slim_len = slim_text(of(1_000), &policy()).len();
    for (more, whole) in [(LONG - slim_len - 1, false), (LONG - slim_len, true)] {
        let text = of(1_000 + more);
        let extraction = slim(Traces, &crate::request::text(&text), &texts(Form::Native));
        let expected = if whole { text.as_bytes() } else { &file };
        assert_eq!(digests(&extraction), [Digest::of(expected)], "{more} more");
    }
}

#[test]
fn what_is_denied_or_no_text_stays() {
    let prose = prose(LONG);
    for one in FORMS {
        for key in ["gen_ai.signature", "access_token", "embedding"] {
            let request = span(&[(key, string(&prose))]);
            assert_untouched_by(Traces, &request, &texts(one), key);
        }
        let invalid = [prose.as_bytes(), b"\xff"].concat();
        assert_untouched_by(Traces, &text(invalid), &texts(one), "no UTF-8");
        let mut kept = texts(one);
        kept.rules = vec![rule("input.*", Action::Keep)];
        assert_untouched_by(Traces, &text(&prose), &kept, "kept");
        kept.rules[0].action = Action::Move;
        kept.rules[0].text_threshold = Some(LONG + 1);
        assert_untouched_by(Traces, &text(&prose), &kept, "a threshold of its own");
        kept.rules[0].text_threshold = Some(LONG);
        kept.text_threshold = None;
        assert_eq!(slim(Traces, &text(&prose), &kept).moves.len(), 1);
        kept.rules[0].attributes = vec![Pattern::new("output.*")];
        assert_untouched_by(Traces, &text(&prose), &kept, "another attribute");
    }
}

#[test]
fn in_lists_and_in_log_bodies() {
    let prose = prose(LONG);
    let uri = address(prose.as_bytes(), "txt");
    let member = |value| span(&[(KEY, list(&[("a", string("b")), ("text", value)]))]);
    let reference = list(&[
        ("type", string("artifact")),
        ("sha256", string(Digest::of(prose.as_bytes()).to_string())),
        ("content_type", string("text/plain")),
        ("size_bytes", number(LONG as u16)),
        ("preview", string(&prose[..256])),
        ("uri", string(&uri)),
        ("encoding", string("text")),
    ]);
    let request = member(string(&prose));
    let extraction = slim(Traces, &request, &texts(Form::Native));
    assert_eq!(extraction.request, member(reference));
    let extraction = slim(Traces, &request, &texts(Form::Uri));
    assert_eq!(extraction.request, member(string(format!("{uri}?as=text"))));

    let extraction = slim(Logs, &log_body(&string(&prose)), &texts(Form::Native));
    let left = object("artifact", &prose, "text/plain", &prose[..256]);
    assert_eq!(extraction.request, log_body(&string(left)));
    assert_eq!(extraction.moves[0].attribute, "(body)");
}
