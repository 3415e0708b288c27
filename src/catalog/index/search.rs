//! A query for the newest entries that fit a condition, by one of the indexes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::listing::Facets;
use super::names::Words;

/// A condition, and what stands for its question marks.
pub(super) struct Condition {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
    /// Whether it names the entries themselves that may fit.
    pub(super) is_few: bool,
    /// What no SQL says: only entries with one of these names fit.
    pub(super) words: Option<Words>,
}

impl Condition {
    pub(super) fn new() -> Self {
        Self {
            sql: "1".to_owned(),
            values: Vec::new(),
            is_few: false,
            words: None,
        }
    }

    pub(super) fn and(&mut self, sql: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(sql);
        self.values.extend(values);
    }

    /// The same, only for entries of these facets.
    pub(super) fn of(mut self, facets: &Facets) -> Self {
        if !facets.is_all {
            let numbers: Vec<String> = facets.wanted.iter().map(ToString::to_string).collect();
            // The numbers are ours. The + keeps SQLite from taking another index for them.
            self.and(&format!("+facet IN ({})", numbers.join(",")), []);
        }
        self
    }
}

/// An entry on its way into a page.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    time: i64,
    place: i64,
    id: Vec<u8>,
    pub(super) number: i64,
}

/// A query for the newest entries of an index.
pub(super) struct Search<'c> {
    query: rusqlite::Statement<'c>,
    /// Whether the newest come first.
    is_ordered: bool,
    /// Of what it finds, only what has one of these names.
    words: Option<&'c Words>,
}

impl<'c> Search<'c> {
    pub(super) fn new(
        connection: &'c Connection,
        index: &str,
        condition: &'c Condition,
    ) -> rusqlite::Result<Self> {
        let words = condition.words.as_ref();
        let indexed = format!("INDEXED BY {index}");
        if let Ok(query) = connection.prepare(&newest(&indexed, condition, true)) {
            let is_ordered = true;
            return Ok(Self {
                query,
                is_ordered,
                words,
            });
        }
        // While very much is read, there is no such index. To put in order what other names are among would take
        // room for all of it.
        let is_ordered = words.is_none();
        let query = connection.prepare(&newest("", condition, is_ordered))?;
        Ok(Self {
            query,
            is_ordered,
            words,
        })
    }

    /// For those that are named by their numbers.
    pub(super) fn of_few(
        connection: &'c Connection,
        condition: &'c Condition,
    ) -> rusqlite::Result<Self> {
        let query = connection.prepare(&newest("NOT INDEXED", condition, true))?;
        let words = condition.words.as_ref();
        Ok(Self {
            query,
            is_ordered: true,
            words,
        })
    }

    pub(super) fn run(
        mut self,
        values: &[Value],
        limit: usize,
    ) -> rusqlite::Result<Vec<Candidate>> {
        self.again(values, limit)
    }

    pub(super) fn again(
        &mut self,
        values: &[Value],
        limit: usize,
    ) -> rusqlite::Result<Vec<Candidate>> {
        let words = self.words;
        // How many with other names stand in between is not known: all of them is -1.
        let most = match words {
            None => i64::try_from(limit).unwrap_or(i64::MAX),
            Some(_) => -1,
        };
        let most = Value::Integer(most);
        let values = values.iter().chain([&most]);
        let mut rows = self.query.query(params_from_iter(values))?;
        let mut found = BinaryHeap::new();
        while let Some(row) = rows.next()? {
            if let Some(words) = words
                && !words.name(row, 4, 5)?
            {
                continue;
            }
            found.push(Reverse(Candidate {
                time: row.get(0)?,
                place: row.get(1)?,
                id: row.get(2)?,
                number: row.get(3)?,
            }));
            if found.len() < limit {
                continue;
            }
            if self.is_ordered {
                break;
            }
            if found.len() > limit {
                // The oldest of them.
                found.pop();
            }
        }
        let found = found.into_iter().map(|Reverse(candidate)| candidate);
        Ok(found.collect())
    }
}

/// What asks for the newest entries that fit, `by` one of the indexes; the last question mark is how many.
fn newest(by: &str, condition: &Condition, is_ordered: bool) -> String {
    // Not every index has the names.
    let names = match condition.words {
        None => "",
        Some(_) => ", span_name, file_name",
    };
    let order = if is_ordered {
        "ORDER BY time DESC, place DESC, id DESC "
    } else {
        ""
    };
    format!(
        "SELECT time, place, id, number{names} FROM entry {by} WHERE {} {order}LIMIT ?",
        condition.sql
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::schema::{LISTINGS, TABLES};
    use super::*;

    /// Whose an entry is the index of its file, its trace or its span says itself: those of others cost no look into the
    /// table, however many there are.
    #[test]
    fn entries_of_others_are_passed_over_in_the_index() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(TABLES).unwrap();
        connection.execute_batch(LISTINGS).unwrap();
        for (of, which) in [
            ("digest", "digest = ?"),
            ("trace", "trace = ?"),
            ("span", "span = ?"),
            ("state", "state = 0 AND state < 4 AND ? IS NULL"),
        ] {
            let index = format!("entry_by_{of}");
            let root = "SELECT rootpage FROM sqlite_master WHERE name = ?";
            let root = connection.query_row(root, [&index], |row| row.get::<_, i64>(0));
            let root = root.unwrap();
            let position = "SELECT seqno FROM pragma_index_info(?) WHERE name = 'facet'";
            let position = connection.query_row(position, [&index], |row| row.get::<_, i64>(0));
            let position = position.unwrap();
            let mut condition = Condition::new().of(&Facets {
                wanted: vec![1, 2, 3],
                entries: 3,
                all: 4,
                is_all: false,
            });
            condition.and(which, [Value::Null]);
            let program = newest(&format!("INDEXED BY {index}"), &condition, true);
            let mut program = connection.prepare(&format!("EXPLAIN {program}")).unwrap();
            let program = program.query_map([Value::Null, Value::Null], |row| {
                Ok((
                    row.get::<_, String>(1)?,
                    row.get::<_, i64>(2)?,
                    row.get::<_, i64>(3)?,
                ))
            });
            let program: Vec<_> = program.unwrap().map(Result::unwrap).collect();
            let opened = program
                .iter()
                .find(|(code, _, page)| code == "OpenRead" && *page == root);
            let (_, cursor, _) = opened.unwrap();
            let read = ("Column".to_owned(), *cursor, position);
            assert!(program.contains(&read), "{of}: {program:?}");
        }
    }
}
