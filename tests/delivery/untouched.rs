//! P14: telemetry that holds nothing to move leaves as the very bytes it came as.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use slimspan_generators::{Generator, Random, noise};
use slimspan_proto::Signal;

use crate::support::backend::Backend;
use crate::support::config;
use crate::support::measured::{measured, number};
use crate::support::seed::Seed;
use crate::support::slimspan::Slimspan;

/// Values that are looked at and stay.
fn ordinary(random: &mut Random) -> Value {
    match random.below(6) {
        0 => Value::IntValue(random.number().cast_signed()),
        1 => Value::DoubleValue(f64::from_bits(random.number())),
        2 => Value::BoolValue(random.one_in(2)),
        3 => {
            let len = random.below(6_000);
            Value::BytesValue(random.bytes(len))
        }
        4 => Value::StringValue("näher, 近い, 🙂. ".repeat(random.below(2_000))),
        _ => Value::StringValue(format!("{:016x}", random.number()).repeat(random.below(2_000))),
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
