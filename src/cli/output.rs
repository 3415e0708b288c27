//! What goes to standard output, which may have nobody any more who reads it.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;

use super::complain;

/// Whether who read it reads no further.
static IS_UNREAD: AtomicBool = AtomicBool::new(false);

/// Whether something could not be told for another reason, which was told.
static HAS_FAILED: AtomicBool = AtomicBool::new(false);

/// Who reads standard output reads no further, and has what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
pub(super) struct Unread;

/// Prints to standard output what becomes of the work. Who reads no further has seen enough, and the work goes on.
pub(super) fn say(message: impl Display) {
    if !is_heard() {
        return;
    }
    let Err(error) = print(message.to_string().as_bytes()) else {
        return;
    };
    if error.kind() == ErrorKind::BrokenPipe {
        IS_UNREAD.store(true, Ordering::Relaxed);
        return;
    }
    HAS_FAILED.store(true, Ordering::Relaxed);
    complain(format_args!("cannot write to standard output: {error}"));
}

/// Whether what is said arrives, as far as is known: what is done for nothing else can end where it does not.
pub(super) fn is_heard() -> bool {
    !IS_UNREAD.load(Ordering::Relaxed) && !HAS_FAILED.load(Ordering::Relaxed)
}

/// Writes to standard output what the work is done for: where that cannot be, the work ends.
pub(super) fn hand_over(bytes: &[u8]) -> anyhow::Result<()> {
    match print(bytes) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Unread.into()),
        printed => printed.context("cannot write to standard output"),
    }
}

/// The exit code of a command that ends with this one: what was not told is a failure, unless nobody wanted to know.
pub(super) fn code(code: ExitCode) -> ExitCode {
    if HAS_FAILED.load(Ordering::Relaxed) {
        return ExitCode::FAILURE;
    }
    code
}

fn print(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}
