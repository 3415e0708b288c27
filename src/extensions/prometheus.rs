//! What Prometheus reads.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{StatusCode, header};

use crate::telemetry::Counters;
use crate::telemetry::config::{Naming, Resource};
use crate::telemetry::metrics::{CONTENT_TYPE, Reading, encode};
use crate::telemetry::views::Selection;

/// The page with all metrics that are told.
pub fn pages(
    counters: Arc<Counters>,
    selection: Selection,
    naming: Naming,
    resource: Resource,
) -> Router {
    let metrics = move || {
        let answer = answer(&counters, &selection, naming, &resource);
        async move { answer }
    };
    Router::new().route("/metrics", get(metrics))
}

fn answer(
    counters: &Counters,
    selection: &Selection,
    naming: Naming,
    resource: &Resource,
) -> Response {
    match encode(Reading::of_all(counters, resource), selection, naming) {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!("metrics cannot be written: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
