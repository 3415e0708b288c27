//! What passes.

use std::time::{Duration, Instant};

use bytesize::ByteSize;
use slimspan_proto::Signal;

use super::Shared;
use super::html::{Cell, Html};
use super::rates::Totals;
use crate::extensions::health_check::troubles;
use crate::telemetry::{Outcome, Phase, Spread, Told};

/// How many requests the live page shows.
const LATEST: usize = 10;

pub(super) fn page(shared: &Shared) -> String {
    let mut html = Html::new("Live", Some(3));
    state(&mut html, shared);
    rates(&mut html, shared);
    items(&mut html, shared);
    found(&mut html, shared);
    waiting(&mut html, shared);
    latencies(&mut html, shared);
    html.heading("Last refused or slow requests");
    let latest = shared.counters.recent.read();
    told(&mut html, latest.into_iter().take(LATEST));
    html.finish()
}

pub(super) fn requests(shared: &Shared) -> String {
    let mut html = Html::new("Requests", None);
    html.paragraph(
        "The latest requests that were refused, or that took a second or more. What was in them is \
         not known here.",
    );
    told(&mut html, shared.counters.recent.read().into_iter());
    html.finish()
}

fn state(html: &mut Html, shared: &Shared) {
    let (phase, troubles) = (shared.counters.phase(), troubles(&shared.counters));
    let mut rows = vec![vec![
        Cell::text("slimspan"),
        if phase == Phase::Running {
            Cell::Good(phase.name().to_owned())
        } else {
            Cell::Bad(phase.name().to_owned())
        },
    ]];
    for trouble in troubles {
        let problem = Cell::Bad(trouble.problem.to_owned());
        rows.push(vec![Cell::text(trouble.component), problem]);
    }
    html.table(&["", "state"], rows);
}

fn rates(html: &mut Html, shared: &Shared) {
    html.heading("Each second, over the last half minute");
    let (now, totals) = (Instant::now(), Totals::of(&shared.counters));
    let rate = |pick: fn(&Totals) -> u64| shared.rates.per_second(now, &totals, pick);
    #[expect(clippy::cast_sign_loss, reason = "what has passed does not come back")]
    let bytes = |rate: f64| ByteSize::b(rate as u64).to_string();
    let row = vec![
        Cell::number(format!("{:.1}", rate(|of| of.requests))),
        Cell::number(format!("{:.1}", rate(|of| of.items.iter().sum()))),
        Cell::number(bytes(rate(|of| of.bytes_in))),
        Cell::number(bytes(rate(|of| of.bytes_out))),
        Cell::number(format!("{:.1}", rate(|of| of.artifacts))),
    ];
    html.table(
        &["requests", "items", "bytes in", "bytes out", "files found"],
        vec![row],
    );
}

fn items(html: &mut Html, shared: &Shared) {
    html.heading("Items");
    let rows = Signal::ALL.map(|signal| {
        let sum = shared.counters.items.of(signal).read();
        let numbers = [
            sum.received,
            sum.delivered,
            sum.rejected,
            sum.refused,
            sum.queued,
            sum.under_way,
        ];
        let mut row = vec![Cell::text(signal.name())];
        row.extend(numbers.map(Cell::number));
        row
    });
    html.table(
        &[
            "signal",
            "received",
            "delivered",
            "rejected",
            "refused",
            "queued",
            "under way",
        ],
        rows.into(),
    );
}

fn found(html: &mut Html, shared: &Shared) {
    html.heading("Files found");
    let found = shared.counters.found.read();
    let rows = found.map(|(shape, medium, files, bytes)| {
        vec![
            Cell::text(shape.name()),
            Cell::text(medium.name()),
            Cell::number(files),
            Cell::number(ByteSize::b(bytes)),
        ]
    });
    html.table(&["shape", "medium", "files", "bytes"], rows.collect());
}

fn waiting(html: &mut Html, shared: &Shared) {
    html.heading("What waits");
    let sight = shared.counters.look();
    let bytes = |bytes| Cell::number(ByteSize::b(bytes));
    let memory = vec![
        Cell::text("memory of requests in flight"),
        bytes(sight.memory.in_flight),
        bytes(sight.memory.limit),
        Cell::number(""),
    ];
    let mut rows = vec![memory];
    for queue in &sight.queues {
        rows.push(vec![
            Cell::text(format!("queue of {}", queue.exporter)),
            Cell::number(queue.size),
            Cell::number(queue.capacity),
            Cell::number(""),
        ]);
    }
    for store in &sight.stores {
        if let Some(spool) = &store.spool {
            let oldest = spool.oldest.map(seconds).unwrap_or_default();
            rows.push(vec![
                Cell::text(format!(
                    "spool of {}, {} files",
                    store.store, spool.artifacts
                )),
                bytes(spool.bytes),
                bytes(spool.limit),
                Cell::number(oldest),
            ]);
        }
    }
    html.table(&["", "now", "at most", "oldest"], rows);
}

fn latencies(html: &mut Html, shared: &Shared) {
    html.heading("What one attempt takes at most, of half and of nearly all");
    let counters = &shared.counters;
    let row = |name: String, spread: &Spread| {
        let part = |part| match spread.quantile(part) {
            Some(bound) if bound.is_finite() => format!("{bound} s"),
            Some(_) => "longer".to_owned(),
            None => String::new(),
        };
        vec![
            Cell::text(name),
            Cell::number(spread.count),
            Cell::number(part(0.5)),
            Cell::number(part(0.99)),
        ]
    };
    let mut rows = Vec::new();
    for store in counters.stores() {
        rows.push(row(
            format!("put to {}", store.store),
            &store.latency.read(),
        ));
    }
    for exporter in counters.exporters() {
        let name = format!("send by {}", exporter.exporter);
        rows.push(row(name, &exporter.latency.read()));
    }
    html.table(&["", "attempts", "50 %", "99 %"], rows);
}

fn told(html: &mut Html, latest: impl Iterator<Item = Told>) {
    let rows = latest.map(|told| {
        let outcome = match told.outcome {
            Outcome::Accepted => Cell::Good("accepted".to_owned()),
            Outcome::Refused { culprit, code } => {
                Cell::Bad(format!("{code}, because of {culprit}"))
            }
        };
        vec![
            Cell::text(format!("{:.0}", told.at)),
            Cell::text(format!("{} ({})", told.by.receiver, told.by.transport)),
            Cell::text(told.signal.name()),
            Cell::number(seconds(told.took)),
            outcome,
        ]
    });
    html.table(
        &["when", "receiver", "signal", "took", "outcome"],
        rows.collect(),
    );
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}
