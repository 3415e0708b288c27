//! From a reference, a digest or a trace id to its page.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{StatusCode, header};
use slimspan_artifact::Digest;
use url::Url;

use super::super::artifacts::insert;
use super::{Address, Explained, Scope, Server, Site, Visit, address};
use crate::catalog::TraceId;

pub(super) async fn find(State(server): State<Arc<Server>>, request: Request) -> Response {
    let visit = match Visit::begin(&server, request).await {
        Ok(visit) => visit,
        Err(response) => return response,
    };
    let asked = visit.query.find.trim();
    let Some(place) = place(&visit.site, &visit.reader.scope, asked) else {
        return Explained::bad_question(
            "Look for a reference as it stands in a span, a digest of 64 hexadecimal digits, or a trace id \
             of 32.",
        )
        .page(&visit.site);
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    insert(response.headers_mut(), header::LOCATION, &place);
    response
}

/// The page of what somebody looks for, always one of this site.
pub(super) fn place(site: &Site, scope: &Scope, asked: &str) -> Option<String> {
    if let Ok(trace) = asked.parse::<TraceId>() {
        return Some(format!("{}/traces/{trace}", site.base));
    }
    let bare = asked.strip_prefix("sha256:").unwrap_or(asked);
    if let Ok(digest) = bare.to_ascii_lowercase().parse::<Digest>() {
        return Some(site.artifact(&address(&scope.usual(), digest)));
    }
    // The name of a server is none of a tenant.
    let url = Url::parse(asked).ok();
    let path = url.as_ref().map_or(asked, Url::path);
    let path = path.strip_prefix(&*site.artifacts_path).unwrap_or(path);
    // What stands in front of it belongs to wherever the reference leads.
    let slashes = path.match_indices('/').map(|(at, _)| at);
    let mut tails = slashes.filter_map(|at| path.get(at..));
    if let Some(found) = tails.find_map(Address::parse) {
        return Some(site.artifact(&found));
    }
    // As a store itself is referred to.
    let name = path.rsplit('/').next().unwrap_or_default();
    let digest: Digest = name.get(..64)?.parse().ok()?;
    Some(site.artifact(&address(&scope.usual(), digest)))
}
