use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use slimspan_artifact::Digest;

use super::record::Key;
use super::{Left, checked, record};
use crate::journal::{Entry, Journal, OpenError, ReadError, Reader};
use crate::tenant::TenantId;

/// A spool that another process may own, to be read from.
pub(in super::super) struct Beside {
    directory: PathBuf,
    index: Mutex<Option<Arc<Index>>>,
}

/// The disk does not give what a spool holds.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum Unread {
    #[error(transparent)]
    Spool(#[from] OpenError),
    #[error(transparent)]
    Record(#[from] ReadError),
}

/// What the spool held at one moment. To find that out all of it is read.
struct Index {
    folder: Folder,
    reader: Reader,
    by_key: HashMap<Key, Entry>,
}

/// The names and lengths of the files in a folder.
type Folder = Vec<(OsString, u64)>;

impl Beside {
    pub(in super::super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            index: Mutex::new(None),
        }
    }

    pub(in super::super) fn is_there(&self) -> bool {
        self.directory.is_dir()
    }

    /// Reads an artifact, and checks it; `None` where none waits. An error says what the disk does not
    /// give. Blocks meanwhile.
    pub(in super::super) fn get(
        &self,
        tenant: &TenantId,
        digest: &Digest,
    ) -> Result<Option<Bytes>, Unread> {
        let key = (tenant.clone(), *digest);
        let index = match self.index_for(&key) {
            Ok(index) => index,
            Err(OpenError::Folder { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        match index.by_key.get(&key) {
            Some(entry) => Ok(checked(index.reader.read(entry), digest)?),
            None => Ok(None),
        }
    }

    /// The index as it is, unless `key` is missing and something has changed since.
    fn index_for(&self, key: &Key) -> Result<Arc<Index>, OpenError> {
        // Who else looks for something waits for the same index.
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = index.as_ref()
            && (index.by_key.contains_key(key)
                || folder(&self.directory).is_ok_and(|now| now == index.folder))
        {
            return Ok(Arc::clone(index));
        }
        *index = None;
        let now = Arc::new(Index::of(&self.directory)?);
        *index = Some(Arc::clone(&now));
        Ok(now)
    }
}

impl Index {
    fn of(directory: &Path) -> Result<Self, OpenError> {
        // Before it is read: what comes meanwhile is a change.
        let folder = folder(directory).unwrap_or_default();
        let reader = Journal::open_read_only(directory)?;
        let mut by_key = HashMap::new();
        for entry in reader.entries() {
            let head = reader.read_beginning(entry, record::HEAD);
            if let Some((key, _)) = head.as_deref().ok().and_then(record::key) {
                by_key.entry(key).or_insert(*entry);
            }
        }
        Ok(Self {
            folder,
            reader,
            by_key,
        })
    }
}

fn folder(directory: &Path) -> io::Result<Folder> {
    let files = fs::read_dir(directory)?.map(|file| {
        let file = file?;
        Ok((file.file_name(), file.metadata()?.len()))
    });
    let mut files: Folder = files.collect::<io::Result<_>>()?;
    files.sort();
    Ok(files)
}

/// What waits in a spool that another process may own. Blocks for as long as reading it takes.
pub(crate) fn left_in(directory: &Path) -> Result<Left, OpenError> {
    let index = Index::of(directory)?;
    let bytes = index.by_key.values().map(|entry| entry.len() as u64);
    Ok(Left {
        artifacts: index.by_key.len(),
        bytes: bytes.sum(),
    })
}

/// Whether a process has the spool in this folder, and so uploads what waits in it.
pub(crate) fn is_open(directory: &Path) -> bool {
    Journal::is_open(directory)
}

/// Which artifacts wait in a spool that another process may own. Blocks for as long as reading it takes.
pub(crate) fn waiting_in(directory: &Path) -> Result<Vec<Key>, OpenError> {
    Ok(Index::of(directory)?.by_key.into_keys().collect())
}

impl std::fmt::Debug for Beside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Beside").field(&self.directory).finish()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use slimspan_artifact::Artifact;

    use super::super::Spool;
    use super::super::config::SpoolConfig;
    use super::*;
    use crate::storage::{Store, StoreConfig};

    fn open(config: &SpoolConfig) -> Spool {
        let store = Store::open(&StoreConfig::new("memory://")).unwrap();
        Spool::open(config, "spool".to_owned(), &store).unwrap()
    }

    fn artifact(number: u8) -> Artifact {
        let bytes = Bytes::from(vec![number; 5_000]);
        Artifact {
            digest: Digest::of(&bytes),
            media_type: "image/png".to_owned(),
            bytes,
        }
    }

    #[tokio::test]
    async fn all_of_a_spool_is_read_once_and_again_when_it_has_changed() {
        let home = tempfile::tempdir().unwrap();
        let config = SpoolConfig {
            directory: home.path().join("spool"),
            ..SpoolConfig::default()
        };
        let tenant = TenantId::default();
        let beside = Beside::new(&config.directory);
        assert!(!beside.is_there());
        let nothing = beside.get(&tenant, &artifact(0).digest);
        assert_eq!(nothing.unwrap(), None);
        let spool = open(&config);
        let artifacts: Vec<_> = (0..20).map(artifact).collect();
        let (late, early) = artifacts.split_last().unwrap();
        spool.keep_all(&tenant, early, |_| false).await.unwrap();

        let found = |digest: &Digest| beside.index_for(&(tenant.clone(), *digest)).unwrap();
        let first = found(&early[0].digest);
        for artifact in early {
            let bytes = beside.get(&tenant, &artifact.digest).unwrap();
            assert_eq!(bytes.as_ref(), Some(&artifact.bytes));
            assert!(Arc::ptr_eq(&found(&artifact.digest), &first));
        }
        // What is not there is not looked for in all of it again, either.
        assert_eq!(beside.get(&tenant, &late.digest).unwrap(), None);
        assert!(Arc::ptr_eq(&found(&late.digest), &first));

        spool
            .keep_all(&tenant, std::slice::from_ref(late), |_| false)
            .await
            .unwrap();
        let read = beside.get(&tenant, &late.digest).unwrap();
        assert_eq!(read, Some(late.bytes.clone()));
        let left = left_in(&config.directory).unwrap();
        assert_eq!(left, spool.left());
    }

    /// By a process that was killed, or by one that goes on writing at this moment.
    #[tokio::test]
    async fn what_is_half_written_waits_only_when_the_rest_is_there() {
        let home = tempfile::tempdir().unwrap();
        let config = SpoolConfig {
            directory: home.path().join("spool"),
            ..SpoolConfig::default()
        };
        let tenant = TenantId::default();
        let both = [artifact(1), artifact(2)];
        let spool = open(&config);
        for one in &both {
            let one = std::slice::from_ref(one);
            spool.keep_all(&tenant, one, |_| false).await.unwrap();
        }
        drop(spool);
        let mut files = folder(&config.directory).unwrap().into_iter();
        let is_segment = |file: &Path| file.extension().is_some_and(|of| of == "segment");
        let segment = files.find(|(name, _)| is_segment(Path::new(name)));
        let segment = config.directory.join(segment.unwrap().0);
        let all = fs::read(&segment).unwrap();
        let half = &all[..all.len() - 1_000];
        fs::write(&segment, half).unwrap();
        let beside = Beside::new(&config.directory);
        let read = || {
            let read = |one: &Artifact| beside.get(&tenant, &one.digest).unwrap();
            both.each_ref().map(read)
        };
        let [first, second] = both.each_ref().map(|one| Some(one.bytes.clone()));
        assert_eq!(read(), [first.clone(), None]);
        // It is for its owner to repair.
        assert!(fs::read(&segment).unwrap() == half);
        fs::write(&segment, &all).unwrap();
        assert_eq!(read(), [first, second]);
    }
}
