//! A tenant cannot learn what another one has stored: not by an answer, and not by its time.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use serde_json::json;
use slimspan_artifact::Digest;
use slimspan_generators::Random;
use slimspan_proto::Signal;

use crate::support::backend::Backend;
use crate::support::http::{Form, HttpSender, post};
use crate::support::measured::{measured, number, strict};
use crate::support::pages::get;
use crate::support::s3::{Behaviour, S3};
use crate::support::seed::Seed;
use crate::support::sender::{Call, Sender};
use crate::support::slimspan::Slimspan;
use crate::support::{config, frames, otlp};

/// Large enough to be remembered.
const SIZE: usize = 24_000;

/// Beyond it the times of two kinds of uploads differ, with one error in a hundred.
const CRITICAL: f64 = 2.576;

/// So that a difference is no accident, it has to be there in as many lots, one after the other, and each time on the
/// same side: what a busy machine does to times is on either.
const ATTEMPTS: usize = 4;

/// So many lots, and none of them alike, are no accident either.
const LOTS: usize = 4 * ATTEMPTS;

/// In the long form all lots count together, and these may be no further apart, unless they are by accident: their
/// medians, in standard deviations.
const APART: f64 = 0.02;

/// So many lots there may be then. What is an accident goes with more of them, and what is a difference stays.
const TOGETHER: usize = 5;

enum Way {
    Grpc(Sender),
    Http(HttpSender),
}

/// All that a sender sees of an answer, but for what time it is.
type Seen = (u16, String, Bytes);

impl Way {
    async fn send(&self, tenant: &'static str, request: &Bytes) -> (Seen, Duration) {
        let seen = |status, mut headers: HeaderMap, body| {
            headers.remove("date");
            (status, format!("{headers:?}"), body)
        };
        match self {
            Self::Grpc(sender) => {
                let call = Call::whole(frames::frame(0, request)).header("x-tenant", tenant);
                let begun = Instant::now();
                let answer = sender.call(call).await;
                let took = begun.elapsed();
                let status = answer.status().to_string();
                (
                    seen(answer.http.as_u16(), answer.headers, status.into()),
                    took,
                )
            }
            Self::Http(sender) => {
                let mut request = post(Signal::Traces, Form::Protobuf, request.clone());
                request
                    .headers_mut()
                    .insert("x-tenant", tenant.parse().unwrap());
                let begun = Instant::now();
                let answer = sender.request(request).await;
                let took = begun.elapsed();
                (
                    seen(answer.status.as_u16(), answer.headers, answer.body),
                    took,
                )
            }
        }
    }
}

/// By how many standard deviations the ranks of two lots of times differ from those of times that are alike
/// (Mann and Whitney).
fn difference(one: &[Duration], other: &[Duration]) -> f64 {
    let (m, n) = (one.len() as f64, other.len() as f64);
    let mut sorted = other.to_vec();
    sorted.sort();
    let won = one.iter().map(|time| {
        let shorter = sorted.partition_point(|other| other < time);
        let no_longer = sorted.partition_point(|other| other <= time);
        (shorter + no_longer) as f64 / 2.0
    });
    let won: f64 = won.sum();
    (won - m * n / 2.0) / (m * n * (m + n + 1.0) / 12.0).sqrt()
}

/// How far their medians are apart, in standard deviations of all of them, and how far they are by accident, with one
/// error in a hundred.
fn medians_apart(one: &[Duration], other: &[Duration]) -> (f64, f64) {
    let all: Vec<f64> = one.iter().chain(other).map(Duration::as_secs_f64).collect();
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    let squares = all.iter().map(|time| (time - mean).powi(2));
    let deviation = (squares.sum::<f64>() / all.len() as f64).sqrt();
    let apart = median(one).as_secs_f64() - median(other).as_secs_f64();
    // Where all are the same there is nothing to tell.
    if apart == 0.0 {
        return (0.0, 0.0);
    }
    let by_accident = CRITICAL * error_of_median(one).hypot(error_of_median(other));
    (apart / deviation, by_accident / deviation)
}

/// The standard error of a median: half of what lies between those as many places around it as the root of all.
fn error_of_median(times: &[Duration]) -> f64 {
    let mut times = times.to_vec();
    times.sort();
    let (middle, around) = (times.len() / 2, times.len().isqrt() / 2);
    let last = times.len() - 1;
    let wide = times[(middle + around).min(last)].saturating_sub(times[middle - around]);
    wide.as_secs_f64() / 2.0
}

/// Whether the last lots show that one of two kinds takes longer.
fn is_told(differences: &[f64]) -> bool {
    let last = differences.iter().rev().take(ATTEMPTS);
    let [mut longer, mut shorter] = [0; 2];
    for difference in last {
        longer += usize::from(*difference >= CRITICAL);
        shorter += usize::from(*difference <= -CRITICAL);
    }
    longer.max(shorter) == ATTEMPTS
}

/// Lots of times of two kinds, which nobody is to tell apart.
#[derive(Debug, Default)]
pub(super) struct Lots {
    found: Vec<String>,
    differences: Vec<f64>,
    /// All of them, of what another has and of what nobody has.
    together: [Vec<Duration>; 2],
}

impl Lots {
    /// What they are held to.
    pub(super) fn bound() -> &'static str {
        if strict() {
            "medians of all lots < 2 % of the deviation apart, or as by accident, p > 0.01"
        } else {
            "a lot differs by < 2.58 deviations"
        }
    }

    /// Whether the next lot shows no difference; in the long form, whether all of them together show none. Fails
    /// where one is told, and `how` says of what.
    pub(super) fn end_with(&mut self, how: &str, known: &[Duration], new: &[Duration]) -> bool {
        if strict() {
            return self.end_together(how, known, new);
        }
        let difference = difference(known, new);
        let (known, new) = (median(known), median(new));
        self.found.push(format!(
            "{known:?} against {new:?}, {difference:.2} deviations"
        ));
        self.differences.push(difference);
        let (found, differences) = (&self.found, &self.differences);
        let are_alike = difference.abs() < CRITICAL;
        assert!(
            are_alike || !is_told(differences) && differences.len() < LOTS,
            "{how}: what another tenant has can be told by the time: {found:#?}"
        );
        are_alike
    }

    fn end_together(&mut self, how: &str, known: &[Duration], new: &[Duration]) -> bool {
        for (all, lot) in self.together.iter_mut().zip([known, new]) {
            all.extend_from_slice(lot);
        }
        let [known, new] = &self.together;
        let (apart, by_accident) = medians_apart(known, new);
        let (difference, count, percent) = (difference(known, new), known.len(), apart * 100.0);
        let (of_known, of_new) = (median(known), median(new));
        self.found.push(format!(
            "{of_known:?} against {of_new:?}, {percent:.2} % of the deviation, {:.2} % by accident; ranks of {count} of \
             each, {difference:.2} deviations",
            by_accident * 100.0
        ));
        let are_alike = difference.abs() < CRITICAL && apart.abs() < APART.max(by_accident);
        assert!(
            are_alike || self.found.len() < TOGETHER,
            "{how}: what another tenant has can be told by the time: {:#?}",
            self.found
        );
        are_alike
    }

    /// How many there were.
    fn count(&self) -> usize {
        self.found.len()
    }

    /// The last, in words.
    pub(super) fn last(&self) -> &str {
        self.found.last().unwrap()
    }
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[times.len() / 2]
}

#[test]
fn the_test_sees_a_difference_and_no_other() {
    let mut random = Random::new(1);
    let mut lot = |more: u64| -> Vec<Duration> {
        let times = (0..200).map(|_| Duration::from_micros(1000 + random.number() % 400 + more));
        times.collect()
    };
    let (one, alike, longer) = (lot(0), lot(0), lot(60));
    assert!(difference(&one, &alike).abs() < CRITICAL);
    assert!(difference(&longer, &one) > CRITICAL);
    assert!(difference(&one, &longer) < -CRITICAL);
}

/// Times that are spread evenly, and longer by so much.
fn even(more: u64) -> Vec<Duration> {
    let spread = (0..2_000).map(|time| Duration::from_nanos(1_000_000 + 200 * time + more));
    spread.collect()
}

#[test]
fn all_lots_together_are_alike_or_not() {
    // Their deviation is 115 microseconds.
    for (more, are_alike) in [(0, true), (1_000, true), (4_000, false)] {
        let (apart, by_accident) = medians_apart(&even(more), &even(0));
        assert!(by_accident < 0.2, "{by_accident}");
        assert_eq!(apart.abs() < APART, are_alike, "{more}: {apart}");
    }
    let mut lots = Lots::default();
    assert!(!lots.end_together("longer once", &even(20_000), &even(0)));
    assert!(lots.end_together("and shorter once", &even(0), &even(20_000)));
    assert!(lots.last().contains("4000 of each"), "{}", lots.last());
}

#[test]
#[should_panic(expected = "can be told by the time")]
fn what_stays_apart_is_told() {
    let mut lots = Lots::default();
    while !lots.end_together("always longer", &even(20_000), &even(0)) {}
}

#[test]
fn a_difference_is_none_before_it_was_there_in_every_lot() {
    for (differences, expected) in [
        (&[2.6, 9.0, 3.0][..], false),
        (&[2.6, 9.0, 3.0, 2.6], true),
        (&[-2.6, -9.0, -3.0, -2.6], true),
        (&[2.6, 9.0, 3.0, 2.5], false),
        (&[2.6, 9.0, -3.0, 2.6, 9.0, 3.0], false),
        (&[2.6, 9.0, -3.0, 2.6, 9.0, 3.0, 2.6], true),
    ] {
        assert_eq!(is_told(differences), expected, "{differences:?}");
    }
}

/// Uploads of what nobody has, and of what another tenant has: the same answer, the same puts, and times that
/// nobody can tell apart.
#[tokio::test]
async fn nobody_learns_what_others_have() {
    let files = number("SLIMSPAN_UPLOADS", 100);
    let mut random = Random::new(Seed::any().number());
    for (delivery, over_http) in [("sync", false), ("sync", true), ("background", true)] {
        let backend = Backend::start().await;
        let store = S3::start(Behaviour::Store).await;
        let mut config = config::with_s3(backend.address, store.address);
        config["extensions"]["artifact_store"]["timeout"] = json!("20s");
        let protocols = &mut config["receivers"]["otlp"]["protocols"];
        protocols["grpc"]["include_metadata"] = json!(true);
        protocols["http"] = json!({ "endpoint": "127.0.0.1:0", "include_metadata": true });
        config["processors"]["artifact"]["delivery"] = json!(delivery);
        config["processors"]["artifact"]["tenant"] = json!({ "from_context": "metadata.x-tenant" });
        if delivery == "background" {
            config["extensions"]["artifact_store"]["spool"] = json!({ "directory": "./spool" });
        }
        config["service"]["telemetry"]["metrics"] = json!({
            "level": "detailed",
            "readers": [{ "pull": { "exporter": { "prometheus": { "port": 0 } } } }],
        });
        let slimspan = Slimspan::start(&config).await;
        let way = if over_http {
            Way::Http(slimspan.http_sender().await)
        } else {
            Way::Grpc(slimspan.sender().await)
        };
        let mut lots = Lots::default();
        let mut digests = BTreeSet::new();
        let how = format!(
            "{delivery}, over {}",
            if over_http { "HTTP" } else { "gRPC" }
        );
        loop {
            let mut make = || {
                let file = otlp::photo(random.number(), SIZE);
                digests.insert(Digest::of(&file).to_string());
                otlp::span_with(&file)
            };
            let pairs: Vec<(Bytes, Bytes)> = (0..files).map(|_| (make(), make())).collect();
            let mut seen = BTreeSet::new();
            for (of_another, _) in &pairs {
                seen.insert(way.send("acme", of_another).await.0);
            }
            let (mut known, mut new) = (Vec::new(), Vec::new());
            for (of_another, of_nobody) in &pairs {
                let mut both = [(of_another, &mut known), (of_nobody, &mut new)];
                if random.one_in(2) {
                    both.reverse();
                }
                for (request, times) in both {
                    let (answer, took) = way.send("beta", request).await;
                    seen.insert(answer);
                    times.push(took);
                }
            }
            assert_eq!(seen.len(), 1, "every answer is the same: {seen:?}");
            if lots.end_with(&how, &known, &new) {
                break;
            }
        }
        let uploads = lots.count() * files * 3;
        store.begun(uploads).await;
        assert_eq!(store.puts(), uploads, "{how}: each tenant puts its own");
        let page = get(slimspan.page("telemetry"), "/metrics").await.body;
        assert!(page.contains("otelcol_"), "{page}");
        let told = digests.iter().find(|digest| page.contains(*digest));
        assert_eq!(told, None, "{how}: a count of one file");
        let last = lots.last();
        measured(
            "P27",
            "program::isolation",
            &format!(
                "times of uploads that others have, or nobody: {}",
                Lots::bound()
            ),
            format_args!("{how}: {files} of each, {last}"),
        );
        slimspan.stop_well().await;
    }
}
