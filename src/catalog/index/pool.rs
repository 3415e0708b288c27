use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use super::super::error::CatalogError;
use super::failed;

/// Connections to one file: one that writes, and a few that read beside it.
#[derive(Debug)]
pub(super) struct Pool {
    inner: Arc<Inner>,
    /// As many permits as there are readers.
    reading: Arc<Semaphore>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
}

impl Pool {
    pub(super) fn new(path: &Path, writer: Connection, readers: Vec<Connection>) -> Self {
        Self {
            reading: Arc::new(Semaphore::new(readers.len())),
            inner: Arc::new(Inner {
                path: path.to_owned(),
                writer: Mutex::new(writer),
                readers: Mutex::new(readers),
            }),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Reads on a thread that may block, when a connection is free.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let permit = Arc::clone(&self.reading).acquire_owned().await;
        let permit = permit.map_err(|_| CatalogError::Ending)?;
        let inner = Arc::clone(&self.inner);
        let read = spawn_blocking(move || {
            // There are as many as there are permits.
            let reader = inner.readers().pop().ok_or(CatalogError::Ending)?;
            let borrowed = Borrowed {
                reader: Some(reader),
                inner,
                _permit: permit,
            };
            borrowed.lend(work)
        });
        read.await.unwrap_or(Err(CatalogError::Ending))
    }

    /// Writes on a thread that may block, one after the other.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let inner = Arc::clone(&self.inner);
        let write = spawn_blocking(move || {
            let mut writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut writer).map_err(|source| failed(&inner.path, source))
        });
        write.await.unwrap_or(Err(CatalogError::Ending))
    }
}

/// A connection that comes back, also where nobody waits for its answer any more.
struct Borrowed {
    reader: Option<Connection>,
    inner: Arc<Inner>,
    /// Given back after the connection.
    _permit: OwnedSemaphorePermit,
}

impl Borrowed {
    fn lend<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, CatalogError> {
        let reader = self.reader.as_ref().ok_or(CatalogError::Ending)?;
        work(reader).map_err(|source| failed(&self.inner.path, source))
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        self.inner.readers().extend(self.reader.take());
    }
}

impl Inner {
    fn readers(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
