//! Requests in JSON.

use bytes::Bytes;
use slimspan_proto::Signal;
use slimspan_proto::json::{self, Limits, Problem, Read};

use crate::admission::Lease;
use crate::compute::{self, Panicked};
use crate::pipeline::Received;
use crate::receivers::otlp::intake::Intake;
use crate::refusal::Refusal;
use crate::sift::{EntryLimit, Rejected};
use crate::telemetry::Spelling;

/// Larger texts are read on threads for such work: a mebibyte takes some milliseconds.
const INLINE: usize = 64 * 1024;

/// What is told at most of what was rejected.
const TOLD: usize = 3;

/// The message that a text stands for. While both are there, both have their share of the budget.
pub(super) async fn read(
    intake: &Intake,
    signal: Signal,
    text: Bytes,
) -> Result<Received, Refusal> {
    let lease = intake.lease_for_more();
    let entries = intake.entries();
    let (received, ignored) = if text.len() <= INLINE {
        read_now(signal, &text, entries, lease)?
    } else {
        let entries = entries.clone();
        let read = compute::run(move || read_now(signal, &text, &entries, lease));
        read.await.unwrap_or_else(Panicked::go_on)?
    };
    for (spelling, members) in ignored {
        intake.ignored(signal, spelling, members);
    }
    Ok(received)
}

/// How many members were ignored that are spelled so.
type Ignored = [(Spelling, usize); 2];

fn read_now(
    signal: Signal,
    text: &[u8],
    entries: &EntryLimit,
    mut lease: Lease,
) -> Result<(Received, Ignored), Refusal> {
    // A message is mostly shorter than its text, but for numbers that have few digits.
    let mut charged = text.len();
    lease.try_charge(charged)?;
    let limits = Limits {
        max_entries: entries.most,
        ..Limits::default()
    };
    let mut refused = None;
    let mut more = |bytes| {
        charged += bytes;
        refused = lease.try_charge(bytes).err();
        refused.is_none()
    };
    let read = json::read_charging(signal, text, limits, &mut more);
    let read = read.map_err(|error| match (error.problem, refused) {
        (Problem::TooMany, _) => entries.exceeded(),
        (Problem::NoMemory(_), _) if lease.is_hopeless(text.len()) => Refusal::too_costly(format!(
            "the request has {} bytes of JSON, and what they stand for takes more memory than \
             memory_limiter.limit_mib leaves all requests: send protobuf, or fewer at once",
            text.len()
        )),
        (Problem::NoMemory(_), Some(refused)) => refused,
        _ => Refusal::malformed(format!("the request is no OTLP/JSON: {error}")),
    })?;
    lease.try_charge(read.request.len().saturating_sub(charged))?;
    let unread = unread(signal, &read);
    let ignored = [
        (Spelling::SnakeCase, read.snake_case),
        (
            Spelling::Other,
            read.unknown.saturating_sub(read.snake_case),
        ),
    ];
    let message = if read.request.is_empty() {
        Bytes::new()
    } else {
        lease.hold(read.request.into())
    };
    Ok((Received { message, unread }, ignored))
}

/// What its sender is told of what is not in the message.
fn unread(signal: Signal, read: &Read) -> Option<Rejected> {
    let what = match signal {
        Signal::Traces => "spans",
        Signal::Logs => "log records",
        Signal::Metrics => "data points",
        Signal::Profiles => "profiles",
    };
    let mut told = Vec::new();
    if read.rejected > 0 {
        let causes = read.causes.iter().take(TOLD).map(ToString::to_string);
        let causes: Vec<_> = causes.collect();
        let all = read.items + read.rejected;
        let more = match read.causes.len().saturating_sub(TOLD) {
            0 => String::new(),
            more => format!("; and for {more} reasons more"),
        };
        told.push(format!(
            "slimspan rejected {} of {all} {what}: {}{more}",
            read.rejected,
            causes.join("; ")
        ));
    }
    if read.snake_case > 0 {
        told.push(format!(
            "slimspan ignored {} members with names such as resource_spans: in OTLP/JSON it is \
             resourceSpans, and what they hold is lost",
            read.snake_case
        ));
    }
    if read.unknown > 0 {
        tracing::debug!(%signal, "ignored {} members that OTLP does not have", read.unknown);
    }
    (!told.is_empty()).then(|| Rejected {
        count: read.rejected,
        reason: told.join("; "),
    })
}
