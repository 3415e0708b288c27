use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{add, get};

/// Why a connection of a sender was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// No request came over it.
    NoRequest,
    /// Nothing came of TLS.
    Handshake,
    /// It did not answer when it was asked whether anybody is there.
    Silent,
    /// Headers, or a frame, did not become whole in time.
    Unfinished,
    /// What it was sent was left unread.
    Unread,
    /// Too many frames that bring nothing.
    Idle,
    /// Too many requests that were taken back.
    Resets,
    /// What came breaks the protocol or its limits.
    Protocol,
    /// It was to end, and its last requests did not.
    Late,
    /// A request stopped arriving.
    Stalled,
}

impl Cut {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::NoRequest,
        Self::Handshake,
        Self::Silent,
        Self::Unfinished,
        Self::Unread,
        Self::Idle,
        Self::Resets,
        Self::Protocol,
        Self::Late,
        Self::Stalled,
    ];

    /// Its name in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoRequest => "no_request",
            Self::Handshake => "handshake",
            Self::Silent => "silent",
            Self::Unfinished => "unfinished",
            Self::Unread => "unread",
            Self::Idle => "idle_frames",
            Self::Resets => "resets",
            Self::Protocol => "protocol",
            Self::Late => "late",
            Self::Stalled => "stalled",
        }
    }
}

/// The connections of senders.
#[derive(Debug, Default)]
pub(super) struct Connections {
    pub(super) open: AtomicU64,
    cut: [AtomicU64; Cut::ALL.len()],
}

impl Connections {
    pub(super) fn cut_for(&self, cut: Cut) -> u64 {
        get(&self.cut[cut as usize])
    }
}

/// A connection that is open until this is dropped.
#[derive(Debug)]
pub struct Connection(Arc<Connections>);

impl Connection {
    pub(super) fn of(connections: &Arc<Connections>) -> Self {
        add(&connections.open, 1);
        Self(Arc::clone(connections))
    }

    /// It is cut.
    pub fn cut(&self, cut: Cut) {
        add(&self.0.cut[cut as usize], 1);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
