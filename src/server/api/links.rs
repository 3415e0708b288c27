//! Links for those who have no credential.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{ApiError, json};
use super::responses::{Any, CrossSite};
use super::{Asking, Named};
use crate::server::Server;
use crate::server::audit::Deed;
use crate::server::links::{Disposition, parameter};

/// A link.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignedLink {
    /// What to open
    url: String,
    /// Until when (RFC 3339)
    expires: String,
}

/// Make a link that opens one artifact for a while, for who has no credential
#[utoipa::path(
    post, path = "/v1/artifacts/{sha256}/link", tag = "read", operation_id = "linkArtifact",
    params(
        ("sha256" = String, Path, description = "Its digest"),
        ("download" = Option<String>, Query, description = "For a download"),
        ("tenant" = Option<String>, Query, description = "Whose it is, if the credential is not a tenant's"),
    ),
    responses(
        (status = 201, description = "The link, whether there is such an artifact or not", body = SignedLink),
        Any,
        CrossSite,
    ),
    security((), ("bearer" = []), ("basic" = [])),
)]
pub(crate) async fn link(
    State(server): State<Arc<Server>>,
    Named(sha256): Named,
    request: Request,
) -> Result<Response, ApiError> {
    let (asking, _) = Asking::begin(&server, request).await?;
    let address = asking.address(&sha256)?;
    let disposition = match parameter(&asking.query, "download") {
        Some(_) => Disposition::Attachment,
        None => Disposition::Inline,
    };
    let status = StatusCode::CREATED;
    let (reader, peer) = (&asking.reader, asking.peer);
    let told = server
        .audit
        .tell(reader, peer, Deed::Linked, &address, status);
    server.was_told(told.await)?;
    let (url, ends) = server.signed_url(&address, disposition);
    let link = SignedLink {
        url,
        expires: ends.to_string(),
    };
    Ok(json(status, &link))
}
