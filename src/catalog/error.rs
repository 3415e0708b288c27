use std::path::PathBuf;
use std::sync::Arc;

/// The catalog cannot be read or written. Clones share their cause.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// Its index cannot be opened or asked.
    #[error("the catalog's index {}: {source}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: Arc<rusqlite::Error>,
    },
    /// Its index is of another version, or of another place, and somebody uses it.
    #[error(
        "the catalog's index {} is of another version of slimspan, which has it open", path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The folder of the index cannot be made.
    #[error("the folder of the catalog's index {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: Arc<std::io::Error>,
    },
    /// A query took too long, and was ended.
    #[error("the catalog's index {}: no answer within {limit:?}", path.display())]
    Slow {
        /// The file.
        path: PathBuf,
        /// What it had.
        limit: std::time::Duration,
    },
    /// The bucket does not give or take its objects.
    #[error("the catalog: {0}")]
    Bucket(Arc<crate::storage::BucketError>),
    /// The store does not say whose files it has.
    #[error(transparent)]
    Listing(Arc<crate::storage::ListError>),
    /// What refers to files is not known, so none goes with a trace.
    #[error(
        "the references of the trace are hidden, and its files stay: {lines} lines of {key} cannot be read. A later \
         version of slimspan may have written them: delete the trace once more with that version, or each file \
         by its digest"
    )]
    Unreadable {
        /// The object.
        key: String,
        /// How many.
        lines: usize,
    },
    /// The same, because objects come and go faster than they can be read.
    #[error(
        "the references of the trace are hidden, and its files stay, because the catalog is merged at the moment: \
         delete the trace once more when that has ended"
    )]
    Restless,
    /// The program ends.
    #[error("the catalog is not asked any more: slimspan ends")]
    Ending,
}
