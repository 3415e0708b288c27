//! What Prometheus reads.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{StatusCode, header};

use crate::telemetry::Counters;
use crate::telemetry::config::{Level, Naming, Resource};
use crate::telemetry::metrics::{CONTENT_TYPE, Reading, encode};

/// The page with all metrics that there are at this `level`.
pub fn pages(counters: Arc<Counters>, level: Level, naming: Naming, resource: Resource) -> Router {
    let metrics = move || {
        let answer = answer(&counters, level, naming, &resource);
        async move { answer }
    };
    Router::new().route("/metrics", get(metrics))
}

fn answer(counters: &Counters, level: Level, naming: Naming, resource: &Resource) -> Response {
    match encode(Reading::of_all(counters, resource), level, naming) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!("metrics cannot be written: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
