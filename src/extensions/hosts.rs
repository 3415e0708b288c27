//! The names by which a listener may be asked.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};

/// The names by which pages may be asked for.
///
/// A page of a stranger may let its own name lead to this machine, and then read what it finds here
/// with the browser of somebody who is allowed to (DNS rebinding). The name that the browser was given
/// stands in the request, and an address is no name.
#[derive(Debug, Clone)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// `own` is the host that is listened on; names of others are `allowed` beside it.
    pub fn new(own: &str, allowed: &[String]) -> Self {
        let names = ["localhost", own].into_iter();
        let names = names.chain(allowed.iter().map(String::as_str));
        Self(names.map(str::to_ascii_lowercase).collect())
    }

    /// Pages that nobody is led to by a name of somebody else, where they are on a listener for this
    /// machine alone. What other machines reach they ask for by names that nobody here knows, and a
    /// page of a stranger need not come by this one. Nor does a browser come without a name.
    pub fn guard(pages: Router, listener: SocketAddr, own: &str) -> Router {
        if !listener.ip().to_canonical().is_loopback() {
            return pages;
        }
        let hosts = Arc::new(Self::new(own, &[]));
        pages.layer(middleware::from_fn_with_state(hosts, refuse_strangers))
    }

    /// Whether a request with this `Host` is answered.
    pub fn allow(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.split(':').next().unwrap_or_default(),
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        name.parse::<IpAddr>().is_ok() || self.0.contains(&name)
    }
}

async fn refuse_strangers(
    State(hosts): State<Arc<Hosts>>,
    request: Request,
    next: Next,
) -> Response {
    let is_stranger = request.headers().get(header::HOST).is_some_and(|host| {
        let host = host.to_str().unwrap_or_default();
        !hosts.allow(host)
    });
    if is_stranger {
        let why = "this name is not known here; ask for localhost, or by the address\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    next.run(request).await
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn only_what_is_for_this_machine_alone_asks_for_a_name() {
        let pages = || Router::new().route("/", get(|| async { "told" }));
        for (listener, host, answered) in [
            ("127.0.0.1:8888", Some("localhost:8888"), true),
            ("127.0.0.1:8888", Some("127.0.0.1:8888"), true),
            ("127.0.0.1:8888", Some("edge-1:8888"), true),
            ("127.0.0.1:8888", None, true),
            ("127.0.0.1:8888", Some("evil.example.com:8888"), false),
            ("[::1]:8888", Some("evil.example.com:8888"), false),
            ("0.0.0.0:8888", Some("10.0.0.7:8888"), true),
            ("10.0.0.7:8888", Some("slimspan.telemetry.svc:8888"), true),
        ] {
            let pages = Hosts::guard(pages(), listener.parse().unwrap(), "edge-1");
            let mut request = Request::new(Body::empty());
            if let Some(host) = host {
                let headers = request.headers_mut();
                headers.insert(header::HOST, host.parse().unwrap());
            }
            let status = pages.oneshot(request).await.unwrap().status();
            assert_eq!(
                status.is_success(),
                answered,
                "{listener} {host:?}: {status}"
            );
        }
    }

    #[test]
    fn only_names_of_this_machine_are_answered() {
        let hosts = Hosts::new("edge-1", &["pages.example.com".to_owned()]);
        for (host, allowed) in [
            ("localhost:55679", true),
            ("LOCALHOST", true),
            ("127.0.0.1:55679", true),
            ("[::1]:55679", true),
            ("10.0.0.7", true),
            ("edge-1:1", true),
            ("pages.example.com", true),
            ("pages.example.com.", true),
            ("evil.example.com:55679", false),
            ("localhost.evil.example.com", false),
            ("127.0.0.1.evil.example.com", false),
            ("", false),
            (":55679", false),
        ] {
            assert_eq!(hosts.allow(host), allowed, "{host}");
        }
    }
}
