//! The same catalog as people and programs ask for it: over HTTP, of a slimspan that begins with no index, and of one
//! that finds what that has left.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::entries::{
    EVERYWHERE, LINES, OF_A_SPAN, OF_A_TRACE, OF_PAGES, TYPES, file, hex, service,
};
use super::questions::{ANSWER, Question, TIMES, timed};
use super::server::{Connection, Server};
use super::{MEMORY, START, Verdicts, millis, peak, seconds};

/// How long it is waited for all of it at most: then it has failed, by however much.
const LONGEST: Duration = Duration::from_mins(10);

/// A page of a service that there is not, and what it says until all of the bucket was listed.
const PAGE: &str = "/?service=absent";
const UNREAD: &str = "The catalog is still being read";

/// How long it is waited before the same is asked again.
const PAUSE: Duration = Duration::from_millis(20);

/// What is asked for in a turn, and whether there is any of it.
type Asked<'a> = (&'static str, &'a dyn Fn(u64) -> String, bool);

/// Starts a slimspan with the objects below `folder`, and measures what it answers; and then another one.
pub(super) fn measure(
    program: &Path,
    folder: &Path,
    entries: u64,
    verdicts: &mut Verdicts,
) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let server = Server::start(program, folder)?;
    answered(&server, "/v1/artifacts?limit=1", begun)?;
    let first = begun.elapsed();
    verdicts.check(
        "process start to the first answer over HTTP",
        &seconds(first),
        first < START,
    );
    let whole = all_is_listed(&server, entries, begun)?;
    verdicts.check(
        "process start to a listing of all of it",
        &seconds(whole),
        whole < START,
    );
    let so_far = peak(server.id())?;
    let figure = format!("{so_far} MiB");
    verdicts.check(
        "peak memory of the process so far",
        &figure,
        so_far < MEMORY,
    );
    let mut connection = server.connect()?;
    lists(&mut connection, entries, verdicts)?;
    pages(&mut connection, entries, verdicts)?;
    let most = peak(server.id())?;
    let figure = format!("{most} MiB");
    verdicts.check("peak memory of the process", &figure, most < MEMORY);
    drop(server);
    once_more(program, folder, entries, verdicts)
}

/// Starts one that has its index already, and measures it until it knows that it has read every object.
fn once_more(
    program: &Path,
    folder: &Path,
    entries: u64,
    verdicts: &mut Verdicts,
) -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let server = Server::start(program, folder)?;
    let whole = all_is_listed(&server, entries, begun)?;
    verdicts.check(
        "a second start to a listing of all of it",
        &seconds(whole),
        whole < START,
    );
    while String::from_utf8_lossy(&answered(&server, PAGE, begun)?).contains(UNREAD) {
        if begun.elapsed() > LONGEST {
            return Err("a second start does not end".into());
        }
        std::thread::sleep(PAUSE);
    }
    let listed = begun.elapsed();
    verdicts.check(
        "a second start until every object was listed",
        &seconds(listed),
        listed < START,
    );
    let most = peak(server.id())?;
    let figure = format!("{most} MiB");
    verdicts.check("peak memory of the second process", &figure, most < MEMORY);
    Ok(())
}

/// Waits until one of so many entries as an object has by default is listed of all of them, and tells how long that
/// took since `begun`.
fn all_is_listed(
    server: &Server,
    entries: u64,
    begun: Instant,
) -> Result<Duration, Box<dyn Error>> {
    for part in 0..entries.div_ceil(LINES) {
        let number = part * LINES;
        let (trace, span) = (number / OF_A_TRACE, number / OF_A_SPAN);
        let (trace, span) = (hex("trace", trace, 32), hex("span", span, 16));
        let path = format!("/v1/artifacts?trace_id={trace}&span_id={span}");
        while listed(&answered(server, &path, begun)?)? == 0 {
            if begun.elapsed() > LONGEST {
                return Err(format!("entry {number} of {entries} is not listed").into());
            }
            std::thread::sleep(PAUSE);
        }
    }
    Ok(begun.elapsed())
}

/// The first answer to a question that may come too early: while the catalog is read, it may be told to come back.
fn answered(server: &Server, path: &str, begun: Instant) -> Result<Vec<u8>, Box<dyn Error>> {
    loop {
        match server.connect()?.get(path) {
            Err(_) if begun.elapsed() < LONGEST => std::thread::sleep(PAUSE),
            answer => return answer,
        }
    }
}

/// Asks for the first page with each filter, with other words each time.
fn lists(
    connection: &mut Connection,
    entries: u64,
    verdicts: &mut Verdicts,
) -> Result<(), Box<dyn Error>> {
    let some = |turn: u64| turn * 7_919 % entries;
    let queries: [Asked<'_>; 20] = [
        ("the newest", &|_| String::new(), true),
        (
            "of one tenant",
            &|turn| format!("tenant=tenant-{}", turn % 5),
            true,
        ),
        (
            "by service",
            &|turn| format!("service={}", service(some(turn))),
            true,
        ),
        (
            "by a service that is rare",
            &|_| "service=service-49".to_owned(),
            true,
        ),
        (
            "by type",
            &|turn| {
                let of = file(some(turn)) % 10;
                format!(
                    "content_type={}",
                    TYPES[usize::try_from(of).unwrap_or_default()]
                )
            },
            true,
        ),
        (
            "by kind of type",
            &|_| "content_type=image/*".to_owned(),
            true,
        ),
        (
            "by trace",
            &|turn| format!("trace_id={}", hex("trace", some(turn) / OF_A_TRACE, 32)),
            true,
        ),
        (
            "by span",
            &|turn| {
                let number = some(turn);
                let trace = hex("trace", number / OF_A_TRACE, 32);
                let span = hex("span", number / OF_A_SPAN, 16);
                format!("trace_id={trace}&span_id={span}")
            },
            true,
        ),
        (
            "by artifact",
            &|turn| format!("sha256={}", hex("file", file(some(turn)), 64)),
            true,
        ),
        ("by signal", &|_| "signal=logs".to_owned(), true),
        ("by state", &|_| "state=dropped".to_owned(), true),
        (
            "since a time",
            &|turn| format!("since=2026-10-{:02}T00:00:00Z", turn % 27 + 1),
            true,
        ),
        (
            "until a time",
            &|turn| format!("until=2026-10-{:02}T00:00:00Z", turn % 27 + 2),
            true,
        ),
        (
            "by size, which many have",
            &|turn| format!("min_size={}&max_size=300000", 100_000 + turn),
            true,
        ),
        (
            "by size, which few have",
            &|_| "min_size=100000000".to_owned(),
            true,
        ),
        (
            "by size, which none has",
            &|turn| format!("min_size={}", 1_000_000_000 + turn),
            false,
        ),
        (
            "by name, which many have",
            &|turn| format!("name=MODEL-{}", turn % 10),
            true,
        ),
        (
            "by name, which very many names have",
            &|_| "name=report".to_owned(),
            true,
        ),
        (
            "by name, which none has",
            &|turn| format!("name=absent-{turn}"),
            false,
        ),
        (
            "by state, service and type",
            &|_| "state=dropped&service=service-49&content_type=image/*".to_owned(),
            true,
        ),
    ];
    for (what, query, is_there) in queries {
        let mut answer = Vec::new();
        let question = timed(format!("over HTTP, {what}"), |turn| {
            answer = connection.get(&format!("/v1/artifacts?{}", query(turn)))?;
            Ok(())
        })?;
        // An answer without what was asked for would be a quick one.
        let last = listed(&answer)?;
        if (last > 0) != is_there {
            return Err(format!("{what}: {last} places are listed: {}", query(TIMES - 1)).into());
        }
        told(&question, verdicts);
    }
    Ok(())
}

/// Asks for what people open: all of it, also of the file that is everywhere.
fn pages(
    connection: &mut Connection,
    entries: u64,
    verdicts: &mut Verdicts,
) -> Result<(), Box<dyn Error>> {
    let digest = hex("file", EVERYWHERE, 64);
    let facts = format!("/v1/artifacts/{digest}?tenant={OF_PAGES}");
    let page = format!("/{OF_PAGES}/artifacts/{digest}");
    let trace = |turn: u64| {
        let number = turn * 7_919 % entries / OF_A_TRACE;
        format!("/traces/{}", hex("trace", number, 32))
    };
    let asked: [(&str, &dyn Fn(u64) -> String); 4] = [
        ("what is known of an artifact that is everywhere", &|_| {
            facts.clone()
        }),
        ("the page of an artifact that is everywhere", &|_| {
            page.clone()
        }),
        ("the gallery", &|_| "/".to_owned()),
        ("the page of a trace", &trace),
    ];
    for (what, path) in asked {
        let question = timed(format!("over HTTP, {what}"), |turn| {
            connection.get(&path(turn))?;
            Ok(())
        })?;
        told(&question, verdicts);
    }
    Ok(())
}

fn told(question: &Question, verdicts: &mut Verdicts) {
    let figure = format!(
        "p50 {:>7.2} ms, p99 {:>7.2} ms",
        millis(question.median),
        millis(question.slowest)
    );
    verdicts.check(&question.what, &figure, question.slowest < ANSWER);
}

/// How many places an answer has.
fn listed(answer: &[u8]) -> Result<usize, Box<dyn Error>> {
    let answer: Value = serde_json::from_slice(answer)?;
    let places = answer["references"].as_array();
    Ok(places.ok_or("the answer is no list")?.len())
}
