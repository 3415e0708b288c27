//! Whether slimspan is well, for those who decide whether to start it again or to send it anything.

pub mod config;
mod grpc;
mod status;
mod troubles;
pub mod v2;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{StatusCode, Uri, header};
use serde_json::json;

use crate::config::HostPort;
use crate::telemetry::{Counters, Phase};
use crate::tls::config::TlsServerConfig;
use config::ResponseBody;
pub use grpc::{ALPN, Health};
pub use status::{Part, Parts, Status};
pub use troubles::{Trouble, troubles};

const JSON: [(http::HeaderName, &str); 2] = [
    (header::CONTENT_TYPE, "application/json"),
    (header::CACHE_CONTROL, "no-store"),
];

/// What an extension serves, whichever its keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served<'c> {
    /// The section of its configuration that has the endpoint, if that is a section of its own.
    pub section: Option<&'static str>,
    /// Where it listens.
    pub endpoint: HostPort,
    /// How connections are protected.
    pub tls: Option<&'c TlsServerConfig>,
    /// The path of the Collector's answer, if that is given.
    pub path: Option<String>,
    /// Which one that is.
    pub telling: Telling,
    /// How long something may be the matter that may pass, if not for ever.
    pub recovery: Option<Duration>,
}

/// The Collector's answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Telling {
    /// Whether it is available: that of `health_check`, or its words.
    Available(Option<ResponseBody>),
    /// How it is: that of `healthcheckv2`.
    Status,
    /// The same over gRPC, which has no path.
    Grpc,
}

/// The Collector's answer at its path, and `/live` and `/ready` beside it.
pub fn pages(served: &Served<'_>, counters: &Arc<Counters>, status: &Arc<Status>) -> Router {
    let (of_path, of_live, of_ready) = (counters.clone(), counters.clone(), counters.clone());
    let live = move || {
        let answer = live(&of_live);
        async move { answer }
    };
    let ready = move || {
        let answer = ready(&of_ready);
        async move { answer }
    };
    let pages = Router::new()
        .route("/live", get(live))
        .route("/ready", get(ready));
    let Some(path) = &served.path else {
        return pages;
    };
    let (telling, status) = (served.telling.clone(), Arc::clone(status));
    let at_path = move |uri: Uri| {
        let answer = match &telling {
            Telling::Available(Some(words)) => in_words(words, &of_path),
            Telling::Available(None) => available(&of_path),
            Telling::Status | Telling::Grpc => {
                status.answer(&of_path, uri.query().unwrap_or_default())
            }
        };
        async move { answer }
    };
    pages.route(path, get(at_path))
}

/// Whether requests are taken, in the configuration's own words.
fn in_words(words: &ResponseBody, counters: &Counters) -> Response {
    if counters.phase() == Phase::Running {
        return (StatusCode::OK, words.healthy.clone()).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, words.unhealthy.clone()).into_response()
}

/// What the Collector answers: whether requests are taken.
fn available(counters: &Counters) -> Response {
    if counters.phase() != Phase::Running {
        let body = json!({"status": "Server not available"});
        return (StatusCode::SERVICE_UNAVAILABLE, JSON, body.to_string()).into_response();
    }
    let uptime = counters.began.instant.elapsed();
    let body = json!({
        "status": "Server available",
        "upSince": counters.began.at.to_string(),
        "uptime": format!("{:.3}s", uptime.as_secs_f64()),
    });
    (StatusCode::OK, JSON, body.to_string()).into_response()
}

/// Who can answer is alive. To start slimspan again would mend nothing that is wrong around it.
fn live(counters: &Counters) -> Response {
    let body = json!({"status": "alive", "phase": counters.phase().name()});
    (StatusCode::OK, JSON, body.to_string()).into_response()
}

/// Whether requests have a way to go.
fn ready(counters: &Counters) -> Response {
    let (phase, troubles) = (counters.phase(), troubles(counters));
    let is_ready = phase == Phase::Running && troubles.is_empty();
    let troubles: Vec<_> = troubles
        .into_iter()
        .map(|Trouble { component, problem }| json!({"component": component, "problem": problem}))
        .collect();
    let body = json!({
        "status": if is_ready { "ready" } else { "not ready" },
        "phase": phase.name(),
        "troubles": troubles,
    });
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, JSON, body.to_string()).into_response()
}
