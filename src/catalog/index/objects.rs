//! Which objects of the bucket an index has, and what a listing of all of them showed.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

/// Who notes what it cannot read.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A listing of all objects begins; its number.
pub(super) fn begin_listing(connection: &mut Connection) -> rusqlite::Result<i64> {
    connection.query_row(
        "UPDATE about SET listing = listing + 1 RETURNING listing",
        [],
        |row| row.get(0),
    )
}

/// Which of these objects are not in the index, or were not read as a whole by another version.
pub(super) fn missing(
    connection: &Connection,
    objects: Vec<String>,
) -> rusqlite::Result<Vec<String>> {
    let others = unread_by_others(connection)?;
    let mut known = connection.prepare("SELECT 1 FROM object WHERE key = ?")?;
    let mut missing = Vec::new();
    for object in objects {
        if others.contains(&object) || !known.exists([&object])? {
            missing.push(object);
        }
    }
    Ok(missing)
}

/// The same, and notes that the others are among those that this listing showed.
pub(super) fn missing_in(
    connection: &mut Connection,
    listing: i64,
    objects: Vec<String>,
) -> rusqlite::Result<Vec<String>> {
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut missing = Vec::new();
    {
        let others = unread_by_others(&begun)?;
        let mut listed =
            begun.prepare("UPDATE object SET listed = max(listed, ?) WHERE key = ?")?;
        for object in objects {
            let is_known = listed.execute((listing, &object))? > 0;
            if !is_known || others.contains(&object) {
                missing.push(object);
            }
        }
    }
    begun.commit()?;
    Ok(missing)
}

/// Notes that these need not be read again.
pub(super) fn add(begun: &Transaction<'_>, objects: &[String]) -> rusqlite::Result<()> {
    let mut seen = begun.prepare(
        "INSERT OR IGNORE INTO object (key, listed) VALUES (?, (SELECT listing FROM about))",
    )?;
    // What this version could not read it has noted by now: what another one could not, it could.
    let mut read = begun.prepare("DELETE FROM unreadable WHERE key = ? AND version <> ?")?;
    for object in objects {
        seen.execute([object])?;
        read.execute((object, VERSION))?;
    }
    Ok(())
}

/// Objects of which another version could not read all lines. Until this one has tried, nobody knows what they
/// refer to, so they are still noted.
fn unread_by_others(connection: &Connection) -> rusqlite::Result<HashSet<String>> {
    let mut keys = connection.prepare("SELECT key FROM unreadable WHERE version <> ?")?;
    let keys = keys.query_map([VERSION], |row| row.get(0))?;
    keys.collect()
}

/// Notes of objects how many of their lines cannot be read.
pub(super) fn note_unreadable(
    connection: &mut Connection,
    objects: &[(String, usize)],
) -> rusqlite::Result<()> {
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for (key, lines) in objects {
        let lines = i64::try_from(*lines).unwrap_or(i64::MAX);
        let note = "INSERT OR REPLACE INTO unreadable (key, lines, version) VALUES (?, ?, ?)";
        begun.execute(note, (key, lines, VERSION))?;
    }
    begun.commit()
}

/// The first object of the bucket that has lines which cannot be read, and how many.
pub(super) fn unreadable(connection: &Connection) -> rusqlite::Result<Option<(String, usize)>> {
    // One that was forgotten is not in the bucket any more.
    let first = "SELECT key, lines FROM unreadable WHERE key IN (SELECT key FROM object) \
                 ORDER BY key LIMIT 1";
    let first = connection.query_row(first, [], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))
    });
    let first = first.optional()?;
    Ok(first.map(|(key, lines)| (key, usize::try_from(lines).unwrap_or(usize::MAX))))
}

/// Whether all lines are known that were in the bucket when it was last listed. They are not before all objects
/// were read once, nor where some lines cannot be.
pub(super) fn is_complete(connection: &Connection) -> rusqlite::Result<bool> {
    // There is no such index while very much is read.
    let filled = "SELECT 1 FROM about JOIN sqlite_master \
                  ON about.filled AND sqlite_master.name = 'entry_by_digest'";
    Ok(connection.prepare(filled)?.exists([])? && unreadable(connection)?.is_none())
}

/// A listing has come to its end, and all that it showed is read: forgets those between `from` and `to` that it did
/// not show. Returns how many.
pub(super) fn end_listing(
    connection: &Connection,
    listing: i64,
    from: &str,
    to: &str,
) -> rusqlite::Result<usize> {
    connection.execute("UPDATE about SET filled = TRUE", [])?;
    let delete = "DELETE FROM object WHERE key >= ? AND key < ? AND listed < ?";
    connection.execute(delete, (from, to, listing))
}
