//! What comes over a connection before it is HTTP: frames that are counted, and bytes that have to
//! keep moving.
//!
//! The protocol's own implementation limits what is open at a time, and closes a connection for some
//! floods. It does not limit what comes and goes: frames that a peer may send as often as it likes,
//! each of which costs work and brings nothing.

mod framing;
mod http1;
mod http2;
mod spoken;
mod watched;

pub(super) use self::http2::Flood;
pub(super) use self::watched::Watched;
