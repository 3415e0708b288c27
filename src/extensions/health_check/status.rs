//! What the Collector's newer extension answers: how all is, or a pipeline, and which of its components is not well. As
//! there, what may pass is told, and makes nobody unwell before it has lasted longer than `recovery_duration`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio::time::interval;

use super::{JSON, Trouble, troubles};
use crate::telemetry::{Counters, Phase};

/// How often it is looked whether something is the matter, so that it is known since when.
const EVERY: Duration = Duration::from_secs(1);

/// What runs, as far as somebody may ask for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// The components of each pipeline, by its id.
    pub pipelines: BTreeMap<String, Vec<Part>>,
    /// The extensions.
    pub extensions: Vec<Part>,
}

/// A component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// As the Collector has it: its kind and its id.
    pub name: String,
    /// Where troubles of it are told to be.
    pub places: Vec<String>,
}

/// How all is.
#[derive(Debug)]
pub struct Status {
    parts: Parts,
    /// How long something may be the matter that may pass; for ever where nothing is said.
    recovery: Option<Duration>,
    noticed: Mutex<Noticed>,
}

/// Since when something is the matter, by its place.
type Noticed = BTreeMap<String, Since>;

#[derive(Debug, Clone, Copy)]
struct Since {
    instant: Instant,
    at: Timestamp,
}

/// All that there is to know at a moment.
struct Moment<'m> {
    phase: Phase,
    troubles: &'m [Trouble],
    noticed: Noticed,
    now: Instant,
    started: Timestamp,
}

impl Status {
    /// The status of these parts. What may pass makes them unwell after `recovery`, if ever.
    pub fn new(parts: Parts, recovery: Option<Duration>) -> Self {
        Self {
            parts,
            recovery,
            noticed: Mutex::default(),
        }
    }

    /// Takes note of what is the matter, also while nobody asks. Never ends.
    pub async fn watch(self: Arc<Self>, counters: Arc<Counters>) {
        let mut ticks = interval(EVERY);
        loop {
            ticks.tick().await;
            self.notice(&troubles(&counters), Instant::now());
        }
    }

    /// What is answered to a query such as `pipeline=traces&verbose`.
    pub(super) fn answer(&self, counters: &Counters, query: &str) -> Response {
        let phase = counters.phase();
        let troubles = match phase {
            Phase::Running => troubles(counters),
            Phase::Starting | Phase::Stopping => Vec::new(),
        };
        let now = Instant::now();
        let moment = Moment {
            phase,
            noticed: self.notice(&troubles, now),
            troubles: &troubles,
            now,
            started: counters.began.at,
        };
        match self.told(&moment, query) {
            Some((code, body)) => (code, JSON, Value::Object(body).to_string()).into_response(),
            None => (StatusCode::NOT_FOUND, "there is no such pipeline\n").into_response(),
        }
    }

    /// The code and the body; nothing of a pipeline that there is not.
    fn told(&self, moment: &Moment<'_>, query: &str) -> Option<(StatusCode, Map<String, Value>)> {
        let (mut pipeline, mut verbose) = (None, false);
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match key.as_ref() {
                // As in the Collector an empty one asks for all.
                "pipeline" if !value.is_empty() => pipeline = Some(value.into_owned()),
                "verbose" => verbose = true,
                _ => {}
            }
        }
        let (mut body, components) = match pipeline {
            Some(id) => {
                let parts = self.parts.pipelines.get(&id)?;
                (self.of(moment, Some(parts)), self.each(moment, parts))
            }
            None => (self.of(moment, None), self.all(moment)),
        };
        if verbose {
            body.insert("components".to_owned(), Value::Object(components));
        }
        body.insert("start_time".to_owned(), moment.started.to_string().into());
        let code = match (moment.phase, body.get("healthy")) {
            (Phase::Running, Some(Value::Bool(true))) => StatusCode::OK,
            (Phase::Running, _) => StatusCode::INTERNAL_SERVER_ERROR,
            (Phase::Starting | Phase::Stopping, _) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Some((code, body))
    }

    /// Each pipeline, and the extensions, with their components.
    fn all(&self, moment: &Moment<'_>) -> Map<String, Value> {
        let pipelines = self.parts.pipelines.iter();
        let pipelines = pipelines.map(|(id, parts)| (format!("pipeline:{id}"), parts));
        let extensions = ("extensions".to_owned(), &self.parts.extensions);
        let all = pipelines.chain([extensions]).map(|(name, parts)| {
            let mut body = self.of(moment, Some(parts));
            let components = self.each(moment, parts);
            body.insert("components".to_owned(), Value::Object(components));
            (name, Value::Object(body))
        });
        all.collect()
    }

    fn each(&self, moment: &Moment<'_>, parts: &[Part]) -> Map<String, Value> {
        let each = parts.iter().map(|part| {
            let body = self.of(moment, Some(std::slice::from_ref(part)));
            (part.name.clone(), Value::Object(body))
        });
        each.collect()
    }

    /// How these parts are together, or all there are.
    fn of(&self, moment: &Moment<'_>, parts: Option<&[Part]>) -> Map<String, Value> {
        let concerns = |trouble: &&Trouble| {
            parts.is_none_or(|parts| {
                let mut places = parts.iter().flat_map(|part| &part.places);
                places.any(|place| *place == trouble.component)
            })
        };
        let troubles: Vec<&Trouble> = moment.troubles.iter().filter(concerns).collect();
        let lasts = |trouble: &&Trouble| {
            let since = moment.noticed.get(&trouble.component);
            let lasted = since.map(|since| moment.now.saturating_duration_since(since.instant));
            self.recovery
                .is_some_and(|recovery| lasted >= Some(recovery))
        };
        let trouble = troubles.first();
        let status = match moment.phase {
            Phase::Starting => "StatusStarting",
            Phase::Running if trouble.is_none() => "StatusOK",
            Phase::Running => "StatusRecoverableError",
            Phase::Stopping => "StatusStopping",
        };
        let since = trouble.and_then(|trouble| moment.noticed.get(&trouble.component));
        let is_well = moment.phase == Phase::Running && !troubles.iter().any(lasts);
        let at = since.map_or(moment.started, |since| since.at);
        let mut body = Map::new();
        body.insert("healthy".to_owned(), is_well.into());
        body.insert("status".to_owned(), status.into());
        body.insert("status_time".to_owned(), at.to_string().into());
        if let Some(Trouble { component, problem }) = trouble {
            body.insert("error".to_owned(), format!("{component}: {problem}").into());
        }
        body
    }

    /// Since when each of these is the matter.
    fn notice(&self, troubles: &[Trouble], now: Instant) -> Noticed {
        let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        noticed.retain(|place, _| troubles.iter().any(|trouble| trouble.component == *place));
        for trouble in troubles {
            let since = || Since {
                instant: now,
                at: Timestamp::now(),
            };
            noticed
                .entry(trouble.component.clone())
                .or_insert_with(since);
        }
        noticed.clone()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use serde_json::json;

    use super::*;

    fn part(name: &str, places: &[&str]) -> Part {
        Part {
            name: name.to_owned(),
            places: places.iter().map(|place| (*place).to_owned()).collect(),
        }
    }

    fn status(recovery: Option<Duration>) -> Status {
        let store = ["extensions.store", "extensions.store.spool"];
        let of_traces = vec![
            part("receiver:otlp", &[]),
            part("processor:artifact", &store),
            part("exporter:a", &["exporters.a", "exporters.a.sending_queue"]),
        ];
        let of_logs = vec![
            part("receiver:otlp", &[]),
            part("exporter:b", &["exporters.b"]),
        ];
        let pipelines = [("traces", of_traces), ("logs/b", of_logs)];
        let pipelines = pipelines.map(|(id, parts)| (id.to_owned(), parts));
        let parts = Parts {
            pipelines: pipelines.into(),
            extensions: vec![part("extension:store", &store)],
        };
        Status::new(parts, recovery)
    }

    fn trouble(component: &str) -> Trouble {
        Trouble {
            component: component.to_owned(),
            problem: "is away",
        }
    }

    /// What is told so long after the troubles were noticed.
    fn told(
        status: &Status,
        troubles: &[Trouble],
        after: Duration,
        query: &str,
    ) -> Option<(u16, Value)> {
        let began = Instant::now();
        status.notice(troubles, began);
        let moment = Moment {
            phase: Phase::Running,
            troubles,
            noticed: status.notice(troubles, began + after),
            now: began + after,
            started: Timestamp::UNIX_EPOCH,
        };
        let (code, body) = status.told(&moment, query)?;
        Some((code.as_u16(), Value::Object(body)))
    }

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn what_lasts_longer_than_it_may_makes_unwell() {
        let at_store = [trouble("extensions.store.spool")];
        for (recovery, after, code) in [
            (None, 100 * MINUTE, 200),
            (Some(5 * MINUTE), 4 * MINUTE, 200),
            (Some(5 * MINUTE), 5 * MINUTE, 500),
            (Some(Duration::ZERO), Duration::ZERO, 500),
        ] {
            let (told, body) = told(&status(recovery), &at_store, after, "").unwrap();
            assert_eq!(told, code, "{recovery:?} {after:?}");
            assert_eq!(body["healthy"], code == 200, "{body}");
            assert_eq!(body["status"], "StatusRecoverableError");
            assert_eq!(body["error"], "extensions.store.spool: is away");
            assert_eq!(body.get("components"), None);
        }
        let (code, body) = told(&status(Some(Duration::ZERO)), &[], MINUTE, "").unwrap();
        assert_eq!((code, &body["status"]), (200, &json!("StatusOK")));
        assert_eq!(body["status_time"], body["start_time"]);
    }

    /// What has passed begins anew.
    #[test]
    fn what_comes_again_has_its_time_again() {
        let status = status(Some(MINUTE));
        let (at_a, began) = ([trouble("exporters.a")], Instant::now());
        let since = |after: Duration, troubles: &[Trouble]| {
            let noticed = status.notice(troubles, began + after);
            noticed
                .get("exporters.a")
                .map(|since| since.instant - began)
        };
        assert_eq!(since(Duration::ZERO, &at_a), Some(Duration::ZERO));
        assert_eq!(since(MINUTE, &at_a), Some(Duration::ZERO));
        assert_eq!(since(2 * MINUTE, &[]), None);
        assert_eq!(since(3 * MINUTE, &at_a), Some(3 * MINUTE));
    }

    #[test]
    fn who_asks_for_a_pipeline_is_told_of_it_alone() {
        let status = status(Some(Duration::ZERO));
        for (at, of_traces, of_logs) in [
            ("extensions.store", 500, 200),
            ("extensions.store.spool", 500, 200),
            ("exporters.a.sending_queue", 500, 200),
            ("exporters.b", 200, 500),
        ] {
            let troubles = [trouble(at)];
            let code = |query: &str| {
                let told = told(&status, &troubles, MINUTE, query);
                told.map(|(code, _)| code)
            };
            assert_eq!(code("pipeline=traces"), Some(of_traces), "{at}");
            assert_eq!(code("pipeline=logs/b"), Some(of_logs), "{at}");
            assert_eq!(code("pipeline=logs%2Fb&verbose"), Some(of_logs), "{at}");
            assert_eq!(code("pipeline="), Some(500), "{at}");
            assert_eq!(code("pipeline=logs"), None, "{at}");
        }
    }

    #[test]
    fn who_wants_all_of_it_is_told_of_each_component() {
        let status = status(Some(Duration::ZERO));
        let at_store = [trouble("extensions.store")];
        let (_, body) = told(&status, &at_store, MINUTE, "verbose").unwrap();
        let components = &body["components"];
        for (pointer, healthy) in [
            ("/pipeline:traces", false),
            ("/pipeline:traces/components/receiver:otlp", true),
            ("/pipeline:traces/components/processor:artifact", false),
            ("/pipeline:traces/components/exporter:a", true),
            ("/pipeline:logs~1b", true),
            ("/pipeline:logs~1b/components/exporter:b", true),
            ("/extensions/components/extension:store", false),
        ] {
            let of_part = components.pointer(pointer).unwrap();
            assert_eq!(of_part["healthy"], healthy, "{pointer}: {body}");
            let is_told = of_part["error"] == "extensions.store: is away";
            assert_eq!(is_told, !healthy, "{pointer}: {body}");
        }
        let (_, body) = told(&status, &at_store, MINUTE, "pipeline=traces&verbose=true").unwrap();
        let components = body["components"].as_object().unwrap();
        let mut names: Vec<_> = components.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["exporter:a", "processor:artifact", "receiver:otlp"]);
    }
}
