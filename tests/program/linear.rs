//! P20: what somebody sends to keep a core busy takes slimspan time in proportion to its size, whatever it does with
//! it. `make bench` asks the same of the check, of extraction and of JSON one by one.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use slimspan_proto::Signal;
use tonic::Code;

use crate::support::backend::Backend;
use crate::support::config;
use crate::support::measured::measured;
use crate::support::sender::Sender;
use crate::support::slimspan::Slimspan;

#[path = "../bench/src/bin/linear/inputs.rs"]
mod inputs;

const MIB: usize = 1 << 20;

/// The smaller one of two.
const SIZE: usize = 24 * MIB;

/// One in so many of the inputs.
const ONE_IN: usize = 3;

/// Each so often: what takes long by accident does not do so every time. The first takes what is there for all later.
const TIMES: usize = 4;

/// For a byte, and beside that.
const NANOSECONDS: u64 = 50;
const BESIDE: Duration = Duration::from_millis(10);

/// The clock goes in steps of ten milliseconds, of which each time may have one too many or too few.
const STEPS: Duration = Duration::from_millis(40);

/// Everyday these, in each of which something could be gone over once more for each of its parts.
const EVERYDAY: [&str; 4] = [
    "the same with one key",
    "a data URI with ever more parameters",
    "data URIs that are cut",
    "quotes with a backslash in JSON",
];

/// The smaller one of two.
const EVERYDAY_SIZE: usize = 2 * MIB;

/// The short form of it. What so little takes is less than a few steps of the kernel's clock, so it is the answers that
/// are timed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twice_the_bytes_do_not_take_four_times_the_time() {
    /// The machine has other things to do, but not each time; and not so often.
    const LEAST: usize = 3;
    const MOST: usize = 30;
    /// What goes over everything once more for each part would take four times as long.
    const RATIO: f64 = 3.3;
    let backend = Backend::start().await;
    let slimspan = start(&backend).await;
    let sender = slimspan.sender().await;
    let inputs = inputs::INPUTS.iter();
    let inputs: Vec<_> = inputs.filter(|(name, _)| EVERYDAY.contains(name)).collect();
    assert_eq!(inputs.len(), EVERYDAY.len());
    for (name, input) in inputs {
        let requests = [EVERYDAY_SIZE, 2 * EVERYDAY_SIZE].map(input);
        let mut least = [Duration::MAX; 2];
        let mut ratio = f64::INFINITY;
        for times in 1..=MOST {
            for (request, least) in requests.iter().zip(&mut least) {
                let begun = Instant::now();
                answered(name, &sender, request).await;
                *least = begun.elapsed().min(*least);
            }
            ratio = least[1].as_secs_f64() / least[0].as_secs_f64();
            if times >= LEAST && ratio < RATIO {
                break;
            }
        }
        let [half, whole] = least;
        assert!(ratio < RATIO, "{name}: {whole:?}, {half:?} for half of it");
    }
    slimspan.stop_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute of a build that is optimized: make soak"]
async fn twice_the_bytes_take_twice_the_time_of_a_core() {
    let (mut count, mut worst, mut slowest) = (0, 0.0_f64, 0.0_f64);
    for (name, input) in inputs::INPUTS.iter().step_by(ONE_IN) {
        let requests = [SIZE, 2 * SIZE].map(input);
        let [half, whole] = cpu_times(name, &requests).await;
        let most = Duration::from_nanos(requests[1].len() as u64 * NANOSECONDS) + BESIDE;
        assert!(whole <= most, "{name}: {whole:?}");
        assert!(
            whole < half.mul_f64(2.3) + STEPS,
            "{name}: {whole:?}, {half:?} for half of it"
        );
        let ratio = whole.as_secs_f64() / half.max(BESIDE).as_secs_f64();
        let each = whole.as_nanos() as f64 / requests[1].len() as f64;
        (worst, slowest) = (worst.max(ratio), slowest.max(each));
        count += 1;
    }
    measured(
        "P20",
        "program::linear",
        "doubling the input < 2.3x the time and 40 ms, <= 50 ns a byte and 10 ms, of the whole program",
        format_args!(
            "{count} inputs of 24 and 48 MiB: at most {worst:.2}x, and {slowest:.1} ns a byte"
        ),
    );
}

/// The least time of a core that each of them takes.
async fn cpu_times(name: &str, requests: &[Bytes; 2]) -> [Duration; 2] {
    let backend = Backend::start().await;
    let slimspan = start(&backend).await;
    let sender = slimspan.sender().await;
    let mut least = [Duration::MAX; 2];
    for _ in 0..TIMES {
        for (request, least) in requests.iter().zip(&mut least) {
            let before = slimspan.cpu_time();
            answered(name, &sender, request).await;
            *least = slimspan.cpu_time().saturating_sub(before).min(*least);
        }
    }
    slimspan.stop_well().await;
    least
}

/// One that takes all of these.
async fn start(backend: &Backend) -> Slimspan {
    let mut config = config::standard(backend.address);
    config::limit_requests(&mut config, 64);
    config["receivers"]["otlp"]["protocols"]["grpc"]["max_items"] = json!(50_000_000);
    config["processors"]["memory_limiter"]["limit_mib"] = json!(1024);
    // What compression takes is not what this is about.
    config["exporters"]["otlp_grpc"]["compression"] = json!("none");
    config["exporters"]["otlp_grpc"]["max_request_bytes"] = json!("64MiB");
    config["exporters"]["otlp_grpc"]["timeout"] = json!("20s");
    Slimspan::start(&config).await
}

/// Sends a request and waits for its answer.
async fn answered(name: &str, sender: &Sender, request: &Bytes) {
    let answer = sender.send(Signal::Traces, request).await;
    // Some of it nobody takes, which is as good an answer, and final.
    let code = answer.err().map(|status| status.code());
    let is_final = !matches!(code, Some(Code::Unavailable | Code::DeadlineExceeded));
    assert!(is_final, "{name}: {code:?}");
}
