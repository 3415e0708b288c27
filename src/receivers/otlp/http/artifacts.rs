//! Artifacts that programs put where they send telemetry: an `artifact_server` answers there.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tower::ServiceExt as _;

use crate::receivers::connections::{Introduction, Service};
use crate::receivers::heads::TooLarge;

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
            let mut answer = if let Some(refused) = too_large(request.extensions()) {
                refused
            } else {
                let introduction = request.extensions().get::<Introduction>().cloned();
                let answer = artifacts.oneshot(request.map(Body::new)).await?;
                // Nobody succeeds who is not let in.
                if answer.status().is_success()
                    && let Some(introduction) = introduction
                {
                    introduction.make();
                }
                answer
            };
            for (name, value) in &*headers {
                let headers = answer.headers_mut();
                headers.entry(name).or_insert_with(|| value.clone());
            }
            Ok(answer)
        }
    }))
}

/// What a request with these extensions is told whose head was too large: next to nothing is left of it.
fn too_large(extensions: &Extensions) -> Option<Response<Body>> {
    let refusal = TooLarge::check(extensions).err()?;
    let mut response = Response::new(Body::from(format!("{refusal}\n")));
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receivers::heads::limit;

    #[test]
    fn a_head_that_is_too_large_is_told_so() {
        for (headers, is_taken) in [(1, true), (200, false)] {
            let mut request = Request::new(());
            for _ in 0..headers {
                let headers = request.headers_mut();
                headers.append("a", HeaderValue::from_static(""));
            }
            limit(&mut request);
            let refused = too_large(request.extensions());
            assert_eq!(refused.is_none(), is_taken, "{headers}");
            if let Some(refused) = refused {
                assert_eq!(refused.status(), 431);
                assert_eq!(
                    refused.headers()[header::CONTENT_TYPE],
                    "text/plain; charset=utf-8"
                );
            }
        }
    }

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
