use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, InterruptHandle};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::super::error::CatalogError;
use super::failed;

/// How long one query may take, its turn included. No answer is worth more, and others wait for its connection.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// Connections to one file: one that writes, and a few that read beside it.
#[derive(Debug)]
pub(super) struct Pool {
    inner: Arc<Inner>,
    /// As many permits as there are readers.
    reading: Arc<Semaphore>,
    limit: Duration,
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
            limit: LIMIT,
        }
    }

    /// The same with another limit.
    #[cfg(test)]
    pub(super) fn limited(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    pub(super) fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Reads on a thread that may block, when a connection is free. What takes too long, or what nobody waits
    /// for any more, is ended.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let query = Query::default();
        // Also where this is dropped.
        let _end = End(query.clone());
        let read = async {
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
                borrowed.lend(&query, work)
            });
            read.await.unwrap_or(Err(CatalogError::Ending))
        };
        timeout(self.limit, read).await.unwrap_or_else(|_| {
            Err(CatalogError::Slow {
                path: self.path().to_owned(),
                limit: self.limit,
            })
        })
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

/// A query that runs, or will, or did.
#[derive(Clone, Default)]
struct Query(Arc<Mutex<Running>>);

#[derive(Default)]
enum Running {
    #[default]
    NotYet,
    On(InterruptHandle),
    /// It is over, or nobody wants it any more.
    Over,
}

impl Query {
    /// It begins on this connection; false if nobody wants it any more.
    fn begins(&self, reader: &Connection) -> bool {
        let mut running = self.running();
        if matches!(*running, Running::Over) {
            return false;
        }
        *running = Running::On(reader.get_interrupt_handle());
        true
    }

    /// It runs no more: whoever has its connection next is not interrupted for it.
    fn ends(&self) {
        let mut running = self.running();
        if let Running::On(handle) = &*running {
            handle.interrupt();
        }
        *running = Running::Over;
    }

    fn ended(&self) {
        *self.running() = Running::Over;
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a query when it is dropped.
struct End(Query);

impl Drop for End {
    fn drop(&mut self) {
        self.0.ends();
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
        query: &Query,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, CatalogError> {
        let reader = self.reader.as_ref().ok_or(CatalogError::Ending)?;
        if !query.begins(reader) {
            return Err(CatalogError::Ending);
        }
        let read = of_one_moment(reader, work);
        query.ended();
        read.map_err(|source| failed(&self.inner.path, source))
    }
}

/// Several statements are to see the same: between two of them an entry may be replaced, or hidden by a deletion.
fn of_one_moment<T>(
    reader: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let moment = reader.unchecked_transaction()?;
    work(&moment)
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const FOR_EVER: &str = "WITH RECURSIVE counted (number) AS \
        (SELECT 1 UNION ALL SELECT number + 1 FROM counted) SELECT count(*) FROM counted";

    /// A query that takes too long ends with its time, and one that nobody waits for ends with that; both give
    /// their connection back.
    #[tokio::test]
    async fn no_query_keeps_a_connection_for_ever() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("index");
        let open = || Connection::open(&path).unwrap();
        let pool = Pool::new(&path, open(), vec![open()]);
        let pool = pool.limited(Duration::from_millis(100));
        let count = |connection: &Connection| {
            connection.query_row(FOR_EVER, [], |row| row.get::<_, i64>(0))
        };
        let slow = pool.read(count).await.unwrap_err();
        assert!(matches!(slow, CatalogError::Slow { .. }), "{slow}");
        let pool = pool.limited(Duration::from_mins(1));
        let one = |connection: &Connection| {
            connection.query_row("SELECT 1", [], |row| row.get::<_, i64>(0))
        };
        assert_eq!(pool.read(one).await.unwrap(), 1);
        let dropped = timeout(Duration::from_millis(50), pool.read(count)).await;
        assert!(dropped.is_err());
        assert_eq!(pool.read(one).await.unwrap(), 1);
    }

    /// What is written while a query is between two statements is not seen by the second one, and is by the
    /// next query.
    #[tokio::test]
    async fn all_statements_of_a_query_see_one_moment() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("index");
        let writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "wal").unwrap();
        writer.execute_batch("CREATE TABLE entry (number)").unwrap();
        let pool = Pool::new(&path, writer, vec![Connection::open(&path).unwrap()]);
        let count = |connection: &Connection| {
            connection.query_row("SELECT count(*) FROM entry", [], |row| row.get::<_, i64>(0))
        };
        let (read, first) = std::sync::mpsc::channel();
        let (wrote, second) = std::sync::mpsc::channel();
        let twice = pool.read(move |connection| {
            let before = count(connection)?;
            read.send(()).unwrap();
            second.recv().unwrap();
            Ok((before, count(connection)?))
        });
        let between = async {
            pool.write(move |connection| {
                first.recv().unwrap();
                let wrote_it = connection.execute("INSERT INTO entry VALUES (1)", []);
                wrote.send(()).unwrap();
                wrote_it
            })
            .await
        };
        let (twice, between) = tokio::join!(twice, between);
        assert_eq!((twice.unwrap(), between.unwrap()), ((0, 0), 1));
        assert_eq!(pool.read(count).await.unwrap(), 1);
    }
}
