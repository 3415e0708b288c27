//! Whether the check, extraction and OTLP/JSON take time in proportion to their input, whatever that is; fails where
//! twice the bytes take more than 2.3 times the time, unless a byte takes less than 0.5 ns (*), or a byte more than 50 ns.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark's output is what it is for"
)]

mod inputs;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use rustix::time::{ClockId, clock_gettime};
use slimspan_artifact::{Form, Location, Policy, extract};
use slimspan_bench::race::verdict;
use slimspan_proto::{Signal, check, json};

/// The allocator of the collector.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Of the smaller one of two inputs, unless `SLIMSPAN_LINEAR_MIB` says otherwise.
const MIB: usize = 8;
/// Rounds for inputs of this size; large ones take long enough to need fewer.
const ROUNDS: usize = 4;
const MOST_ROUNDS: usize = 30;
const MOST: f64 = 2.3;
const NANOSECONDS_PER_BYTE: f64 = 50.0;
/// What takes less for a byte goes about as fast as memory gives it, and by how much more for twice the bytes says
/// which of the two fits into the caches.
const AS_FAST_AS_MEMORY: f64 = 0.5;
const BESIDE: Duration = Duration::from_millis(10);

fn main() -> ExitCode {
    let given = std::env::var("SLIMSPAN_LINEAR_MIB").ok();
    let Ok(mib) = given.map_or(Ok(MIB), |mib| mib.parse()) else {
        eprintln!("SLIMSPAN_LINEAR_MIB is no number");
        return ExitCode::from(2);
    };
    let (size, twice) = (mib << 20, 2 * mib);
    let mut passed = true;
    for (threshold, form) in [
        (64, Form::Native),
        (64, Form::Semconv),
        (64, Form::Object),
        (8 * 1024, Form::Native),
    ] {
        let location = Location::Public("http://127.0.0.1:4319".into());
        let policy = Policy {
            form,
            ..Policy::new(threshold, location)
        };
        println!(
            "threshold {threshold} bytes, {form:?}: {mib} MiB, {twice} MiB, ratio (below {MOST}, but for those with *)"
        );
        for (name, input) in inputs::INPUTS {
            let requests = [size, 2 * size].map(input);
            passed &= is_linear(name, &requests, |request| {
                black_box(check(Signal::Traces, request, usize::MAX).is_ok());
                black_box(extract(Signal::Traces, request, &policy).is_ok());
            });
        }
    }
    println!(
        "OTLP/JSON, written and read: {mib} MiB, {twice} MiB, ratio (below {MOST}, but for those with *)"
    );
    for (name, input) in inputs::INPUTS {
        let requests = [size, 2 * size].map(input);
        passed &= is_linear(name, &requests, |request| {
            let text = json::write(Signal::Traces, request)
                .map_or_else(|_| Vec::new(), |written| written.text);
            black_box(json::read(Signal::Traces, &text, json::Limits::default()).is_ok());
        });
    }
    ExitCode::from(u8::from(!passed))
}

/// Whether `work` takes time in proportion to the size of two inputs, of which one is twice the other;
/// prints what it takes.
fn is_linear(name: &str, inputs: &[Bytes; 2], work: impl Fn(&Bytes)) -> bool {
    let bytes = inputs[1].len() as f64;
    let allowed = bytes * NANOSECONDS_PER_BYTE / 1e9 + BESIDE.as_secs_f64();
    let is_plain = |larger: f64| larger * 1e9 / bytes < AS_FAST_AS_MEMORY;
    let is_kept = |ratio: f64, larger: f64| (ratio < MOST || is_plain(larger)) && larger <= allowed;
    let mut best = [f64::MAX; 2];
    let mut ratio = f64::MAX;
    let rounds = ROUNDS * (MIB << 20) / inputs[0].len().max(MIB << 20);
    // The best of several turns of each: a busy machine is slow now and then, and what
    // takes four times as long for twice the bytes takes it every time.
    for round in 0..MOST_ROUNDS {
        for (best, input) in best.iter_mut().zip(inputs) {
            let start = cpu_time();
            work(input);
            *best = best.min(cpu_time().saturating_sub(start).as_secs_f64());
        }
        ratio = best[1] / best[0];
        if round >= rounds && is_kept(ratio, best[1]) {
            break;
        }
    }
    let kept = is_kept(ratio, best[1]);
    let mark = if is_plain(best[1]) { "*" } else { "" };
    println!(
        "{} {name}: {:.2} ms, {:.2} ms, {ratio:.2}x{mark}, {:.2} ns a byte",
        verdict(kept),
        best[0] * 1e3,
        best[1] * 1e3,
        best[1] * 1e9 / bytes,
    );
    kept
}

/// What this thread has had of a core: others on the machine are no matter of the input.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (time.tv_sec.cast_unsigned(), time.tv_nsec.cast_unsigned());
    Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds)
}
