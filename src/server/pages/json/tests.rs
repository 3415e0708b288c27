#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use super::*;

/// All of a document, as it is shown.
fn whole(text: &str) -> Shown {
    shown(text, true).unwrap()
}

fn is_sound(html: &str) {
    for element in ["ul", "li", "details", "q", "span"] {
        let begun = html.matches(&format!("<{element}")).count();
        let ended = html.matches(&format!("</{element}>")).count();
        assert_eq!(begun, ended, "{element}: {html}");
    }
}

#[test]
fn a_document_that_fits_is_shown_to_the_last_byte() {
    let text = format!(
        r#"{{"a":["{}"],"\u00e9\n":{{"b":[]}},"c":-1.5e-10}}"#,
        "x".repeat(300 << 10)
    );
    let shown = whole(&text);
    assert_eq!(shown.cut, "");
    for part in [
        "x".repeat(300 << 10).as_str(),
        ">é\n<",
        ">-1.5e-10<",
        "{3}",
        "[0]",
    ] {
        assert!(shown.html.contains(part), "{part:.80}");
    }
    assert!(!shown.html.contains("more"));
    assert_eq!(shown.html.matches("<details open>").count(), 4);
    is_sound(&shown.html);
}

/// Of what is too much there is the beginning of each part, so that its end is not lost behind its beginning.
#[test]
fn what_is_too_much_is_an_outline() {
    let (numbers, text) = ("1,".repeat(100_000), "y".repeat(1 << 20));
    let document = format!(r#"{{"first":[{numbers}2],"text":"{text}","last":{{"answer":42}}}}"#);
    let shown = whole(&document);
    for part in [
        "<span class=\"count\">{3}</span>",
        "<span class=\"count\">[100001]</span>",
        "<li class=\"more\">… 99,001 more</li>",
        "<span class=\"more\">… 1008.0 KiB more</span>",
        "<span class=\"key\">answer</span> <span class=\"literal\">42</span>",
    ] {
        assert!(shown.html.contains(part), "{part}");
    }
    assert_eq!(
        shown.cut,
        "This JSON is too much for a page: up to 1,000 values of each object and array, up to 16.0 KiB of each \
         text are shown."
    );
    // Its parts are there to be opened, one by one.
    assert_eq!(shown.html.matches("<details open>").count(), 1);
    assert_eq!(shown.html.matches("<details>").count(), 2);
    assert!(shown.html.len() < 200 << 10, "{}", shown.html.len());
    is_sound(&shown.html);
}

/// As many values as there are in an array of a dozen arrays of a dozen, and so on.
fn dozens(depth: usize) -> String {
    let inner = match depth {
        0 => "7".to_owned(),
        _ => dozens(depth - 1),
    };
    format!("[{}{inner}]", format!("{inner},").repeat(11))
}

/// Whatever it is that there is so much of.
#[test]
fn a_page_has_an_end() {
    let names =
        (0..25_000).map(|number| format!("\"{}{number}\":\"{}\",", "&".repeat(9), "<>".repeat(9)));
    for text in [
        format!("[{}1]", "1,".repeat(200_000)),
        format!("[{}1]", "[],".repeat(100_000)),
        format!("{{{}\"z\":1}}", names.collect::<String>()),
        format!("[\"{}\"]", "\\\"".repeat(400 << 10)),
        format!("[{}1]", "1".repeat(600 << 10)),
        format!("[{}1]", "\"\\u0026\\u0026\\u0026\\u0026\",".repeat(30_000)),
        dozens(4),
        format!("[{0},{0}]", dozens(3)),
        format!("{}{}{}", "[".repeat(60), dozens(4), "]".repeat(60)),
        format!("{}{}{}", "[".repeat(100), dozens(4), "]".repeat(100)),
    ] {
        let shown = whole(&text);
        let values = shown.html.matches("<li>").count();
        assert!(values <= VALUES, "{values}: {text:.80}");
        assert!(shown.html.matches("<details").count() <= VALUES);
        assert!(
            shown.html.len() < 6 << 20,
            "{}: {text:.80}",
            shown.html.len()
        );
        assert!(shown.cut.contains("too much for a page"), "{text:.80}");
        is_sound(&shown.html);
    }
}

/// What is nested so that even ten values of each are too many ends when the page is full, and is counted.
#[test]
fn what_does_not_fit_in_any_measure_is_counted() {
    let shown = whole(&dozens(4));
    assert_eq!(shown.html.matches("<li>").count(), VALUES);
    assert!(shown.html.contains("<li class=\"more\">… 2 more</li>"));
    assert!(shown.cut.contains("up to 20,000 values"), "{}", shown.cut);
}

/// What is longer than what is read of it ends anywhere.
#[test]
fn the_beginning_of_a_document_folds_wherever_it_ends() {
    let text = r#" {"a\u00e9\ud83d\ude00é": ["x\"\\y", -1.5e+3, true, null, [], {}], "é": {"b": {"c": "😀"}}, "d":1 } "#;
    for (end, _) in text.char_indices().skip(2) {
        let shown = shown(&text[..end], false).unwrap();
        is_sound(&shown.html);
        assert!(
            shown
                .html
                .starts_with("<ul class=\"json\"><li><details open>")
        );
        assert!(shown.cut.contains("only the first"), "{}", shown.cut);
        assert_eq!(
            shown.html.contains("more</li>"),
            end < text.len() - 1,
            "{end}: {}",
            shown.html
        );
    }
    let shown = shown(&text[..text.find("null").unwrap()], false).unwrap();
    assert!(
        shown
            .html
            .contains("<span class=\"key\">aé😀é</span> <span class=\"count\">[3+]</span>")
    );
    for text in [
        "[1 2",
        "{1",
        "{\"a\" 1",
        "[,",
        "x",
        "",
        "{\"a\":}",
        "[1,]",
        "{\"a\":1}\n{\"a\":2}",
        "[1] x",
        "[2024-01-01] started",
        "1 2",
    ] {
        assert!(super::shown(text, false).is_none(), "{text}");
    }
}

/// What is written in several characters is cut in front of them, and not within.
#[test]
fn a_text_is_cut_between_characters() {
    for character in ["é", "😀", "\\ud83d\\ude00", "\\u00e9", "\\n", "\\\\"] {
        for before in ["", "x", "xxx"] {
            let text = format!(
                "[\"{before}{}\"]",
                character.repeat((600 << 10) / character.len())
            );
            let shown = whole(&text);
            assert!(
                !shown.html.contains("\\u") && !shown.html.contains('\u{fffd}'),
                "{character}"
            );
            let is_cut = shown.html.contains(" more</span>");
            assert!(is_cut, "{character}: {}", shown.html.len());
        }
    }
}
