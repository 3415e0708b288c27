use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, Row, params};
use slimspan_artifact::Digest;

use super::super::entry::{Entry, State};
use super::super::ids::{EntryId, SpanId, TraceId};
use crate::tenant::TenantId;

/// The columns that [`entry`] reads, of a query over [`FROM`].
pub(super) const COLUMNS: &str = "
    entry.id, entry.recorded, entry.time, facet.tenant, facet.signal, facet.service, entry.trace,
    entry.span, span_name.text, carrier.text, attribute.text, shape.text, entry.digest,
    facet.content_type, entry.size, file_name.text, entry.state, entry.settled, entry.place,
    entry.carrier_index, event_name.text, path.text";

/// The tables that these columns come from.
pub(super) const FROM: &str = "
    entry
    JOIN facet ON facet.id = entry.facet
    JOIN word span_name ON span_name.id = entry.span_name
    JOIN word carrier ON carrier.id = entry.carrier
    JOIN word attribute ON attribute.id = entry.attribute
    JOIN word shape ON shape.id = entry.shape
    LEFT JOIN word file_name ON file_name.id = entry.file_name
    LEFT JOIN word event_name ON event_name.id = entry.event_name
    LEFT JOIN word path ON path.id = entry.path";

pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let signal: String = row.get(4)?;
    let bytes = |column| row.get::<_, Option<Vec<u8>>>(column);
    Ok(Entry {
        id: EntryId::new(&row.get::<_, Vec<u8>>(0)?).ok_or_else(|| broken(0))?,
        recorded: time(row.get(1)?),
        settled: row.get::<_, Option<i64>>(17)?.map(time),
        time: time(row.get(2)?),
        tenant: tenant(&row.get::<_, String>(3)?).ok_or_else(|| broken(3))?,
        signal: Some(signal).filter(|signal| !signal.is_empty()),
        service: row.get(5)?,
        trace: bytes(6)?.as_deref().and_then(TraceId::new),
        span: bytes(7)?.as_deref().and_then(SpanId::new),
        span_name: row.get(8)?,
        carrier: row.get(9)?,
        carrier_index: row.get(19)?,
        event_name: row.get(20)?,
        attribute: row.get(10)?,
        path: row.get(21)?,
        position: position(row.get(18)?),
        shape: row.get(11)?,
        digest: bytes(12)?.as_deref().and_then(digest),
        content_type: row.get(13)?,
        size: row.get::<_, i64>(14)?.cast_unsigned(),
        file_name: row.get(15)?,
        state: state(row.get(16)?),
    })
}

/// Times are kept as microseconds.
pub(super) fn time(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Positions are kept turned round: so what comes first in a span is greatest, as what is newest is.
pub(super) fn place(position: u32) -> i64 {
    -i64::from(position)
}

fn position(place: i64) -> u32 {
    u32::try_from(-place).unwrap_or_default()
}

/// States are kept in their order.
pub(super) fn state(number: i64) -> State {
    let number = usize::try_from(number).unwrap_or_default();
    *State::ALL.get(number).unwrap_or(&State::Stored)
}

pub(super) fn digest(bytes: &[u8]) -> Option<Digest> {
    <[u8; 32]>::try_from(bytes).ok().map(Digest::from)
}

pub(super) fn tenant(name: &str) -> Option<TenantId> {
    name.parse().ok()
}

/// Nobody but this program writes here.
pub(super) fn broken(column: usize) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, String::new(), rusqlite::types::Type::Null)
}

/// The number of a text among the words; it becomes one if it is none.
pub(super) fn word(connection: &rusqlite::Connection, text: &str) -> rusqlite::Result<i64> {
    let known = connection
        .prepare("SELECT id FROM word WHERE text = ?")?
        .query_row([text], |row| row.get(0))
        .optional()?;
    if let Some(known) = known {
        return Ok(known);
    }
    connection.execute("INSERT INTO word (text) VALUES (?)", params![text])?;
    Ok(connection.last_insert_rowid())
}
