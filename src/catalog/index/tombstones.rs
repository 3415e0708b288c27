use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};
use slimspan_artifact::Digest;

use super::super::entry::Entry;
use super::super::filter::Tenants;
use super::super::ids::{EntryId, TraceId};
use super::super::tombstone::{Deleted, Tombstone};
use super::rows::{broken, digest, tenant, time};
use crate::tenant::TenantId;

/// Keeps a deletion and removes what it hides; whether it is new.
pub(super) fn bury(begun: &Transaction<'_>, tombstone: &Tombstone) -> rusqlite::Result<bool> {
    let Tombstone {
        id,
        time,
        tenant,
        deleted,
        reason,
    } = tombstone;
    let time = time.as_microsecond();
    let (digest, trace) = match deleted {
        Deleted::Artifact { digest } => (Some(digest.as_bytes()), None),
        Deleted::Trace { trace } => (None, Some(trace.as_bytes())),
        Deleted::Tenant => (None, None),
    };
    let kept = begun.execute(
        "INSERT OR IGNORE INTO tombstone (id, time, tenant, digest, trace, reason) \
         VALUES (?, ?, ?, ?, ?, ?)",
        params![id.as_bytes(), time, tenant.as_str(), digest, trace, reason],
    )?;
    if kept == 0 {
        return Ok(false);
    }
    let of = match deleted {
        Deleted::Artifact { .. } => "digest = ?3",
        Deleted::Trace { .. } => "trace = ?3",
        Deleted::Tenant => "?3 IS NULL",
    };
    let hidden =
        format!("{of} AND recorded <= ?1 AND facet IN (SELECT id FROM facet WHERE tenant = ?2)");
    let key: Option<&[u8]> = digest
        .map(<[u8; 32]>::as_slice)
        .or_else(|| trace.map(<[u8; 16]>::as_slice));
    let parameters = params![time, tenant.as_str(), key];
    let fewer = {
        let counts = format!("SELECT facet, count(*) FROM entry WHERE {hidden} GROUP BY facet");
        let mut counts = begun.prepare(&counts)?;
        let fewer = counts.query_map(parameters, |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })?;
        fewer.collect::<rusqlite::Result<Vec<_>>>()?
    };
    for (facet, fewer) in fewer {
        let count = "UPDATE facet SET entries = entries - ? WHERE id = ?";
        begun.execute(count, [fewer, facet])?;
    }
    begun.execute(&format!("DELETE FROM entry WHERE {hidden}"), parameters)?;
    Ok(true)
}

/// What was deleted, and when last.
pub(in super::super) struct Covering {
    by_deleted: HashMap<(TenantId, Deleted), i64>,
}

impl Covering {
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut by_deleted = HashMap::new();
        let all = "SELECT id, time, tenant, digest, trace, reason FROM tombstone";
        let mut all = connection.prepare(all)?;
        for found in all.query_map([], read)? {
            let found = found?;
            let time = found.time.as_microsecond();
            let latest = by_deleted.entry((found.tenant, found.deleted));
            let latest = latest.or_insert(time);
            *latest = time.max(*latest);
        }
        Ok(Self { by_deleted })
    }

    /// Whether an entry was deleted.
    pub(in super::super) fn covers(&self, entry: &Entry) -> bool {
        if self.by_deleted.is_empty() {
            return false;
        }
        let digest = entry.digest.map(|digest| Deleted::Artifact { digest });
        let trace = entry.trace.map(|trace| Deleted::Trace { trace });
        [digest, trace, Some(Deleted::Tenant)]
            .into_iter()
            .flatten()
            .any(|deleted| {
                let time = self.by_deleted.get(&(entry.tenant.clone(), deleted));
                time.is_some_and(|time| entry.recorded.as_microsecond() <= *time)
            })
    }
}

pub(super) fn of_artifact(
    connection: &Connection,
    tenant: &TenantId,
    wanted: &Digest,
) -> rusqlite::Result<Option<Tombstone>> {
    let found = connection
        .prepare(
            "SELECT id, time, tenant, digest, trace, reason FROM tombstone \
             WHERE tenant = ?1 AND (digest = ?2 OR digest IS NULL AND trace IS NULL) \
             ORDER BY time DESC, id LIMIT 1",
        )?
        .query_row(params![tenant.as_str(), wanted.as_bytes()], read)
        .optional()?;
    let Some(found) = found else { return Ok(None) };
    let mut came_later = connection.prepare(
        "SELECT 1 FROM entry JOIN facet ON facet.id = entry.facet \
         WHERE entry.digest = ? AND facet.tenant = ?",
    )?;
    let came_later = came_later.exists(params![wanted.as_bytes(), tenant.as_str()])?;
    Ok(Some(found).filter(|_| !came_later))
}

pub(super) fn all(connection: &Connection, tenants: &Tenants) -> rusqlite::Result<Vec<Tombstone>> {
    let mut all = connection.prepare(
        "SELECT id, time, tenant, digest, trace, reason FROM tombstone ORDER BY time DESC, id",
    )?;
    let all = all.query_map([], read)?;
    let visible = |found: &rusqlite::Result<Tombstone>| {
        let found = found.as_ref();
        found.map_or(true, |found| tenants.include(&found.tenant))
    };
    all.filter(visible).collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Tombstone> {
    let bytes = |column| row.get::<_, Option<Vec<u8>>>(column);
    let deleted = match (bytes(3)?, bytes(4)?) {
        (Some(bytes), _) => Deleted::Artifact {
            digest: digest(&bytes).ok_or_else(|| broken(3))?,
        },
        (None, Some(bytes)) => Deleted::Trace {
            trace: TraceId::new(&bytes).ok_or_else(|| broken(4))?,
        },
        (None, None) => Deleted::Tenant,
    };
    Ok(Tombstone {
        id: EntryId::new(&row.get::<_, Vec<u8>>(0)?).ok_or_else(|| broken(0))?,
        time: time(row.get(1)?),
        tenant: tenant(&row.get::<_, String>(2)?).ok_or_else(|| broken(2))?,
        deleted,
        reason: row.get(5)?,
    })
}
