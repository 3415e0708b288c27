//! Whether slimspan is well, for those who decide whether to start it again or to send it anything.

pub mod config;
mod troubles;

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{StatusCode, header};
use serde_json::json;

use crate::telemetry::{Counters, Phase};
use config::HealthCheckConfig;
pub use troubles::{Trouble, troubles};

const JSON: [(http::HeaderName, &str); 2] = [
    (header::CONTENT_TYPE, "application/json"),
    (header::CACHE_CONTROL, "no-store"),
];

/// The Collector's answer at its path, and `/live` and `/ready` beside it.
pub fn pages(config: &HealthCheckConfig, counters: &Arc<Counters>) -> Router {
    let (of_path, of_live, of_ready) = (counters.clone(), counters.clone(), counters.clone());
    let words = config.response_body.clone();
    let path = move || {
        let is_running = of_path.phase() == Phase::Running;
        let answer = match &words {
            Some(words) if is_running => (StatusCode::OK, words.healthy.clone()).into_response(),
            Some(words) => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                (status, words.unhealthy.clone()).into_response()
            }
            None => available(&of_path),
        };
        async move { answer }
    };
    let live = move || {
        let answer = live(&of_live);
        async move { answer }
    };
    let ready = move || {
        let answer = ready(&of_ready);
        async move { answer }
    };
    Router::new()
        .route(&config.path, get(path))
        .route("/live", get(live))
        .route("/ready", get(ready))
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
