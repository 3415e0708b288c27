//! One bad item never fails its neighbours.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use slimspan_generators::wire::{message, tagged as field};
use slimspan_proto::Signal;
use tokio::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::support::backend::{Answer, Backend, Received};
use crate::support::conservation::{conserved, conserved_of};
use crate::support::measured::measured;
use crate::support::pages::Metrics;
use crate::support::sender::{Sender, retry_after};
use crate::support::slimspan::Slimspan;
use crate::support::{config, otlp};

const BATCH: usize = 1_000;

/// The body of a sound span that is like no other.
fn span(number: usize) -> Vec<u8> {
    let span = Span {
        trace_id: number.to_be_bytes().repeat(2),
        span_id: number.to_be_bytes().to_vec(),
        name: format!("span {number}"),
        kind: 2,
        start_time_unix_nano: 1_700_000_000_000_000_000,
        ..Span::default()
    };
    [
        span.encode_to_vec(),
        attribute(b"number", &message(1, number.to_string().as_bytes())),
    ]
    .concat()
}

/// A span's attribute with an encoded value.
fn attribute(key: &[u8], value: &[u8]) -> Vec<u8> {
    message(9, &[message(1, key), message(2, value)].concat())
}

/// Items of a signal, in a resource and a scope with a name each.
fn request(items: impl IntoIterator<Item = Vec<u8>>) -> Bytes {
    let name = [
        message(1, b"service.name"),
        message(2, &message(1, b"shop")),
    ]
    .concat();
    let items: Vec<_> = items.into_iter().map(|item| message(2, &item)).collect();
    let scope = [
        message(1, &message(1, b"library")),
        items.concat(),
        message(3, b"url"),
    ];
    let resource = message(1, &message(1, &name));
    message(1, &[resource, message(2, &scope.concat())].concat()).into()
}

/// A batch with `odd` in place of one span, and the same without it.
fn batch(odd: &[u8], position: usize) -> (Bytes, Bytes) {
    let spans = || (0..BATCH).map(span).enumerate();
    let with = spans().map(|(index, span)| {
        if index == position {
            odd.to_vec()
        } else {
            span
        }
    });
    let without = spans().filter(|(index, _)| *index != position);
    (request(with), request(without.map(|(_, span)| span)))
}

const POSITIONS: [usize; 3] = [0, BATCH / 2, BATCH - 1];

/// A value in arrays or kvlists.
fn nested(levels: usize, level: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut value = message(1, b"deep");
    for _ in 0..levels {
        value = level(&value);
    }
    attribute(b"deep", &value)
}

fn in_array(value: &[u8]) -> Vec<u8> {
    message(5, &message(1, value))
}

fn in_list(value: &[u8]) -> Vec<u8> {
    message(
        6,
        &message(1, &[message(1, b"k"), message(2, value)].concat()),
    )
}

/// A value that is far too deep, written without writing each level again.
fn bottomless(levels: usize) -> Vec<u8> {
    let mut reversed = Vec::new();
    let mut len = 0_usize;
    for level in 0..2 * levels {
        let mut prefix = vec![if level % 2 == 0 { 0x0a } else { 0x2a }];
        prost::encode_length_delimiter(len, &mut prefix).unwrap();
        len += prefix.len();
        prefix.reverse();
        reversed.extend(prefix);
    }
    reversed.reverse();
    attribute(b"deep", &reversed)
}

/// What no backend can read, with what the sender is told.
fn unreadable() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let wrong = "another wire type";
    let groups = |depth: usize| {
        let (open, close) = (field(200, 3, b""), field(200, 4, b""));
        [open.repeat(depth), close.repeat(depth)].concat()
    };
    vec![
        ("a tag that is cut", vec![0x80], "ends in the middle"),
        (
            "a number that is cut",
            field(6, 0, &[0x80]),
            "ends in the middle",
        ),
        (
            "a time that is cut",
            field(7, 1, &[0; 7]),
            "ends in the middle",
        ),
        ("no length", field(5, 2, b""), "ends in the middle"),
        (
            "11 bytes of a number",
            field(6, 0, &[&[0x80; 10][..], &[0]].concat()),
            "64 bits",
        ),
        (
            "65 bits",
            field(6, 0, &[&[0xff; 9][..], &[2]].concat()),
            "64 bits",
        ),
        (
            "a long length",
            field(5, 2, &[3, b'a', b'b']),
            "past the end",
        ),
        (
            "2^63 bytes",
            field(5, 2, &[&[0x80; 9][..], &[1]].concat()),
            "past the end",
        ),
        (
            "2^64 - 1 bytes",
            field(5, 2, &[&[0xff; 9][..], &[1]].concat()),
            "past the end",
        ),
        ("field 0", vec![0x02, 0], "out of range"),
        (
            "field 2^29",
            vec![0x82, 0x80, 0x80, 0x80, 0x10, 0],
            "out of range",
        ),
        ("wire type 6", vec![0x0e], "wire type 6"),
        ("wire type 7", vec![0x0f], "wire type 7"),
        ("a name that is a number", field(5, 0, &[1]), wrong),
        ("attributes that are a number", field(9, 0, &[1]), wrong),
        ("a time that is a text", message(7, b"12345678"), wrong),
        (
            "a number in a value that is a text",
            attribute(b"k", &message(3, b"1")),
            wrong,
        ),
        (
            "an event that is a group",
            [field(11, 3, b""), field(11, 4, b"")].concat(),
            wrong,
        ),
        ("groups 1,000 deep", groups(1_000), "deeper than 100"),
        (
            "a group without an end",
            field(200, 3, b""),
            "ends in the middle",
        ),
        (
            "a group with another's end",
            [field(200, 3, b""), field(201, 4, b"")].concat(),
            "not open",
        ),
        ("an end without a group", field(200, 4, b""), "not open"),
        ("arrays 52 deep", nested(52, in_array), "deeper than 100"),
        ("kvlists 35 deep", nested(35, in_list), "deeper than 100"),
        ("arrays 10,000 deep", bottomless(10_000), "deeper than 100"),
        (
            "arrays 1,000,000 deep",
            bottomless(1_000_000),
            "deeper than 100",
        ),
    ]
}

/// What is odd and whose affair the backend's is.
fn odd_but_sound() -> Vec<(&'static str, Vec<u8>)> {
    let twice = |one: &[u8], other: &[u8]| [one, other].concat();
    let groups = [field(200, 3, b"").repeat(90), field(200, 4, b"").repeat(90)].concat();
    vec![
        ("no field at all", vec![]),
        (
            "0 in ten bytes",
            field(6, 0, &[&[0x80; 9][..], &[0]].concat()),
        ),
        ("a tag in three bytes", vec![0xaa, 0x80, 0x00, 1, b'n']),
        ("a group", groups),
        ("arrays 47 deep", nested(47, in_array)),
        ("kvlists 31 deep", nested(31, in_list)),
        (
            "two values of a oneof",
            attribute(b"k", &twice(&message(1, b"a"), &message(7, b"b"))),
        ),
        ("two names", twice(&message(5, b"one"), &message(5, b"two"))),
        (
            "two values of a key",
            message(9, &twice(&message(2, &message(1, b"a")), &message(2, b""))),
        ),
        ("NUL", attribute(b"k", &message(1, b"a\0b"))),
        ("an unknown field", message(536_870_911, &[0xff; 10_000])),
        ("an unknown kind", field(6, 0, &[99])),
        ("an index of a string", attribute(b"k", &field(8, 0, &[7]))),
        ("an attribute of nothing", message(9, b"")),
        ("an empty value", attribute(b"", b"")),
        ("an id of 17 bytes", message(1, &[1; 17])),
        ("an id of 3 bytes", message(2, &[1; 3])),
        ("an id of zeros", message(1, &[0; 16])),
        ("the end of time", field(8, 1, &[0xff; 8])),
        (
            "bytes that are no text",
            attribute(b"k", &message(7, b"\xff\xfe")),
        ),
        (
            "text beyond ASCII",
            attribute("schlüssel".as_bytes(), &message(1, "wört 値 🎈".as_bytes())),
        ),
    ]
}

/// Texts that are not UTF-8.
fn no_utf8() -> Vec<(&'static str, Vec<u8>)> {
    let value = |text: &[u8]| attribute(b"k", &message(1, text));
    let event = |body: &[u8]| message(11, body);
    vec![
        ("a value", value(b"abc\xff")),
        (
            "a long value",
            value(&[&[b'a'; 5_000][..], b"\xfe"].concat()),
        ),
        ("a key", attribute(b"\xff", &message(1, b"v"))),
        ("a name", message(5, b"\xc3")),
        ("an event's name", event(&message(2, b"\xff"))),
        ("the state of a link", message(13, &message(3, b"\xff"))),
        ("the message of a status", message(15, &message(2, b"\xff"))),
        (
            "a text in an array",
            attribute(b"k", &in_array(&message(1, b"\xff"))),
        ),
        ("a surrogate", value(b"\xed\xa0\x80")),
        ("an overlong NUL", value(b"\xc0\x80")),
        ("beyond Unicode", value(b"\xf5\x80\x80\x80")),
    ]
}

async fn started(backend: &Backend) -> (Slimspan, Sender) {
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let sender = slimspan.sender().await;
    (slimspan, sender)
}

/// What a response says of rejected spans.
fn rejected(response: &[u8]) -> (i64, String) {
    let response = ExportTraceServiceResponse::decode(response).unwrap();
    let partial = response.partial_success.unwrap_or_default();
    (partial.rejected_spans, partial.error_message)
}

/// What the backend has got since the last time, without frames.
fn new_messages(backend: &Backend, seen: &mut usize) -> Vec<Bytes> {
    let received = backend.received();
    let new = received[*seen..].iter().map(|one| one.message.clone());
    *seen = received.len();
    new.collect()
}

/// Of a batch with one item that cannot be read, all others arrive with their bytes as they were, and
/// the sender is told which was rejected, and why.
#[tokio::test]
async fn what_nobody_can_read_is_rejected_alone() {
    let backend = Backend::start().await;
    let (slimspan, sender) = started(&backend).await;
    let mut seen = 0;
    let mut sent = 0;
    for (what, odd, reason) in unreadable() {
        // Megabytes need not go three times.
        let positions = if odd.len() > 1 << 20 {
            &POSITIONS[1..2]
        } else {
            &POSITIONS
        };
        for position in positions {
            let (with, without) = batch(&odd, *position);
            let answer = sender.send(Signal::Traces, &with).await.unwrap();
            let (count, told) = rejected(&answer);
            assert_eq!(count, 1, "{what}: {told}");
            assert!(told.contains(reason), "{what}: {told}");
            let place = format!(
                "1 of 1000 spans, the first of them number {}:",
                position + 1
            );
            assert!(told.contains(&place), "{what}: {told}");
            assert!(told.len() < 200, "nothing of the contents: {told}");
            assert!(new_messages(&backend, &mut seen) == [without], "{what}");
            sent += 1;
        }
    }
    let ended = slimspan.stop().await;
    let items = conserved_of(Signal::Traces, &ended.stderr);
    assert_eq!(items.received, sent * BATCH as u64);
    assert_eq!((items.rejected, items.refused), (sent, 0));
    measured(
        "P10",
        "program::items, what nobody can read",
        "999 of 1,000 as they were, 1 told as rejected",
        format_args!(
            "{sent} batches of {BATCH}: {} arrived as they were, {} told as rejected",
            items.delivered, items.rejected
        ),
    );
}

/// What is merely odd goes on with the others, byte for byte.
#[tokio::test]
async fn what_is_odd_and_sound_is_the_backends_affair() {
    let backend = Backend::start().await;
    let (slimspan, sender) = started(&backend).await;
    let mut seen = 0;
    for (what, odd) in odd_but_sound() {
        for position in POSITIONS {
            let (with, _) = batch(&odd, position);
            let answer = sender.send(Signal::Traces, &with).await.unwrap();
            assert_eq!(answer, "", "{what}");
            assert!(new_messages(&backend, &mut seen) == [with], "{what}");
        }
    }
    slimspan.stop_well().await;
}

/// A text that is not UTF-8 goes in a request of its own, and the backend may take it.
#[tokio::test]
async fn a_text_that_is_not_utf8_goes_apart() {
    let backend = Backend::start().await;
    let (slimspan, sender) = started(&backend).await;
    let mut seen = 0;
    for (what, odd) in no_utf8() {
        for position in POSITIONS {
            let (with, without) = batch(&odd, position);
            let answer = sender.send(Signal::Traces, &with).await.unwrap();
            assert_eq!(answer, "", "{what}");
            let expected = [without, request([odd.clone()])];
            assert!(new_messages(&backend, &mut seen) == expected, "{what}");
        }
    }
    let ended = slimspan.stop().await;
    let items = conserved_of(Signal::Traces, &ended.stderr);
    assert_eq!(items.delivered, items.received);
    measured(
        "P10",
        "program::items, texts that are not UTF-8",
        "999 of 1,000 as they were, 1 apart",
        format_args!(
            "{} batches of {BATCH}: {} items arrived as they were, {} of them apart",
            seen / 2,
            items.delivered,
            seen / 2
        ),
    );
}

/// A backend such as most are: one text that is not UTF-8 refuses all that came with it.
fn strict(received: &Received) -> Answer {
    match ExportTraceServiceRequest::decode(&received.message[..]) {
        Ok(_) => Ok(Bytes::new()),
        Err(error) => Err(Status::internal(error.to_string())),
    }
}

/// Where the backend does not take such texts, it is offered each alone, and only those are rejected
/// that it does not take even so.
#[tokio::test]
async fn what_a_backend_refuses_apart_is_rejected_one_by_one() {
    let backend = Backend::answering(|received| {
        // It minds names and no values.
        if received
            .message
            .windows(3)
            .any(|part| part == [0x2a, 1, 0xff])
        {
            Err(Status::internal("invalid string value"))
        } else {
            Ok(Bytes::new())
        }
    })
    .await;
    let (slimspan, sender) = started(&backend).await;
    let (name, value) = (message(5, b"\xff"), attribute(b"k", &message(1, b"\xff")));
    let spans = [span(0), name.clone(), value.clone(), span(3), name.clone()];
    let answer = sender.send(Signal::Traces, &request(spans)).await.unwrap();
    let (count, told) = rejected(&answer);
    assert_eq!(count, 2);
    assert!(
        told.contains("not UTF-8") && told.contains("invalid string value"),
        "{told}"
    );
    let received: Vec<_> = backend
        .received()
        .into_iter()
        .map(|one| one.message)
        .collect();
    let expected = [
        request([span(0), span(3)]),
        request([name.clone(), value.clone(), name.clone()]),
        request([name.clone()]),
        request([value]),
        request([name]),
    ];
    assert!(received == expected);
    let ended = slimspan.stop().await;
    let items = conserved_of(Signal::Traces, &ended.stderr);
    assert_eq!((items.received, items.delivered, items.rejected), (5, 3, 2));
}

/// However many odd items there are, a backend that refuses them gets a bounded number of requests.
#[tokio::test]
async fn a_flood_of_odd_items_is_no_flood_of_requests() {
    let backend = Backend::answering(|received| strict(&received)).await;
    let mut config = config::standard(backend.address);
    config::tell_metrics(&mut config);
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let odd = (0..BATCH).map(|_| message(5, b"\xff"));
    let all = request([span(0)].into_iter().chain(odd));
    let answer = sender.send(Signal::Traces, &all).await.unwrap();
    assert_eq!(rejected(&answer).0, 1_000);
    assert_eq!(
        backend.received().len(),
        102,
        "the rest, all odd ones, a hundred alone"
    );
    // Each counts once, whether it was asked about alone or not.
    let spans = async || {
        let metrics = Metrics::of(slimspan.page("telemetry")).await;
        metrics.spans_by("otlp_grpc")
    };
    assert_eq!(spans().await, (1, 1_000));
    // With nothing else, the answer is the backend's.
    let alone = sender
        .send(Signal::Traces, &request([message(5, b"\xff")]))
        .await;
    assert_eq!(alone.unwrap_err().code(), Code::Internal);
    assert_eq!(spans().await, (1, 1_001));
    slimspan.stop_well().await;
}

/// An odd resource concerns all of its spans, and none of other resources.
#[tokio::test]
async fn an_odd_resource_goes_apart_with_its_spans() {
    let backend = Backend::answering(|received| strict(&received)).await;
    let (slimspan, sender) = started(&backend).await;
    let scope = message(2, &[message(2, &span(1)), message(2, &span(2))].concat());
    let resource = |fault: &[u8]| message(1, &[fault, &scope].concat());
    let sound = resource(&message(1, b""));
    for (fault, refused_apart) in [
        (message(1, &message(1, &message(1, b"\xff"))), true),
        (message(3, b"\xff"), true),
        (message(1, &[0x0f]), false),
        (field(3, 0, &[1]), false),
    ] {
        let before = backend.received().len();
        let all = Bytes::from([sound.clone(), resource(&fault), sound.clone()].concat());
        let answer = sender.send(Signal::Traces, &all).await.unwrap();
        assert_eq!(rejected(&answer).0, 2, "{}", fault.escape_ascii());
        let received = backend.received().split_off(before);
        assert_eq!(received[0].message, sound.repeat(2));
        // All of its spans are in one place, which one request tells.
        assert_eq!(received.len(), if refused_apart { 2 } else { 1 });
    }
    slimspan.stop_well().await;
}

/// Where the odd items could be taken later, the sender is to come back with all.
#[tokio::test]
async fn odd_items_that_can_be_taken_later_are_not_lost() {
    let backend = Backend::answering(|received| {
        strict(&received).map_err(|_| {
            let delay = Some(Duration::from_secs(7));
            let details = ErrorDetails::with_retry_info(delay);
            Status::with_error_details(Code::Unavailable, "later", details)
        })
    })
    .await;
    let (slimspan, sender) = started(&backend).await;
    let (with, _) = batch(&message(5, b"\xff"), 7);
    let refused = sender.send(Signal::Traces, &with).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(retry_after(&refused), Some(Duration::from_secs(7)));
    let items = conserved_of(Signal::Traces, &slimspan.stop().await.stderr);
    assert_eq!((items.received, items.refused), (1_000, 1_000));
}

/// Both what slimspan and what the backend rejects is told.
#[tokio::test]
async fn what_the_backend_rejects_is_added() {
    let theirs = otlp::partial_success(10, "ten are too old");
    let backend = Backend::answering(move |_| Ok(theirs.clone())).await;
    let (slimspan, sender) = started(&backend).await;
    let (with, _) = batch(&[0x0f], 500);
    let (count, told) = rejected(&sender.send(Signal::Traces, &with).await.unwrap());
    assert_eq!(count, 11);
    assert!(
        told.starts_with("ten are too old; slimspan rejected 1 of 1000"),
        "{told}"
    );
    let items = conserved_of(Signal::Traces, &slimspan.stop().await.stderr);
    assert_eq!((items.delivered, items.rejected), (989, 11));
}

/// A request of which nothing can be read is not accepted in part.
#[tokio::test]
async fn where_nothing_can_be_read_the_request_is_refused() {
    let backend = Backend::start().await;
    let (slimspan, sender) = started(&backend).await;
    for (what, odd, reason) in unreadable() {
        let refused = sender
            .send(Signal::Traces, &request([odd.clone(), odd]))
            .await;
        let status = refused.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status}");
        assert!(status.message().contains(reason), "{what}: {status}");
    }
    assert!(backend.received().is_empty());
    let items = conserved_of(Signal::Traces, &slimspan.stop().await.stderr);
    assert_eq!(items.refused, 2 * unreadable().len() as u64);
}

/// What stands around items is not sound: nobody can tell which are meant.
#[tokio::test]
async fn a_request_that_is_broken_around_its_items_is_refused() {
    let backend = Backend::start().await;
    let (slimspan, sender) = started(&backend).await;
    let sound = request([span(1)]);
    for broken in [
        vec![0x0f],
        vec![0x08, 1],
        message(1, &[0x0f]),
        message(1, &message(2, &[0x80])),
    ] {
        let whole = Bytes::from([&sound[..], &broken].concat());
        let status = sender.send(Signal::Traces, &whole).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    assert!(backend.received().is_empty());
    slimspan.stop_well().await;
}

/// A file in a rejected item is not stored, and one in a sound or odd item is.
#[tokio::test]
async fn no_file_of_a_rejected_item_is_stored() {
    let backend = Backend::start().await;
    let (slimspan, sender) = started(&backend).await;
    let with_file = |seed| attribute(b"file", &message(7, &otlp::photo(seed, 20_000)));
    let items = [
        [with_file(1), vec![0x0f]].concat(),
        with_file(2),
        [with_file(3), message(5, b"\xff")].concat(),
    ];
    let answer = sender.send(Signal::Traces, &request(items)).await.unwrap();
    assert_eq!(rejected(&answer).0, 1);
    assert!(
        backend
            .received()
            .iter()
            .all(|one| one.message.len() < 2_000)
    );
    let mut folders = vec![slimspan.artifacts()];
    let mut stored = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                stored += 1;
            }
        }
    }
    assert_eq!(stored, 2);
    slimspan.stop_well().await;
}

/// Logs and metrics are sifted as traces are; metrics are told as data points.
#[tokio::test]
async fn every_signal_is_sifted() {
    let backend = Backend::start().await;
    let (slimspan, sender) = started(&backend).await;
    let record = message(5, &message(1, b"hello"));
    let metric = message(5, &message(1, b"").repeat(3));
    let cases = [
        (Signal::Logs, record, field(5, 0, &[1]), 1, "log records"),
        (
            Signal::Metrics,
            metric.clone(),
            [metric, field(1, 0, &[1])].concat(),
            3,
            "metrics",
        ),
    ];
    for (signal, sound, broken, count, what) in cases {
        let all = request([sound.clone(), broken, sound.clone()]);
        let (rejected, told) = rejected(&sender.send(signal, &all).await.unwrap());
        assert_eq!(rejected, count);
        assert!(
            told.contains(&format!("1 of 3 {what}, the first of them number 2")),
            "{told}"
        );
        let received = backend.received().pop().unwrap();
        assert_eq!(received.message, request([sound.clone(), sound]));
    }
    let [traces, metrics, logs, _] = conserved(&slimspan.stop().await.stderr);
    assert_eq!(traces.received, 0);
    assert_eq!(
        (metrics.received, metrics.delivered, metrics.rejected),
        (9, 6, 3)
    );
    assert_eq!((logs.received, logs.delivered, logs.rejected), (3, 2, 1));
}

/// A few KiB on the wire can be hundreds of MiB at the backend, so what can be repeated is limited.
#[tokio::test]
async fn too_many_entries_are_refused() {
    let backend = Backend::start().await;
    let mut config = config::standard(backend.address);
    let (slimspan, sender) = started(&backend).await;
    // The resource and the scope are two, and the attribute of the resource a sixteenth.
    let empty = |count| request(std::iter::repeat_n(vec![], count));
    sender.send(Signal::Traces, &empty(99_997)).await.unwrap();
    let refused = sender
        .send(Signal::Traces, &empty(99_998))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert_eq!(retry_after(&refused), None);
    let key = "receivers.otlp.protocols.grpc.max_items";
    assert!(refused.message().contains(key), "{refused}");
    // A million attributes of one span are a backend's affair.
    let attributes = request([attribute(b"k", b"").repeat(1_000_000)]);
    sender.send(Signal::Traces, &attributes).await.unwrap();
    let items = conserved_of(Signal::Traces, &slimspan.stop().await.stderr);
    assert_eq!((items.delivered, items.refused), (99_998, 99_998));

    config["receivers"]["otlp"]["protocols"]["grpc"]["max_items"] = 4.into();
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    sender.send(Signal::Traces, &empty(1)).await.unwrap();
    sender.send(Signal::Traces, &empty(2)).await.unwrap_err();
    slimspan.stop_well().await;
}

/// A sender that goes away has no answer, and its items count as refused; what the backend refuses,
/// too.
#[tokio::test]
async fn every_item_has_an_end_that_is_told() {
    let backend = Backend::scripted(|received: Received| async move {
        match received.message.len() {
            ..1_000 => Ok(Bytes::new()),
            1_000..100_000 => Err(Status::permission_denied("no")),
            _ => std::future::pending().await,
        }
    })
    .await;
    let (slimspan, sender) = started(&backend).await;
    sender
        .send(Signal::Traces, &request((0..5).map(span)))
        .await
        .unwrap();
    sender
        .send(Signal::Traces, &request((0..50).map(span)))
        .await
        .unwrap_err();
    let gone = {
        let sender = slimspan.sender().await;
        tokio::spawn(async move {
            sender
                .send(Signal::Traces, &request((0..3_000).map(span)))
                .await
        })
    };
    backend.arrived(3).await;
    gone.abort();
    gone.await.unwrap_err();
    let ended = slimspan.stop().await;
    let items = conserved_of(Signal::Traces, &ended.stderr);
    assert_eq!(
        (items.received, items.delivered, items.refused),
        (3_055, 5, 3_050)
    );
    measured(
        "P31",
        "program::items, what is refused and what nobody waits for",
        "received - delivered - rejected - refused - queued = 0",
        format_args!(
            "{} received = {} delivered + {} refused",
            items.received, items.delivered, items.refused
        ),
    );
}
