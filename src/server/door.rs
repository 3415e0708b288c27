//! A receiver of telemetry at which artifacts are put, too: programs that send both know one address.
//!
//! Nothing else is answered there. Who may put is found out as everywhere at this server, and not as the receiver
//! does it.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, header};

use super::{Server, api, site};

/// Said by proxies that end TLS.
const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Lets in who puts artifacts, at a listener that is none of its server.
#[derive(Debug, Clone)]
pub struct Door(Arc<Server>);

/// How a request was asked that came in by a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Elsewhere {
    /// What its sender speaks.
    pub(super) scheme: &'static str,
}

impl Elsewhere {
    /// Of the request with these; none where it came to the server itself.
    pub(super) fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().copied()
    }

    /// At a listener that speaks TLS or does not: then a proxy before it may, and only its own sender is told what it
    /// says of that.
    fn at(is_protected: bool, headers: &HeaderMap) -> Self {
        let forwarded = headers.get(FORWARDED).map(HeaderValue::as_bytes);
        let is_forwarded = forwarded.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https"));
        let scheme = if is_protected || is_forwarded {
            "https"
        } else {
            "http"
        };
        Self { scheme }
    }
}

impl Door {
    pub(super) fn of(server: Arc<Server>) -> Self {
        Self(server)
    }

    /// What is answered at a listener that speaks TLS, or does not.
    pub fn routes(&self, is_protected: bool) -> Router {
        let server = &self.0;
        let guard = middleware::from_fn_with_state(Arc::clone(server), site::guard);
        let arrival = middleware::from_fn_with_state(is_protected, arrive);
        api::routes_of_who_puts()
            .layer(guard)
            .layer(arrival)
            .with_state(Arc::clone(server))
    }
}

/// Says how a request came, before anything else is done with it.
async fn arrive(State(is_protected): State<bool>, mut request: Request, next: Next) -> Response {
    let elsewhere = Elsewhere::at(is_protected, request.headers());
    request.extensions_mut().insert(elsewhere);
    name_host(&mut request);
    next.run(request).await
}

/// With HTTP/2 the name that was asked for stands in the URL.
fn name_host(request: &mut Request) {
    let Some(authority) = request.uri().authority() else {
        return;
    };
    let host = match authority.port_u16() {
        Some(port) => format!("{}:{port}", authority.host()),
        None => authority.host().to_owned(),
    };
    if let Ok(host) = HeaderValue::from_str(&host) {
        let headers = request.headers_mut();
        headers.entry(header::HOST).or_insert(host);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn a_sender_is_led_back_to_what_it_speaks() {
        for (is_protected, forwarded, scheme) in [
            (false, None, "http"),
            (true, None, "https"),
            (false, Some("https"), "https"),
            (false, Some("HTTPS"), "https"),
            (false, Some("http"), "http"),
            (false, Some("javascript"), "http"),
            (true, Some("http"), "https"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(forwarded) = forwarded {
                headers.insert(FORWARDED, HeaderValue::from_static(forwarded));
            }
            let elsewhere = Elsewhere::at(is_protected, &headers);
            assert_eq!(elsewhere.scheme, scheme, "{is_protected} {forwarded:?}");
        }
    }

    #[test]
    fn the_name_that_was_asked_for_is_known_in_every_version_of_http() {
        for (url, given, host) in [
            (
                "http://files.example.com:4318/v1",
                None,
                Some("files.example.com:4318"),
            ),
            (
                "https://files.example.com/v1",
                None,
                Some("files.example.com"),
            ),
            ("http://[::1]:4318/v1", None, Some("[::1]:4318")),
            ("http://user@a.example.com/v1", None, Some("a.example.com")),
            (
                "http://a.example.com/v1",
                Some("b.example.com"),
                Some("b.example.com"),
            ),
            ("/v1", Some("b.example.com"), Some("b.example.com")),
            ("/v1", None, None),
        ] {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = url.parse().unwrap();
            if let Some(given) = given {
                let given = HeaderValue::from_static(given);
                request.headers_mut().insert(header::HOST, given);
            }
            name_host(&mut request);
            let named = request.headers().get(header::HOST);
            let named = named.map(|host| host.to_str().unwrap());
            assert_eq!(named, host, "{url}");
        }
    }
}
