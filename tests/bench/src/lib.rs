//! What the benchmarks share: the requests, the other ways to do it, and how two ways are raced.

#![expect(
    clippy::print_stdout,
    reason = "a benchmark's output is what it is for"
)]

pub mod naive;
pub mod race;
pub mod workload;
