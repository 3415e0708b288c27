use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Statement, Transaction, TransactionBehavior};
use rusqlite::{params, params_from_iter};
use slimspan_artifact::Digest;

use super::super::entry::Entry;
use super::super::ids::{SpanId, TraceId};
use super::super::tombstone::Tombstone;
use super::objects;
use super::rows::{place, word};
use super::tombstones::{self, Covered, Covering};

/// What was new to an index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Entries that it did not have.
    pub added: usize,
    /// Entries of which a later line came.
    pub changed: usize,
    /// Entries that are deleted already.
    pub hidden: usize,
    /// Deletions that it did not have.
    pub tombstones: usize,
}

pub(super) fn apply(
    connection: &mut Connection,
    entries: &[Entry],
    tombstones: &[Tombstone],
    keys: &[String],
) -> rusqlite::Result<Applied> {
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut applied = Applied::default();
    for tombstone in tombstones {
        applied.tombstones += usize::from(tombstones::bury(&begun, tombstone)?);
    }
    add(&begun, entries, &mut applied)?;
    objects::add(&begun, keys)?;
    begun.commit()?;
    Ok(applied)
}

fn add(begun: &Transaction<'_>, entries: &[Entry], applied: &mut Applied) -> rusqlite::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut covering = Covering::of(begun)?;
    let mut hide = tombstones::hide(begun)?;
    let mut adding = Adding {
        begun,
        known: begun.prepare("SELECT number, time, recorded, settled, state FROM entry WHERE id = ?")?,
        insert: begun.prepare(
            "INSERT INTO entry (id, recorded, settled, time, place, facet, trace, span, span_name, carrier, \
             attribute, shape, digest, size, file_name, state, carrier_index, event_name, path) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?,
        update: begun.prepare("UPDATE entry SET recorded = ?, settled = ?, state = ? WHERE number = ?")?,
        retime: begun.prepare("UPDATE entry SET time = ? WHERE number = ?")?,
        words: HashMap::new(),
        facets: HashMap::new(),
        more: BTreeMap::new(),
    };
    for entry in entries {
        match covering.covers(entry)? {
            Covered::No => {}
            Covered::Yes => {
                applied.hidden += 1;
                continue;
            }
            Covered::WithTrace(trace, digest) => {
                let tenant = entry.tenant.as_str();
                let settled = entry.settled.map(Timestamp::as_microsecond);
                let key = params![trace.as_bytes(), tenant, digest.as_bytes(), settled];
                hide.execute(key)?;
                applied.hidden += 1;
                continue;
            }
        }
        match adding.add(entry)? {
            Outcome::Added => applied.added += 1,
            Outcome::Changed => applied.changed += 1,
            Outcome::Known => {}
        }
    }
    let more = adding.more;
    let mut count = begun.prepare("UPDATE facet SET entries = entries + ? WHERE id = ?")?;
    for (facet, more) in more {
        count.execute([more, facet])?;
    }
    Ok(())
}

enum Outcome {
    Added,
    Changed,
    Known,
}

/// Entries on their way into the tables.
struct Adding<'t> {
    begun: &'t Transaction<'t>,
    known: Statement<'t>,
    insert: Statement<'t>,
    update: Statement<'t>,
    /// Apart from that: most lines about what is known have its time, which is in nearly every index.
    retime: Statement<'t>,
    words: HashMap<String, i64>,
    facets: HashMap<[String; 4], i64>,
    /// How many came to each facet.
    more: BTreeMap<i64, i64>,
}

impl Adding<'_> {
    fn add(&mut self, entry: &Entry) -> rusqlite::Result<Outcome> {
        let recorded = entry.recorded.as_microsecond();
        let settled = entry.settled.map(Timestamp::as_microsecond);
        let state = entry.state as i64;
        let time = entry.time.as_microsecond();
        let known = self.known.query_row([entry.id.as_bytes()], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                row.get::<_, i64>(1)?,
                (row.get(2)?, row.get(3)?, row.get(4)?),
            ))
        });
        if let Some((number, known_time, was)) = known.optional()? {
            // The same order as `Entry::replaces`.
            let is: (i64, Option<i64>, i64) = (recorded, settled, state);
            if is <= was {
                return Ok(Outcome::Known);
            }
            self.update
                .execute(params![recorded, settled, state, number])?;
            if time != known_time {
                self.retime.execute([time, number])?;
            }
            return Ok(Outcome::Changed);
        }
        let facet = self.facet(entry)?;
        let span_name = self.word(&entry.span_name)?;
        let carrier = self.word(&entry.carrier)?;
        let attribute = self.word(&entry.attribute)?;
        let shape = self.word(&entry.shape)?;
        let file_name = self.word_of(entry.file_name.as_deref())?;
        let event_name = self.word_of(entry.event_name.as_deref())?;
        let path = self.word_of(entry.path.as_deref())?;
        self.insert.execute(params![
            entry.id.as_bytes(),
            recorded,
            settled,
            time,
            place(entry.position),
            facet,
            entry.trace.as_ref().map(TraceId::as_bytes),
            entry.span.as_ref().map(SpanId::as_bytes),
            span_name,
            carrier,
            attribute,
            shape,
            entry.digest.as_ref().map(Digest::as_bytes),
            i64::try_from(entry.size).unwrap_or(i64::MAX),
            file_name,
            state,
            entry.carrier_index,
            event_name,
            path,
        ])?;
        *self.more.entry(facet).or_default() += 1;
        Ok(Outcome::Added)
    }

    fn word_of(&mut self, text: Option<&str>) -> rusqlite::Result<Option<i64>> {
        text.map(|text| self.word(text)).transpose()
    }

    fn word(&mut self, text: &str) -> rusqlite::Result<i64> {
        if let Some(word) = self.words.get(text) {
            return Ok(*word);
        }
        let number = word(self.begun, text)?;
        self.words.insert(text.to_owned(), number);
        Ok(number)
    }

    fn facet(&mut self, entry: &Entry) -> rusqlite::Result<i64> {
        let facet = [
            entry.tenant.as_str(),
            &entry.service,
            &entry.content_type,
            entry.signal.as_deref().unwrap_or_default(),
        ];
        let key = facet.map(str::to_owned);
        if let Some(facet) = self.facets.get(&key) {
            return Ok(*facet);
        }
        let find = "SELECT id FROM facet \
                    WHERE tenant = ? AND service = ? AND content_type = ? AND signal = ?";
        let mut found = self.begun.prepare(find)?;
        let found = found.query_row(params_from_iter(facet), |row| row.get(0));
        let number = if let Some(number) = found.optional()? {
            number
        } else {
            let insert = "INSERT INTO facet (tenant, service, content_type, signal, entries) \
                          VALUES (?, ?, ?, ?, 0)";
            self.begun.execute(insert, params_from_iter(facet))?;
            self.begun.last_insert_rowid()
        };
        self.facets.insert(key, number);
        Ok(number)
    }
}
