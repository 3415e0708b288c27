#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::net::{IpAddr, Ipv4Addr};

use askama::Template;
use jiff::Timestamp;

use super::cards::{Card, kind};
use super::find::{Sought, Whose, sought, whose};
use super::preview::{Form, render};
use super::*;
use crate::catalog::{Entry, EntryId, Filter, Index, State, TypePattern};

const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// What a sender may write anywhere.
const HOSTILE: [&str; 9] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' autofocus onfocus='alert(1)",
    "</textarea></title></style></script><svg onload=alert(1)>",
    "javascript:alert(1)",
    "<!-- --!><iframe srcdoc='<script>alert(1)</script>'>",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\u{202e}gpj.exe\0\u{1b}]0;x\u{7}<b>",
];

fn visit(query: &str) -> Visit {
    Visit {
        reader: Reader {
            name: "anybody".to_owned(),
            scope: Scope::All,
        },
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        site: Site {
            base: "/pages".to_owned(),
            artifacts: "http://127.0.0.1:4319".to_owned(),
            urls: vec!["http://127.0.0.1:4319/files".to_owned()],
        },
        path: "/".to_owned(),
        query: Query::parse(query),
    }
}

fn entry(text: &str) -> Entry {
    Entry {
        id: EntryId::new(&[1; 16]).unwrap(),
        recorded: Timestamp::UNIX_EPOCH,
        settled: None,
        time: Timestamp::UNIX_EPOCH,
        tenant: TenantId::default(),
        signal: Some("traces".to_owned()),
        service: text.to_owned(),
        trace: Some("00112233445566778899aabbccddeeff".parse().unwrap()),
        span: None,
        span_name: text.to_owned(),
        carrier: "event".to_owned(),
        carrier_index: Some(3),
        event_name: Some(text.to_owned()),
        attribute: text.to_owned(),
        path: Some(text.to_owned()),
        position: 0,
        shape: text.to_owned(),
        digest: Some(DIGEST.parse().unwrap()),
        content_type: text.to_owned(),
        size: 7,
        file_name: Some(text.to_owned()),
        state: State::Stored,
    }
}

/// The elements in a page, with their attributes, as a browser tells them apart from text.
fn elements(html: &str) -> Vec<String> {
    html.split('<')
        .skip(1)
        .map(|rest| rest.split('>').next().unwrap().to_owned())
        .collect()
}

#[derive(Template)]
#[template(path = "cards.html", config = "src/server/pages/askama.toml")]
struct Cards {
    cards: Vec<Card>,
}

/// Whatever a sender writes, a page has the elements that it has of a sender who writes nothing odd.
#[test]
fn what_a_sender_writes_is_text() {
    let visit = visit("");
    let shown = |text: &str| {
        let mut card = Card::of(&visit, &entry(text));
        card.kind = "file";
        let cards = Cards { cards: vec![card] };
        cards.render().unwrap()
    };
    let usual = elements(&shown("usual"));
    for text in HOSTILE {
        let html = shown(text);
        let names = |all: &[String]| -> Vec<String> {
            let name = |element: &String| element.split(' ').next().unwrap().to_owned();
            all.iter().map(name).collect()
        };
        let found = elements(&html);
        assert_eq!(names(&found), names(&usual), "{text}");
        // Nor is there an attribute more.
        let quotes = |all: &str| all.matches('"').count();
        assert_eq!(quotes(&html), quotes(&shown("usual")), "{text}");
    }
}

/// Several pictures may stand in one attribute of one span, and who does not see them is told which is which.
#[test]
fn a_card_says_what_its_picture_is_called_and_where_it_stands() {
    let visit = visit("");
    let mut named = entry("chart.png");
    named.content_type = "image/png".to_owned();
    named.attribute = "output".to_owned();
    named.span_name = "draw".to_owned();
    let card = Card::of(&visit, &named);
    assert_eq!(card.alt, "chart.png: PNG in output of draw");
    assert_eq!(card.place, "draw");
    assert!(card.trace.is_some());
    // It is there already.
    let card = card.below_its_span();
    assert_eq!((card.place.as_str(), card.trace), ("output", None));
    named.file_name = None;
    let card = Card::of(&visit, &named);
    assert_eq!(card.alt, "PNG in output of draw");
    assert_eq!(card.title, "output");
    assert_eq!(card.below_its_span().place, "");
}

/// What nothing plays is a file to download, whatever a sender calls it.
#[test]
fn only_what_is_played_is_shown_as_sound_or_film() {
    for (said, expected) in [
        ("audio/x-wav", "audio"),
        ("video/mp4", "video"),
        ("audio/aiff", "file"),
        ("video/quicktime", "file"),
        ("video/x-matroska", "file"),
        ("image/svg+xml", "image"),
        ("text/html", "text"),
        ("application/pdf", "file"),
    ] {
        assert_eq!(kind(said), expected, "{said}");
    }
}

#[test]
fn a_text_is_never_more_than_text() {
    for text in HOSTILE {
        for form in [Form::Plain, Form::Markdown, Form::Json] {
            let inner = match form {
                Form::Json => serde_json::json!({ text: [text, { "a": text }] }).to_string(),
                Form::Markdown => {
                    format!(
                        "# {text}\n\n{text}\n\n[a]({text}) ![b](<{text}>)\n\n`{text}`\n\n```{text}\n{text}\n```\n"
                    )
                }
                Form::Plain => text.to_owned(),
            };
            let html = render(inner.as_bytes(), inner.len() as u64, form)
                .text
                .unwrap();
            // Nor is there anything in it that is not seen, or turns what is.
            let unseen = ['\u{202e}', '\0', '\u{1b}', '\u{7}'];
            assert!(!html.contains(unseen), "{form:?} {html:?}");
            for element in elements(&html) {
                let name = element.split(' ').next().unwrap();
                let name = name.trim_start_matches('/');
                let known = [
                    "pre", "div", "h1", "p", "span", "code", "ul", "li", "details", "summary", "q",
                    "em",
                ];
                assert!(known.contains(&name), "{form:?} {text}: <{element}>");
                // What is between quotes is a value, in which quotes are escaped.
                let attributes: String = element.split('"').step_by(2).collect();
                for forbidden in [" on", "href", "src", "style", "id="] {
                    assert!(
                        !attributes.contains(forbidden),
                        "{form:?} {text}: <{element}>"
                    );
                }
            }
        }
    }
}

#[test]
fn a_link_in_a_text_is_told_and_leads_nowhere() {
    let text = "[here](https://evil.example/?q=1) ![pixel](http://evil.example/p.gif) <https://auto.example>";
    let html = render(text.as_bytes(), text.len() as u64, Form::Markdown);
    let html = html.text.unwrap();
    assert!(html.contains("here <span class=\"target\">(https://evil.example/?q=1)</span>"));
    assert!(html.contains("pixel <span class=\"target\">(http://evil.example/p.gif)</span>"));
    assert!(!html.contains("<a") && !html.contains("<img"), "{html}");
}

/// The policy of a page lets no element have a style.
#[test]
fn columns_of_a_table_stand_as_they_are_to_without_a_style() {
    let text = "|a|b|c|d|\n|---|:--|:-:|--:|\n|1|2|3|4|\n|5|6|7|8|\n";
    let html = render(text.as_bytes(), text.len() as u64, Form::Markdown);
    let html = html.text.unwrap();
    for (cell, names) in [("th", ["a", "b", "c", "d"]), ("td", ["5", "6", "7", "8"])] {
        let [a, b, c, d] = names;
        let row = format!(
            "<{cell}>{a}</{cell}><{cell} class=\"left\">{b}</{cell}>\
             <{cell} class=\"center\">{c}</{cell}><{cell} class=\"right\">{d}</{cell}>"
        );
        assert!(html.contains(&row), "{row}: {html}");
    }
    assert!(!html.contains("style"), "{html}");
}

#[test]
fn json_keeps_its_order_and_its_digits() {
    let text = r#"{"z":1.10,"a":[123456789012345678901234567890,null],"z":"two\nlines"}"#;
    let html = render(text.as_bytes(), text.len() as u64, Form::Json)
        .text
        .unwrap();
    let at = |what: &str| html.find(what).unwrap_or_else(|| panic!("{what}: {html}"));
    assert!(at(">1.10<") < at(">123456789012345678901234567890<"));
    assert!(at(">null<") < at("two\nlines"));
    assert!(html.contains("<details open><summary>"));
}

#[test]
fn what_is_much_is_cut_or_left_as_it_is() {
    // The second half of a character is not there.
    let cut = "é".repeat(10);
    let shown = render(&cut.as_bytes()[..9], 1 << 20, Form::Plain);
    assert!(shown.cut.starts_with("Only the first"), "{}", shown.cut);
    let html = shown.text.unwrap();
    assert_eq!(html.matches('é').count(), 4);
    assert!(!html.contains('\u{fffd}'));
    for text in ["[".repeat(100_000), "{\"a\":1} {\"b\":2}".to_owned()] {
        let html = render(text.as_bytes(), text.len() as u64, Form::Json);
        let html = html.text.unwrap();
        assert!(html.starts_with("<pre"), "{}", &html[..80]);
    }
    // More was read of it than is shown of what is no document.
    let text = format!("{{\"a\":\"{}\",}}", "é".repeat(1 << 20));
    let shown = render(text.as_bytes(), text.len() as u64, Form::Json);
    assert!(shown.cut.starts_with("Only the first 256.0 KiB of 2.0 MiB"));
    assert!(shown.text.unwrap().len() < 300 << 10);
    // Lines of JSON are no document either, of which the first were all.
    let lines = "{\"message\":\"started\"}\n".repeat(50_000);
    let shown = render(lines.as_bytes(), 9 << 20, Form::Json);
    assert!(shown.cut.starts_with("Only the first 256.0 KiB of 9.0 MiB"));
    assert!(shown.text.unwrap().matches("started").count() > 10_000);
    // As many cells as there could be of short rows, and as many elements.
    let wide = format!("|{}\n|{}\n", "a|".repeat(2000), "-|".repeat(2000));
    for text in [
        format!("{wide}{}", "|\n".repeat(100_000)),
        "*a* ".repeat(60_000),
        "> ".repeat(100_000),
    ] {
        let html = render(text.as_bytes(), text.len() as u64, Form::Markdown);
        let len = html.text.unwrap().len();
        assert!(len < 8 << 20, "{len}");
    }
    // What is deep is folded as far as that helps.
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    let html = render(deep.as_bytes(), 2000, Form::Json).text.unwrap();
    assert!(html.matches("<details").count() <= 64);
}

#[test]
fn what_is_looked_for_is_understood_as_it_stands_in_a_span() {
    let site = visit("").site;
    let digest: Digest = DIGEST.parse().unwrap();
    let of = |tenant: &str| Some(Sought::Artifact(address(&tenant.parse().unwrap(), digest)));
    let anybodys = |likely: Option<&str>| {
        let likely = likely.map(|likely| likely.parse().unwrap());
        Some(Sought::Anybodys(digest, likely))
    };
    let trace = "00112233445566778899aabbccddeeff";
    let object = |uri: &str| {
        format!(
            "{{\"type\":\"artifact\",\"sha256\":\"{DIGEST}\",\"uri\":\"{uri}\",\"encoding\":\"base64\"}}"
        )
    };
    for (asked, expected) in [
        (DIGEST.to_owned(), anybodys(None)),
        (DIGEST.to_uppercase(), anybodys(None)),
        (format!("sha256:{DIGEST}"), anybodys(None)),
        (
            format!("http://127.0.0.1:4319/files/artifacts/{DIGEST}.png"),
            of("default"),
        ),
        (
            format!("http://127.0.0.1:4319/files/acme/artifacts/{DIGEST}.png~?x#y"),
            of("acme"),
        ),
        (
            format!("http://localhost/artifacts/{DIGEST}.png"),
            anybodys(None),
        ),
        (
            format!("http://localhost/files/artifacts/{DIGEST}"),
            anybodys(None),
        ),
        (
            format!("https://files.example.com/a/b/artifacts/{DIGEST}.png~?x#y"),
            anybodys(Some("b")),
        ),
        (
            format!("s3://bucket/default/sha256/ba/{DIGEST}"),
            of("default"),
        ),
        (format!("s3://bucket/p/acme/sha256/ba/{DIGEST}"), of("acme")),
        (
            object(&format!("s3://bucket/acme/sha256/ba/{DIGEST}")),
            of("acme"),
        ),
        (
            object(&format!(
                "http://127.0.0.1:4319/files/acme/artifacts/{DIGEST}.png"
            )),
            of("acme"),
        ),
        (
            trace.to_owned(),
            Some(Sought::Trace(trace.parse().unwrap())),
        ),
        ("//evil.example".to_owned(), None),
        ("javascript:alert(1)".to_owned(), None),
        (String::new(), None),
    ] {
        assert_eq!(sought(&site, &Scope::All, &asked), expected, "{asked}");
    }
    // Who sees what one tenant has means that one.
    let beta = Scope::One("beta".parse().unwrap());
    for (asked, tenant) in [
        (DIGEST.to_owned(), "beta"),
        (
            format!("https://files.example.com/acme/artifacts/{DIGEST}"),
            "beta",
        ),
        (format!("s3://bucket/acme/sha256/ba/{DIGEST}"), "acme"),
    ] {
        assert_eq!(sought(&site, &beta, &asked), of(tenant), "{asked}");
    }
}

#[tokio::test]
async fn whose_a_digest_is_the_catalog_knows() {
    let index = Index::temporary("memory://").unwrap();
    let digest: Digest = DIGEST.parse().unwrap();
    let tenant = |name: &str| -> TenantId { name.parse().unwrap() };
    let (acme, beta) = (tenant("acme"), tenant("beta"));
    assert_eq!(
        whose(&index, digest, Some(&acme)).await.unwrap(),
        Whose::Nobodys
    );
    let told = |number: u8, tenant: &TenantId, digest: Digest| Entry {
        id: EntryId::new(&[number; 16]).unwrap(),
        tenant: tenant.clone(),
        digest: Some(digest),
        ..entry("a")
    };
    // That others have something else makes no difference.
    let entries = vec![
        told(1, &acme, digest),
        told(2, &acme, digest),
        told(3, &beta, Digest::of(b"something else")),
    ];
    index.apply(entries, Vec::new(), Vec::new()).await.unwrap();
    for likely in [None, Some(&acme), Some(&beta)] {
        let found = whose(&index, digest, likely).await.unwrap();
        assert_eq!(found, Whose::Of(acme.clone()), "{likely:?}");
    }
    let entries = vec![told(4, &beta, digest)];
    index.apply(entries, Vec::new(), Vec::new()).await.unwrap();
    for (likely, expected) in [
        (None, Whose::Several),
        (Some(&acme), Whose::Of(acme.clone())),
        (Some(&beta), Whose::Of(beta.clone())),
        (Some(&TenantId::default()), Whose::Several),
    ] {
        let found = whose(&index, digest, likely).await.unwrap();
        assert_eq!(found, expected, "{likely:?}");
    }
}

#[test]
fn a_form_is_a_filter_or_says_what_is_wrong() {
    let filter = |query: &str| Query::parse(query).filter(Tenants::All);
    assert_eq!(filter("service=&since=").unwrap(), Filter::default());
    let wanted = filter(
        "service=a%20b&type=image%2F*&since=2026-11-21T19%3A30&min_size=1KiB&state=dropped&x=1",
    );
    let wanted = wanted.unwrap();
    assert_eq!(wanted.service.as_deref(), Some("a b"));
    assert_eq!(wanted.content_type, Some(TypePattern::new("image/*")));
    assert_eq!(wanted.since, Some("2026-11-21T19:30:00Z".parse().unwrap()));
    assert_eq!(wanted.min_size, Some(1024));
    assert_eq!(wanted.state, Some(State::Dropped));
    for (query, part) in [
        ("since=yesterday", "“from” is no time"),
        ("until=1", "“until” is no time"),
        ("min_size=much", "“at least” is no size"),
        ("max_size=-1", "“at most” is no size"),
        ("trace=xyz", "“trace id” is none"),
        ("sha256=xyz", "“digest” is none"),
        ("state=gone", "a state is"),
    ] {
        let mistake = filter(query).unwrap_err();
        assert!(mistake.contains(part), "{query}: {mistake}");
    }
    let of_one = Query::parse(&format!("sha256={DIGEST}"));
    let wanted = of_one.filter(Tenants::All).unwrap();
    assert_eq!(wanted.digest, Some(DIGEST.parse().unwrap()));
    // It stays one on the next page.
    assert!(of_one.is_filtered() && of_one.with_after(None).contains(DIGEST));
    assert!(Query::parse("after=x").cursor().is_err());
}

#[test]
fn a_page_loads_nothing_from_elsewhere() {
    let visit = visit("");
    let response = Explained::nothing().page(&visit.site);
    let policy = response.headers()[header::CONTENT_SECURITY_POLICY]
        .to_str()
        .unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'self'; script-src 'sha256-"));
    assert!(
        !policy.contains("unsafe") && !policy.contains('*'),
        "{policy}"
    );
    // The script is in the page as it was hashed.
    assert!(!assets::SCRIPT.contains("</"));
}
