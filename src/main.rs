//! The slimspan binary.

use std::env;
use std::ffi::OsStr;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

/// Requests are buffers of many mebibytes that come and go. The system's allocator gives each of
/// them back to the kernel and pays for new pages every time; that alone multiplies the cost of
/// transport.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// For how many milliseconds the allocator keeps what is given back, to give it out again. Its own
/// second is so long that a process under load would take half as much again as it uses.
const KEPT: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "10");

fn main() -> ExitCode {
    settle_allocator();
    slimspan::cli::main()
}

/// The allocator asks the environment when a process begins, before any code of ours: so this begins
/// again, once, with the answer in it. Who has an answer of their own keeps it.
fn settle_allocator() {
    let (name, value) = KEPT;
    if env::var_os(name).is_some() {
        return;
    }
    let mut arguments = env::args_os();
    let itself = arguments.next();
    let itself = itself.as_deref().unwrap_or_else(|| OsStr::new("slimspan"));
    // Comes back only where it cannot be done, and then more memory is taken, and nothing else.
    let _ = Command::new("/proc/self/exe")
        .arg0(itself)
        .args(arguments)
        .env(name, value)
        .exec();
}
