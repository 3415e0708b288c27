//! How an index is opened. One that is of something else is thrown away, but never under a process that has it open.

use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension as _, Transaction, TransactionBehavior,
    params,
};

use super::super::error::CatalogError;
use super::failed;
use super::pool::Pool;
use super::schema::{FORMAT, LISTINGS, PAGES_KIB, TABLES};

/// Queries that run at the same time.
const READERS: usize = 4;

/// How long one process waits for another that writes.
const BUSY: Duration = Duration::from_secs(20);

/// How often it is tried to have a file alone that is of something else. Two that begin at once may be in each
/// other's way.
const ATTEMPTS: u32 = 4;

pub(super) fn open(path: &Path, place: &str) -> Result<Pool, CatalogError> {
    open_pausing(path, place, thread::sleep)
}

/// The same with something else than time that passes between two attempts.
fn open_pausing(
    path: &Path,
    place: &str,
    mut pause: impl FnMut(Duration),
) -> Result<Pool, CatalogError> {
    let mut is_thrown_away = false;
    for attempt in 1..=ATTEMPTS {
        match opened(path, place) {
            Ok(Some(pool)) => return Ok(pool),
            Ok(None) => match alone(path, drop_all) {
                Ok(true) => {}
                Ok(false) => {
                    let millis = 10 * attempt + u32::from(rand::random::<u8>() % 50);
                    pause(Duration::from_millis(millis.into()));
                }
                Err(error) if is_unreadable(&error) && !is_thrown_away => {
                    is_thrown_away = true;
                    throw_away(path, &error);
                }
                Err(error) => return Err(failed(path, error)),
            },
            Err(error) if is_unreadable(&error) && !is_thrown_away => {
                // Where not even that can be found out, nobody else can read it, either.
                if matches!(alone(path, |_| Ok(())), Ok(false)) {
                    return Err(failed(path, error));
                }
                is_thrown_away = true;
                throw_away(path, &error);
            }
            Err(error) => return Err(failed(path, error)),
        }
    }
    // The last attempt may have emptied it.
    let emptied = opened(path, place).map_err(|error| failed(path, error))?;
    emptied.ok_or_else(|| CatalogError::InUse {
        path: path.to_owned(),
    })
}

/// The index that the file has, or that comes to be in it where it has nothing; none where it has another one.
fn opened(path: &Path, place: &str) -> rusqlite::Result<Option<Pool>> {
    let mut writer = connect(path, OpenFlags::default())?;
    writer.pragma_update(None, "journal_mode", "wal")?;
    // It can be made anew: a power cut may cost the newest of it, and nothing worse.
    writer.pragma_update(None, "synchronous", "normal")?;
    let begun = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if tables(&begun)?.is_empty() {
        begun.execute_batch(TABLES)?;
        begun.execute(
            "INSERT INTO about VALUES (?, ?, 0, FALSE)",
            params![FORMAT, place],
        )?;
    } else if !is_of(&begun, place)? {
        return Ok(None);
    }
    // Also where a load broke off.
    begun.execute_batch(LISTINGS)?;
    begun.commit()?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let readers = (0..READERS).map(|_| connect(path, flags));
    let readers = readers.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(Some(Pool::new(path, writer, readers)))
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "cache_size", -PAGES_KIB)?;
    Ok(connection)
}

/// Changes a file that nobody else has open; false where somebody has. Whoever has one with a write-ahead log open
/// keeps a lock on it, whichever version that is.
fn alone(
    path: &Path,
    change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<bool> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(Duration::ZERO)?;
    // Before anything is read: the log is not opened without the lock then, either.
    connection.pragma_update(None, "locking_mode", "exclusive")?;
    let begun = match connection.transaction_with_behavior(TransactionBehavior::Exclusive) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
            return Ok(false);
        }
        begun => begun?,
    };
    change(&begun)?;
    begun.commit()?;
    Ok(true)
}

/// Whether it is an index of this format, of that place.
fn is_of(connection: &Connection, place: &str) -> rusqlite::Result<bool> {
    let about = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'about'";
    if !connection.prepare(about)?.exists([])? {
        return Ok(false);
    }
    let about = connection.query_row("SELECT format, place FROM about", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?))
    });
    // One of another format may have no such columns.
    let about = match about.optional() {
        Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == ErrorCode::Unknown => None,
        done => done?,
    };
    Ok(about.is_some_and(|(format, of)| format == FORMAT && of == place))
}

/// Every table, whatever made it.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut tables = connection.prepare(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )?;
    let tables = tables.query_map([], |row| row.get(0))?;
    tables.collect()
}

fn drop_all(begun: &Transaction<'_>) -> rusqlite::Result<()> {
    for table in tables(begun)? {
        let table = table.replace('"', "\"\"");
        begun.execute_batch(&format!("DROP TABLE \"{table}\""))?;
    }
    Ok(())
}

fn is_unreadable(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    matches!(
        code,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

fn throw_away(path: &Path, error: &rusqlite::Error) {
    tracing::warn!(
        "the catalog's index {} cannot be read, it is made anew: {error}",
        path.display()
    );
    for suffix in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        // What is not there need not be removed; what cannot be is told when it is opened again.
        let _ = std::fs::remove_file(name);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    /// Who has the file open lets go of it just before the last attempt.
    #[test]
    fn what_the_last_attempt_emptied_is_opened() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("index.sqlite");
        let mut used = Some(open(&path, "s3://another").unwrap());
        let mut pauses = 0;
        let opened = open_pausing(&path, "s3://one", |_| {
            pauses += 1;
            if pauses == ATTEMPTS - 1 {
                used = None;
            }
        });
        let opened = opened.unwrap();
        assert_eq!(pauses, ATTEMPTS - 1);
        drop(opened);
        let raw = Connection::open(&path).unwrap();
        assert!(is_of(&raw, "s3://one").unwrap());
    }
}
