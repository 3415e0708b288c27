use slimspan_proto::Signal;

use super::Format;

/// What the bytes of a file may leave open.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::cli) struct ReadOptions {
    /// How the requests stand in the file, if not as its first bytes tell.
    pub(in crate::cli) format: Option<Format>,
    /// The signal of requests in protobuf, if not the one that they and the name of their file
    /// tell.
    pub(in crate::cli) signal: Option<Signal>,
}

/// Reads the name of a signal from the command line.
pub(in crate::cli) fn signal(name: &str) -> Result<Signal, String> {
    let mut known = Signal::ALL.into_iter();
    known
        .find(|signal| signal.name() == name)
        .ok_or_else(|| "known are traces, logs, metrics and profiles".to_owned())
}
