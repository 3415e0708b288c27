//! Records on disk that outlive the process: what is appended is durable when the append ends, and
//! is there after every restart until it is removed.
//!
//! A journal is a folder with one owner. Records stand one behind the other in segments; one thread
//! appends to the newest of them, and writes and syncs all records that wait at the same time
//! together. Which records are removed stands in a file of its own, the [marks]. A segment whose
//! records are all removed is deleted, and where room is missing, what is left in one that is mostly
//! removed is [moved](moving) behind everything else first.
//!
//! What the disk did to the bytes meanwhile is found when a journal is [opened](Journal::open): every
//! intact record is delivered, before and behind the damage, and the damaged bytes are kept in the
//! folder `quarantine`, the newest of them up to a limit. The [format] makes that possible: a checksum of each record's
//! header beside that of its body, and in each header the id of its segment, which nobody who sends
//! bytes to be recorded can know.

mod command;
pub mod config;
mod damage;
mod disk;
mod entry;
mod error;
mod format;
mod in_order;
mod marks;
mod moved;
mod moving;
mod owner;
mod parts;
mod quarantine;
mod read;
mod reader;
mod repair;
mod scan;
mod segments;
mod sequences;
mod shared;
mod survey;
#[cfg(test)]
mod tests;
mod window;
mod writer;

pub use damage::Damage;
pub(crate) use disk::{Disk, LocalDisk, write_all};
pub use entry::Entry;
pub use error::{AppendError, OpenError, ReadError};
pub use owner::{Journal, Options, Recovered};
pub use reader::Reader;
#[cfg(test)]
pub(crate) use tests::faulty_disk::{FaultyDisk, HeldSyncs};
