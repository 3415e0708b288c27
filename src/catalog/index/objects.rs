//! Which objects of the bucket an index has, and what a listing of all of them showed.

use rusqlite::{Connection, Transaction, TransactionBehavior};

/// A listing of all objects begins; its number.
pub(super) fn begin_listing(connection: &mut Connection) -> rusqlite::Result<i64> {
    connection.query_row(
        "UPDATE about SET listing = listing + 1 RETURNING listing",
        [],
        |row| row.get(0),
    )
}

/// Which of these objects are not in the index.
pub(super) fn missing(
    connection: &Connection,
    objects: Vec<String>,
) -> rusqlite::Result<Vec<String>> {
    let mut known = connection.prepare("SELECT 1 FROM object WHERE key = ?")?;
    let mut missing = Vec::new();
    for object in objects {
        if !known.exists([&object])? {
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
        let mut listed =
            begun.prepare("UPDATE object SET listed = max(listed, ?) WHERE key = ?")?;
        for object in objects {
            if listed.execute((listing, &object))? == 0 {
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
    for object in objects {
        seen.execute([object])?;
    }
    Ok(())
}

/// Forgets those between `from` and `to` that this listing did not show. Returns how many.
pub(super) fn forget(
    connection: &Connection,
    listing: i64,
    from: &str,
    to: &str,
) -> rusqlite::Result<usize> {
    let delete = "DELETE FROM object WHERE key >= ? AND key < ? AND listed < ?";
    connection.execute(delete, (from, to, listing))
}
