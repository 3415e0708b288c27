//! Why a reference stays where it is.

use std::fmt;

use crate::Digest;

/// Why a reference stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unrestored {
    /// Nobody has the bytes.
    Missing(Digest),
    /// The bytes that were fetched are others.
    Corrupt(Digest),
    /// The bytes were given up when the reference was made.
    Dropped(Digest),
    /// What the reference asks for is more than anything that is taken out.
    TooLarge(Digest),
    /// The request would become larger than it may.
    NoRoom(Digest),
}

impl fmt::Display for Unrestored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(digest) => write!(f, "artifact {digest} is missing"),
            Self::Corrupt(digest) => write!(
                f,
                "artifact {digest} is corrupt: its bytes have another digest"
            ),
            Self::Dropped(digest) => write!(
                f,
                "artifact {digest} was dropped when its reference was made"
            ),
            Self::TooLarge(digest) => write!(
                f,
                "artifact {digest} would be larger in its place than anything that is taken out: the \
                 reference is damaged or somebody else's"
            ),
            Self::NoRoom(digest) => write!(
                f,
                "artifact {digest} would make the request larger than one may become"
            ),
        }
    }
}
