//! The listener for pages and the API: an origin of its own, in which nothing of an artifact ever runs.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::Server;
use super::address::Address;
use super::artifacts::{Refused, refusal};
use super::counted::Asked;
use super::place;

/// Everything on this listener.
pub(super) fn routes(server: Arc<Server>) -> Router {
    let guard = middleware::from_fn_with_state(Arc::clone(&server), guard);
    super::api::routes()
        .merge(super::pages::routes())
        .fallback(super::pages::artifact)
        .layer(guard)
        .with_state(server)
}

/// What holds for every request on this listener, and every answer.
pub(super) async fn guard(
    State(server): State<Arc<Server>>,
    request: Request,
    next: Next,
) -> Response {
    let route = pattern(request.uri().path());
    let asked = Asked::of(&server.counts, request.method(), route);
    let mut response = match server.site_takes(&request) {
        Ok(()) => place::answer(route, request, |request| next.run(request)).await,
        Err(refused) => *refused,
    };
    protect(response.headers_mut());
    asked.answered(response)
}

/// The headers of what is answered before anybody knows what was asked for.
pub(super) fn of_what_is_not_understood() -> HeaderMap {
    let mut headers = HeaderMap::new();
    protect(&mut headers);
    headers
}

/// What a browser is told with every answer.
fn protect(headers: &mut HeaderMap) {
    let fixed = HeaderValue::from_static;
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, fixed(value));
    }
    // A page says itself what it needs.
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(fixed("default-src 'none'; frame-ancestors 'none'"));
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(fixed("no-store"));
}

/// The pattern of a path, as far as it is one of this listener.
fn pattern(path: &str) -> &'static str {
    let mut parts = path.split('/').skip(1);
    let parts = [parts.next(), parts.next(), parts.next(), parts.next()];
    match parts.map(Option::unwrap_or_default) {
        ["", "", "", ""] => "/",
        ["find", "", "", ""] => "/find",
        ["style.css" | "icon.svg", "", "", ""] => "/style.css",
        ["openapi.json", "", "", ""] => "/openapi.json",
        ["traces", _, "", ""] => "/traces/{id}",
        ["v1", "artifacts", "", ""] => "/v1/artifacts",
        ["v1", "artifacts", _, ""] => "/v1/artifacts/{sha256}",
        ["v1", "artifacts", _, "blob"] => "/v1/artifacts/{sha256}/blob",
        ["v1", "artifacts", _, "finalize"] => "/v1/artifacts/{sha256}/finalize",
        ["v1", "artifacts", _, "link"] => "/v1/artifacts/{sha256}/link",
        ["v1", "traces", _, ""] => "/v1/traces/{trace_id}",
        ["v1", "tenants", _, ""] => "/v1/tenants/{tenant}",
        ["v1", "restore", _, ""] => "/v1/restore/{signal}",
        _ if Address::parse(path).is_some() => "/artifacts/{sha256} (page)",
        _ => "(other)",
    }
}

impl Server {
    fn site_takes(&self, request: &Request) -> Result<(), Refused> {
        self.hosts_allow(request.uri(), request.headers())?;
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(());
        }
        // A page of a stranger can have a browser send something, but not say that it was another.
        let headers = request.headers();
        let from = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        let is_own_page = matches!(from, None | Some(b"same-origin" | b"none"));
        let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
        let own = super::config::origin_of(&self.urls.pages).unwrap_or_default();
        // It has other names beside that of its URL, all of which it was asked for by are its own.
        let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
        let is_own = |origin: &[u8]| {
            let name = [&b"http://"[..], b"https://"];
            let name = name
                .into_iter()
                .find_map(|scheme| origin.strip_prefix(scheme));
            origin == own.as_bytes() || name.is_some() && name == host
        };
        let is_own_origin = origin.is_none_or(is_own);
        if is_own_page && is_own_origin {
            return Ok(());
        }
        Err(Box::new(refusal(
            StatusCode::FORBIDDEN,
            "only pages of this server, and programs, may change something here\n",
        )))
    }
}
