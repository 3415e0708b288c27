//! The slimspan binary.

use std::process::ExitCode;

/// Requests are buffers of many mebibytes that come and go. The system's allocator gives each of
/// them back to the kernel and pays for new pages every time; that alone multiplies the cost of
/// transport.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    slimspan::cli::main()
}
