//! Requests that somebody would write to get something else back, or to keep a core busy.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use slimspan_artifact::{
    BytesValues, Digest, Extraction, Form, Location, Pattern, Policy, Unrestored, extract,
    memory_of_references, references, restore, restore_within,
};
use slimspan_generators::wire::nested;
use slimspan_generators::{Random, Request, fake_file};
use slimspan_proto::{Member, Order, Signal, ValueKind};

const FORMS: [Form; 5] = [
    Form::Native,
    Form::Object,
    Form::Uri,
    Form::Semconv,
    Form::Logfire,
];

/// The digest of `abc`, which no test has a file of.
const ELSEWHERE: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn policy(form: Form) -> Policy {
    let mut policy = Policy::new(100, Location::Store("memory:/default/sha256".to_owned()));
    policy.form = form;
    policy
}

/// Bytes become texts.
fn texts(form: Form) -> Policy {
    Policy {
        bytes_values: BytesValues::Text,
        ..policy(form)
    }
}

/// A request for the log record whose body is the text.
fn body(text: impl AsRef<[u8]>) -> Bytes {
    nested(&[1, 2, 2, 5, 1], text).into()
}

/// A request for the log record whose body is a kvlist of these members.
fn body_of_members(members: &[Vec<u8>]) -> Bytes {
    nested(&[1, 2, 2, 5, 6], members.concat()).into()
}

fn string(key: &str, text: &str) -> Vec<u8> {
    Member::encode(key.as_bytes(), ValueKind::String, text.as_bytes())
}

fn picture(len: usize) -> Vec<u8> {
    fake_file(&mut Random::new(7), len)
}

fn data_uri(len: usize) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(picture(len)))
}

/// Takes out and puts back; nobody else's artifact may be asked for.
fn comes_back(request: &Bytes, policy: &Policy) -> Extraction {
    let extraction = extract(Signal::Logs, request, policy).unwrap();
    let stored: HashMap<Digest, Bytes> = extraction
        .artifacts
        .iter()
        .map(|artifact| (artifact.digest, artifact.bytes.clone()))
        .collect();
    let restored = restore(
        Signal::Logs,
        &extraction.request,
        &policy.location,
        |digest| {
            let bytes = stored.get(&digest).cloned();
            assert!(bytes.is_some(), "fetched {digest}");
            bytes
        },
    );
    let restored = restored.unwrap();
    assert_eq!(restored.left, []);
    assert!(
        restored.request == *request,
        "{:?}: {}",
        policy.form,
        extraction.request.escape_ascii()
    );
    extraction
}

#[test]
fn a_length_that_turns_back_is_no_endless_loop() {
    let boxes = [
        &b"\0\0\0\x10ftypisom\0\0\0\0"[..],
        b"\0\0\0\x01mdat\xff\xff\xff\xff\xff\xff\xff\xf0",
        &[0; 200],
    ]
    .concat();
    comes_back(&body(STANDARD.encode(boxes)), &policy(Form::Native));
}

#[test]
fn a_payload_with_escapes_that_nobody_writes_stays() {
    let base64 = STANDARD.encode(picture(300));
    let (first, rest) = base64.split_at(1);
    let escaped = format!("%{:02X}{rest}", first.as_bytes()[0]);
    for payload in [escaped.clone(), escaped.replace('/', "%2F")] {
        let text = format!("data:image/png;base64,{payload}");
        for form in FORMS {
            comes_back(&body(&text), &policy(form));
        }
    }
}

#[test]
fn two_files_beside_one_type() {
    let [one, other] = [300, 400].map(|len| STANDARD.encode(picture(len)));
    for text in [
        format!(r#"[{{"content":"{one}","type":"blob","data":"{other}"}}]"#),
        format!(r#"{{"source":{{"data":"{one}","type":"base64","data":"{other}"}}}}"#),
        format!(r#"{{"inline_data":{{"data":"{one}","data":"{other}"}}}}"#),
    ] {
        for form in FORMS {
            let extraction = comes_back(&body(&text), &policy(form));
            assert_eq!(extraction.artifacts.len(), 2);
        }
    }
}

/// A text that is no reference and would be one without its file.
#[test]
fn no_reference_comes_about_where_a_file_was() {
    let reference = |preview: &str| {
        format!(
            r#"{{"type":"artifact","sha256":"{ELSEWHERE}","content_type":"image/png","size_bytes":3,"preview":"{preview}","uri":"x","encoding":"base64"}}"#
        )
    };
    let long = data_uri(9_000);
    let escaped = data_uri(300).replace('/', "\\/");
    let once = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    for text in [
        reference(&long),
        reference(&escaped),
        format!("see {} there", reference(&escaped)),
        format!(r#"["{}"]"#, once(&reference(&long))),
        format!(r#"["{}"]"#, once(&reference(&escaped))),
        format!(
            r#"["{}"]"#,
            once(&format!(r#"["{}"]"#, once(&reference(&escaped))))
        ),
        format!("{} {}", reference(&escaped), reference("short")),
    ] {
        for form in FORMS {
            comes_back(&body(&text), &policy(form));
        }
    }
}

#[test]
fn no_reference_comes_about_where_bytes_were() {
    let members = |preview: Vec<u8>| {
        [
            string("type", "artifact"),
            string("sha256", ELSEWHERE),
            string("content_type", "image/png"),
            Member::encode_int(b"size_bytes", 3),
            preview,
            string("uri", "x"),
            string("encoding", "base64"),
        ]
    };
    for preview in [
        Member::encode(b"preview", ValueKind::Bytes, &picture(300)),
        string("preview", &data_uri(300)),
    ] {
        for form in FORMS {
            comes_back(&body_of_members(&members(preview.clone())), &policy(form));
            comes_back(&body_of_members(&members(preview.clone())), &texts(form));
        }
    }
}

/// However often it was marked, and in whichever order a Collector wrote it anew.
#[test]
fn a_reference_of_a_sender_is_one_with_any_number_of_marks() {
    let shard = &ELSEWHERE[..2];
    let uri = format!("memory:/default/sha256/{shard}/{ELSEWHERE}");
    for (kind, order) in ["artifact", "logfire.artifact"]
        .iter()
        .flat_map(|kind| [Order::KeyFirst, Order::ValueFirst].map(|order| (kind, order)))
    {
        for marks in 0..=30 {
            let text = |key: &str, text: &str| {
                order.encode(key.as_bytes(), ValueKind::String, text.as_bytes())
            };
            let kind = format!("{kind}{}", ".untrusted".repeat(marks));
            let members = |preview: Vec<u8>| {
                [
                    text("type", &kind),
                    text("sha256", ELSEWHERE),
                    text("content_type", "image/png"),
                    order.int(b"size_bytes", 3),
                    preview,
                    text("uri", &uri),
                    text("encoding", "base64"),
                ]
            };
            let bytes = order.encode(b"preview", ValueKind::Bytes, &picture(300));
            for preview in [text("preview", "x"), bytes] {
                for form in FORMS {
                    comes_back(&body_of_members(&members(preview.clone())), &policy(form));
                }
            }
        }
    }
}

/// Nor where bytes become texts, which such a list may have in some places.
#[test]
fn no_reference_comes_about_where_bytes_become_texts() {
    const OPTIONAL: [&str; 3] = ["filename", "preview", "uri"];
    let types = ["artifact", "logfire.artifact", "artifact.untrusted"];
    for (kind, in_bytes) in types
        .iter()
        .flat_map(|kind| OPTIONAL.map(|key| (kind, key)))
    {
        for content in [b"".to_vec(), b"abc".to_vec(), picture(300)] {
            let mut members = vec![
                string("type", kind),
                string("sha256", ELSEWHERE),
                string("content_type", "image/png"),
                Member::encode_int(b"size_bytes", 3),
            ];
            members.extend(OPTIONAL.map(|key| {
                if key == in_bytes {
                    Member::encode(key.as_bytes(), ValueKind::Bytes, &content)
                } else {
                    string(key, "x")
                }
            }));
            members.push(string("encoding", "base64"));
            let request = body_of_members(&members);
            for form in FORMS {
                let extraction = comes_back(&request, &texts(form));
                assert_eq!(extraction.request, request, "{kind}, {in_bytes}");
            }
        }
    }
}

#[test]
fn a_link_of_a_sender_beside_a_file_is_none_of_ours() {
    let shard = &ELSEWHERE[..2];
    let link = format!("memory:/default/sha256/{shard}/{ELSEWHERE}?as=base64&part=genai.0.tm");
    let file = Member::encode(b"content", ValueKind::Bytes, &picture(300));
    let [note, kind] = [string("note", &link), string("type", "blob")];
    for members in [
        [note.clone(), kind.clone(), file.clone()],
        [file.clone(), kind.clone(), note.clone()],
        [kind, note, file],
    ] {
        for form in FORMS {
            let mut policy = policy(form);
            // So that the link is no second payload.
            policy.threshold = 250;
            comes_back(&body_of_members(&members), &policy);
        }
    }
}

/// What is in it besides would be left out.
#[test]
fn a_link_that_holds_more_than_members_is_none_of_ours() {
    let file = picture(300);
    let bytes = Member::encode(b"content", ValueKind::Bytes, &file);
    let part = [
        string("type", "blob"),
        string("mime_type", "image/png"),
        bytes,
    ];
    let slim = comes_back(&body_of_members(&part), &policy(Form::Native)).request;
    let at = memchr::memmem::find(&slim, b"\x0a\x04type").unwrap() - 2;
    let link = slim[at..].to_vec();
    let restored = |link: &[Vec<u8>]| {
        let request = body_of_members(link);
        let location = policy(Form::Native).location;
        let bytes = Some(Bytes::from(file.clone()));
        let restored = restore(Signal::Logs, &request, &location, |_| bytes.clone()).unwrap();
        (restored.request, request)
    };
    let (whole, _) = restored(std::slice::from_ref(&link));
    assert_eq!(whole, body_of_members(&part));
    // A field that no list has, and one that breaks off.
    for more in [&b"\x18\x01"[..], b"\x0a\x05\x0a"] {
        let (left, request) = restored(&[link.clone(), more.to_vec()]);
        assert_eq!(left, request, "{more:?}");
    }
}

/// What a backend can read it can still read, however deep a file stands.
#[test]
fn references_do_not_stand_too_deep() {
    for depth in 0..54 {
        for form in FORMS {
            let value = nested(&[7], picture(2_000));
            let deep = (0..depth).fold(value, |inner, _| nested(&[5, 1], inner));
            let request: Bytes = nested(&[1, 2, 2, 5], deep).into();
            let is_read = Request::decode(Signal::Logs, &request).is_ok();
            // The deepest that prost reads is taken, too.
            assert_eq!(is_read, depth <= 48, "{depth}");
            let extracted = extract(Signal::Logs, &request, &policy(form));
            // And what other decoders read.
            assert_eq!(extracted.is_ok(), depth <= 52, "{depth}");
            if extracted.is_ok() {
                let extraction = comes_back(&request, &policy(form));
                let slim = Request::decode(Signal::Logs, &extraction.request);
                assert!(slim.is_ok() || !is_read, "{depth} deep as {form:?}");
            }
        }
    }
}

/// What cannot be marked, because a length around it cannot grow, is left alone, there and back.
#[test]
fn a_forged_reference_in_a_length_without_room_is_data() {
    let shard = &ELSEWHERE[..2];
    let uri = format!("memory:/default/sha256/{shard}/{ELSEWHERE}");
    let link = string("uri", &format!("{uri}?as=bytes&part=genai.0."));
    let padded = |number: u8, inner: &[u8]| {
        let mut field = vec![number << 3 | 2];
        let mut len = inner.len();
        for _ in 0..9 {
            field.push(len as u8 | 0x80);
            len >>= 7;
        }
        field.push(0);
        [&field[..], inner].concat()
    };
    // The fields of a member in a list: the member, its value, the text.
    let sealed_link = padded(1, &link[2..]);
    for request in [
        padded(1, &nested(&[2, 2, 5, 1], uri.clone().into_bytes())),
        nested(&[1, 2, 2, 5], padded(1, uri.as_bytes())),
        nested(
            &[1, 2, 2],
            padded(5, &nested(&[1], uri.clone().into_bytes())),
        ),
        nested(
            &[1, 2, 2, 5, 6],
            [string("type", "uri"), sealed_link].concat(),
        ),
    ] {
        let request = Bytes::from(request);
        assert!(Request::decode(Signal::Logs, &request).is_ok());
        for form in FORMS {
            let extraction = comes_back(&request, &policy(form));
            assert_eq!(extraction.request, request, "{form:?}");
        }
    }
}

/// However long a key is, it is read once and not repeated for every value that it has.
#[test]
fn a_long_key_costs_no_more_for_many_values() {
    let key = vec![b'k'; 1 << 20];
    let one = nested(&[1, 7], picture(200));
    let value = nested(&[2, 5], one.repeat(2_000));
    let attribute = [nested(&[1], key), value].concat();
    let request: Bytes = nested(&[1, 2, 2, 6], attribute).into();
    let extraction = comes_back(&request, &policy(Form::Native));
    assert_eq!(extraction.moves.len(), 2_000);
    let names: usize = extraction.moves.iter().map(|one| one.attribute.len()).sum();
    assert!(names < request.len(), "{names}");
}

/// The preview of a text that was given up is no text to put files back into.
#[test]
fn a_preview_is_not_taken_for_more_than_it_is() {
    let shard = &ELSEWHERE[..2];
    let text = format!(
        "memory:/default/sha256/{shard}/{ELSEWHERE} {}",
        "word ".repeat(400)
    );
    let request = body_of_members(&[string("text", &text)]);
    for form in FORMS {
        let mut policy = policy(form);
        policy.text_threshold = Some(100);
        policy.dropped = [Digest::of(text.as_bytes())].into();
        let extraction = extract(Signal::Logs, &request, &policy).unwrap();
        assert_eq!(extraction.moves.len(), 1);
        let restored = restore(
            Signal::Logs,
            &extraction.request,
            &policy.location,
            |digest| panic!("fetched {digest}"),
        );
        assert_eq!(restored.unwrap().left.len(), 1, "{form:?}");
    }
}

/// With a mark in its URI, such a text would be a reference to the letter.
#[test]
fn a_mark_makes_no_reference_of_what_was_none() {
    let uri = format!("memory:/default/sha256/ba/{ELSEWHERE}");
    let escaped: String = format!("data:{uri};base64,")
        .bytes()
        .map(|c| match c {
            c if c.is_ascii_alphanumeric() => char::from(c).to_string(),
            c => format!("%{c:02X}"),
        })
        .collect();
    let marked = escaped.replacen("sha256%2F", "sha256%2Funtrusted%2F", 1);
    for prefix in [escaped, marked] {
        let encoding = format!("base64&prefix={prefix}");
        let object = format!(
            r#"{{"type":"artifact","sha256":"{ELSEWHERE}","content_type":"{uri}","size_bytes":6,"uri":"x","encoding":"{encoding}"}}"#
        );
        let list = [
            string("type", "artifact"),
            string("sha256", ELSEWHERE),
            string("content_type", &uri),
            Member::encode_int(b"size_bytes", 6),
            string("uri", "x"),
            string("encoding", &encoding),
        ];
        for form in FORMS {
            comes_back(&body(&object), &policy(form));
            comes_back(&body(format!("see {object}.")), &policy(form));
            comes_back(&body_of_members(&list), &policy(form));
        }
    }
}

#[test]
fn a_type_that_is_no_text_stays_what_it_is() {
    let part = [
        string("type", "blob"),
        Member::encode_int(b"type", 5),
        string("mime_type", "image/png"),
        string("modality", "image"),
        Member::encode(b"content", ValueKind::Bytes, &picture(600)),
    ];
    for form in FORMS {
        let extraction = comes_back(&body_of_members(&part), &policy(form));
        assert_eq!(extraction.artifacts.len(), 1, "{form:?}");
    }
}

/// A token can ask for any text, and a text can name a file any number of times.
#[test]
fn what_is_put_back_has_a_limit() {
    let file = Bytes::from(vec![b'/'; 100_000]);
    let digest = Digest::of(&file);
    let uri = format!(
        "memory:/default/sha256/{}/{digest}",
        &digest.to_string()[..2]
    );
    let long = "A".repeat(10_000);
    let restored = |text: &str, largest: usize| {
        let request = body(text);
        let fetch = |_| Some(file.clone());
        let location = &policy(Form::Native).location;
        restore_within(largest, Signal::Logs, &request, location, fetch).unwrap()
    };
    for token in [
        format!("base64&esc=L.{long}"),
        format!("base64&all={long}.xx"),
        format!("text&esc=%2F.{long}"),
    ] {
        for text in [
            format!("{uri}?as={token}"),
            format!("see {uri}?as={token} there"),
        ] {
            let restoration = restored(&text, usize::MAX);
            assert_eq!(
                restoration.left,
                [Unrestored::TooLarge(digest)],
                "{}",
                &text[..150]
            );
            assert_eq!(restoration.request, body(&text));
        }
    }
    let many = format!("{uri} ").repeat(1_000);
    let restoration = restored(&many, 10_000_000);
    assert!(restoration.request.len() <= 10_000_000);
    assert_eq!(
        restoration.restored,
        (10_000_000 - body(&many).len()) / 133_336
    );
    assert_eq!(restoration.restored + restoration.left.len(), 1_000);
    let no_room = [Unrestored::NoRoom(digest)].repeat(restoration.left.len());
    assert_eq!(restoration.left, no_room);
    let restoration = restored(&many, usize::MAX);
    assert_eq!((restoration.restored, restoration.left), (1_000, vec![]));
    // However little room there is, what no text was ever taken out of is another thing.
    let damaged = restored(&format!("{uri}?as=base64&esc=L.{long}"), 2_000_000);
    assert_eq!(damaged.left, [Unrestored::TooLarge(digest)]);
    // So often that no more of it is tried, it has no more room in a larger request, either.
    let damaged = format!("{uri}?as=base64&esc=L.{long} ").repeat(30);
    let restoration = restored(&damaged, 2_000_000);
    assert_eq!(restoration.left, [Unrestored::TooLarge(digest); 30]);
}

/// Somebody can name very many, each of which takes more than it is long.
#[test]
fn the_memory_of_references_is_known_before_they_are_looked_for() {
    let digest = Digest::of(b"file");
    let uri = format!(
        "memory:/default/sha256/{}/{digest}",
        &digest.to_string()[..2]
    );
    let location = &policy(Form::Native).location;
    let memory = |text: &str| memory_of_references(&body(text), location);
    assert_eq!(memory("sha256 and memory: and nothing that is ours"), 0);
    // Beside what their tokens may say at length.
    let of_references = |text: &str| memory(text) - body(text).len();
    let one = of_references(&uri);
    assert!((500..2000).contains(&one), "{one}");
    assert_eq!(of_references(&format!("{uri} ").repeat(1000)), 1000 * one);
    let object = format!(r#"{{"type":"artifact","sha256":"{digest}","#);
    assert_eq!(of_references(&object.repeat(10)), 10 * one);
    let dropped = format!("artifact://dropped/{digest}.png?size=4 ");
    assert_eq!(of_references(&dropped.repeat(10)), 10 * one);
    // What holds bytes is decoded beside it.
    let held = "artifact://bytes/base64,AAEC";
    assert_eq!(of_references(held), one + body(held).len());
    assert_eq!(memory("artifact://apps/a/users/b"), 0);
    // A token can say of any number of characters how they are written.
    let escaping = format!("{uri}?as=base64{}", "&esc=a.".repeat(1000));
    assert!(of_references(&escaping) > one + 64 * 1000);
    // It can say anything that stood in front, which is kept while others are found.
    let prefix = "A".repeat(1 << 20);
    let prefixed = format!("{uri}?as=base64&prefix={prefix}");
    assert!(memory(&prefixed) >= one + prefix.len());

    // All of them are found, wherever they stand.
    let text = format!("{uri} and {uri} or {dropped}");
    let mut found = Vec::new();
    references(Signal::Logs, &body(&text), location, |digest| {
        found.push(digest);
    })
    .unwrap();
    assert_eq!(found, [digest; 2]);
}

/// Whoever names one file very often makes nobody hash it as often, or write it in vain.
#[test]
fn a_file_is_read_once_however_often_it_is_named() {
    let file = Bytes::from(vec![b'/'; 10_000_000]);
    let digest = Digest::of(&file);
    let uri = format!(
        "memory:/default/sha256/{}/{digest}",
        &digest.to_string()[..2]
    );
    let asked = |text: &str, largest: usize, file: &Bytes| {
        let (request, mut asked) = (body(text), 0);
        let fetch = |_| {
            asked += 1;
            Some(file.clone())
        };
        let location = &policy(Form::Native).location;
        let restoration = restore_within(largest, Signal::Logs, &request, location, fetch).unwrap();
        (restoration, asked)
    };
    let thrice = format!("{uri} ").repeat(3);
    let (restoration, times) = asked(&thrice, usize::MAX, &file);
    assert_eq!((restoration.restored, times), (3, 1));
    let (restoration, times) = asked(&thrice, usize::MAX, &Bytes::from_static(b"else"));
    assert_eq!(restoration.left, [Unrestored::Corrupt(digest); 3]);
    assert_eq!(times, 1);
    // Bytes that fit, as a text that does not: whatever was written in vain is not written again.
    let (restoration, times) = asked(&thrice, 12_000_000, &file);
    assert_eq!(restoration.left, [Unrestored::NoRoom(digest); 3]);
    assert_eq!(times, 1);
    // The same in a form that fits, alone and behind what does not.
    let as_text = format!("{uri}?as=text");
    let (restoration, _) = asked(&as_text, 12_000_000, &file);
    assert_eq!((restoration.restored, restoration.left), (1, vec![]));
    let (restoration, _) = asked(&format!("{thrice}{as_text}"), 12_000_000, &file);
    assert_eq!(restoration.left, [Unrestored::NoRoom(digest); 4]);
    // What has no room is not read at all: these are other bytes, and nobody saw it.
    let other = Bytes::from(vec![0; 10_000_000]);
    let (restoration, _) = asked(&thrice, 9_000_000, &other);
    assert_eq!(restoration.left, [Unrestored::NoRoom(digest); 3]);
}

/// What could not be put back for its length is not taken out.
#[test]
fn a_file_in_a_text_that_is_far_too_long_stays() {
    let base64 = STANDARD.encode(picture(600));
    let numbers: Vec<String> = base64.bytes().map(|c| format!("\\u{c:04x}")).collect();
    let numbers = numbers.concat();
    for (levels, found) in [(1, 1), (6, 1), (7, 0)] {
        let wrap = |text: String, _| {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
            format!("[\"{escaped}\"]")
        };
        // Every level doubles the backslashes of each character.
        let text = (1..levels).fold(format!("[\"{numbers}\"]"), wrap);
        let extraction = comes_back(&body(&text), &policy(Form::Native));
        assert_eq!(extraction.moves.len(), found, "{levels}");
    }
}

#[test]
fn urls_are_left_alone() {
    let base64 = STANDARD.encode(picture(600));
    for text in [
        format!("https://example.com/x?img={base64}"),
        format!("see https://example.com/x?u=data:image/png;base64,{base64} here"),
        format!(r#"{{"url":"https://example.com/x?img={base64}"}}"#),
    ] {
        let extraction = comes_back(&body(&text), &policy(Form::Native));
        assert_eq!(extraction.moves, [], "{text}");
    }
}

/// Letters and digits are base64, too. Where they are said to stand for text, they do or are none.
#[test]
fn what_is_called_text_is_text_or_a_file() {
    let noise: Vec<u8> = picture(600).into_iter().skip(8).collect();
    let part = |mime_type: &str, file: &[u8]| {
        format!(
            r#"{{"mime_type":"{mime_type}","data":"{}"}}"#,
            STANDARD.encode(file)
        )
    };
    for (text, found) in [
        (part("text/plain", &noise), 0),
        (part("application/json", &noise), 0),
        (part("text/plain", &[b'a'; 600]), 1),
        (part("text/plain", &picture(600)), 1),
        (part("audio/wav", &noise), 1),
    ] {
        for form in FORMS {
            let extraction = comes_back(&body(&text), &policy(form));
            assert_eq!(extraction.moves.len(), found, "{text}");
        }
    }
}

#[test]
fn a_string_that_is_not_closed_was_cut() {
    let mp3 = [&b"ID3\x04"[..], &[7; 599]].concat();
    let base64 = STANDARD.encode(mp3);
    assert_eq!(base64.len() % 4, 0);
    for text in [
        format!(r#"[{{"type":"blob","mime_type":"audio/mpeg","content":"{base64}"#),
        format!(r#"[{{"type":"uri","uri":"data:audio/mpeg;base64,{base64}"#),
    ] {
        let extraction = comes_back(&body(&text), &policy(Form::Native));
        assert_eq!(
            (extraction.moves.len(), extraction.truncated),
            (0, 1),
            "{text}"
        );
    }
}

#[test]
fn a_denied_key_is_denied_however_it_is_written() {
    let base64 = STANDARD.encode(picture(600));
    for text in [
        format!(r#"{{"signature":["{base64}"]}}"#),
        format!(r#"{{"signature":[[["{base64}"]]]}}"#),
        format!(r#"{{"\u0073ignature":"{base64}"}}"#),
    ] {
        let extraction = comes_back(&body(&text), &policy(Form::Native));
        assert_eq!(extraction.moves, [], "{text}");
    }
    let numbers: Vec<String> = picture(600).iter().map(ToString::to_string).collect();
    let buffer = format!(r#"{{"type":"Buffer","data":[{}]}}"#, numbers.join(","));
    let members = numbers.iter().enumerate();
    let members: Vec<String> = members.map(|(at, n)| format!(r#""{at}":{n}"#)).collect();
    let index = format!("{{{}}}", members.join(","));
    let data = format!(r#"{{"data":"{base64}"}}"#);
    let escaped = data.replace('"', "\\\"");
    for (text, found) in [
        (format!(r#"{{"thought_signature":{data}}}"#), 0),
        (format!(r#"[{{"signature":{{"a":[{{"b":{data}}}]}}}}]"#), 0),
        (format!(r#"{{"encrypted_content":[{data}]}}"#), 0),
        (format!(r#"{{"encrypted_content":[[{data}]]}}"#), 0),
        (format!(r#"{{"encrypted_content":"{escaped}"}}"#), 0),
        (format!(r#"{{"signature":{{"a":"{escaped}"}}}}"#), 0),
        (format!(r#"{{"embedding":[{buffer},{index}]}}"#), 0),
        (format!(r#"{{"embedding":{{"x":{index}}}}}"#), 0),
        (format!(r#"{{"vector":{}{data}"#, "[".repeat(200)), 0),
        (
            format!(r#"{{"vector":{{"a":{}{data}"#, r#"{"b":"#.repeat(200)),
            0,
        ),
        (format!(r#"{{"a":{}{data}"#, "[".repeat(200)), 1),
        (
            format!(r#"{{"type":"redacted_thinking","data":["{base64}",{data}]}}"#),
            0,
        ),
        (format!(r#"{{"signature":{{"a":1}},"image":{data}}}"#), 1),
        (format!(r#"{{"signature":[{data}],"image":[{data}]}}"#), 1),
        (format!(r#"{{"image":[{index}]}}"#), 1),
    ] {
        for form in FORMS {
            let extraction = comes_back(&body(&text), &policy(form));
            assert_eq!(extraction.moves.len(), found, "{text}");
        }
    }
    let text = format!(r#"{{"mime_type":"image\/png","type":"artifact","data":"{base64}"}}"#);
    let extraction = comes_back(&body(&text), &policy(Form::Native));
    assert_eq!(extraction.moves.len(), 1, "{text}");
}

#[test]
fn a_denied_key_is_denied_in_lists_of_any_depth() {
    let list = |key: &str, members: Vec<u8>| {
        let value = nested(&[2, 6], members);
        nested(&[1], [nested(&[1], key), value].concat())
    };
    let array = |key: &str, elements: &[Vec<u8>]| {
        let elements: Vec<u8> = elements
            .iter()
            .flat_map(|element| nested(&[1], element.clone()))
            .collect();
        let value = nested(&[2, 5], elements);
        nested(&[1], [nested(&[1], key), value].concat())
    };
    let bytes = Member::encode(b"data", ValueKind::Bytes, &picture(600));
    let part = [string("type", "blob"), bytes.clone()].concat();
    let text = string("data", &data_uri(600));
    let json = string("data", &format!(r#"["{}"]"#, data_uri(600)));
    for file in [bytes, part, text, json] {
        let value = nested(&[6], file.clone());
        for (members, found) in [
            (list("thought_signature", file.clone()), 0),
            (list("Signature", list("a", list("b", file.clone()))), 0),
            (
                array("encrypted_content", &[value.clone(), value.clone()]),
                0,
            ),
            (list("vector", array("a", std::slice::from_ref(&value))), 0),
            (list("sealed.box", list("a", file.clone())), 0),
            (list("a", list("b", file.clone())), 1),
            (array("a", &[value.clone(), value]), 2),
            // What comes behind is not denied.
            ([list("signature", file.clone()), file.clone()].concat(), 1),
            (
                [list("signature", file.clone()), list("a", file)].concat(),
                1,
            ),
        ] {
            for form in FORMS {
                for text_threshold in [None, Some(500)] {
                    let mut policy = policy(form);
                    policy.text_threshold = text_threshold;
                    policy.deny_keys = vec![Pattern::any_case("sealed*")];
                    let request = body_of_members(&[list("top", members.clone())]);
                    let extraction = comes_back(&request, &policy);
                    assert_eq!(extraction.moves.len(), found, "{}", members.escape_ascii());
                }
            }
        }
    }
}

/// The name of an array is read once, however many elements have it.
#[test]
fn a_long_name_in_json_costs_no_more_for_many_values() {
    let name = "k".repeat(1 << 20);
    let base64 = STANDARD.encode(picture(200));
    let element = format!(r#""{base64}",{{"data":"{base64}"}},"#);
    let text = format!(r#"{{"{name}":[{}1]}}"#, element.repeat(5_000));
    let mut policy = policy(Form::Native);
    policy.deny_keys = vec![Pattern::any_case("*sealed")];
    let started = std::time::Instant::now();
    let extraction = comes_back(&body(&text), &policy);
    assert_eq!(extraction.moves.len(), 10_000);
    // Ten thousand readings of the name would be a hundred times that.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

/// A text that only our own mark makes long enough.
#[test]
fn a_mark_makes_no_text_long() {
    let shard = &ELSEWHERE[..2];
    let text = format!("memory:/default/sha256/{shard}/{ELSEWHERE}?as=bytes");
    for form in FORMS {
        let mut policy = policy(form);
        policy.text_threshold = Some(text.len() + 1);
        let extraction = comes_back(&body(&text), &policy);
        assert_eq!(extraction.moves, [], "{form:?}");
    }
}
