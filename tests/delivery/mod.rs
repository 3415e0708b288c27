//! Delivery that can be trusted: senders that keep a ledger, a backend that verifies every
//! reference, faults in between, and a checker that holds the one against the other.
//!
//! Every file is one promise. The everyday forms are short; `make soak` runs the long ones.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod answers;
mod backend_away;
mod checker;
mod conserved;
mod failing_disk;
mod full_disk;
mod hung_store;
mod kill;
mod life;
mod load;
mod network;
mod ordering;
mod outages;
mod overload;
mod points;
mod power_cut;
mod reads;
mod reloads;
mod retries;
mod same_file;
mod steady;
mod store_away;
mod store_faults;
mod store_heals;
mod surroundings;
mod untouched;
mod ways;
