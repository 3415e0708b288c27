//! Pages for people who look into a running slimspan with a browser. Nothing of what passes is on them:
//! names come from the configuration or from fixed lists.

pub mod config;
mod html;
mod live;
mod rates;
mod wiring;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{Html as Page, IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderValue, StatusCode, header};
use tokio::time::interval;

use crate::extensions::hosts::Hosts;
use crate::telemetry::Counters;
use config::ZpagesConfig;
use rates::{EVERY, Rates, Totals};

/// The pages. Clones are the same.
#[derive(Debug, Clone)]
pub struct Zpages {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    hosts: Hosts,
    about: About,
    summary: Mutex<Vec<(String, String)>>,
    counters: Arc<Counters>,
    rates: Rates,
}

/// What is configured.
#[derive(Debug, Clone)]
pub struct About {
    /// The pipelines.
    pub pipelines: Vec<Wiring>,
    /// The extensions that run.
    pub extensions: Vec<String>,
}

/// A pipeline and the ids of its components.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Wiring {
    pub pipeline: String,
    pub receivers: Vec<String>,
    pub processors: Vec<String>,
    pub exporters: Vec<String>,
}

impl Zpages {
    /// Pages about what is configured and counted.
    pub fn new(config: &ZpagesConfig, about: About, counters: &Arc<Counters>) -> Self {
        Self {
            shared: Arc::new(Shared {
                hosts: Hosts::new(&config.endpoint.host, &config.allowed_hosts),
                about,
                summary: Mutex::default(),
                counters: Arc::clone(counters),
                rates: Rates::default(),
            }),
        }
    }

    /// Takes note of what runs, component by component.
    pub fn tell(&self, summary: &[(String, String)]) {
        let told = &self.shared.summary;
        *told.lock().unwrap_or_else(PoisonError::into_inner) = summary.to_vec();
    }

    /// Remembers now and then what has passed, to know how fast it does. Never ends.
    pub async fn remember(self) {
        let mut ticks = interval(EVERY);
        loop {
            ticks.tick().await;
            let totals = Totals::of(&self.shared.counters);
            self.shared.rates.remember(Instant::now(), totals);
        }
    }

    /// The pages by their paths.
    pub fn pages(&self) -> Router {
        let page = |show: fn(&Shared) -> String| {
            let shared = Arc::clone(&self.shared);
            get(move || async move { Page(show(&shared)) })
        };
        let shared = Arc::clone(&self.shared);
        Router::new()
            .route("/", page(live::page))
            .route("/debug/servicez", page(wiring::service))
            .route("/debug/pipelinez", page(wiring::pipelines))
            .route("/debug/extensionz", page(wiring::extensions))
            .route("/debug/tracez", page(live::requests))
            .route("/debug/featurez", page(wiring::gates))
            .route("/debug/expvarz", get(not_of_this_program))
            .layer(middleware::from_fn_with_state(shared, guard))
    }
}

/// Why a page of the Collector is not here.
async fn not_of_this_program() -> Response {
    let why = "there is no Go in this program whose variables could be shown: metrics of its memory are where \
               service.telemetry.metrics says, at /metrics\n";
    (StatusCode::NOT_FOUND, why).into_response()
}

/// Answers nobody who was led here by a name of somebody else.
async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !shared.hosts.allow(host) {
        let why = "this name is not known here; see allowed_hosts of the zpages extension\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
