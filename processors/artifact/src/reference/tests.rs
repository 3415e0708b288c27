//! What is written is read again, and nothing else is.

use super::mention::{Mention, Mentions, Style};
use super::object::Kind;
use super::*;
use crate::encoding::{Codec, Lines, PartToken, Target};
use crate::media_type::Shown;

const BYTES: &[u8] = b"what is stored";

fn locations() -> [Location; 2] {
    [
        Location::Store("s3://bucket/sha256".into()),
        Location::Public("http://127.0.0.1:4319".into()),
    ]
}

fn media_types() -> Vec<MediaType> {
    vec![
        MediaType::of(Shown::by(BYTES), None),
        MediaType::of(Shown::by(BYTES), Some("image/svg+xml")),
        MediaType::of(Shown::by(BYTES), Some("image/png")),
        MediaType::of(Shown::by(b"\x89PNG\r\n\x1a\n"), Some("text/html")),
        MediaType::of(Shown::by(BYTES), Some("application/vnd.one-of_a.kind+json")),
    ]
}

fn ways() -> Vec<Written> {
    let base64 = Written::new(Codec::BASE64);
    let prefix = |prefix: &[u8]| Written {
        prefix: prefix.to_vec(),
        ..base64.clone()
    };
    vec![
        base64.clone(),
        prefix(b"data:image/svg+xml;base64,"),
        prefix(b"data:image/png;base64,"),
        prefix(b"DATA:;name=\xff\"%2C;BASE64,"),
        Written::new(Codec::Bytes),
        Written::new(Codec::PythonRepr { quoted: false }),
        Written {
            quotes: true,
            escapes: vec![(b'"', b"\\\"".to_vec())],
            ..Written::new(Codec::NodeBuffer)
        },
        Written {
            lines: Lines::parse("76crlfend"),
            renamed: true,
            literal: true,
            part: Some(PartToken {
                rewrite: "genai".to_owned(),
                variant: 4,
                added: "tm".to_owned(),
                targets: Some((Target::Before(57), Target::After(8))),
            }),
            ..base64
        },
    ]
}

/// Every reference there can be, with what is to be read from it.
fn all(mut with: impl FnMut(&Location, &Reference<'_>, &Standing)) {
    for location in &locations() {
        for media_type in &media_types() {
            for written in &ways() {
                for dropped in [false, true] {
                    let digest = Digest::of(BYTES);
                    let reference = Reference {
                        digest,
                        media_type,
                        size: BYTES.len() as u64,
                        file_name: Some("a \"b\"\\ä.png"),
                        preview: Some("{\"type\":\"artifact\",\"sha256\n"),
                        location: (!dropped).then_some(location),
                        written,
                    };
                    let standing = Standing {
                        digest,
                        dropped,
                        written: written.clone(),
                    };
                    with(location, &reference, &standing);
                }
            }
        }
    }
}

/// The one mention in `text`, which is `expected` at this place.
fn only(mentions: &Mentions, text: &[u8], at: usize, len: usize, expected: &Standing) -> Mention {
    let found = mentions.within(text);
    let [mention] = &found[..] else {
        panic!("{} in {}", found.len(), text.escape_ascii());
    };
    assert_eq!(mention.range, at..at + len, "{}", text.escape_ascii());
    assert_eq!(&mention.standing, expected);
    assert!(mentions.any(text));
    mention.clone()
}

/// Marks the mention three times, and takes the marks away again.
fn assert_marks(mentions: &Mentions, text: &[u8], mention: &Mention) {
    let edit = |text: &[u8], (range, with): (std::ops::Range<usize>, Vec<u8>)| {
        [&text[..range.start], &with, &text[range.end..]].concat()
    };
    let mut texts = vec![text.to_vec()];
    let mut mention = mention.clone();
    for _ in 0..3 {
        let marked = edit(texts.last().unwrap(), mention.mark());
        let found = mentions.within(&marked);
        assert_eq!(found.len(), 1, "{}", marked.escape_ascii());
        assert_eq!(found[0].standing, mention.standing);
        assert!(found[0].is_marked() && mentions.any(&marked));
        mention = found[0].clone();
        texts.push(marked);
    }
    while let Some(marked) = texts.pop() {
        let [mention] = &mentions.within(&marked)[..] else {
            panic!("one mention");
        };
        assert_eq!(mention.is_marked(), !texts.is_empty());
        if let Some(before) = texts.last() {
            assert_eq!(&edit(&marked, mention.unmark()), before);
        }
    }
}

#[test]
fn a_uri_is_read_back_whatever_stands_around_it() {
    all(|location, reference, standing| {
        let mentions = Mentions::of(location);
        for after in [
            "", " ", "\"", ")", "'", "\\", "\n", "é", "<", "a", "0", "?", "&", "=", "~", "/", ".",
            ",", "%", "-", "_",
        ] {
            for before in ["", "see ", "x", "/", "\\"] {
                let next = after.bytes().next();
                let uri = reference.to_uri(next);
                let text = format!("{before}{uri}{after}");
                let mention = only(
                    &mentions,
                    text.as_bytes(),
                    before.len(),
                    uri.len(),
                    standing,
                );
                assert_eq!(mention.style, Style::Uri);
                assert!(!mention.is_marked());
                if before == "see " {
                    assert_marks(&mentions, text.as_bytes(), &mention);
                }
            }
        }
        // With letters behind it that are not ours, it is another address or says another thing.
        let uri = reference.to_uri(None);
        for after in ["a", "?", "&x", ".", "/", "%20"] {
            let text = format!("{uri}{after}");
            let found = mentions.within(text.as_bytes());
            assert!(found.iter().all(|m| m.standing != *standing), "{text}");
        }
    });
}

#[test]
fn an_object_is_read_back_at_every_depth() {
    all(|location, reference, standing| {
        let mentions = Mentions::of(location);
        for kind in [Kind::Artifact, Kind::Logfire] {
            for backslashes in [0, 1, 3, 7] {
                let object = reference.to_json(kind, backslashes).unwrap();
                for (before, after) in [("", ""), ("[", ","), ("{\"type\":\"artifact", "\"}")] {
                    let text = [before.as_bytes(), &object, after.as_bytes()].concat();
                    let mention = only(&mentions, &text, before.len(), object.len(), standing);
                    assert_eq!(mention.style, Style::Object { backslashes });
                    assert_marks(&mentions, &text, &mention);
                }
            }
            assert_eq!(reference.to_json(kind, 2), None);
            assert_eq!(reference.to_json(kind, 15), None);
        }
    });
}

#[test]
fn a_list_is_read_back_and_marked() {
    all(|_, reference, standing| {
        for kind in [Kind::Artifact, Kind::Logfire] {
            let plain = reference.to_list(kind);
            let listed = list::Listed::read(&plain).unwrap();
            assert_eq!(&listed.standing, standing);
            assert!(!listed.is_marked());
            let marked = listed.mark();
            let twice = list::Listed::read(&marked).unwrap();
            assert!(twice.is_marked());
            assert_eq!(twice.unmark(), plain);
            let twice = list::Listed::read(&twice.mark()).unwrap();
            assert_eq!(twice.unmark(), marked);
            // One byte more, less or other is no reference, or another one.
            for at in (0..plain.len()).step_by(3) {
                let mut other = plain.clone();
                other[at] ^= 1;
                let same = list::Listed::read(&other)
                    .is_some_and(|listed| !listed.is_marked() && reference.to_list(kind) == other);
                assert!(!same);
                assert!(list::Listed::read(&plain[..at]).is_none());
            }
            let more = [&plain[..], &plain[..]].concat();
            assert!(list::Listed::read(&more).is_none());
        }
    });
}

/// Of a reference in a reference's preview only the outer one counts.
#[test]
fn the_outermost_reference_counts() {
    let [_, location] = locations();
    let written = Written::new(Codec::Text);
    let media_type = MediaType::shown("text/plain");
    let inner = Reference {
        digest: Digest::of(b"inner"),
        media_type: &media_type,
        size: 5,
        file_name: None,
        preview: None,
        location: Some(&location),
        written: &written,
    };
    let preview = format!("{} ", inner.to_uri(None));
    let outer = Reference {
        digest: Digest::of(BYTES),
        preview: Some(&preview),
        ..inner.clone()
    };
    let object = outer.to_json(Kind::Artifact, 0).unwrap();
    let found = Mentions::of(&location).within(&object);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].standing.digest, Digest::of(BYTES));
}

/// Names and previews are left out of an object that would be too long to be read again.
#[test]
fn an_object_is_never_longer_than_what_is_read() {
    let [_, location] = locations();
    let media_type = MediaType::shown("text/plain");
    let written = Written::new(Codec::Text);
    for len in [10, 7_000, 8_000, 9_000, 100_000] {
        let preview = "\"".repeat(len);
        let reference = Reference {
            digest: Digest::of(BYTES),
            media_type: &media_type,
            size: 5,
            file_name: Some("a"),
            preview: Some(&preview),
            location: Some(&location),
            written: &written,
        };
        for backslashes in [0, 1, 3, 7] {
            let object = reference.to_json(Kind::Artifact, backslashes).unwrap();
            assert_eq!(Mentions::of(&location).within(&object).len(), 1, "{len}");
        }
    }
    let prefix = Written {
        prefix: vec![b'"'; 4_000],
        ..written
    };
    let reference = Reference {
        digest: Digest::of(BYTES),
        media_type: &media_type,
        size: 5,
        file_name: None,
        preview: None,
        location: Some(&location),
        written: &prefix,
    };
    assert_eq!(reference.to_json(Kind::Artifact, 0), None);
}
