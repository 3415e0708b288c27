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

/// What the allocator is told, by its own names.
const SETTINGS: [(&str, &str); 2] = [
    // For how many milliseconds it keeps what is given back, to give it out again. Its own second is so
    // long that a process under load would take half as much again as it uses; a tenth of one is too long
    // for the bound of memory_limiter, and a hundredth costs a fifth of the time where pages are small.
    ("MIMALLOC_PURGE_DELAY", "30"),
    // With huge pages, what little is left in each of them after a load keeps two mebibytes: a minute later
    // the process has half as much again as before.
    ("MIMALLOC_ALLOW_THP", "0"),
];

fn main() -> ExitCode {
    settle_allocator();
    slimspan::cli::main()
}

/// The allocator asks the environment when a process begins, before any code of ours: so this begins
/// again, once, with the answers in it. Who has answers of their own keeps them.
fn settle_allocator() {
    let missing =
        SETTINGS.map(|(name, value)| env::var_os(name).is_none().then_some((name, value)));
    let missing: Vec<_> = missing.into_iter().flatten().collect();
    if missing.is_empty() {
        return;
    }
    let mut arguments = env::args_os();
    let itself = arguments.next();
    let itself = itself.as_deref().unwrap_or_else(|| OsStr::new("slimspan"));
    // Comes back only where it cannot be done, and then more memory is taken, and nothing else.
    let _ = Command::new("/proc/self/exe")
        .arg0(itself)
        .args(arguments)
        .envs(missing)
        .exec();
}
