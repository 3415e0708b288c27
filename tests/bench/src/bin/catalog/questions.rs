//! What people and programs ask a catalog for.

use std::error::Error;
use std::time::{Duration, Instant};

use slimspan::catalog::{Catalog, Cursor, Filter, State, Tenants, TypePattern};
use tokio::runtime::Runtime;

use super::entries::{EVERYWHERE, OF_A_TRACE, hex, service};

/// How often each is asked.
pub(super) const TIMES: u64 = 200;

/// The entries of a page.
const PAGE: usize = 50;

/// The slowest answer but for one in a hundred.
pub(super) const ANSWER: Duration = Duration::from_millis(100);

/// How long one kind of question takes.
pub(super) struct Question {
    pub(super) what: String,
    pub(super) limit: Duration,
    pub(super) median: Duration,
    pub(super) slowest: Duration,
}

type Asked = Result<Vec<Question>, Box<dyn Error>>;

/// Asks everything, with other words each time.
pub(super) fn all(catalog: &Catalog, entries: u64, runtime: &Runtime) -> Asked {
    let mut questions = Vec::new();
    let some = |turn: u64| turn * 7_919 % entries;
    let everywhere = hex("file", EVERYWHERE, 64).parse()?;
    let filters: [(&str, &dyn Fn(u64) -> Filter); 18] = [
        ("the newest", &|_| Filter::default()),
        ("of one tenant", &|turn| Filter {
            tenants: format!("tenant-{}", turn % 5)
                .parse()
                .map_or(Tenants::All, Tenants::one),
            ..Filter::default()
        }),
        ("by service", &|turn| Filter {
            service: Some(service(turn)),
            ..Filter::default()
        }),
        ("by a service that is rare", &|_| Filter {
            service: Some("service-49".to_owned()),
            ..Filter::default()
        }),
        ("by type", &|turn| Filter {
            content_type: Some(TypePattern::new(
                super::entries::TYPES[usize::try_from(turn % 10).unwrap_or_default()],
            )),
            ..Filter::default()
        }),
        ("by kind of type", &|_| Filter {
            content_type: Some(TypePattern::new("image/*")),
            ..Filter::default()
        }),
        ("by trace", &|turn| Filter {
            trace: hex("trace", some(turn) / OF_A_TRACE, 32).parse().ok(),
            ..Filter::default()
        }),
        ("by artifact", &|turn| Filter {
            digest: hex("file", some(turn) % 300_000, 64).parse().ok(),
            ..Filter::default()
        }),
        ("by artifact, which is everywhere", &|_| Filter {
            digest: Some(everywhere),
            ..Filter::default()
        }),
        ("that senders store themselves", &|_| Filter {
            state: Some(State::Referred),
            ..Filter::default()
        }),
        ("by size, which many have", &|turn| Filter {
            min_size: Some(100_000 + turn),
            max_size: Some(300_000),
            ..Filter::default()
        }),
        ("by size, which few have", &|turn| Filter {
            min_size: Some(100_000_000 + turn),
            ..Filter::default()
        }),
        ("by size, which none has", &|turn| Filter {
            min_size: Some(1_000_000_000 + turn),
            ..Filter::default()
        }),
        ("by name, which many have", &|turn| Filter {
            name: Some(format!("MODEL-{}", turn % 10)),
            ..Filter::default()
        }),
        ("by name, which very many names have", &|_| Filter {
            name: Some("report".to_owned()),
            ..Filter::default()
        }),
        ("by name, which few have", &|turn| Filter {
            name: Some(format!("report-{}.", some(turn) / 3 * 2)),
            ..Filter::default()
        }),
        ("by name, which none has", &|turn| Filter {
            name: Some(format!("absent {turn}")),
            ..Filter::default()
        }),
        ("by state, service and type", &|turn| Filter {
            state: Some(State::Dropped),
            service: Some(service(turn)),
            content_type: Some(TypePattern::new("image/*")),
            ..Filter::default()
        }),
    ];
    for (what, filter) in filters {
        let asked = timed(format!("{PAGE} {what}"), |turn| {
            let filter = filter(turn);
            runtime.block_on(catalog.index().page(&filter, PAGE, None))?;
            Ok(())
        });
        questions.push(asked?);
    }
    let everything = Filter::default();
    // Where somebody who goes through all of it has come to.
    let deep: Vec<Cursor> = {
        let mut cursors = Vec::new();
        let mut after = None;
        for number in 0..entries / 1_000 {
            let page = catalog.index().page(&everything, 1_000, after);
            after = runtime.block_on(page)?.next;
            if number % 5 == 0 {
                cursors.extend(after);
            }
        }
        cursors
    };
    questions.push(timed(format!("{PAGE} deep in all of it"), |turn| {
        let cursor = usize::try_from(turn).unwrap_or_default() % deep.len().max(1);
        let after = deep.get(cursor).copied();
        runtime.block_on(catalog.index().page(&everything, PAGE, after))?;
        Ok(())
    })?);
    let everybody = Tenants::All;
    questions.push(timed("the facts of an artifact".to_owned(), |turn| {
        let digest = hex("file", some(turn) % 300_000, 64).parse()?;
        runtime.block_on(catalog.index().artifact(&everybody, &digest))?;
        Ok(())
    })?);
    let everywhere_is = "the facts of an artifact that is everywhere".to_owned();
    questions.push(timed(everywhere_is, |turn| {
        let of = match turn % 2 {
            0 => Tenants::All,
            _ => Tenants::one(format!("tenant-{}", turn % 5).parse()?),
        };
        let facts = runtime.block_on(catalog.index().artifact(&of, &everywhere))?;
        facts.map(|_| ()).ok_or_else(|| "it is nowhere".into())
    })?);
    questions.push(timed("a trace, span by span".to_owned(), |turn| {
        let trace = hex("trace", some(turn) / OF_A_TRACE, 32).parse()?;
        runtime.block_on(catalog.index().trace(&everybody, trace))?;
        Ok(())
    })?);
    questions.push(timed("what there is to filter by".to_owned(), |_| {
        runtime.block_on(catalog.index().menus(&everybody))?;
        Ok(())
    })?);
    questions.push(timed("whether something was deleted".to_owned(), |turn| {
        let digest = hex("no file", turn, 64).parse()?;
        let tenant = "tenant-1".parse()?;
        runtime.block_on(catalog.index().tombstone(&tenant, &digest))?;
        Ok(())
    })?);
    Ok(questions)
}

pub(super) fn timed(
    what: String,
    mut ask: impl FnMut(u64) -> Result<(), Box<dyn Error>>,
) -> Result<Question, Box<dyn Error>> {
    let mut times = Vec::new();
    for turn in 0..TIMES {
        let begun = Instant::now();
        ask(turn)?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).copied();
    Ok(Question {
        what,
        limit: ANSWER,
        median: at(50).unwrap_or_default(),
        slowest: at(99).unwrap_or_default(),
    })
}
