use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, Statement, Transaction, params};
use slimspan_artifact::Digest;

use super::super::entry::{Entry, State};
use super::super::filter::Tenants;
use super::super::ids::{EntryId, TraceId};
use super::super::tombstone::{Deleted, KeptBack, Tombstone};
use super::objects;
use super::referred::REFERRED;
use super::rows::{broken, digest, tenant, time};
use crate::tenant::TenantId;

const COLUMNS: &str = "id, time, tenant, digest, trace, reason, hides";

/// Of what is hidden already, the latest that was told of it counts.
const LATEST: &str = "ON CONFLICT (trace, tenant, digest) DO UPDATE SET settled = \
                      max(ifnull(settled, excluded.settled), ifnull(excluded.settled, settled))";

/// What notes that an artifact was hidden with a trace.
pub(super) fn hide(connection: &Connection) -> rusqlite::Result<Statement<'_>> {
    let hide =
        format!("INSERT INTO hidden (trace, tenant, digest, settled) VALUES (?, ?, ?, ?) {LATEST}");
    connection.prepare(&hide)
}

/// When it was last told that a spool gave the store an artifact that was hidden with a trace: so it came to the store
/// for what is deleted.
fn settled(
    connection: &Connection,
    tenant: &TenantId,
    wanted: &Digest,
) -> rusqlite::Result<Option<Timestamp>> {
    let last = "SELECT max(settled) FROM hidden WHERE digest = ? AND tenant = ?";
    let key = params![wanted.as_bytes(), tenant.as_str()];
    let last = connection.query_row(last, key, |row| row.get::<_, Option<i64>>(0))?;
    Ok(last.map(time))
}

/// Keeps a deletion and removes what it hides; whether it is new.
pub(super) fn bury(begun: &Transaction<'_>, tombstone: &Tombstone) -> rusqlite::Result<bool> {
    let Tombstone {
        id,
        time,
        tenant,
        deleted,
        reason,
        ..
    } = tombstone;
    let time = time.as_microsecond();
    let hides = tombstone.hides_up_to().as_microsecond();
    let (digest, trace) = match deleted {
        Deleted::Artifact { digest } => (Some(digest.as_bytes()), None),
        Deleted::Trace { trace } => (None, Some(trace.as_bytes())),
        Deleted::Tenant => (None, None),
    };
    let kept = begun.execute(
        "INSERT OR IGNORE INTO tombstone (id, time, tenant, digest, trace, reason, hides) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        params![
            id.as_bytes(),
            time,
            tenant.as_str(),
            digest,
            trace,
            reason,
            hides
        ],
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
    let parameters = params![hides, tenant.as_str(), key];
    if trace.is_some() {
        let keep = format!(
            "INSERT INTO hidden (trace, tenant, digest, settled) \
             SELECT trace, ?2, digest, max(settled) FROM entry \
             WHERE digest IS NOT NULL AND state > {REFERRED} AND {hidden} \
             GROUP BY trace, digest {LATEST}"
        );
        begun.execute(&keep, parameters)?;
    }
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

/// What was deleted, asked for one entry at a time.
pub(in super::super) struct Covering<'c> {
    /// None where nothing was ever deleted.
    asked: Option<Asked<'c>>,
}

struct Asked<'c> {
    digest: Statement<'c>,
    trace: Statement<'c>,
    tenant: Statement<'c>,
}

/// Whether an entry was deleted.
pub(in super::super) enum Covered {
    No,
    Yes,
    /// With all of a trace, which leads to this artifact.
    WithTrace(TraceId, Digest),
}

impl<'c> Covering<'c> {
    pub(super) fn of(connection: &'c Connection) -> rusqlite::Result<Self> {
        let is_any = connection
            .prepare("SELECT 1 FROM tombstone LIMIT 1")?
            .exists([])?;
        if !is_any {
            return Ok(Self { asked: None });
        }
        let asked = |which: &str| {
            let asked =
                format!("SELECT 1 FROM tombstone WHERE tenant = ? AND hides >= ? AND {which}");
            connection.prepare(&asked)
        };
        Ok(Self {
            asked: Some(Asked {
                digest: asked("digest = ?")?,
                trace: asked("trace = ?")?,
                tenant: asked("digest IS NULL AND trace IS NULL")?,
            }),
        })
    }

    /// Whether an entry was deleted.
    pub(in super::super) fn covers(&mut self, entry: &Entry) -> rusqlite::Result<Covered> {
        let Some(asked) = &mut self.asked else {
            return Ok(Covered::No);
        };
        let (tenant, recorded) = (entry.tenant.as_str(), entry.recorded.as_microsecond());
        if asked.tenant.exists(params![tenant, recorded])? {
            return Ok(Covered::Yes);
        }
        if let Some(digest) = entry.digest
            && asked
                .digest
                .exists(params![tenant, recorded, digest.as_bytes()])?
        {
            return Ok(Covered::Yes);
        }
        if let Some(trace) = entry.trace
            && asked
                .trace
                .exists(params![tenant, recorded, trace.as_bytes()])?
        {
            return Ok(match entry.digest {
                Some(digest) if entry.state != State::Referred => Covered::WithTrace(trace, digest),
                _ => Covered::Yes,
            });
        }
        Ok(Covered::No)
    }
}

pub(super) fn of_artifact(
    connection: &Connection,
    tenant: &TenantId,
    wanted: &Digest,
) -> rusqlite::Result<Option<Tombstone>> {
    let newest = |which: &str| {
        let newest = format!(
            "SELECT {COLUMNS} FROM tombstone WHERE tenant = ?1 AND {which} \
             ORDER BY time DESC, id LIMIT 1"
        );
        let parameters = params![tenant.as_str(), wanted.as_bytes()];
        connection
            .prepare(&newest)?
            .query_row(parameters, read)
            .optional()
    };
    let of_it = newest("digest = ?2")?;
    let of_all = newest("digest IS NULL AND trace IS NULL AND ?2 IS NOT NULL")?;
    let both = of_it.into_iter().chain(of_all);
    let both = both.max_by_key(|tombstone| (tombstone.time, std::cmp::Reverse(tombstone.id)));
    // There are few, and what refers to an artifact is not looked for quickly while very much is read.
    let Some(tombstone) = both else {
        return Ok(None);
    };
    // Who only says that they store it does not bring it back: who has done so is among these, too.
    let mut came_later = connection.prepare(
        "SELECT 1 FROM entry \
         WHERE digest = ? AND state > ? AND +facet IN (SELECT id FROM facet WHERE tenant = ?)",
    )?;
    let is_back = came_later.exists(params![wanted.as_bytes(), REFERRED, tenant.as_str()])?;
    Ok(Some(tombstone).filter(|_| !is_back))
}

/// The same of those of these artifacts to which nothing else can refer, as far as all lines are known: if what there
/// is `is_read`.
pub(super) fn of_all_of(
    connection: &Connection,
    tenant: &TenantId,
    wanted: &[Digest],
    is_read: bool,
) -> rusqlite::Result<Vec<(Digest, KeptBack)>> {
    let mut found = Vec::new();
    for digest in wanted {
        let Some(tombstone) = of_artifact(connection, tenant, digest)? else {
            continue;
        };
        let settled = if tombstone.is_with_a_trace() {
            settled(connection, tenant, digest)?
        } else {
            None
        };
        found.push((*digest, KeptBack { tombstone, settled }));
    }
    let with_a_trace = |of: &KeptBack| of.tombstone.is_with_a_trace();
    let is_complete = || Ok::<_, rusqlite::Error>(is_read && objects::is_complete(connection)?);
    if found.iter().any(|(_, of)| with_a_trace(of)) && !is_complete()? {
        found.retain(|(_, of)| !with_a_trace(of));
    }
    Ok(found)
}

pub(super) fn last_of(
    connection: &Connection,
    tenant: &TenantId,
    wanted: &Digest,
) -> rusqlite::Result<Option<Timestamp>> {
    let last = |which: &str| {
        let last = format!("SELECT max(time) FROM tombstone WHERE tenant = ?1 AND {which}");
        let parameters = params![tenant.as_str(), wanted.as_bytes()];
        connection.query_row(&last, parameters, |row| row.get::<_, Option<i64>>(0))
    };
    let of_it = last("digest = ?2")?;
    let of_all = last("digest IS NULL AND trace IS NULL AND ?2 IS NOT NULL")?;
    Ok(of_it.max(of_all).map(time))
}

pub(super) fn all(connection: &Connection, tenants: &Tenants) -> rusqlite::Result<Vec<Tombstone>> {
    let all = format!("SELECT {COLUMNS} FROM tombstone ORDER BY time DESC, id");
    let mut all = connection.prepare(&all)?;
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
    let (at, hides) = (time(row.get(1)?), time(row.get(6)?));
    Ok(Tombstone {
        id: EntryId::new(&row.get::<_, Vec<u8>>(0)?).ok_or_else(|| broken(0))?,
        time: at,
        up_to: Some(hides).filter(|hides| *hides != at),
        tenant: tenant(&row.get::<_, String>(2)?).ok_or_else(|| broken(2))?,
        deleted,
        reason: row.get(5)?,
    })
}
