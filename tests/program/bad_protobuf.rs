//! Odd protobuf, row by row of a catalogue of what must not hurt: the numbers are its own.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message as _;
use serde_json::Value;
use slimspan_generators::Random;
use slimspan_generators::wire::{message, nested, tagged as field};
use slimspan_proto::Signal;
use tonic::Code;

use crate::promises::exists;
use crate::support::backend::Backend;
use crate::support::canaries::{self, Answers, CANARY};
use crate::support::fault_store::{Fault, FaultStore};
use crate::support::measured::{bound, measured, number};
use crate::support::pages::get;
use crate::support::references::{references, restored};
use crate::support::sender::{Sender, retry_after};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

const MIB: usize = 1 << 20;

/// How a request ends.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    /// It arrives, byte for byte.
    Whole,
    /// The second of three spans does not arrive, which its sender is told; the others do.
    Rejected,
    /// The second of three spans arrives in a request of its own.
    Apart,
    /// Nothing arrives, and a retry is no use.
    Refused(Code),
    /// It is taken, and what may have become references leads back to it, byte for byte.
    Restored,
}

/// A row, or a part of one.
struct Row {
    number: u32,
    what: String,
    request: Bytes,
    end: End,
}

/// Rows that have tests of their own, in this file or in another.
const ELSEWHERE: [(u32, &str); 7] = [
    (
        56,
        "program::bad_protobuf::indices_of_a_dictionary_are_counted",
    ),
    (58, "program::bombs"),
    (
        62,
        "program::bad_protobuf::many_files_in_one_request_are_stored",
    ),
    (
        63,
        "program::bad_protobuf::a_file_of_63_mib_is_stored_in_twice_its_memory",
    ),
    (
        64,
        "program::bad_protobuf::a_file_that_a_request_has_a_thousand_times_is_put_once",
    ),
    (65, "program::bad_protobuf::the_threshold_is_exact"),
    (
        66,
        "program::bad_protobuf::a_signal_without_a_pipeline_is_refused",
    ),
];

/// An attribute with an encoded value.
fn attribute(key: &[u8], value: &[u8]) -> Vec<u8> {
    message(9, &[message(1, key), message(2, value)].concat())
}

fn bytes_of(len: usize) -> Vec<u8> {
    message(7, &vec![7; len])
}

fn request(spans: &[&[u8]]) -> Bytes {
    let spans: Vec<_> = spans.iter().map(|span| message(2, span)).collect();
    nested(&[1, 2], spans.concat()).into()
}

/// What nobody may be told, in a name and in an attribute.
fn canary() -> Vec<u8> {
    let word = CANARY.as_bytes();
    [message(5, word), attribute(word, &message(1, word))].concat()
}

/// Spans with the same in their resource and their scope.
fn with_canary(spans: &[&[u8]]) -> Bytes {
    let spans: Vec<_> = spans.iter().map(|span| message(2, span)).collect();
    around(&spans.concat())
}

/// The same around spans that are written already.
fn around(spans: &[u8]) -> Bytes {
    let word = CANARY.as_bytes();
    // Resources have their attributes in field 1, spans in field 9.
    let of_resource = [message(1, word), message(2, &message(1, word))].concat();
    let resource = message(1, &message(1, &of_resource));
    let scope = message(1, &message(1, word));
    let scopes = message(2, &[&scope[..], spans].concat());
    message(1, &[resource, scopes].concat()).into()
}

/// A span that is not sound, between two that are.
fn between(odd: &[u8]) -> Bytes {
    let odd = [&canary()[..], odd].concat();
    with_canary(&[&sound(b"before"), &odd, &sound(b"after")])
}

/// What is left of them without it.
fn without() -> Bytes {
    with_canary(&[&sound(b"before"), &sound(b"after")])
}

/// The one that is not sound, in a request of its own.
fn alone(between: &[u8]) -> Bytes {
    let [before, after] = [b"before" as &[u8], b"after"].map(|name| message(2, &sound(name)));
    let place = |of: &[u8]| {
        let mut windows = between.windows(of.len());
        windows.position(|window| window == of).unwrap()
    };
    around(&between[place(&before) + before.len()..place(&after)])
}

fn sound(name: &[u8]) -> Vec<u8> {
    [message(5, name), canary()].concat()
}

/// A value in so many arrays or lists.
fn deep(levels: usize, in_list: bool) -> Vec<u8> {
    let mut value = message(1, b"deep");
    for _ in 0..levels {
        value = if in_list {
            let entry = [message(1, b"k"), message(2, &value)].concat();
            message(6, &message(1, &entry))
        } else {
            message(5, &message(1, &value))
        };
    }
    value
}

/// The same where each level is not written again: lengths of two and more bytes, from the inside.
fn very_deep(levels: usize) -> Vec<u8> {
    let mut reversed = Vec::new();
    let prefix = |reversed: &mut Vec<u8>, number: u8| {
        let mut len = Vec::new();
        prost::encoding::encode_varint(reversed.len() as u64, &mut len);
        reversed.extend(len.iter().rev());
        reversed.push(number << 3 | 2);
    };
    for _ in 0..levels {
        prefix(&mut reversed, 1);
        prefix(&mut reversed, 5);
    }
    prefix(&mut reversed, 2);
    prefix(&mut reversed, 9);
    reversed.reverse();
    reversed
}

#[expect(clippy::too_many_lines, reason = "it is a table")]
fn rows() -> Vec<Row> {
    let no = End::Refused(Code::InvalidArgument);
    let groups = |depth: usize| {
        let (open, close) = (field(200, 3, b""), field(200, 4, b""));
        [open.repeat(depth), close.repeat(depth)].concat()
    };
    let mut rows = Vec::new();
    let mut row = |number: u32, what: &str, request: Bytes, end: End| {
        rows.push(Row {
            number,
            what: what.to_owned(),
            request,
            end,
        });
    };
    for seed in 0..20 {
        // Some noise is a request, and prost knows which.
        let mut random = Random::new(seed);
        let noise = loop {
            let noise = random.bytes(100);
            if ExportTraceServiceRequest::decode(&noise[..]).is_err() {
                break noise;
            }
        };
        row(38, &format!("random bytes, seed {seed}"), noise.into(), no);
    }
    let sound = with_canary(&[&canary(), &field(7, 1, &[1; 8])]);
    for end in 1..sound.len() {
        row(
            39,
            &format!("cut after {end} bytes"),
            sound.slice(..end),
            no,
        );
    }
    for (what, cut) in [
        ("a tag", vec![0x80]),
        ("a number", field(6, 0, &[0x80])),
        ("a time", field(7, 1, &[0; 7])),
        ("a length", field(5, 2, &[0x80])),
        ("no length", field(5, 2, b"")),
    ] {
        row(
            39,
            &format!("{what} cut in a span"),
            between(&cut),
            End::Rejected,
        );
    }
    let long = |bytes: &[u8], last: u8| field(6, 0, &[bytes, &[last]].concat());
    row(
        40,
        "11 bytes",
        between(&long(&[0x80; 10], 0)),
        End::Rejected,
    );
    row(40, "65 bits", between(&long(&[0xff; 9], 2)), End::Rejected);
    row(40, "11 bytes, outside", long(&[0x80; 10], 0).into(), no);
    row(
        41,
        "0 in ten bytes",
        between(&long(&[0x80; 9], 0)),
        End::Whole,
    );
    for (what, len) in [
        ("2^63", [&[0x80; 9][..], &[1]].concat()),
        ("2^64 - 1", [&[0xff; 9][..], &[1]].concat()),
        ("more than there is", vec![100, b'a']),
    ] {
        row(42, what, between(&field(5, 2, &len)), End::Rejected);
        row(
            42,
            &format!("{what}, outside"),
            field(1, 2, &len).into(),
            no,
        );
    }
    for (what, tag) in [
        ("field 0", vec![0x02, 0]),
        ("field 2^29", vec![0x82, 0x80, 0x80, 0x80, 0x10, 0]),
    ] {
        row(43, what, between(&tag), End::Rejected);
        row(43, &format!("{what}, outside"), tag.into(), no);
    }
    for wire_type in [6, 7] {
        let tag = [1 << 3 | wire_type];
        row(44, "a wire type that is none", between(&tag), End::Rejected);
        row(44, "the same, outside", tag.to_vec().into(), no);
    }
    row(
        45,
        "resources that are a number",
        field(1, 0, &[1]).into(),
        no,
    );
    row(
        45,
        "a name that is a number",
        between(&field(5, 0, &[1])),
        End::Rejected,
    );
    row(
        45,
        "a time that is a text",
        between(&message(7, b"12345678")),
        End::Rejected,
    );
    row(46, "90 groups", between(&groups(90)), End::Whole);
    row(46, "1,000 groups", between(&groups(1_000)), End::Rejected);
    row(46, "1,000 groups, outside", groups(1_000).into(), no);
    row(46, "no end", between(&field(200, 3, b"")), End::Rejected);
    row(46, "no end, outside", field(200, 3, b"").into(), no);
    let crossed = [field(200, 3, b""), field(201, 4, b"")].concat();
    row(46, "another's end", between(&crossed), End::Rejected);
    let value = |value: &[u8]| between(&attribute(b"k", value));
    row(47, "47 arrays", value(&deep(47, false)), End::Whole);
    // That is the hundred and first message, which some decoders do not read.
    row(47, "48 arrays", value(&deep(48, false)), End::Apart);
    row(47, "49 arrays", value(&deep(49, false)), End::Apart);
    row(47, "52 arrays", value(&deep(52, false)), End::Rejected);
    row(
        48,
        "10,000 arrays",
        between(&very_deep(10_000)),
        End::Rejected,
    );
    row(
        48,
        "1,000,000 arrays",
        between(&very_deep(1_000_000)),
        End::Rejected,
    );
    row(49, "31 lists", value(&deep(31, true)), End::Whole);
    row(49, "32 lists", value(&deep(32, true)), End::Apart);
    row(49, "33 lists", value(&deep(33, true)), End::Apart);
    row(49, "35 lists", value(&deep(35, true)), End::Rejected);
    let mut blob = message(
        1,
        format!("data:image/png;base64,{}", "iVBORw0K".repeat(4_000)).as_bytes(),
    );
    for level in 0..30 {
        blob = match level % 2 {
            0 => message(5, &message(1, &blob)),
            _ => message(
                6,
                &message(1, &[message(1, b"k"), message(2, &blob)].concat()),
            ),
        };
    }
    row(50, "a file 30 levels deep", value(&blob), End::Restored);
    let both = [message(1, &vec![b'a'; 20_000]), bytes_of(20_000)].concat();
    row(51, "a text, then bytes", value(&both), End::Whole);
    let both = [bytes_of(20_000), bytes_of(10)].concat();
    row(51, "many bytes, then few", value(&both), End::Whole);
    let names = [message(5, b"one"), message(5, b"two")].concat();
    row(52, "two names", between(&names), End::Whole);
    let values = [message(2, &bytes_of(20_000)), message(2, &bytes_of(20_000))];
    row(
        52,
        "two values of a key",
        between(&message(9, &values.concat())),
        End::Whole,
    );
    for (what, odd) in [
        ("a value", attribute(b"k", &message(1, b"abc\xff"))),
        ("a key", attribute(b"\xff", &message(1, b"v"))),
        ("a name", message(5, b"\xc3")),
    ] {
        row(53, what, between(&odd), End::Apart);
    }
    for (what, text) in [
        ("a surrogate", &b"\xed\xa0\x80"[..]),
        ("an overlong NUL", b"\xc0\x80"),
        ("beyond Unicode", b"\xf5\x80\x80\x80"),
    ] {
        row(54, what, value(&message(1, text)), End::Apart);
    }
    row(54, "NUL", value(&message(1, b"a\0b")), End::Whole);
    for len in [1, 10_000, 60 * MIB] {
        let unknown = message(536_870_911, &vec![0xff; len]);
        row(
            55,
            &format!("{len} unknown bytes"),
            request(&[&unknown]),
            End::Whole,
        );
    }
    // They count toward the limit, which is 64 MiB.
    let unknown = message(536_870_911, &vec![0xff; 64 * MIB]);
    let too_large = End::Refused(Code::ResourceExhausted);
    row(
        55,
        "64 MiB of unknown bytes",
        request(&[&unknown]),
        too_large,
    );
    row(
        56,
        "the index of a value",
        value(&field(8, 0, &[7])),
        End::Whole,
    );
    let key = message(9, &[field(3, 0, &[7]), message(2, b"")].concat());
    row(56, "the index of a key", between(&key), End::Whole);
    row(57, "an empty value", value(b""), End::Whole);
    row(
        57,
        "an empty key",
        between(&attribute(b"", &message(1, b"v"))),
        End::Whole,
    );
    row(
        57,
        "no value",
        between(&message(9, &message(1, b"k"))),
        End::Whole,
    );
    let equal = attribute(b"k", b"").repeat(1_000_000);
    row(
        59,
        "a million attributes with one key",
        between(&equal),
        End::Whole,
    );
    for (number, len) in [(1, 17), (1, 0), (2, 3)] {
        row(
            60,
            &format!("an id of {len} bytes"),
            between(&message(number, &vec![1; len])),
            End::Whole,
        );
    }
    row(
        60,
        "an id of zeros",
        between(&message(1, &[0; 16])),
        End::Whole,
    );
    let times = [
        field(7, 1, &9_u64.to_le_bytes()),
        field(8, 1, &1_u64.to_le_bytes()),
    ];
    row(
        61,
        "an end before the start",
        between(&times.concat()),
        End::Whole,
    );
    row(
        61,
        "the end of time",
        between(&field(8, 1, &[0xff; 8])),
        End::Whole,
    );
    rows
}

/// What a response says of rejected spans.
fn rejected(response: &[u8]) -> (i64, String) {
    let response = ExportTraceServiceResponse::decode(response).unwrap();
    let partial = response.partial_success.unwrap_or_default();
    (partial.rejected_spans, partial.error_message)
}

fn configured(backend: &Backend) -> Value {
    let mut config = config::standard(backend.address);
    // What it would do to requests of a mebibyte and more is not what this is about.
    config["exporters"]["otlp_grpc"]["compression"] = "none".into();
    config["exporters"]["otlp_grpc"]["max_request_bytes"] = "64MiB".into();
    config
}

async fn started(backend: &Backend) -> (Slimspan, Sender) {
    let slimspan = Slimspan::start(&configured(backend)).await;
    let sender = slimspan.sender().await;
    (slimspan, sender)
}

/// Each row ends as the catalogue says, and none is left out.
#[tokio::test]
async fn every_row_ends_as_it_should() {
    // First: a connection that says nothing for as long would be cut.
    let rows = rows();
    let backend = Backend::start().await;
    let slimspan = canaries::start(configured(&backend)).await;
    let (sender, mut answers) = (slimspan.sender().await, Answers::default());
    let mut covered: BTreeSet<u32> = rows.iter().map(|row| row.number).collect();
    covered.extend(ELSEWHERE.map(|(number, _)| number));
    assert!(covered.into_iter().eq(38..=66), "rows are left out");
    for (number, test) in ELSEWHERE {
        assert!(exists(test), "row {number}: there is no {test}");
    }
    let mut seen = 0;
    for Row {
        number,
        what,
        request,
        end,
    } in &rows
    {
        let told = sender.send(Signal::Traces, request).await;
        answers.add(&told);
        let count = backend.count();
        let arrived: Vec<_> = (seen..count).map(|one| backend.message(one)).collect();
        seen = count;
        let context = format!("row {number}, {what}: {told:?}, {} arrived", arrived.len());
        match *end {
            End::Refused(code) => {
                let status = told.unwrap_err();
                assert_eq!(status.code(), code, "{context}");
                assert_eq!(retry_after(&status), None, "{context}");
                assert!(arrived.is_empty(), "{context}");
            }
            End::Whole => {
                assert_eq!(told.unwrap(), Bytes::new(), "{context}");
                assert!(arrived == [request.clone()], "{context}");
            }
            End::Restored => {
                assert_eq!(told.unwrap(), Bytes::new(), "{context}");
                let [slim] = &arrived[..] else {
                    panic!("{context}")
                };
                let whole = restored(Signal::Traces, slim, &slimspan.artifacts());
                assert!(whole == *request, "{context}");
            }
            End::Rejected => {
                let answer = told.unwrap();
                let (rejected, reason) = rejected(&answer);
                assert_eq!(rejected, 1, "{context}");
                assert!(reason.contains("number 2"), "{context}");
                let [rest] = &arrived[..] else {
                    panic!("{context}")
                };
                assert!(*rest == without(), "{context}");
            }
            End::Apart => {
                assert_eq!(told.unwrap(), Bytes::new(), "{context}");
                let [rest, odd] = &arrived[..] else {
                    panic!("{context}")
                };
                assert!(*rest == without(), "{context}");
                assert!(*odd == alone(request), "{context}");
            }
        }
    }
    answers.end(slimspan, "program::bad_protobuf").await;
    measured(
        "P10",
        "program::bad_protobuf",
        "each row of the table of protobuf ends as it says",
        format_args!("rows 38 to 66, {} requests here", rows.len()),
    );
}

/// Row 56: what only profiles have a dictionary for goes on, and whoever looks at the metrics is warned.
#[tokio::test]
async fn indices_of_a_dictionary_are_counted() {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    config["service"]["telemetry"]["metrics"] = serde_json::json!({
        "readers": [{ "pull": { "exporter": { "prometheus": { "port": 0 } } } }],
    });
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let value = attribute(b"k", &field(8, 0, &[7]));
    let key = message(
        9,
        &[field(3, 0, &[7]), message(2, &field(8, 0, &[9]))].concat(),
    );
    let in_array = attribute(b"k", &message(5, &message(1, &field(8, 0, &[1]))));
    let request = request(&[&[value, key, in_array, message(5, b"name")].concat()]);
    for times in 1..=2 {
        sender.send(Signal::Traces, &request).await.unwrap();
        let page = get(slimspan.page("telemetry"), "/metrics").await;
        let line = format!("slimspan_dictionary_indices_total {}", 4 * times);
        assert!(page.body.contains(&line), "{}", page.body);
    }
    assert!(backend.received().iter().all(|one| one.message == request));
    slimspan.stop_well().await;
}

/// Row 62: as many as fit into a request of 64 MiB are 12,000 (`SLIMSPAN_FILES`). They are stored 16 at a time,
/// however quick the store is, and where the time does not suffice their sender is asked to come back, and has less to wait for then.
#[tokio::test]
async fn many_files_in_one_request_are_stored() {
    let files = number("SLIMSPAN_FILES", 1_500);
    // Else one may have ended before the next one comes.
    let slowly = [(Fault::Delay(Duration::from_millis(2)), 1000)];
    let (store, backend) = (FaultStore::start(1, &slowly).await, Backend::start().await);
    let mut config = config::with_s3(backend.address, store.address);
    config["processors"]["artifact"]["threshold"] = "4KiB".into();
    config["processors"]["artifact"]["on_store_failure"] = "refuse".into();
    config["extensions"]["artifact_store"]["timeout"] = "10s".into();
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let attributes = (0..files).map(|number| {
        let file = otlp::photo(number as u64, 5 << 10);
        (format!("file {number}"), otlp::bytes(&file))
    });
    let request = otlp::request(Signal::Traces, vec![attributes.collect()]);
    let mut times = 1;
    let until_taken = async {
        while let Err(status) = sender.send(Signal::Traces, &request).await {
            assert_eq!(status.code(), Code::Unavailable, "{status}");
            tokio::time::sleep(retry_after(&status).unwrap()).await;
            times += 1;
        }
    };
    until_taken.await;
    let slim = backend.only();
    assert_eq!(references(Signal::Traces, &slim).len(), files);
    assert_eq!(store.objects().len(), files);
    let most = store.most_at_a_time();
    assert!((2..=16).contains(&most), "{most}");
    measured(
        "P18",
        "program::bad_protobuf, many files in a request",
        "all of them stored, 16 at a time at most, or its sender asked to come back",
        format_args!("{files} files of 5 KiB, {most} at a time, taken the time number {times}"),
    );
    slimspan.stop_well().await;
}

/// Row 63: it is put from where it came. Everyday it is a smaller one.
#[tokio::test]
async fn a_file_of_63_mib_is_stored_in_twice_its_memory() {
    let mib = bound(63, 24);
    let size = mib * MIB;
    let (store, backend) = (FaultStore::start(1, &[]).await, Backend::start().await);
    let mut config = config::with_s3(backend.address, store.address);
    config["processors"]["artifact"]["on_store_failure"] = "refuse".into();
    config["extensions"]["artifact_store"]["timeout"] = "1m".into();
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    sender
        .send(Signal::Traces, &otlp::plain_span(1))
        .await
        .unwrap();
    let before = slimspan.memory();
    let file = otlp::photo(1, size);
    let request = otlp::span([("file", otlp::bytes(&file))]);
    let taken = async {
        while let Err(status) = sender.send(Signal::Traces, &request).await {
            assert_eq!(status.code(), Code::Unavailable, "{status}");
            tokio::time::sleep(retry_after(&status).unwrap()).await;
        }
    };
    taken.await;
    assert_eq!(store.objects().len(), 1);
    let slim = backend.received().last().unwrap().message.clone();
    assert!(slim.len() < 2_000, "{}", slim.len());
    let grown = slimspan.peak_memory().saturating_sub(before);
    assert!(grown < 2 * size as u64, "{} MiB", grown >> 20);
    measured(
        "P18",
        &format!("program::bad_protobuf, a file of {mib} MiB"),
        "twice its size at most",
        format_args!("{} MiB", grown >> 20),
    );
    slimspan.stop_well().await;
}

/// Row 64
#[tokio::test]
async fn a_file_that_a_request_has_a_thousand_times_is_put_once() {
    let (store, backend) = (FaultStore::start(1, &[]).await, Backend::start().await);
    let mut config = config::with_s3(backend.address, store.address);
    config["extensions"]["artifact_store"]["timeout"] = "20s".into();
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let file = otlp::photo(1, 9_000);
    let span = vec![("file".to_owned(), otlp::bytes(&file))];
    let request = otlp::request(Signal::Traces, vec![span; 1_000]);
    sender.send(Signal::Traces, &request).await.unwrap();
    assert_eq!(store.puts(), 1);
    let slim = backend.received();
    let found = slim
        .iter()
        .map(|one| references(Signal::Traces, &one.message).len());
    assert_eq!(found.sum::<usize>(), 1_000);
    slimspan.stop_well().await;
}

/// Row 65
#[tokio::test]
async fn the_threshold_is_exact() {
    let backend = Backend::start().await;
    let (slimspan, sender) = started(&backend).await;
    let lengths = [0, 8191, 8192, 8193];
    for (length, moved) in lengths.into_iter().zip([0, 0, 1, 1]) {
        let request = request(&[&attribute(b"file", &bytes_of(length))]);
        sender.send(Signal::Traces, &request).await.unwrap();
        let arrived = backend.received().last().unwrap().message.clone();
        assert_eq!(
            references(Signal::Traces, &arrived).len(),
            moved,
            "{length}"
        );
        assert_eq!(arrived == request, moved == 0, "{length}");
    }
    slimspan.stop_well().await;
}

/// Row 66
#[tokio::test]
async fn a_signal_without_a_pipeline_is_refused() {
    let backend = Backend::start().await;
    let (slimspan, sender) = started(&backend).await;
    let metric = otlp::metric(otlp::text("a value"));
    sender.send(Signal::Metrics, &metric).await.unwrap();
    assert!(backend.only() == metric);
    let profile = Bytes::from(nested(&[1, 2, 2], b""));
    let status = sender.send(Signal::Profiles, &profile).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
    assert_eq!(backend.received().len(), 1);
    slimspan.stop_well().await;
}
