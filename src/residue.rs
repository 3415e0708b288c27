//! Memory that was given back to the allocator goes back to the system, also when nothing happens any
//! more.
//!
//! The allocator keeps what it gets back for a moment, to give it out again, and sees to what it has
//! kept for long enough when it gets more back. A process that has become idle would keep for ever what
//! it had at the end of its busiest hour.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

const EVERY: Duration = Duration::from_secs(1);

/// What the allocator takes from the system by itself, and not from a page of smaller things. It is
/// never touched, so it costs no memory.
const LARGE: usize = 4 << 20;

/// Reminds the allocator for ever.
pub(crate) async fn give_back() -> Infallible {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        drop(black_box(Vec::<u8>::with_capacity(LARGE)));
    }
}
