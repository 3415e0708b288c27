//! What is raced: which load goes through which pipeline.

use std::fmt;

use bytes::Bytes;
use slimspan_bench::workload;

/// A load and the way that it goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Setup {
    pub(crate) load: Load,
    pub(crate) way: Way,
}

/// What a sender sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Load {
    /// Chat spans, each with an image.
    Images,
    /// Spans of a web service, with nothing to extract.
    Ordinary,
}

/// What the collector does with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Forwards, without the artifact processor.
    Bare,
    /// Extracts what was stored before: extraction alone, without a store.
    Known,
    /// Recalls what was stored before, and decodes nothing.
    Recalled,
    /// Extracts what came once before: it is decoded and digested, and remembered from then on.
    Again,
    /// Extracts, and remembers no values; otherwise as [`Way::Memory`].
    Forgetful,
    /// Extracts; artifacts stay in memory, which grows and is touched for the first time all along.
    Memory,
    /// Extracts; artifacts go to files that are synced before the answer.
    Folder,
}

pub(crate) const SETUPS: [Setup; 9] = [
    Setup::of(Load::Images, Way::Bare),
    Setup::of(Load::Images, Way::Known),
    Setup::of(Load::Images, Way::Recalled),
    Setup::of(Load::Images, Way::Again),
    Setup::of(Load::Images, Way::Forgetful),
    Setup::of(Load::Images, Way::Memory),
    Setup::of(Load::Images, Way::Folder),
    Setup::of(Load::Ordinary, Way::Bare),
    Setup::of(Load::Ordinary, Way::Memory),
];

impl Way {
    /// Whether each image is another one.
    pub(crate) fn is_of_fresh(self) -> bool {
        !matches!(self, Self::Known | Self::Recalled)
    }
}

impl Setup {
    const fn of(load: Load, way: Way) -> Self {
        Self { load, way }
    }
}

impl Load {
    /// The request that is sent again and again.
    pub(crate) fn request(self) -> Bytes {
        match self {
            Self::Images => workload::pictures(10, 300_000),
            Self::Ordinary => workload::ordinary(100),
        }
    }

    /// Requests that the sender has under way at a time, on one connection.
    pub(crate) fn in_flight(self) -> usize {
        match self {
            Self::Images => 8,
            Self::Ordinary => 16,
        }
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let load = match self.load {
            Load::Images => "images",
            Load::Ordinary => "ordinary",
        };
        let way = match self.way {
            Way::Bare => "bare forwarding",
            Way::Known => "artifacts seen before",
            Way::Recalled => "artifacts recalled",
            Way::Again => "artifacts, the second time",
            Way::Forgetful => "artifacts, none remembered",
            Way::Memory => "artifacts in memory",
            Way::Folder => "artifacts in synced files",
        };
        write!(f, "{load}, {way}")
    }
}
