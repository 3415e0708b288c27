//! From the objects of a bucket into an index: what other replicas wrote, a few seconds later.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::entry::Entry;
use super::error::CatalogError;
use super::index::Index;
use super::recorder::from_lines;
use super::tombstone::Tombstone;
use super::{folder, layout};
use crate::storage::{Bucket, BucketError, Store};
use crate::telemetry::Seldom;

/// How often it is looked for what is new.
const POLL: Duration = Duration::from_secs(2);

/// How often it is looked further back, for what a slow replica put late, or one whose clock goes otherwise.
const LOOK_BACK: Duration = Duration::from_mins(1);

/// How often everything is listed.
const LOOK_OVER: Duration = Duration::from_hours(1);

/// How far back new objects are looked for each time. An object is named when it is put, and named anew
/// when that takes longer than half of this.
const RECENT: SignedDuration = SignedDuration::from_secs(120);

/// How far back it is looked now and then.
const WHILE_AGO: SignedDuration = SignedDuration::from_hours(3);

/// How far the clocks of others may be ahead.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);

/// Objects that are read at a time, and applied together.
const READS: usize = 8;

/// Applied together, at most.
const BYTES: usize = 8 << 20;

/// How often what disappears while it is read is looked for where it was merged into.
const LISTINGS: usize = 5;

/// The catalog of a store, as an index of this machine has it. Clones share it.
#[derive(Clone)]
pub struct Catalog {
    bucket: Bucket,
    index: Index,
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
}

impl Catalog {
    /// Opens the index of the catalog of `store` in `directory`. What is in the bucket and not in the index
    /// is there after [`Catalog::sync`].
    pub async fn open(store: &Store, directory: &Path) -> Result<Self, CatalogError> {
        let bucket = store.bucket();
        let path = folder(directory, &bucket).join("index.sqlite");
        let (place, in_memory) = (bucket.to_string(), store.is_in_memory());
        let open = tokio::task::spawn_blocking(move || {
            if in_memory {
                Index::temporary(&place)
            } else {
                Index::open(&path, &place)
            }
        });
        let index = open.await.unwrap_or(Err(CatalogError::Ending))?;
        Ok(Self { bucket, index })
    }

    /// The same with an index for this process alone: for who may not write beside those that run.
    pub fn open_temporary(store: &Store) -> Result<Self, CatalogError> {
        let bucket = store.bucket();
        let index = Index::temporary(&bucket.to_string())?;
        Ok(Self { bucket, index })
    }

    /// What answers questions.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Where its objects are.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// Follows what is written, until `stop` is cancelled. `ready` is called when the index first has
    /// everything.
    pub async fn follow(&self, stop: CancellationToken, ready: impl FnOnce()) {
        let (mut failing, mut ready) = (Seldom::default(), Some(ready));
        let mut looked_back = Instant::now();
        let mut looked_over = None::<Instant>;
        loop {
            let reach = if looked_over.is_none_or(|over| over.elapsed() >= LOOK_OVER) {
                Reach::All
            } else if looked_back.elapsed() >= LOOK_BACK {
                Reach::Back
            } else {
                Reach::Recent
            };
            let begun = Instant::now();
            let synced = tokio::select! {
                () = stop.cancelled() => return,
                synced = self.sync(reach) => synced,
            };
            match synced {
                Ok(_) => {
                    if reach == Reach::All {
                        looked_over = Some(begun);
                        if let Some(ready) = ready.take() {
                            ready();
                        }
                    }
                    if reach != Reach::Recent {
                        looked_back = begun;
                    }
                }
                Err(error) => {
                    if let Some(times) = failing.occurred() {
                        tracing::warn!("the catalog is not up to date: {error} ({times} times)");
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(POLL) => {}
            }
        }
    }

    /// Brings what is new in the bucket into the index.
    pub async fn sync(&self, reach: Reach) -> Result<Synced, CatalogError> {
        let mut synced = Synced::default();
        let mut reach = reach;
        for _ in 0..LISTINGS {
            self.tombstones(reach, &mut synced).await?;
            let listed = self.listed(reach).await?;
            let missing = self.index.missing(listed.clone()).await?;
            let vanished = self.entries(missing, &mut synced).await?;
            if !vanished {
                if reach == Reach::All {
                    let prefix = format!("{}/", layout::FOLDER);
                    self.index.forget_objects(prefix, listed).await?;
                }
                return Ok(synced);
            }
            // Merged meanwhile, into one that has another name.
            reach = Reach::All;
        }
        Ok(synced)
    }

    /// The objects of entries, sorted.
    async fn listed(&self, reach: Reach) -> Result<Vec<String>, CatalogError> {
        let now = Timestamp::now();
        let mut keys = Vec::new();
        if reach == Reach::All {
            let all = self.bucket.list(layout::FOLDER, None).await?;
            keys.extend(all.into_iter().map(|object| object.key));
        } else {
            let since = match reach {
                Reach::Recent => now - RECENT,
                _ => now - WHILE_AGO,
            };
            let after = format!("{}/{}", layout::hour(since), layout::stamp(since));
            for hour in hours(since, now + AHEAD) {
                let found = self.bucket.list(&hour, Some(&after)).await?;
                keys.extend(found.into_iter().map(|object| object.key));
            }
        }
        keys.retain(|key| layout::has_entries(key));
        Ok(keys)
    }

    /// Reads objects into the index; true if one has vanished since it was listed.
    async fn entries(&self, keys: Vec<String>, synced: &mut Synced) -> Result<bool, CatalogError> {
        let reads = keys.into_iter().map(|key| async move {
            let body = self.bucket.get(&key).await;
            (key, body)
        });
        let mut reads = stream::iter(reads).buffered(READS);
        let mut vanished = false;
        let mut part = Part::default();
        while let Some((key, body)) = reads.next().await {
            let Some(body) = body? else {
                vanished = true;
                continue;
            };
            part.bytes += body.len();
            part.bodies.push((key, body));
            if part.bytes >= BYTES {
                self.apply(std::mem::take(&mut part), synced).await?;
            }
        }
        self.apply(part, synced).await?;
        Ok(vanished)
    }

    async fn apply(&self, part: Part, synced: &mut Synced) -> Result<(), CatalogError> {
        if part.bodies.is_empty() {
            return Ok(());
        }
        synced.objects += part.bodies.len();
        let read = tokio::task::spawn_blocking(move || part.read()).await;
        let Ok((entries, objects, unreadable)) = read else {
            return Err(CatalogError::Ending);
        };
        synced.unreadable += unreadable;
        if unreadable > 0 {
            tracing::warn!(
                "{}: {unreadable} lines of the catalog cannot be read: did a later version write them?",
                self.bucket
            );
        }
        let applied = self.index.apply(entries, Vec::new(), objects).await?;
        synced.entries += applied.added + applied.changed;
        Ok(())
    }

    async fn tombstones(&self, reach: Reach, synced: &mut Synced) -> Result<(), CatalogError> {
        // There are few: without an offset all are listed.
        let since = layout::stamp(Timestamp::now() - WHILE_AGO);
        let after = format!("{}/{since}", layout::TOMBSTONES);
        let after = Some(after).filter(|_| reach != Reach::All);
        let listed = self
            .bucket
            .list(layout::TOMBSTONES, after.as_deref())
            .await?;
        let keys = listed.into_iter().map(|object| object.key).collect();
        let missing = self.index.missing(keys).await?;
        let (mut found, mut objects) = (Vec::new(), Vec::new());
        for key in missing {
            let Some(body) = self.bucket.get(&key).await? else {
                continue;
            };
            let (read, unreadable) = read_tombstones(&body);
            synced.unreadable += unreadable;
            found.extend(read);
            objects.push(key);
        }
        if !objects.is_empty() {
            let applied = self.index.apply(Vec::new(), found, objects).await?;
            synced.tombstones += applied.tombstones;
        }
        Ok(())
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

/// The tombstones of an object, a line each.
pub(super) fn read_tombstones(body: &[u8]) -> (Vec<Tombstone>, usize) {
    let lines = body.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    let mut unreadable = 0;
    let tombstones = lines.filter_map(|line| {
        let tombstone = serde_json::from_slice(line);
        unreadable += usize::from(tombstone.is_err());
        tombstone.ok()
    });
    (tombstones.collect(), unreadable)
}

/// Objects that are applied together.
#[derive(Default)]
struct Part {
    bodies: Vec<(String, Bytes)>,
    bytes: usize,
}

impl Part {
    fn read(self) -> (Vec<Entry>, Vec<String>, usize) {
        let (mut entries, mut keys, mut unreadable) = (Vec::new(), Vec::new(), 0);
        for (key, body) in self.bodies {
            let (read, failed) = from_lines(&body);
            entries.extend(read);
            unreadable += failed;
            keys.push(key);
        }
        (entries, keys, unreadable)
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
