//! What is known of one artifact.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::Asking;
use super::answer::{ApiError, Failure, json};
use super::list::References;
use super::responses::Any;
use crate::catalog::{Filter, Tenants};
use crate::server::Server;
use crate::server::pieces::Reading;
use crate::storage::StoreError;

/// The places that are told at once.
const PLACES: usize = 1000;

/// An artifact.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ArtifactInfo {
    /// The SHA-256 of its bytes
    sha256: String,
    /// Whose it is
    tenant: String,
    /// How many bytes there are
    size_bytes: u64,
    /// What they show to be
    content_type: &'static str,
    /// What the newest payload that gives it a name calls it
    filename: Option<String>,
    /// Where it is read
    uri: String,
    /// The page for people
    page: String,
    /// The places that refer to it; none where there is no catalog
    places: Option<References>,
}

/// Tell what is known of an artifact
#[utoipa::path(
    get, path = "/v1/artifacts/{sha256}", tag = "read", operation_id = "getArtifact",
    params(
        ("sha256" = String, Path, description = "Its digest"),
        ("tenant" = Option<String>, Query, description = "Whose it is, if the credential is not a tenant's"),
    ),
    responses(
        (status = 200, description = "What is known", body = ArtifactInfo),
        (status = 404, description = "There is none, or none that may be seen", body = Failure),
        (status = 410, description = "It was deleted; the reason is told", body = Failure),
        Any,
    ),
    security((), ("bearer" = []), ("basic" = [])),
)]
pub(crate) async fn artifact(
    State(server): State<Arc<Server>>,
    Path(sha256): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (asking, _) = Asking::begin(&server, request).await?;
    let address = asking.address(&sha256)?;
    let store = server.store.of_tenant(&address.tenant);
    let facts = |_| Reading::Facts;
    let opened = match server.pieces.open(&store, &address, facts).await {
        Ok(opened) => opened,
        Err(error @ StoreError::NotFound { .. }) => {
            return Err(match server.tombstone(&address).await {
                Some(reason) => ApiError::Told(StatusCode::GONE, reason),
                None => error.into(),
            });
        }
        Err(error) => return Err(error.into()),
    };
    let tenants = Tenants::one(address.tenant.clone());
    let mut filename = None;
    let places = match server.index() {
        Ok(index) => {
            let facts = index.artifact(&tenants, &address.digest).await?;
            filename = facts.and_then(|facts| facts.file_name);
            let filter = Filter {
                tenants,
                digest: Some(address.digest),
                ..Filter::default()
            };
            Some(server.references(&filter, PLACES, None).await?)
        }
        Err(_) => None,
    };
    let info = ArtifactInfo {
        sha256: address.digest.to_string(),
        tenant: address.tenant.to_string(),
        size_bytes: opened.size,
        content_type: opened.media.shown,
        filename,
        uri: format!("{}.{}", server.plain_url(&address), opened.media.extension),
        page: server.page_url(&address),
        places,
    };
    Ok(json(StatusCode::OK, &info))
}
