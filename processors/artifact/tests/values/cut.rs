//! Values that were cut before they came here.

use slimspan_artifact::{Action, Policy};
use slimspan_proto::Signal::{Logs, Traces};

use crate::request::*;

#[test]
fn a_cut_file_stays_and_is_counted_once() {
    let whole = base64(&whole_png(5 * THRESHOLD));
    // Within a group of four, and between two of them.
    for len in [4_000, 4_001, 4_002, 4_003] {
        let cut = &whole[..len];
        for text in [
            cut.to_owned(),
            format!("data:image/png;base64,{cut}"),
            format!("![](data:image/png;base64,{cut}"),
            format!("see {cut}"),
            format!(r#"{{"type":"blob","content":"{cut}"#),
            format!(r#"{{"url":"data:image/png;base64,{cut}"#),
            format!("Block(image=b'{cut}"),
        ] {
            let start = &text[..20];
            assert_untouched(Traces, &crate::request::text(&text), start);
            for one in FORMS {
                let extraction = slim(Traces, &crate::request::text(&text), &form(one));
                assert_eq!(extraction.truncated, 1, "{start} {len} {one:?}");
                let twice = span(&[("a", string(&text)), ("b", string(&text))]);
                assert_eq!(slim(Traces, &twice, &form(one)).truncated, 2);
                let part = list(&[("type", string("blob")), ("content", string(&text))]);
                assert_eq!(slim(Logs, &log_body(&part), &form(one)).truncated, 1);
            }
            let keep = Policy {
                rules: vec![rule("*", Action::Keep)],
                ..policy()
            };
            let kept = slim(Traces, &crate::request::text(&text), &keep);
            assert_eq!(kept.truncated, 0);
        }
    }
}

#[test]
fn what_is_whole_or_no_file_is_not_counted() {
    let whole = base64(&whole_png(5 * THRESHOLD));
    let digits = whole.trim_end_matches('=');
    for text in [
        whole.clone(),
        format!("data:image/png;base64,{whole}"),
        format!("see {whole}"),
        base64(&noise(5 * THRESHOLD)),
        base64(&png(5 * THRESHOLD)),
        digits.to_owned(),
        "no file here, ".repeat(THRESHOLD),
        // It is not the end of the text that cut it.
        format!("see {} there", &whole[..4_001]),
        format!(r#"["{}"]"#, &whole[..4_001]),
    ] {
        let extraction = slim(Traces, &crate::request::text(&text), &policy());
        assert_eq!(extraction.truncated, 0, "{}", &text[..20]);
    }
}

/// A limit of the SDK cuts the text, and the files before the cut are whole.
#[test]
fn files_before_the_cut_are_moved() {
    let file = whole_png(2 * THRESHOLD);
    let whole = base64(&file);
    let text = format!(r#"["{whole}","{}"#, &whole[..2_000]);
    let extraction = slim(Traces, &crate::request::text(text), &policy());
    assert_eq!((extraction.moves.len(), extraction.truncated), (1, 1));
    assert_eq!(extraction.artifacts[0].bytes, file);
}
