//! The artifact store against every kind of backend.
//!
//! One list of properties (`conformance`) holds for each of them, a second one (`outages`) for
//! those that are processes and can be killed. `behaviour` is what needs no backend in particular.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking and says what it skips"
)]

mod backend;
mod backends;
mod behaviour;
mod catalog;
mod compaction;
mod conformance;
mod deletions;
mod emulators;
mod faults;
mod gc;
mod gcs_stub;
mod lifecycle;
mod moments;
mod outages;
mod recovery;
mod spool;
mod traces;
