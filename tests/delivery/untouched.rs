//! P14: telemetry that holds nothing to move leaves as the very bytes it came as.

use bytes::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use slimspan_artifact::{Location, Policy, extract};
use slimspan_generators::{Generator, Random, noise};
use slimspan_proto::{Signal, check};

use crate::support::backend::Backend;
use crate::support::config;
use crate::support::measured::{measured, number};
use crate::support::seed::Seed;
use crate::support::slimspan::Slimspan;

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
    let backend = Backend::start().await;
    let slimspan = Slimspan::start(&config::standard(backend.address)).await;
    let sender = slimspan.sender().await;
    let count = number("SLIMSPAN_DIFFERENTIAL", 300);
    let (mut sent, mut bytes) = (Vec::new(), 0);
    while sent.len() < count {
        let signal = random.pick(&[Signal::Traces, Signal::Logs, Signal::Metrics]);
        let request = Generator::new(&mut random, 3, ordinary).request(signal);
        let request = noise::noisy(signal, &request.encode(), &mut random);
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
    measured(
        "P14",
        "delivery::untouched",
        "0 bytes differ",
        format_args!("0 of {bytes} in {count} requests"),
    );
}

/// The same of what slimspan does with the bytes of a request, many times over.
#[test]
fn what_holds_nothing_to_move_is_not_touched() {
    const THRESHOLD: usize = 512;
    let seed = Seed::any();
    let count = number("SLIMSPAN_EXTRACTIONS", 3_000) as u64;
    let policy = Policy::new(THRESHOLD, Location::Public("http://127.0.0.1:4319".into()));
    let threads = std::thread::available_parallelism().unwrap().get() as u64;
    let compare = &|from: u64| {
        let mut bytes = 0;
        for case in (from..count).step_by(threads as usize) {
            let mut random = Random::new(seed.number() ^ (case << 32));
            let signal = random.pick(&Signal::READ);
            let small = |random: &mut Random| value(random, THRESHOLD);
            let request = Generator::new(&mut random, 2, small).request(signal);
            let request = Bytes::from(noise::noisy(signal, &request.encode(), &mut random));
            assert!(check(signal, &request, usize::MAX).is_ok(), "{case}");
            let extraction = extract(signal, &request, &policy).unwrap();
            assert!(extraction.request == request, "{case}: {signal}");
            assert!(extraction.artifacts.is_empty(), "{case}: {signal}");
            bytes += request.len();
        }
        bytes
    };
    let bytes: usize = std::thread::scope(|scope| {
        let threads = (0..threads).map(|from| scope.spawn(move || compare(from)));
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|one| one.join().unwrap()).sum()
    });
    measured(
        "P14",
        "delivery::untouched, check and extraction in this process",
        "0 bytes differ",
        format_args!("0 of {bytes} in {count} requests"),
    );
}
