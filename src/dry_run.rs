//! What an `artifact` processor would do, told instead of done.

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slimspan_artifact::Extraction;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::config::ComponentId;
use crate::report::Report;
use crate::terminal::is_unsafe;

/// How often the report is given while requests come in.
const PERIOD: Duration = Duration::from_mins(1);

/// Counts what a processor would move.
#[derive(Debug)]
pub struct DryRun {
    id: ComponentId,
    report: Mutex<Report>,
}

impl DryRun {
    /// Counts for the processor `id`, from nothing.
    pub fn new(id: ComponentId) -> Self {
        Self {
            id,
            report: Mutex::default(),
        }
    }

    /// Takes note of what would have become of a request of `before` bytes.
    pub fn add(&self, extraction: &Extraction, before: usize) {
        self.lock().add(extraction, before);
    }

    /// Gives the report to `print` every minute in which a request came in. Never ends.
    pub async fn report_every_minute(&self, mut print: impl FnMut(&str)) {
        let mut minutes = interval_at(Instant::now() + PERIOD, PERIOD);
        minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = 0;
        loop {
            minutes.tick().await;
            let requests = self.lock().requests();
            if requests > told {
                told = requests;
                print(&self.to_text());
            }
        }
    }

    /// The report: a headline, a table, and the same as one line of JSON.
    pub fn to_text(&self) -> String {
        let report = self.lock();
        let json = serde_json::to_string(&*report)
            .unwrap_or_else(|error| format!("the report is no JSON: {error}"));
        format!(
            "processors.{}: dry run; nothing was changed or stored, this is what would be moved:\n\
             {}{}\n",
            self.id,
            report.to_table(),
            harmless(&json)
        )
    }

    /// A panic in another thread leaves at worst a number that is too small.
    fn lock(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// JSON in which nothing drives a terminal: the names of attributes are strangers' words.
fn harmless(json: &str) -> Cow<'_, str> {
    if !json.contains(is_unsafe) {
        return Cow::Borrowed(json);
    }
    let escape = |symbol: char| {
        if is_unsafe(symbol) {
            format!("\\u{:04x}", u32::from(symbol))
        } else {
            symbol.to_string()
        }
    };
    Cow::Owned(json.chars().map(escape).collect())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use bytes::Bytes;
    use slimspan_artifact::{Digest, Move, Shape, ValuePath};
    use tokio::sync::mpsc;

    use super::*;

    fn dry_run() -> DryRun {
        DryRun::new("artifact/dry".parse().unwrap())
    }

    fn add(dry_run: &DryRun, attribute: &str) {
        let moved = Move {
            attribute: attribute.to_owned(),
            shape: Shape::DataUri,
            media_type: "image/png".to_owned(),
            digest: Digest::of(b"picture"),
            size: 30_000,
            before: 40_000,
            after: 200,
            stored: true,
            carrier: slimspan_proto::Carrier::Span,
            at: 0,
            path: ValuePath::default(),
            proven: None,
            file_name: None,
        };
        let extraction = Extraction {
            request: Bytes::from_static(&[0; 500]),
            artifacts: Vec::new(),
            recalled: Vec::new(),
            learned: Vec::new(),
            moves: vec![moved],
            truncated: 0,
            cuts: Vec::new(),
            claims: Vec::new(),
            mislabelled: 0,
            texts: 0,
            untrusted: 0,
        };
        dry_run.add(&extraction, 40_300);
    }

    fn json(text: &str) -> serde_json::Value {
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    }

    #[test]
    fn the_last_line_is_json_that_drives_no_terminal() {
        let dry_run = dry_run();
        let key = "\u{9b}31m\u{202e}gnp\n\u{1b}[2J";
        add(&dry_run, key);
        let text = dry_run.to_text();
        assert!(
            text.starts_with("processors.artifact/dry: dry run"),
            "{text}"
        );
        assert!(!text.contains(|c| c != '\n' && is_unsafe(c)), "{text:?}");
        let json = json(&text);
        assert_eq!(json["attributes"][0]["attribute"], key);
        assert_eq!(json["bytes_before"], 40_300);
    }

    #[tokio::test(start_paused = true)]
    async fn a_minute_without_requests_is_not_told_of() {
        let dry_run = dry_run();
        let (print, mut printed) = mpsc::unbounded_channel();
        let start = Instant::now();
        let mut reports = Box::pin(dry_run.report_every_minute(|text| {
            print.send((start.elapsed(), text.to_owned())).unwrap();
        }));
        let mut run_to = async |minutes: u64| {
            let until = start + Duration::from_mins(minutes) + Duration::from_secs(1);
            assert!(
                tokio::time::timeout_at(until, reports.as_mut())
                    .await
                    .is_err()
            );
        };
        run_to(2).await;
        assert!(printed.is_empty());
        add(&dry_run, "picture");
        run_to(5).await;
        add(&dry_run, "picture");
        add(&dry_run, "picture");
        run_to(6).await;
        let told = [printed.recv().await.unwrap(), printed.recv().await.unwrap()];
        assert!(printed.is_empty());
        let minutes = told.each_ref().map(|(at, _)| at.as_secs() / 60);
        assert_eq!(minutes, [3, 6]);
        let requests = told.map(|(_, text)| json(&text)["requests"].as_u64());
        assert_eq!(requests, [Some(1), Some(3)]);
    }
}
