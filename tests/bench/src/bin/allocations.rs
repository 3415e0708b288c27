//! How often extraction allocates for requests without files; fails where more spans cost more.

#![expect(
    clippy::print_stdout,
    reason = "a benchmark's output is what it is for"
)]

use std::alloc::System;
use std::process::ExitCode;

use bytes::Bytes;
use slimspan_artifact::{Location, Policy, extract};
use slimspan_bench::race::verdict;
use slimspan_bench::{naive, workload};
use slimspan_proto::Signal;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn allocations<T>(run: impl FnOnce() -> T) -> usize {
    let region = Region::new(ALLOCATOR);
    let outcome = run();
    let change = region.change();
    drop(outcome);
    change.allocations + change.reallocations
}

fn main() -> ExitCode {
    let [few, many] = [512, 1024].map(workload::ordinary);
    let mut passed = true;
    for threshold in [8 * 1024, 64] {
        let location = Location::Store("s3://artifacts/default/sha256".into());
        let policy = Policy::new(threshold, location);
        let extract = |request: &Bytes| allocations(|| extract(Signal::Traces, request, &policy));
        // What is made once and for all is not a request's.
        let _ = [&few, &many].map(extract);
        let [few, many] = [&few, &many].map(extract);
        let none_per_span = many == few;
        passed &= none_per_span;
        println!(
            "{} allocations at a threshold of {threshold} bytes: {few} for 512 ordinary spans, {many} for 1024 (target: as many)",
            verdict(none_per_span),
        );
    }
    let prost = allocations(|| naive::pass(&few));
    println!("     prost decode and encode: {prost} for 512");
    ExitCode::from(u8::from(!passed))
}
