//! What the errors behind an error say.

use std::error::Error;

use object_store::client::{HttpError, HttpErrorKind};

use super::told::redacted;
use crate::broken::said;

/// The errors behind an error, itself included.
fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Whether what went wrong passes by itself: no connection, no answer, an answer that says so.
pub(super) fn passes(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|error| {
        if let Some(status) = status(error) {
            matches!(status, 408 | 429 | 500 | 502..=504 | 506..=599)
        } else if let Some(transport) = error.downcast_ref::<HttpError>() {
            transport.kind() != HttpErrorKind::Decode
        } else if let Some(io) = error.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind as K;
            matches!(
                io.kind(),
                K::ConnectionRefused
                    | K::ConnectionReset
                    | K::ConnectionAborted
                    | K::NotConnected
                    | K::BrokenPipe
                    | K::HostUnreachable
                    | K::NetworkUnreachable
                    | K::NetworkDown
                    | K::TimedOut
                    | K::UnexpectedEof
                    | K::Interrupted
            )
        } else {
            false
        }
    })
}

/// The status of an answer that is an error. The client keeps it to itself, but says it.
fn status(error: &(dyn Error + 'static)) -> Option<u16> {
    let text = error.to_string();
    let after = text.strip_prefix("Server returned non-2xx status code: ")?;
    after.get(..3)?.parse().ok()
}

pub(super) fn is_clock_skew(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|error| error.to_string().contains("RequestTimeTooSkewed"))
}

/// The local folder reports a missing permission as a generic error.
pub(super) fn is_forbidden_by_the_system(error: &object_store::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return matches!(
                io.kind(),
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem
            );
        }
        next = error.source();
    }
    false
}

/// Longest cause that is printed, in characters.
const LONGEST_CAUSE: usize = 600;

/// The error and those behind it, as far as it does not tell them itself. Of what the store says, what says
/// what is wrong.
pub(in crate::storage) fn one_line<E: AsRef<dyn Error + Send + Sync>>(error: E) -> String {
    let error = error.as_ref();
    let mut text = said(error);
    let mut next = error.source();
    while let Some(cause) = next {
        let told = said(cause);
        if !text.contains(&told) {
            text = text + ": " + &told;
        }
        next = cause.source();
    }
    let mut line = redacted(&text);
    if let Some((end, _)) = line.char_indices().nth(LONGEST_CAUSE) {
        line.truncate(end);
        line.push_str("...");
    }
    line
}
