//! Links for those who have no credential.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::address;
use super::answer::{ApiError, json};
use crate::server::Server;
use crate::server::audit::Deed;
use crate::server::links::{Disposition, parameter};
use crate::server::listener::Peer;

/// Makes a link that opens one artifact for a while.
pub(super) async fn link(
    State(server): State<Arc<Server>>,
    Path(sha256): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (request, _) = request.into_parts();
    let peer = Peer::of(&request.extensions);
    let reader = server.reader(&request.headers).await?;
    server.rate_allows(&reader, peer)?;
    let query = request.uri.query().unwrap_or_default();
    let address = address(&reader, &sha256, query)?;
    let disposition = match parameter(query, "download") {
        Some(_) => Disposition::Attachment,
        None => Disposition::Inline,
    };
    let status = StatusCode::CREATED;
    let told = server
        .audit
        .tell(&reader, peer, Deed::Linked, &address, status);
    (told.await).map_err(|error| Box::new(server.not_told(&error)))?;
    let (url, ends) = server.signed_url(&address, disposition);
    let link = json!({ "url": url, "expires": ends.to_string() });
    Ok(json(status, &link))
}
