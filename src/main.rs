//! The slimspan binary.

use std::env;
use std::process::ExitCode;

use tikv_jemalloc_ctl::{Access as _, AsName as _};

/// Requests are buffers of many mebibytes that come and go. The system's allocator gives each of
/// them back to the kernel and pays for new pages every time; that alone multiplies the cost of
/// transport. This one keeps them for a moment, and a thread of its own gives back what nobody
/// wanted meanwhile.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// For how many milliseconds the allocator keeps what is given back, to give it out again. Its own
/// ten seconds are so long that a process under load would take far more than it uses.
const KEPT: isize = 20;

/// Where people settle it themselves.
const SETTLED: &str = "_RJEM_MALLOC_CONF";

fn main() -> ExitCode {
    if env::var_os(SETTLED).is_none() {
        settle_allocator();
    }
    slimspan::cli::main()
}

/// For the arenas that there are (4096 stands for all of them), and for those that threads will make.
/// An allocator that does not know one of these names takes more memory, and that is all.
fn settle_allocator() {
    for name in ["arenas.dirty_decay_ms\0", "arena.4096.dirty_decay_ms\0"] {
        let _ = name.name().write(KEPT);
    }
    // What the kernel might want back is not what it has back.
    for name in ["arenas.muzzy_decay_ms\0", "arena.4096.muzzy_decay_ms\0"] {
        let _ = name.name().write(0_isize);
    }
}
