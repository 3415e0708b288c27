//! An index of the catalog in a file of this machine, which is made anew from the bucket whenever it is
//! missing, of another format, or of another bucket.
//!
//! Queries run on threads for that, on a few connections of their own, while another connection adds what
//! is new. Several processes of one machine may share the file.

mod apply;
mod lasting;
mod listing;
mod names;
mod objects;
mod opening;
mod pool;
mod referred;
mod rows;
mod schema;
mod search;
mod summaries;
#[cfg(test)]
mod tests;
mod tombstones;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use rusqlite::Connection;
use slimspan_artifact::Digest;

use super::entry::Entry;
use super::error::CatalogError;
use super::facts::{ArtifactFacts, Menus, TraceArtifacts};
use super::filter::{Cursor, Filter, Page, Tenants};
use super::ids::TraceId;
use super::tombstone::{KeptBack, Tombstone};
use crate::tenant::TenantId;
pub use apply::Applied;
use lasting::Lasting;
use pool::Pool;

/// The entries of a trace that are shown at once.
const MOST_OF_A_TRACE: usize = 10_000;

/// An index that is open. Clones share it.
#[derive(Debug, Clone)]
pub struct Index {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pool: Pool,
    /// Whether this process has read all that a listing showed. What an earlier one left may be days old: it knows
    /// nothing of what refers to a file since.
    is_read: AtomicBool,
    /// Deletes the folder of an index that is for this process alone.
    _folder: Option<tempfile::TempDir>,
}

impl Index {
    /// Opens the index of the catalog of `place` in the file `path`. One that is of something else, or that
    /// cannot be read, is thrown away, unless another process has it open: that is an error.
    pub fn open(path: &Path, place: &str) -> Result<Self, CatalogError> {
        Self::open_in(path, place, None)
    }

    /// An index for this process alone, gone with it.
    pub fn temporary(place: &str) -> Result<Self, CatalogError> {
        let folder = tempfile::tempdir().map_err(|source| CatalogError::Folder {
            path: std::env::temp_dir(),
            source: Arc::new(source),
        })?;
        let path = folder.path().join("index.sqlite");
        Self::open_in(&path, place, Some(folder))
    }

    fn open_in(
        path: &Path,
        place: &str,
        folder: Option<tempfile::TempDir>,
    ) -> Result<Self, CatalogError> {
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|source| CatalogError::Folder {
                path: parent.to_owned(),
                source: Arc::new(source),
            })?;
        }
        let pool = opening::open(path, place)?;
        Ok(Self {
            shared: Arc::new(Shared {
                pool,
                is_read: AtomicBool::new(false),
                _folder: folder,
            }),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.shared.pool.path()
    }

    /// The newest `limit` entries that fit `filter`, behind `after`.
    pub async fn page(
        &self,
        filter: &Filter,
        limit: usize,
        after: Option<Cursor>,
    ) -> Result<Page, CatalogError> {
        let filter = filter.clone();
        let list = move |connection: &Connection| listing::page(connection, &filter, limit, after);
        self.read(list).await
    }

    /// How many entries fit `filter`.
    pub async fn count(&self, filter: &Filter) -> Result<u64, CatalogError> {
        let filter = filter.clone();
        self.read(move |connection| listing::count(connection, &filter))
            .await
    }

    /// What is known of an artifact; none where no entry that may be seen leads to it.
    pub async fn artifact(
        &self,
        tenants: &Tenants,
        digest: &Digest,
    ) -> Result<Option<ArtifactFacts>, CatalogError> {
        let (tenants, digest) = (tenants.clone(), *digest);
        self.read(move |connection| summaries::artifact(connection, &tenants, &digest))
            .await
    }

    /// The artifacts of a trace; none where nothing that may be seen is in it.
    pub async fn trace(
        &self,
        tenants: &Tenants,
        trace: TraceId,
    ) -> Result<Option<TraceArtifacts>, CatalogError> {
        let tenants = tenants.clone();
        self.read(move |connection| summaries::trace(connection, &tenants, trace, MOST_OF_A_TRACE))
            .await
    }

    /// What there is to filter by.
    pub async fn menus(&self, tenants: &Tenants) -> Result<Menus, CatalogError> {
        let tenants = tenants.clone();
        self.read(move |connection| summaries::menus(connection, &tenants))
            .await
    }

    /// Why an artifact of `tenant` is not there: the newest deletion of it, or of all of its tenant's, unless
    /// something refers to it that came later. It is for who was told by the store that it is not there: what
    /// was sent again is there some seconds before it is known here.
    pub async fn tombstone(
        &self,
        tenant: &TenantId,
        digest: &Digest,
    ) -> Result<Option<Tombstone>, CatalogError> {
        let (tenant, digest) = (tenant.clone(), *digest);
        self.read(move |connection| tombstones::of_artifact(connection, &tenant, &digest))
            .await
    }

    /// Those of these artifacts of `tenant` that were deleted and to which nothing refers that came later, and why:
    /// [`KeptBack::holds`] says whether that holds for bytes that are there. Of what goes with a trace nothing
    /// is said for as long as part of the catalog is not known, which may refer to it: also until this process has
    /// read all of it once.
    pub async fn kept_back(
        &self,
        tenant: &TenantId,
        digests: Vec<Digest>,
    ) -> Result<Vec<(Digest, KeptBack)>, CatalogError> {
        let tenant = tenant.clone();
        let is_read = self.shared.is_read.load(Ordering::Relaxed);
        self.read(move |connection| tombstones::of_all_of(connection, &tenant, &digests, is_read))
            .await
    }

    /// When an artifact of `tenant` was deleted last, by itself, with a trace, by its age, or with all of its
    /// tenant's; whether or not something refers to it again.
    pub async fn deleted(
        &self,
        tenant: &TenantId,
        digest: &Digest,
    ) -> Result<Option<Timestamp>, CatalogError> {
        let (tenant, digest) = (tenant.clone(), *digest);
        self.read(move |connection| tombstones::last_of(connection, &tenant, &digest))
            .await
    }

    /// Whose an artifact is: of two where there are more. Who only says that they store it does not count.
    pub(crate) async fn tenants_of(&self, digest: &Digest) -> Result<Vec<TenantId>, CatalogError> {
        let digest = *digest;
        self.read(move |connection| summaries::tenants_of(connection, &digest))
            .await
    }

    /// What an artifact of `tenant` was called when it was last put by itself.
    pub(crate) async fn own_name(
        &self,
        tenant: &TenantId,
        digest: &Digest,
    ) -> Result<Option<String>, CatalogError> {
        let (tenant, digest) = (tenant.clone(), *digest);
        self.read(move |connection| summaries::own_name(connection, &tenant, &digest))
            .await
    }

    /// All deletions that may be seen, newest first.
    pub async fn tombstones(&self, tenants: &Tenants) -> Result<Vec<Tombstone>, CatalogError> {
        let tenants = tenants.clone();
        self.read(move |connection| tombstones::all(connection, &tenants))
            .await
    }

    /// Artifacts of `tenant` that nothing refers to but what was recorded of this trace up to then, those included
    /// that an earlier deletion of it has hidden.
    pub(super) async fn only_in(
        &self,
        tenant: &TenantId,
        trace: TraceId,
        up_to: Timestamp,
    ) -> Result<Vec<Digest>, CatalogError> {
        let tenant = tenant.clone();
        self.read(move |connection| summaries::only_in(connection, &tenant, trace, up_to))
            .await
    }

    /// What of these entries is kept where they are merged.
    pub(super) async fn lasting(&self, entries: Vec<Entry>) -> Result<Lasting, CatalogError> {
        self.read(move |connection| lasting::lasting(connection, entries))
            .await
    }

    /// Adds entries and deletions, and notes that the objects with these keys need not be read again.
    /// Adding anything twice changes nothing.
    pub async fn apply(
        &self,
        entries: Vec<Entry>,
        tombstones: Vec<Tombstone>,
        objects: Vec<String>,
    ) -> Result<Applied, CatalogError> {
        let work = move |connection: &mut Connection| {
            apply::apply(connection, &entries, &tombstones, &objects)
        };
        self.shared.pool.write(work).await
    }

    /// Which of these objects are not in it.
    pub async fn missing(&self, objects: Vec<String>) -> Result<Vec<String>, CatalogError> {
        self.read(move |connection| objects::missing(connection, objects))
            .await
    }

    /// Notes of objects how many of their lines cannot be read. It has to come before it is noted that they
    /// need not be read again.
    pub(super) async fn note_unreadable(
        &self,
        objects: Vec<(String, usize)>,
    ) -> Result<(), CatalogError> {
        let work =
            move |connection: &mut Connection| objects::note_unreadable(connection, &objects);
        self.shared.pool.write(work).await
    }

    /// An object of the bucket with lines that cannot be read, and how many, if there is one.
    pub(super) async fn unreadable(&self) -> Result<Option<(String, usize)>, CatalogError> {
        self.read(objects::unreadable).await
    }

    /// A listing of all objects begins. What it shows goes through [`Index::missing_in`].
    pub(super) async fn begin_listing(&self) -> Result<i64, CatalogError> {
        self.shared.pool.write(objects::begin_listing).await
    }

    /// Which of these objects, shown by that listing, are not in it.
    pub(super) async fn missing_in(
        &self,
        listing: i64,
        objects: Vec<String>,
    ) -> Result<Vec<String>, CatalogError> {
        let work =
            move |connection: &mut Connection| objects::missing_in(connection, listing, objects);
        self.shared.pool.write(work).await
    }

    /// Forgets the objects with keys between these that the listing did not show: they were compacted away.
    /// Their entries stay.
    pub(super) async fn end_listing(
        &self,
        listing: i64,
        (from, to): (&'static str, &'static str),
    ) -> Result<usize, CatalogError> {
        let work =
            move |connection: &mut Connection| objects::end_listing(connection, listing, from, to);
        let forgotten = self.shared.pool.write(work).await?;
        self.shared.is_read.store(true, Ordering::Relaxed);
        Ok(forgotten)
    }

    /// Makes one that has nothing ready for very much. Until [`Index::end_load`] it is slow to answer.
    pub(super) async fn begin_load(&self) -> Result<(), CatalogError> {
        self.shared.pool.write(schema::begin_load).await
    }

    /// Makes it ready for questions again.
    pub(super) async fn end_load(&self) -> Result<(), CatalogError> {
        self.shared.pool.write(schema::end_load).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, CatalogError> {
        self.shared.pool.read(work).await
    }
}

fn failed(path: &Path, source: rusqlite::Error) -> CatalogError {
    CatalogError::Index {
        path: PathBuf::from(path),
        source: Arc::new(source),
    }
}
