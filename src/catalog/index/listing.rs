use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::super::entry::State;
use super::super::filter::{Cursor, Filter, MAX_PAGE, Page, Tenants};
use super::names::{self, Named};
use super::referred::settle;
use super::rows::{COLUMNS, FROM, entry, place};
use super::search::{Candidate, Condition, Search};

/// So many facets are asked one by one before all entries are gone through in their order.
const MOST_FACETS: usize = 2_000;

/// Entries of facets that are not wanted, and are gone through where more facets are wanted than are worth
/// asking one by one.
const FEW_FACETS: usize = 4;

/// So few entries are put in order by themselves. Where more fit, there is a page of them among the newest.
pub(super) const FEW: usize = if cfg!(test) { 20 } else { 5_000 };

/// The facets that a filter leaves, and how many entries they have.
pub(super) struct Facets {
    pub(super) wanted: Vec<i64>,
    pub(super) entries: i64,
    pub(super) all: i64,
    pub(super) is_all: bool,
}

pub(super) fn page(
    connection: &Connection,
    filter: &Filter,
    limit: usize,
    after: Option<Cursor>,
) -> rusqlite::Result<Page> {
    let limit = limit.clamp(1, MAX_PAGE);
    let facets = facets(connection, filter)?;
    if facets.wanted.is_empty() {
        return Ok(Page::default());
    }
    // One more tells whether there is another page.
    let mut candidates = candidates(connection, filter, &facets, limit + 1, after)?;
    candidates.sort_unstable_by(|a, b| b.cmp(a));
    let has_more = candidates.len() > limit;
    candidates.truncate(limit);
    let whole = format!("SELECT {COLUMNS} FROM {FROM} WHERE entry.number = ?");
    let mut whole = connection.prepare(&whole)?;
    let mut entries = Vec::with_capacity(candidates.len());
    for candidate in &candidates {
        entries.push(whole.query_row([candidate.number], entry)?);
    }
    let next = entries.last().map(Cursor::behind).filter(|_| has_more);
    settle(connection, &mut entries)?;
    Ok(Page { entries, next })
}

pub(super) fn count(connection: &Connection, filter: &Filter) -> rusqlite::Result<u64> {
    let facets = facets(connection, filter)?;
    let Some(condition) = condition(connection, filter, None)? else {
        return Ok(0);
    };
    let mut condition = condition.of(&facets);
    for (id, of) in ids(filter) {
        condition.and(&format!("{of} = ?"), [Value::Blob(id)]);
    }
    let values = params_from_iter(&condition.values);
    let Some(words) = &condition.words else {
        let count = format!("SELECT count(*) FROM entry WHERE {}", condition.sql);
        let count = connection.query_row(&count, values, |row| row.get::<_, i64>(0))?;
        return Ok(count.cast_unsigned());
    };
    let names = format!(
        "SELECT span_name, file_name FROM entry WHERE {}",
        condition.sql
    );
    let mut names = connection.prepare(&names)?;
    let (mut names, mut count) = (names.query(values)?, 0);
    while let Some(row) = names.next()? {
        count += u64::from(words.name(row, 0, 1)?);
    }
    Ok(count)
}

/// The ids of a filter, what has the fewest entries first.
fn ids(filter: &Filter) -> impl Iterator<Item = (Vec<u8>, &'static str)> {
    let ids = [
        (
            filter.digest.map(|digest| digest.as_bytes().to_vec()),
            "digest",
        ),
        (filter.span.map(|span| span.as_bytes().to_vec()), "span"),
        (filter.trace.map(|trace| trace.as_bytes().to_vec()), "trace"),
    ];
    ids.into_iter().filter_map(|(id, of)| Some((id?, of)))
}

/// The facets of a filter.
pub(super) fn facets(connection: &Connection, filter: &Filter) -> rusqlite::Result<Facets> {
    let mut all = connection
        .prepare("SELECT id, tenant, service, content_type, signal, entries FROM facet")?;
    let mut rows = all.query([])?;
    let mut facets = Facets {
        wanted: Vec::new(),
        entries: 0,
        all: 0,
        is_all: true,
    };
    while let Some(row) = rows.next()? {
        let text = |column: usize| row.get_ref(column)?.as_str().map_err(Into::into);
        let text = |column| -> rusqlite::Result<&str> { text(column) };
        let entries: i64 = row.get(5)?;
        facets.all += entries;
        let tenant = match &filter.tenants {
            Tenants::All => true,
            Tenants::These(tenants) => {
                let tenant = text(1)?;
                tenants.iter().any(|visible| visible.as_str() == tenant)
            }
        };
        let service = match &filter.service {
            Some(service) => text(2)? == service,
            None => true,
        };
        let content_type = match &filter.content_type {
            Some(pattern) => pattern.fits(text(3)?),
            None => true,
        };
        let signal = match &filter.signal {
            Some(signal) => text(4)? == signal,
            None => true,
        };
        if tenant && service && content_type && signal {
            if entries > 0 {
                facets.wanted.push(row.get(0)?);
                facets.entries += entries;
            }
        } else {
            facets.is_all = false;
        }
    }
    Ok(facets)
}

fn candidates(
    connection: &Connection,
    filter: &Filter,
    facets: &Facets,
    limit: usize,
    after: Option<Cursor>,
) -> rusqlite::Result<Vec<Candidate>> {
    let Some(condition) = condition(connection, filter, after)? else {
        return Ok(Vec::new());
    };
    let mut exact = ids(filter);
    if let Some((id, of)) = exact.next() {
        let mut condition = condition.of(facets);
        condition.and(&format!("{of} = ?"), [Value::Blob(id)]);
        for (id, of) in exact {
            condition.and(&format!("+{of} = ?"), [Value::Blob(id)]);
        }
        let found = Search::new(connection, &format!("entry_by_{of}"), &condition)?;
        return found.run(&condition.values, limit);
    }
    if condition.is_few {
        let condition = condition.of(facets);
        let found = Search::of_few(connection, &condition)?;
        return found.run(&condition.values, limit);
    }
    if let Some(index) = rare(connection, filter)? {
        let condition = condition.of(facets);
        let found = Search::new(connection, index, &condition)?;
        return found.run(&condition.values, limit);
    }
    // Each facet costs a page; to go through all in their order costs what is not wanted in between.
    let rarity = facets.all / facets.entries.max(1);
    let wanted = i64::try_from(facets.wanted.len()).unwrap_or(i64::MAX);
    let is_rare = wanted < rarity && facets.wanted.len() <= MOST_FACETS;
    if facets.is_all || !is_rare && facets.wanted.len() > FEW_FACETS {
        let condition = condition.of(facets);
        let found = Search::new(connection, "entry_by_time", &condition)?;
        return found.run(&condition.values, limit);
    }
    let mut condition = condition;
    let mut values = std::mem::take(&mut condition.values);
    condition.and("facet = ?", []);
    let mut search = Search::new(connection, "entry_by_facet", &condition)?;
    let mut found = Vec::new();
    for facet in &facets.wanted {
        values.push(Value::Integer(*facet));
        found.extend(search.again(&values, limit)?);
        values.pop();
        if found.len() > 2 * limit {
            found.sort_unstable_by(|a: &Candidate, b| b.cmp(a));
            found.truncate(limit);
        }
    }
    Ok(found)
}

/// An index by which few entries fit the filter, if there is one.
fn rare(connection: &Connection, filter: &Filter) -> rusqlite::Result<Option<&'static str>> {
    if filter.state.is_some_and(|state| state != State::Stored) {
        return Ok(Some("entry_by_state"));
    }
    if filter.min_size.is_none() && filter.max_size.is_none() {
        return Ok(None);
    }
    let (smallest, largest) = (filter.min_size.unwrap_or(0), filter.max_size);
    let size = |size: u64| i64::try_from(size).unwrap_or(i64::MAX);
    let probe = "SELECT count(*) FROM ( \
        SELECT 1 FROM entry WHERE size >= ? AND size <= ? LIMIT ?)";
    let most = i64::try_from(FEW).unwrap_or(i64::MAX);
    let found: i64 = connection.query_row(
        probe,
        [size(smallest), size(largest.unwrap_or(u64::MAX)), most],
        |row| row.get(0),
    )?;
    Ok((found < most).then_some("entry_by_size"))
}

/// All of a filter but its facets and ids; none where nothing can fit.
fn condition(
    connection: &Connection,
    filter: &Filter,
    after: Option<Cursor>,
) -> rusqlite::Result<Option<Condition>> {
    let mut condition = Condition::new();
    let size = |size: u64| Value::Integer(i64::try_from(size).unwrap_or(i64::MAX));
    if let Some(since) = filter.since {
        condition.and("time >= ?", [Value::Integer(since.as_microsecond())]);
    }
    if let Some(until) = filter.until {
        condition.and("time < ?", [Value::Integer(until.as_microsecond())]);
    }
    if let Some(Cursor { time, position, id }) = after {
        let (time, place) = (Value::Integer(time), Value::Integer(place(position)));
        let id = Value::Blob(id.as_bytes().to_vec());
        condition.and("(time, place, id) < (?, ?, ?)", [time, place, id]);
    }
    if let Some(smallest) = filter.min_size {
        condition.and("size >= ?", [size(smallest)]);
    }
    if let Some(largest) = filter.max_size {
        condition.and("size <= ?", [size(largest)]);
    }
    if let Some(state) = filter.state {
        // As numbers, so that the index of those that are not stored is known to fit.
        condition.and(&format!("state = {}", state as i64), []);
        if state != State::Stored {
            condition.and(&format!("state < {}", State::Stored as i64), []);
        }
    }
    if let Some(name) = &filter.name {
        match names::with(connection, name)? {
            Named::None => return Ok(None),
            Named::Few(numbers) => {
                condition.and(&format!("number IN ({numbers})"), []);
                condition.is_few = true;
            }
            Named::Many(words) => condition.words = Some(words),
        }
    }
    Ok(Some(condition))
}
