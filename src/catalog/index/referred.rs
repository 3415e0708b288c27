//! References to files that their senders store themselves: what is known of those files.
//!
//! Such a reference may come before its file, or the file never; and what it says of that is its sender's word. So
//! whoever reads it is told of the file as it is by then, where something else in the catalog says more.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, Row, Statement};
use slimspan_artifact::Digest;

use super::super::entry::{Entry, State};
use super::super::filter::Tenants;
use super::rows::state;
use super::summaries::visible;
use crate::tenant::TenantId;

/// As a number in the index: what is more was taken, or put, here.
pub(super) const REFERRED: i64 = State::Referred as i64;

/// What is known of a file.
#[derive(Clone)]
struct Known {
    content_type: String,
    size: u64,
    state: State,
}

/// Puts what is known of files in the place of what was said of them.
pub(super) fn settle(connection: &Connection, entries: &mut [Entry]) -> rusqlite::Result<()> {
    // Once for a tenant, who may have very many services.
    let mut of_tenants: HashMap<TenantId, Vec<Statement<'_>>> = HashMap::new();
    let mut met: HashMap<(TenantId, Digest), Option<Known>> = HashMap::new();
    for entry in entries {
        let Some(digest) = entry.digest.filter(|_| entry.state == State::Referred) else {
            continue;
        };
        let key = (entry.tenant.clone(), digest);
        let known = if let Some(known) = met.get(&key) {
            known.clone()
        } else {
            if !of_tenants.contains_key(&entry.tenant) {
                let questions = questions(connection, &entry.tenant)?;
                of_tenants.insert(entry.tenant.clone(), questions);
            }
            let asked = of_tenants.get_mut(&entry.tenant).into_iter().flatten();
            let known = known(asked, &digest)?;
            met.insert(key, known.clone());
            known
        };
        if let Some(known) = known {
            entry.content_type = known.content_type;
            (entry.size, entry.state) = (known.size, known.state);
        }
    }
    Ok(())
}

/// What asks for the newest entry of a file by which more is known: the usual one first, which is found at once.
fn questions<'c>(
    connection: &'c Connection,
    tenant: &TenantId,
) -> rusqlite::Result<Vec<Statement<'c>>> {
    let visible = visible(connection, &Tenants::one(tenant.clone()))?;
    let newest = |which: &str, order: &str| {
        connection.prepare(&format!(
            "SELECT facet.content_type, newest.size, newest.state FROM ( \
                 SELECT facet, size, state FROM entry INDEXED BY entry_by_digest \
                 WHERE digest = ? AND {which} AND {visible} \
                 ORDER BY {order}time DESC, place DESC, id DESC LIMIT 1 \
             ) AS newest JOIN facet ON facet.id = newest.facet"
        ))
    };
    let stored = newest(&format!("state = {}", State::Stored as i64), "");
    let best = newest(&format!("state > {REFERRED}"), "state DESC, ");
    // While very much is read there is no such index, and all would be gone through for each.
    Ok(stored.into_iter().chain(best).collect())
}

fn known<'s, 'c: 's>(
    questions: impl Iterator<Item = &'s mut Statement<'c>>,
    digest: &Digest,
) -> rusqlite::Result<Option<Known>> {
    for question in questions {
        let known = question.query_row([digest.as_bytes()], read).optional()?;
        if known.is_some() {
            return Ok(known);
        }
    }
    Ok(None)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Known> {
    Ok(Known {
        content_type: row.get(0)?,
        size: row.get::<_, i64>(1)?.cast_unsigned(),
        state: state(row.get(2)?),
    })
}
