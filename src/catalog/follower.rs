//! From the objects of a bucket into an index: what other replicas wrote, a few seconds later.

mod rounds;

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::future::ready;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::entry::Entry;
use super::error::CatalogError;
use super::index::Index;
use super::recorder::from_lines;
use super::tombstone;
use super::{INDEX, folder, layout};
use crate::storage::{Bucket, BucketError, ListError, Listed, Store};

/// How far back new objects are looked for each time. An object is named when it is put, and named anew
/// when that takes longer than half of this.
const RECENT: SignedDuration = SignedDuration::from_secs(120);

/// How far back it is looked now and then.
const WHILE_AGO: SignedDuration = SignedDuration::from_hours(3);

/// How far the clocks of others may be ahead.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);

/// Objects that are read at a time, and applied together.
const READS: usize = 8;

/// Objects with deletions that are applied together.
const TOMBSTONES: usize = 50;

/// Applied together, at most.
const BYTES: u64 = 8 << 20;

/// The bytes of objects that are read and not applied yet. One alone counts for no more than what is left of that
/// beside what waits to be applied.
const IN_MEMORY: u64 = 24 << 20;

/// Names of objects that are looked up at a time.
const NAMES: usize = 1_000;

/// How often what disappears while it is read is looked for where it was merged into.
const LISTINGS: usize = 5;

/// The catalog of a store, as an index of this machine has it. Clones share it.
#[derive(Clone)]
pub struct Catalog {
    bucket: Bucket,
    index: Index,
    /// The room for objects that two may read at once: see [`Catalog::for_two`]. Without it each has its own.
    room: Option<Arc<Semaphore>>,
    /// How often it is looked for what is new.
    poll: Duration,
}

/// How far it is looked for new objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The last minutes.
    Recent,
    /// The last hours.
    Back,
    /// Everything.
    All,
}

/// What was found in the bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Synced {
    /// Objects that were new.
    pub objects: usize,
    /// Entries that were new, or about which there is something new.
    pub entries: usize,
    /// Deletions that were new.
    pub tombstones: usize,
    /// Lines that cannot be read: a later version may have written them.
    pub unreadable: usize,
    /// Whether objects disappeared again and again while they were read: something may be missing still.
    pub missed: bool,
}

/// What of the objects that were listed was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looked {
    All,
    /// Not all deletions: one has another name since.
    Renamed,
    /// Not all entries: some were merged meanwhile, into an object that has another name.
    Merged,
}

impl Catalog {
    /// Opens the index of the catalog of `store` in `directory`. What is in the bucket and not in the index
    /// is there after [`Catalog::sync`].
    pub async fn open(store: &Store, directory: &Path) -> Result<Self, CatalogError> {
        let bucket = store.bucket();
        let path = folder(directory, &bucket).join(INDEX);
        let (place, in_memory) = (bucket.to_string(), store.is_in_memory());
        let open = tokio::task::spawn_blocking(move || {
            if in_memory {
                Index::temporary(&place)
            } else {
                Index::open(&path, &place)
            }
        });
        let index = open.await.unwrap_or(Err(CatalogError::Ending))?;
        Ok(Self {
            bucket,
            index,
            room: None,
            poll: rounds::POLL,
        })
    }

    /// The same with an index for this process alone: for who may not write beside those that run.
    pub fn open_temporary(store: &Store) -> Result<Self, CatalogError> {
        let bucket = store.bucket();
        let index = Index::temporary(&bucket.to_string())?;
        Ok(Self {
            bucket,
            index,
            room: None,
            poll: rounds::POLL,
        })
    }

    /// The same for two who read objects at once, and have their memory together. What the other one has gathered,
    /// which is less than [`BYTES`], is added, so that what is left is always enough for the largest that waits. Of
    /// three that would not be so: they could wait for each other.
    fn for_two(&self) -> Self {
        let room = Semaphore::new((IN_MEMORY + BYTES) as usize);
        Self {
            room: Some(Arc::new(room)),
            ..self.clone()
        }
    }

    /// What answers questions.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Where its objects are.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// Brings what is new in the bucket into the index.
    pub async fn sync(&self, reach: Reach) -> Result<Synced, CatalogError> {
        let mut synced = Synced::default();
        let mut reach = reach;
        for _ in 0..LISTINGS {
            match self.look(reach, &mut synced).await? {
                Looked::All => return Ok(synced),
                Looked::Renamed => {}
                Looked::Merged => reach = Reach::All,
            }
        }
        synced.missed = true;
        Ok(synced)
    }

    async fn look(&self, reach: Reach, synced: &mut Synced) -> Result<Looked, CatalogError> {
        let renamed = self.tombstones(reach, synced).await?;
        let vanished = if reach == Reach::All {
            self.all(synced).await?
        } else {
            let listed = self.latest(reach).await?;
            let keys = listed.iter().map(|object| object.key.clone()).collect();
            let missing = self.index.missing(keys).await?;
            self.entries(of_keys(listed, missing), synced).await?
        };
        Ok(match (vanished, renamed) {
            (true, _) => Looked::Merged,
            (false, true) => Looked::Renamed,
            (false, false) => Looked::All,
        })
    }

    /// Reads all objects that are missing; true if one has vanished since it was listed. However many there are,
    /// few of their names are in memory.
    async fn all(&self, synced: &mut Synced) -> Result<bool, CatalogError> {
        let listing = self.index.begin_listing().await?;
        self.index.begin_load().await?;
        let read = self.listed(listing, synced).await;
        self.index.end_load().await?;
        let vanished = read?;
        if !vanished {
            let entries = layout::ENTRIES_BETWEEN;
            self.index.end_listing(listing, entries).await?;
        }
        Ok(vanished)
    }

    async fn listed(&self, listing: i64, synced: &mut Synced) -> Result<bool, CatalogError> {
        let objects = self.bucket.stream(layout::FOLDER, None);
        let objects = objects.try_filter(|object| ready(layout::has_entries(&object.key)));
        let mut chunks = Box::pin(objects.try_chunks(NAMES));
        let mut vanished = false;
        while let Some(chunk) = chunks.try_next().await.map_err(|error| error.1)? {
            let keys = chunk.iter().map(|object| object.key.clone()).collect();
            let missing = self.index.missing_in(listing, keys).await?;
            vanished |= self.entries(of_keys(chunk, missing), synced).await?;
        }
        Ok(vanished)
    }

    /// The objects of the last minutes or hours.
    async fn latest(&self, reach: Reach) -> Result<Vec<Listed>, CatalogError> {
        let now = Timestamp::now();
        let since = match reach {
            Reach::Recent => now - RECENT,
            _ => now - WHILE_AGO,
        };
        let after = format!("{}/{}", layout::hour(since), layout::stamp(since));
        let mut latest = Vec::new();
        for hour in hours(since, now + AHEAD) {
            let found = self.bucket.list(&hour, Some(&after)).await?;
            latest.extend(found);
        }
        latest.retain(|object| layout::has_entries(&object.key));
        Ok(latest)
    }

    /// Reads objects into the index; true if one has vanished since it was listed.
    async fn entries(
        &self,
        objects: Vec<Listed>,
        synced: &mut Synced,
    ) -> Result<bool, CatalogError> {
        let own = || Arc::new(Semaphore::new(IN_MEMORY as usize));
        let room = self.room.clone().unwrap_or_else(own);
        let reads = objects.into_iter().map(|object| {
            let (bucket, room) = (self.bucket.clone(), Arc::clone(&room));
            async move {
                let size = object.size.clamp(1, IN_MEMORY - BYTES) as u32;
                let held = room.acquire_many_owned(size).await;
                let held = held.map_err(|_| CatalogError::Ending)?;
                // On its own, so that it goes on while others are applied.
                let read = tokio::spawn(async move {
                    let Some(body) = bucket.get(&object.key).await? else {
                        return Ok(None);
                    };
                    let parsed = tokio::task::spawn_blocking(move || from_lines(&body)).await;
                    let (entries, unreadable) = parsed.map_err(|_| CatalogError::Ending)?;
                    Ok(Some((object, entries, unreadable)))
                });
                let read = read.await.unwrap_or(Err(CatalogError::Ending))?;
                Ok::<_, CatalogError>(read.map(|read| (read, held)))
            }
        });
        let mut reads = stream::iter(reads).buffer_unordered(READS);
        let mut vanished = false;
        let mut part = Part::default();
        while let Some(read) = reads.next().await {
            let Some(((object, entries, unreadable), held)) = read? else {
                vanished = true;
                continue;
            };
            part.bytes += object.size;
            part.entries.extend(entries);
            if unreadable > 0 {
                part.unreadable.push((object.key.clone(), unreadable));
            }
            part.objects.push(object.key);
            part.held.push(held);
            if part.bytes >= BYTES {
                self.apply(std::mem::take(&mut part), synced).await?;
            }
        }
        self.apply(part, synced).await?;
        Ok(vanished)
    }

    async fn apply(&self, part: Part, synced: &mut Synced) -> Result<(), CatalogError> {
        if part.objects.is_empty() {
            return Ok(());
        }
        synced.objects += part.objects.len();
        if !part.unreadable.is_empty() {
            let unreadable: usize = part.unreadable.iter().map(|(_, lines)| lines).sum();
            synced.unreadable += unreadable;
            tracing::warn!(
                "{}: {unreadable} lines of the catalog cannot be read: did a later version write them?",
                self.bucket
            );
            self.index.note_unreadable(part.unreadable).await?;
        }
        let applied = self.index.apply(part.entries, Vec::new(), part.objects);
        let applied = applied.await?;
        synced.entries += applied.added + applied.changed;
        Ok(())
    }

    /// Reads deletions; true if an object of them has vanished since it was listed.
    pub(super) async fn tombstones(
        &self,
        reach: Reach,
        synced: &mut Synced,
    ) -> Result<bool, CatalogError> {
        let mut vanished = false;
        // There are few: without an offset all are listed.
        let since = layout::stamp(Timestamp::now() - WHILE_AGO);
        let after = format!("{}/{since}", layout::TOMBSTONES);
        let after = Some(after).filter(|_| reach != Reach::All);
        let listed = self.bucket.stream(layout::TOMBSTONES, after.as_deref());
        let mut chunks = Box::pin(listed.try_chunks(NAMES));
        while let Some(chunk) = chunks.try_next().await.map_err(|error| error.1)? {
            let keys = chunk.into_iter().map(|object| object.key).collect();
            let missing = self.index.missing(keys).await?;
            for some in missing.chunks(TOMBSTONES) {
                let (mut found, mut objects) = (Vec::new(), Vec::new());
                let reads = some.iter().cloned().map(|key| {
                    let bucket = self.bucket.clone();
                    async move { (bucket.get(&key).await, key) }
                });
                let reads: Vec<_> = stream::iter(reads).buffered(READS).collect().await;
                for (body, key) in reads {
                    // Another one says the same, which may have come since.
                    let Some(body) = body? else {
                        vanished = true;
                        continue;
                    };
                    let (read, unreadable) = tombstone::from_lines(&body);
                    synced.unreadable += unreadable;
                    found.extend(read);
                    objects.push(key);
                }
                let applied = self.index.apply(Vec::new(), found, objects).await?;
                synced.tombstones += applied.tombstones;
            }
        }
        Ok(vanished)
    }
}

/// The hours from `since` to `until`, oldest first.
fn hours(since: Timestamp, until: Timestamp) -> BTreeSet<String> {
    let mut hours = BTreeSet::from([layout::hour(until)]);
    let mut time = since;
    while time < until {
        hours.insert(layout::hour(time));
        time += SignedDuration::from_hours(1);
    }
    hours
}

/// Those of the objects that have these keys, in the same order.
fn of_keys(objects: Vec<Listed>, keys: Vec<String>) -> Vec<Listed> {
    let keys: HashSet<String> = keys.into_iter().collect();
    let objects = objects.into_iter();
    objects
        .filter(|object| keys.contains(&object.key))
        .collect()
}

/// Objects that are applied together.
#[derive(Default)]
struct Part {
    entries: Vec<Entry>,
    objects: Vec<String>,
    /// Those of them with lines that cannot be read, and how many.
    unreadable: Vec<(String, usize)>,
    bytes: u64,
    /// The room that they take until they are applied.
    held: Vec<OwnedSemaphorePermit>,
}

impl From<ListError> for CatalogError {
    fn from(error: ListError) -> Self {
        Self::Listing(Arc::new(error))
    }
}

impl From<BucketError> for CatalogError {
    fn from(error: BucketError) -> Self {
        Self::Bucket(Arc::new(error))
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Catalog").field(&self.bucket).finish()
    }
}
