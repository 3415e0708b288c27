use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Statement, params, params_from_iter};
use slimspan_artifact::Digest;

use super::super::entry::Entry;
use super::super::facts::{ArtifactFacts, Count, Menus, TraceArtifacts, TracedSpan};
use super::super::filter::{Filter, Tenants};
use super::super::ids::TraceId;
use super::listing::facets;
use super::referred::{REFERRED, settle};
use super::rows::{COLUMNS, FROM, digest, entry, state, time};
use crate::tenant::TenantId;

/// How many entries there are of an artifact, when the first and the last was, the best state, and how many have a name.
const SUMMARY: &str = "SELECT count(*), min(time), max(time), max(state), count(file_name)";

/// A condition on the facets that may be seen.
pub(super) fn visible(connection: &Connection, tenants: &Tenants) -> rusqlite::Result<String> {
    let filter = Filter {
        tenants: tenants.clone(),
        ..Filter::default()
    };
    let facets = facets(connection, &filter)?;
    if facets.is_all {
        return Ok("1".to_owned());
    }
    let numbers: Vec<String> = facets.wanted.iter().map(ToString::to_string).collect();
    Ok(format!("+entry.facet IN ({})", numbers.join(",")))
}

/// A question about the entries of one artifact that may be seen, by the index that has all that it asks for: a file
/// may be in every span there is.
fn of_artifact<'c>(
    connection: &'c Connection,
    asked: &str,
    which: &str,
) -> rusqlite::Result<Statement<'c>> {
    let by = |index: &str| format!("{asked} FROM entry {index} WHERE digest = ? AND {which}");
    // While very much is read, there is no such index.
    (connection.prepare(&by("INDEXED BY entry_by_digest"))).or_else(|_| connection.prepare(&by("")))
}

pub(super) fn artifact(
    connection: &Connection,
    tenants: &Tenants,
    wanted: &Digest,
) -> rusqlite::Result<Option<ArtifactFacts>> {
    let visible = visible(connection, tenants)?;
    let key = wanted.as_bytes();
    let mut all = of_artifact(connection, SUMMARY, &visible)?;
    let all = all.query_row([key], |row| {
        let references = row.get::<_, i64>(0)?.cast_unsigned();
        let bounds: [Option<i64>; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
        Ok((references, bounds, row.get::<_, i64>(4)? > 0))
    })?;
    let (references, [Some(first), Some(last), Some(best)], is_named) = all else {
        return Ok(None);
    };
    let newest_of = |what: &str, which: &str| {
        let which =
            format!("{visible} AND {which} ORDER BY time DESC, place DESC, id DESC LIMIT 1");
        let mut newest = of_artifact(connection, &format!("SELECT {what}"), &which)?;
        newest
            .query_row([key], |row| row.get::<_, i64>(0))
            .optional()
    };
    // Of those by which more is known than what a sender says, if there is one.
    let from = best.min(REFERRED + 1);
    let Some(number) = newest_of("number", &format!("state >= {from}"))? else {
        // It was deleted meanwhile.
        return Ok(None);
    };
    let newest = format!("SELECT {COLUMNS} FROM {FROM} WHERE entry.number = ?");
    let Some(newest) = (connection.query_row(&newest, [number], entry)).optional()? else {
        return Ok(None);
    };
    let word = if is_named {
        newest_of("file_name", "file_name IS NOT NULL")?
    } else {
        None
    };
    let text = |word: i64| {
        let text = "SELECT text FROM word WHERE id = ?";
        connection.query_row(text, [word], |row| row.get(0))
    };
    let file_name = word.map(text).transpose()?;
    Ok(Some(ArtifactFacts {
        digest: *wanted,
        content_type: newest.content_type,
        size: newest.size,
        file_name,
        state: state(best),
        references,
        first: time(first),
        last: time(last),
    }))
}

/// Whose an artifact is: of two where there are more. Anybody can say that it is theirs to store.
pub(super) fn tenants_of(
    connection: &Connection,
    wanted: &Digest,
) -> rusqlite::Result<Vec<TenantId>> {
    let tenants = "SELECT DISTINCT tenant FROM facet \
                   WHERE id IN (SELECT facet FROM entry WHERE digest = ? AND state > ?) LIMIT 2";
    let mut tenants = connection.prepare(tenants)?;
    let key = params![wanted.as_bytes(), REFERRED];
    let tenants = tenants.query_map(key, |row| row.get::<_, String>(0))?;
    let tenants = tenants.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(tenants.iter().filter_map(|of| of.parse().ok()).collect())
}

/// What an artifact was called when it was last put by itself.
pub(super) fn own_name(
    connection: &Connection,
    tenant: &TenantId,
    wanted: &Digest,
) -> rusqlite::Result<Option<String>> {
    // Those of others are passed over in the index.
    let last = "SELECT word.text FROM entry LEFT JOIN word ON word.id = entry.file_name \
                WHERE entry.digest = ? AND +entry.facet IN ( \
                    SELECT id FROM facet WHERE tenant = ? AND signal = '' \
                ) ORDER BY entry.recorded DESC, entry.id LIMIT 1";
    let key = params![wanted.as_bytes(), tenant.as_str()];
    let last = connection.query_row(last, key, |row| row.get::<_, Option<String>>(0));
    Ok(last.optional()?.flatten())
}

pub(super) fn only_in(
    connection: &Connection,
    tenant: &TenantId,
    trace: TraceId,
    up_to: Timestamp,
) -> rusqlite::Result<Vec<Digest>> {
    // Of an earlier deletion that broke off: those that were there then stand beside it, and those that came
    // to light since are hidden. What senders say they store themselves neither takes files nor keeps them:
    // whoever put one does.
    let mut only = connection.prepare(
        "WITH of_trace (digest) AS ( \
             SELECT entry.digest FROM entry JOIN facet ON facet.id = entry.facet \
             WHERE entry.trace = ?1 AND facet.tenant = ?2 AND entry.digest IS NOT NULL \
             AND entry.state > ?4 \
             UNION SELECT digest FROM hidden WHERE trace = ?1 AND tenant = ?2 \
             UNION SELECT with_it.digest FROM tombstone AS earlier \
             JOIN tombstone AS with_it ON with_it.time = earlier.time \
             WHERE earlier.trace = ?1 AND earlier.tenant = ?2 \
             AND with_it.tenant = ?2 AND with_it.digest IS NOT NULL \
         ) \
         SELECT digest FROM of_trace WHERE NOT EXISTS ( \
             SELECT 1 FROM entry AS other JOIN facet AS of_other ON of_other.id = other.facet \
             WHERE other.digest = of_trace.digest AND of_other.tenant = ?2 \
             AND other.state > ?4 AND (other.trace IS NOT ?1 OR other.recorded > ?3) \
         )",
    )?;
    let up_to = up_to.as_microsecond();
    let key = params![trace.as_bytes(), tenant.as_str(), up_to, REFERRED];
    let only = only.query_map(key, |row| row.get::<_, Vec<u8>>(0))?;
    let digests = only.map(|bytes| bytes.map(|bytes| digest(&bytes)));
    digests.filter_map(Result::transpose).collect()
}

pub(super) fn trace(
    connection: &Connection,
    tenants: &Tenants,
    trace: TraceId,
    most: usize,
) -> rusqlite::Result<Option<TraceArtifacts>> {
    let visible = visible(connection, tenants)?;
    let all = format!(
        "SELECT {COLUMNS} FROM {FROM} WHERE entry.trace = ? AND {visible} \
         ORDER BY entry.time, entry.place DESC, entry.id LIMIT {}",
        most + 1
    );
    let mut all = connection.prepare(&all)?;
    let found = all.query_map([trace.as_bytes()], entry)?;
    let mut found = found.collect::<rusqlite::Result<Vec<Entry>>>()?;
    if found.is_empty() {
        return Ok(None);
    }
    let is_cut = found.len() > most;
    found.truncate(most);
    settle(connection, &mut found)?;
    Ok(Some(TraceArtifacts {
        trace,
        spans: by_span(found),
        is_cut,
    }))
}

/// Entries, oldest first and those of one time as they stand in their span, span by span.
fn by_span(entries: Vec<Entry>) -> Vec<TracedSpan> {
    let mut spans: Vec<TracedSpan> = Vec::new();
    let mut places = BTreeMap::new();
    for entry in entries {
        let place = *places.entry(entry.span).or_insert_with(|| {
            spans.push(TracedSpan {
                span: entry.span,
                name: String::new(),
                service: String::new(),
                time: entry.time,
                entries: Vec::new(),
            });
            spans.len() - 1
        });
        let Some(span) = spans.get_mut(place) else {
            continue;
        };
        // A log record of the span does not know its name, and may be of another time.
        if entry.signal.as_deref() == Some("traces") && span.name.is_empty() {
            span.name.clone_from(&entry.span_name);
            span.time = entry.time;
        }
        if span.service.is_empty() {
            span.service.clone_from(&entry.service);
        }
        span.entries.push(entry);
    }
    spans.sort_by_key(|span| (span.time, span.span));
    spans
}

pub(super) fn menus(connection: &Connection, tenants: &Tenants) -> rusqlite::Result<Menus> {
    let names: Option<Vec<&str>> = match tenants {
        Tenants::All => None,
        Tenants::These(tenants) => Some(tenants.iter().map(TenantId::as_str).collect()),
    };
    let condition = match &names {
        None => "1".to_owned(),
        Some(names) => format!("tenant IN ({})", vec!["?"; names.len()].join(",")),
    };
    let values = || params_from_iter(names.iter().flatten());
    let counts = |column: &str| {
        let counts = format!(
            "SELECT {column}, sum(entries) AS of FROM facet \
             WHERE entries > 0 AND {condition} GROUP BY {column} ORDER BY of DESC, {column}"
        );
        let mut counts = connection.prepare(&counts)?;
        let counts = counts.query_map(values(), |row| {
            Ok(Count {
                value: row.get(0)?,
                entries: row.get::<_, i64>(1)?.cast_unsigned(),
            })
        })?;
        counts.collect::<rusqlite::Result<Vec<_>>>()
    };
    let tenants = counts("tenant")?;
    Ok(Menus {
        services: counts("service")?,
        content_types: counts("content_type")?,
        entries: tenants.iter().map(|tenant| tenant.entries).sum(),
        tenants,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::schema::{LISTINGS, TABLES};
    use super::*;

    /// A file that is in every span there is costs no look into the table for each.
    #[test]
    fn the_places_of_a_file_are_counted_in_the_index() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(TABLES).unwrap();
        connection.execute_batch(LISTINGS).unwrap();
        let asked = format!("EXPLAIN QUERY PLAN {SUMMARY}");
        let mut plan = of_artifact(&connection, &asked, "+entry.facet IN (1, 2)").unwrap();
        let plan = plan.query_map([[0_u8; 32]], |row| row.get::<_, String>(3));
        let plan: Vec<String> = plan.unwrap().map(Result::unwrap).collect();
        let covering = "SEARCH entry USING COVERING INDEX entry_by_digest (digest=?)";
        assert_eq!(plan[0], covering, "{plan:?}");
    }
}
