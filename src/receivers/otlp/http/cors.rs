//! Which pages of other origins may send, from browsers.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method};
use slimspan_artifact::Pattern;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer, ExposeHeaders};

use super::config::CorsConfig;

/// What OTLP senders write, and what scripts do that are told nothing else.
const USUAL: [HeaderName; 4] = [
    ACCEPT,
    CONTENT_TYPE,
    CONTENT_ENCODING,
    HeaderName::from_static("x-requested-with"),
];

/// Answers what browsers ask before they let a page send, and tells them what pages may read; nothing
/// where no page may. What is not allowed has no word said for it, and the browser keeps it back.
pub(super) fn layer(config: &CorsConfig) -> Option<CorsLayer> {
    let origins: Vec<Pattern> = config
        .allowed_origins
        .iter()
        .map(|origin| origin.as_ref().clone())
        .collect();
    if origins.is_empty() {
        return None;
    }
    let is_any = |name: &str| name == "*";
    let any_origin = origins.iter().any(|origin| is_any(&origin.to_string()));
    let any_exposed = config.exposed_headers.iter().any(|name| is_any(name));
    let origin = if any_origin {
        AllowOrigin::any()
    } else {
        AllowOrigin::predicate(move |origin: &HeaderValue, _: &Parts| {
            let origin = origin.to_str().unwrap_or_default();
            origins.iter().any(|allowed| allowed.matches(origin))
        })
    };
    let headers = if config.allowed_headers.iter().any(|name| is_any(name)) {
        AllowHeaders::mirror_request()
    } else {
        AllowHeaders::list(USUAL.into_iter().chain(names(&config.allowed_headers)))
    };
    let exposed = if any_exposed {
        ExposeHeaders::any()
    } else {
        ExposeHeaders::list(names(&config.exposed_headers))
    };
    let cors = CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::POST])
        .allow_headers(headers)
        .expose_headers(exposed)
        // Cookies and passwords go with requests of pages that are known, never of any.
        .allow_credentials(!any_origin && !any_exposed);
    Some(match config.max_age {
        0 => cors,
        seconds => cors.max_age(Duration::from_secs(seconds.into())),
    })
}

fn names(names: &[String]) -> impl Iterator<Item = HeaderName> {
    let names = names.iter();
    names.filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
}
