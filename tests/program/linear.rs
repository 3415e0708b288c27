//! P20: what somebody sends to keep a core busy takes slimspan time in proportion to its size, whatever it does with
//! it. `make bench` asks the same of the check, of extraction and of JSON one by one.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use slimspan_proto::Signal;
use tonic::Code;

use crate::support::backend::Backend;
use crate::support::config;
use crate::support::measured::measured;
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
    let mut config = config::standard(backend.address);
    config::limit_requests(&mut config, 64);
    config["receivers"]["otlp"]["protocols"]["grpc"]["max_items"] = json!(50_000_000);
    config["processors"]["memory_limiter"]["limit_mib"] = json!(1024);
    // What compression takes is not what this is about.
    config["exporters"]["otlp_grpc"]["compression"] = json!("none");
    config["exporters"]["otlp_grpc"]["max_request_bytes"] = json!("64MiB");
    config["exporters"]["otlp_grpc"]["timeout"] = json!("20s");
    let slimspan = Slimspan::start(&config).await;
    let sender = slimspan.sender().await;
    let mut least = [Duration::MAX; 2];
    for _ in 0..TIMES {
        for (request, least) in requests.iter().zip(&mut least) {
            let before = slimspan.cpu_time();
            let answer = sender.send(Signal::Traces, request).await;
            *least = slimspan.cpu_time().saturating_sub(before).min(*least);
            // Some of it nobody takes, which is as good an answer, and final.
            let code = answer.err().map(|status| status.code());
            let is_final = !matches!(code, Some(Code::Unavailable | Code::DeadlineExceeded));
            assert!(is_final, "{name}: {code:?}");
        }
    }
    slimspan.stop_well().await;
    least
}
