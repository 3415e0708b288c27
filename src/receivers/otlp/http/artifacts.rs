//! Artifacts that programs put where they send telemetry: an `artifact_server` answers there.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use hyper::body::Incoming;
use tower::ServiceExt as _;

use crate::receivers::connections::Service;

/// Where they are put.
const PATH: &str = "/v1/artifacts";

/// Whether who asks for this path is answered by the server.
pub(super) fn is_of_artifacts(path: &str) -> bool {
    let rest = path.strip_prefix(PATH);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Has `artifacts` answer there, with these headers in every answer that has none of their names, and `telemetry`
/// everywhere else.
pub(super) fn beside(artifacts: Router, headers: HeaderMap, telemetry: Service) -> Service {
    let headers = Arc::new(headers);
    Service::new(tower::service_fn(move |request: Request<Incoming>| {
        let artifacts = artifacts.clone();
        let (headers, telemetry) = (Arc::clone(&headers), telemetry.clone());
        async move {
            if !is_of_artifacts(request.uri().path()) {
                return telemetry.oneshot(request).await;
            }
            let mut answer = artifacts.oneshot(request.map(Body::new)).await?;
            for (name, value) in &*headers {
                let headers = answer.headers_mut();
                headers.entry(name).or_insert_with(|| value.clone());
            }
            Ok(answer)
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_of_artifacts_is_answered_by_another() {
        for (path, is) in [
            ("/v1/artifacts", true),
            ("/v1/artifacts/abc/blob", true),
            ("/v1/artifacts/", true),
            ("/v1/artifactsmuch", false),
            ("/v1/traces", false),
            ("/v2/v1/artifacts", false),
            ("v1/artifacts", false),
            ("/", false),
        ] {
            assert_eq!(is_of_artifacts(path), is, "{path}");
        }
    }
}
