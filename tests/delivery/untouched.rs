//! P14: telemetry that holds nothing to move leaves as the very bytes it came as.

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use slimspan_artifact::{Location, Policy, extract};
use slimspan_generators::{Generator, Random, Request, noise};
use slimspan_proto::json::{Limits, read, write};
use slimspan_proto::{Signal, check};

use crate::support::backend::Backend;
use crate::support::config;
use crate::support::measured::{measured, number};
use crate::support::seed::Seed;
use crate::support::slimspan::Slimspan;

/// So many requests are kept at a time, to be compared: some dozen MiB.
const AT_A_TIME: usize = 2_000;

/// Values that are looked at and stay.
fn ordinary(random: &mut Random) -> Value {
    value(random, 6_000)
}

/// The same of up to about so many bytes.
fn value(random: &mut Random, bytes: usize) -> Value {
    match random.below(6) {
        0 => Value::IntValue(random.number().cast_signed()),
        1 => Value::DoubleValue(f64::from_bits(random.number())),
        2 => Value::BoolValue(random.one_in(2)),
        3 => {
            let len = random.below(bytes);
            Value::BytesValue(random.bytes(len))
        }
        4 => Value::StringValue("näher, 近い, 🙂. ".repeat(random.below(bytes / 3))),
        _ => {
            Value::StringValue(format!("{:016x}", random.number()).repeat(random.below(bytes / 3)))
        }
    }
}

/// Whatever protobuf allows a sender to write, of every signal: unknown fields and groups, numbers
/// in more bytes than they need, fields in any order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_holds_nothing_to_move_leaves_byte_for_byte() {
    let seed = Seed::any();
    let mut random = seed.random();
    let count = number("SLIMSPAN_DIFFERENTIAL", 300);
    let (mut left, mut bytes) = (count, 0);
    while left > 0 {
        let some = left.min(AT_A_TIME);
        bytes += leave_byte_for_byte(&mut random, some).await;
        left -= some;
    }
    measured(
        "P14",
        "delivery::untouched",
        "0 bytes differ",
        format_args!("0 of {bytes} in {count} requests"),
    );
}

/// The same of so many requests, which are kept until all have been sent; how many bytes they have.
async fn leave_byte_for_byte(random: &mut Random, count: usize) -> usize {
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let sender = slimspan.sender().await;
    let (mut sent, mut bytes) = (Vec::new(), 0);
    while sent.len() < count {
        let signal = random.pick(&[Signal::Traces, Signal::Logs, Signal::Metrics]);
        let request = Generator::new(random, 3, ordinary).request(signal);
        let request = noise::noisy(signal, &request.encode(), random);
        // There is nothing to forward of an empty one.
        if !request.is_empty() {
            let request = request.into();
            sender.send(signal, &request).await.unwrap();
            bytes += request.len();
            sent.push((signal, request));
        }
    }
    slimspan.stop_well().await;
    let received = backend.received();
    assert_eq!(received.len(), count);
    for (one, (signal, request)) in received.iter().zip(&sent) {
        assert!(one.signal == *signal && one.message == request, "{signal}");
    }
    bytes
}

/// What is small enough to stay, and looked at by the extraction.
const THRESHOLD: usize = 512;

/// The same of what slimspan does with the bytes of a request, many times over.
#[test]
fn what_holds_nothing_to_move_is_not_touched() {
    let policy = Policy::new(THRESHOLD, Location::Public("http://127.0.0.1:4319".into()));
    let (count, bytes) = of_many(|case, random| {
        let signal = random.pick(&Signal::READ);
        let small = |random: &mut Random| value(random, THRESHOLD);
        let request = Generator::new(random, 2, small).request(signal);
        let request = Bytes::from(noise::noisy(signal, &request.encode(), random));
        assert!(check(signal, &request, usize::MAX).is_ok(), "{case}");
        let extraction = extract(signal, &request, &policy).unwrap();
        assert!(extraction.request == request, "{case}: {signal}");
        assert!(extraction.artifacts.is_empty(), "{case}: {signal}");
        request.len()
    });
    measured(
        "P14",
        "delivery::untouched, check and extraction in this process",
        "0 bytes differ",
        format_args!("0 of {bytes} in {count} requests"),
    );
}

/// What is written as JSON is read as the request that it was, and serde reads the same: one in so many is read by
/// that, too, which takes its time.
#[test]
fn what_becomes_json_and_comes_back_is_what_it_was() {
    const BY_SERDE: u64 = 10;
    let (count, bytes) = of_many(|case, random| {
        let signal = random.pick(&Signal::READ);
        let is_for_serde = case % BY_SERDE == 0;
        let of_json = if is_for_serde { for_serde } else { finite };
        let request = Generator::new(random, 2, of_json).request(signal);
        let bytes = request.encode();
        let text = write(signal, &bytes).unwrap().text;
        let back = read(signal, &text, Limits::default()).unwrap();
        let told = (back.rejected, back.unknown, back.snake_case);
        assert_eq!(told, (0, 0, 0), "{case}: {signal}");
        if signal == Signal::Metrics {
            // Of fields that exclude each other, prost writes any in the place of the first.
            let again = Request::decode(signal, &back.request).unwrap();
            assert!(again == request, "{case}: {signal}");
        } else {
            assert!(back.request == bytes, "{case}: {signal}");
        }
        if is_for_serde {
            assert!(by_serde(signal, &text) == request, "{case}: {signal}");
        }
        text.len()
    });
    measured(
        "P14",
        "delivery::untouched, JSON in this process",
        "0 requests differ",
        format_args!(
            "0 of {count} with {bytes} bytes of JSON, one in {BY_SERDE} of them as serde reads it, too"
        ),
    );
}

/// What has a value of its own in JSON: of what is no number there are many, with one name.
fn finite(random: &mut Random) -> Value {
    match value(random, THRESHOLD) {
        Value::DoubleValue(number) if !number.is_finite() => Value::DoubleValue(-0.5),
        value => value,
    }
}

/// The same with numbers that serde reads to the last bit.
fn for_serde(random: &mut Random) -> Value {
    match value(random, THRESHOLD) {
        Value::DoubleValue(_) => Value::DoubleValue(random.below(1 << 30) as f64 / 16.0),
        value => value,
    }
}

fn by_serde(signal: Signal, text: &[u8]) -> Request {
    match signal {
        Signal::Traces => serde_json::from_slice(text).map(Request::Traces),
        Signal::Logs => serde_json::from_slice(text).map(Request::Logs),
        Signal::Metrics => serde_json::from_slice(text).map(Request::Metrics),
        Signal::Profiles => panic!("there are no types of profiles"),
    }
    .unwrap()
}

/// Does this with as many cases as are told, on all cores: how many there were, and what they come to.
fn of_many(one: impl Fn(u64, &mut Random) -> usize + Sync) -> (u64, usize) {
    let seed = Seed::any();
    let count = number("SLIMSPAN_EXTRACTIONS", 3_000) as u64;
    let threads = std::thread::available_parallelism().unwrap().get() as u64;
    let some = &|from: u64| {
        let cases = (from..count).step_by(threads as usize);
        let each = cases.map(|case| one(case, &mut Random::new(seed.number() ^ (case << 32))));
        each.sum::<usize>()
    };
    let all: usize = std::thread::scope(|scope| {
        let threads = (0..threads).map(|from| scope.spawn(move || some(from)));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|one| one.join().unwrap()).sum()
    });
    (count, all)
}
