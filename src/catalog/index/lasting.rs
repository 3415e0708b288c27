//! What of entries is kept where they are merged.
//!
//! Of what was deleted with a trace something has to be known for as long as that may be asked: which files went with
//! it, and when a spool gave one to the store for it. Whoever has read the lines remembers that in a table of its index;
//! who comes later, or has no index of its own, knows it from what is left of the lines alone.

use std::collections::HashMap;

use rusqlite::Connection;
use slimspan_artifact::Digest;

use super::super::entry::Entry;
use super::super::ids::TraceId;
use super::tombstones::{Covered, Covering};
use crate::tenant::TenantId;

/// What is kept of entries.
#[derive(Debug, Default)]
pub(in super::super) struct Lasting {
    /// Those that were not deleted.
    pub(in super::super) entries: Vec<Entry>,
    /// One for each artifact of each trace that was deleted, without what a sender said. Nobody is shown them.
    pub(in super::super) hidden: Vec<Entry>,
}

pub(super) fn lasting(connection: &Connection, entries: Vec<Entry>) -> rusqlite::Result<Lasting> {
    let mut covering = Covering::of(connection)?;
    let mut left = Vec::with_capacity(entries.len());
    let mut hidden: HashMap<(TenantId, TraceId, Digest), Entry> = HashMap::new();
    for entry in entries {
        match covering.covers(&entry)? {
            Covered::No => left.push(entry),
            Covered::Yes => {}
            Covered::WithTrace(trace, digest) => {
                let order = |of: &Entry| (of.settled, of.recorded, of.id);
                let key = (entry.tenant.clone(), trace, digest);
                let known = hidden.get(&key);
                if known.is_none_or(|known| order(known) < order(&entry)) {
                    hidden.insert(key, entry.deleted());
                }
            }
        }
    }
    Ok(Lasting {
        entries: left,
        hidden: hidden.into_values().collect(),
    })
}
