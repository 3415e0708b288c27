//! Why a connection ended that did not end well.

use std::error::Error;
use std::io;

use crate::telemetry::Cut;

/// Why HTTP ended it; `None` where it was the peer that went away.
pub(super) fn why(error: &(dyn Error + 'static)) -> Option<Cut> {
    for error in std::iter::successors(Some(error), |&error| error.source()) {
        if error.is::<io::Error>() {
            return None;
        }
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.is_library().then_some(Cut::Protocol);
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            if error.is_timeout() {
                return Some(Cut::Silent);
            }
            if error.is_parse() {
                return Some(Cut::Protocol);
            }
        }
    }
    None
}

/// The same of the handshake of TLS.
pub(super) fn why_unprotected(error: &io::Error) -> Option<Cut> {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::InvalidData => Some(Cut::Handshake),
        _ => None,
    }
}
