use std::sync::mpsc::Sender;

use tokio::sync::oneshot;

use super::entry::Entry;
use super::error::AppendError;
use super::parts::Parts;

/// What the thread of a journal is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Append {
        parts: Parts,
        reply: Reply,
    },
    Remove(Entry),
    /// Answers when all before it is done.
    Settle(oneshot::Sender<()>),
    Stop,
}

pub(super) type Reply = oneshot::Sender<Result<Unclaimed, AppendError>>;

/// A record that is durable, and that nobody has heard of yet. It is removed when dropped.
#[derive(Debug)]
pub(super) struct Unclaimed {
    entry: Option<Entry>,
    commands: Sender<Command>,
}

impl Unclaimed {
    pub(super) fn new(entry: Entry, commands: Sender<Command>) -> Self {
        Self {
            entry: Some(entry),
            commands,
        }
    }

    pub(super) fn claim(mut self) -> Entry {
        let none = Entry {
            sequence: 0,
            offset: 0,
            slot: u32::MAX,
            len: 0,
        };
        self.entry.take().unwrap_or(none)
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            let _ = self.commands.send(Command::Remove(entry));
        }
    }
}
