use rusqlite::{Connection, TransactionBehavior};

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

/// Forgets those under `prefix` that are not among `objects`, which are sorted.
pub(super) fn forget(
    connection: &mut Connection,
    prefix: &str,
    objects: &[String],
) -> rusqlite::Result<()> {
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut known = begun.prepare("SELECT key FROM object WHERE key >= ?")?;
        let known = known.query_map([prefix], |row| row.get::<_, String>(0))?;
        let mut forgotten = Vec::new();
        for key in known {
            let key = key?;
            if !key.starts_with(prefix) {
                break;
            }
            if objects.binary_search(&key).is_err() {
                forgotten.push(key);
            }
        }
        let mut delete = begun.prepare("DELETE FROM object WHERE key = ?")?;
        for key in forgotten {
            delete.execute([key])?;
        }
    }
    begun.commit()
}
