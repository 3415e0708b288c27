//! What an index consists of.

use rusqlite::Connection;

/// Another number throws away what an earlier version made.
pub(super) const FORMAT: i64 = 10;

/// The memory that one connection may keep pages in, in KiB.
pub(super) const PAGES_KIB: i64 = 8 << 10;

pub(super) const TABLES: &str = "
    CREATE TABLE about (
        format INTEGER NOT NULL,
        place TEXT NOT NULL,
        -- The last listing of all objects, and of each object the last one that showed it.
        listing INTEGER NOT NULL,
        -- Whether one of them has come to its end, with all objects read.
        filled INTEGER NOT NULL
    );
    -- Texts that come again and again.
    CREATE TABLE word (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
    -- What entries have in common that people choose by, and how many have it.
    CREATE TABLE facet (
        id INTEGER PRIMARY KEY,
        tenant TEXT NOT NULL,
        service TEXT NOT NULL,
        content_type TEXT NOT NULL,
        signal TEXT NOT NULL,
        entries INTEGER NOT NULL,
        UNIQUE (tenant, service, content_type, signal)
    );
    CREATE TABLE entry (
        number INTEGER PRIMARY KEY,
        id BLOB NOT NULL,
        recorded INTEGER NOT NULL,
        settled INTEGER,
        time INTEGER NOT NULL,
        -- The position in its span, turned round.
        place INTEGER NOT NULL,
        facet INTEGER NOT NULL,
        trace BLOB,
        span BLOB,
        span_name INTEGER NOT NULL,
        carrier INTEGER NOT NULL,
        attribute INTEGER NOT NULL,
        shape INTEGER NOT NULL,
        digest BLOB,
        size INTEGER NOT NULL,
        file_name INTEGER,
        state INTEGER NOT NULL,
        -- On which of the events or links of its span, and where in the value of the attribute.
        carrier_index INTEGER,
        event_name INTEGER,
        path INTEGER
    );
    CREATE UNIQUE INDEX entry_by_id ON entry (id);
    CREATE TABLE object (key TEXT PRIMARY KEY, listed INTEGER NOT NULL) WITHOUT ROWID;
    -- Of these objects some lines could not be read: they may refer to anything.
    -- Another version than the one that noted it tries again.
    CREATE TABLE unreadable (
        key TEXT PRIMARY KEY,
        lines INTEGER NOT NULL,
        version TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE tombstone (
        id BLOB PRIMARY KEY,
        time INTEGER NOT NULL,
        tenant TEXT NOT NULL,
        digest BLOB,
        trace BLOB,
        reason TEXT NOT NULL,
        -- Entries that were recorded up to then are hidden.
        hides INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX tombstone_by_digest ON tombstone (digest, tenant, hides) WHERE digest IS NOT NULL;
    CREATE INDEX tombstone_by_trace ON tombstone (trace, tenant, hides) WHERE trace IS NOT NULL;
    CREATE INDEX tombstone_by_tenant ON tombstone (tenant, hides)
        WHERE digest IS NULL AND trace IS NULL;
    CREATE INDEX tombstone_by_time ON tombstone (time);
    -- What was hidden with a trace: a deletion that broke off, or did not know of it, is made good by the next.
    CREATE TABLE hidden (
        trace BLOB NOT NULL,
        tenant TEXT NOT NULL,
        digest BLOB NOT NULL,
        -- When it was last told what became of it in a spool.
        settled INTEGER,
        PRIMARY KEY (trace, tenant, digest)
    ) WITHOUT ROWID;
    CREATE INDEX hidden_by_digest ON hidden (digest, tenant, settled);
";

/// What listings need. Many entries are in sooner where these come last.
pub(super) const LISTINGS: &str = "
    CREATE INDEX IF NOT EXISTS entry_by_time
        ON entry (time, place, id, facet, size, span_name, file_name, state);
    CREATE INDEX IF NOT EXISTS entry_by_facet
        ON entry (facet, time, place, id, size, span_name, file_name, state);
    -- Of one file, trace or span few have the same time and place: those are put in order by their ids then. Whose an
    -- entry is stands here too: one that may not be seen is passed over without a look into the table. A file may be in
    -- very many places: what is told of all of them stands here, too.
    CREATE INDEX IF NOT EXISTS entry_by_digest
        ON entry (digest, time, place, facet, state, file_name) WHERE digest IS NOT NULL;
    CREATE INDEX IF NOT EXISTS entry_by_trace
        ON entry (trace, time, place, facet) WHERE trace IS NOT NULL;
    CREATE INDEX IF NOT EXISTS entry_by_span
        ON entry (span, time, place, facet) WHERE span IS NOT NULL;
    CREATE INDEX IF NOT EXISTS entry_by_size ON entry (size);
    CREATE INDEX IF NOT EXISTS entry_by_state 
        ON entry (state, time, place, id, facet, size, span_name, file_name) WHERE state < 4;
    CREATE INDEX IF NOT EXISTS entry_by_span_name ON entry (span_name);
    CREATE INDEX IF NOT EXISTS entry_by_file_name ON entry (file_name) WHERE file_name IS NOT NULL;
";

const NO_LISTINGS: &str = "
    DROP INDEX IF EXISTS entry_by_time;
    DROP INDEX IF EXISTS entry_by_facet;
    DROP INDEX IF EXISTS entry_by_digest;
    DROP INDEX IF EXISTS entry_by_trace;
    DROP INDEX IF EXISTS entry_by_span;
    DROP INDEX IF EXISTS entry_by_size;
    DROP INDEX IF EXISTS entry_by_state;
    DROP INDEX IF EXISTS entry_by_span_name;
    DROP INDEX IF EXISTS entry_by_file_name;
";

/// What the writer may keep pages in while very much is written, in KiB.
const PAGES_OF_MANY_KIB: i64 = 48 << 10;

/// Makes an index that has nothing ready for very much. Until [`end_load`] it is slow to answer.
pub(super) fn begin_load(connection: &mut Connection) -> rusqlite::Result<()> {
    let begun = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let is_any = begun.prepare("SELECT 1 FROM entry LIMIT 1")?.exists([])?;
    if !is_any {
        begun.execute_batch(NO_LISTINGS)?;
    }
    begun.commit()?;
    if !is_any {
        connection.pragma_update(None, "cache_size", -PAGES_OF_MANY_KIB)?;
    }
    Ok(())
}

/// Makes it ready for questions again, whatever came of the load.
pub(super) fn end_load(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.execute_batch(LISTINGS)?;
    connection.pragma_update(None, "cache_size", -PAGES_KIB)?;
    connection.execute_batch("PRAGMA shrink_memory; PRAGMA wal_checkpoint(TRUNCATE);")
}
