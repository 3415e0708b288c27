//! What is known of one artifact.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::answer::{ApiError, Failure, json};
use super::list::References;
use super::responses::{Any, Damaged};
use super::{Asking, Named};
use crate::catalog::{Filter, State as Whereabouts, Tenants};
use crate::server::absence::until_step;
use crate::server::address::Address;
use crate::server::catalogued::why;
use crate::server::pieces::{OpenError, Reading};
use crate::server::{Scope, Server};
use crate::storage::StoreError;

/// The places that are told at once.
const PLACES: usize = 1000;

/// What is told of what is known and cannot be had.
const MISSING: &str = "it was stored, and the store does not have it any more; nothing here deleted it: see whether a \
                       lifecycle rule of the bucket does";

/// An artifact.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ArtifactInfo {
    /// The SHA-256 of its bytes
    sha256: String,
    /// Whose it is
    tenant: String,
    /// How many bytes there are, or were
    size_bytes: u64,
    /// What they show to be; of what is `referred`, what its sender says
    content_type: String,
    /// What the newest payload that gives it a name calls it
    filename: Option<String>,
    /// Where its bytes are: `stored`; `spooled`, on the disk of the slimspan that took it, until the store has
    /// them; `dropped`, nowhere, because they were given up; `truncated`, in the span, because they had been cut;
    /// `referred`, nowhere here, because its sender refers to it and has not put it so far: what is told is its word
    state: &'static str,
    /// Where it is read; none while this server cannot read it
    uri: Option<String>,
    /// The page for people
    page: String,
    /// The newest places that refer to it, 1000 at most; none where there is no catalog
    places: Option<References>,
    /// Where the places behind those are listed, if there are more: `GET /v1/artifacts` with `sha256`, and as
    /// `cursor` what is in `next` of `places`
    more: Option<String>,
}

/// The bytes of an artifact.
struct Found {
    size: u64,
    content_type: String,
    state: Whereabouts,
    uri: Option<String>,
}

/// Tell what is known of an artifact
///
/// Also of one whose bytes cannot be had here: `state` says where they are, and there is no `uri`. Of a file of
/// more than 8 MiB only the beginning is looked at; whoever reads it is told if the rest is damaged.
#[utoipa::path(
    get, path = "/v1/artifacts/{sha256}", tag = "read", operation_id = "getArtifact",
    params(
        ("sha256" = String, Path, description = "Its digest"),
        ("tenant" = Option<String>, Query, description = "Whose it is, if the credential is not a tenant's"),
    ),
    responses(
        (status = 200, description = "What is known", body = ArtifactInfo),
        (status = 410, description = "It was deleted; the reason is told", body = Failure),
        Any,
        Damaged,
    ),
    security((), ("bearer" = []), ("basic" = [])),
)]
pub(crate) async fn artifact(
    State(server): State<Arc<Server>>,
    Named(sha256): Named,
    request: Request,
) -> Result<Response, ApiError> {
    let begun = Instant::now();
    let mut looking = None;
    let told = known(&server, &sha256, request, &mut looking).await;
    let is_looked_for = looking.is_some();
    let is_nothing = |error: &ApiError| error.status() == StatusCode::NOT_FOUND;
    if told.as_ref().is_err_and(is_nothing) {
        // What may not be seen is not looked for, and takes as long.
        let absence = &server.absences.api;
        absence.until_told(begun, is_looked_for).await;
    } else if let Some(scope) = looking {
        // Also in what is told of it, places of others were passed over.
        until_step(begun, &scope).await;
    }
    told
}

/// What is known of an artifact; `looking` becomes what who asks may see, as soon as it is looked for.
async fn known(
    server: &Arc<Server>,
    sha256: &str,
    request: Request,
    looking: &mut Option<Scope>,
) -> Result<Response, ApiError> {
    let (asking, _) = Asking::begin(server, request).await?;
    let address = asking.address(sha256)?;
    *looking = Some(asking.reader.scope.clone());
    if let Some(tombstone) = server.kept_back(&address).await? {
        return Err(ApiError::Told(StatusCode::GONE, why(&tombstone)));
    }
    let payer = server.payer(&asking.reader, asking.peer);
    let opened = server.content(&address, &payer).await?;
    if opened.is_none()
        && let Some(reason) = server.tombstone(&address).await?
    {
        return Err(ApiError::Told(StatusCode::GONE, reason));
    }
    let tenants = Tenants::one(address.tenant.clone());
    let (mut known, mut places) = (None, None);
    if let Ok(index) = server.index() {
        known = index.artifact(&tenants, &address.digest).await?;
        let filter = Filter {
            tenants,
            digest: Some(address.digest),
            ..Filter::default()
        };
        places = Some(server.references(&filter, PLACES, None).await?);
    }
    let content = match (opened, &known) {
        (Some(content), _) => content,
        (None, None) => return Err(ApiError::nothing()),
        (None, Some(facts)) if facts.state == Whereabouts::Stored => {
            return Err(ApiError::Told(StatusCode::NOT_FOUND, MISSING.to_owned()));
        }
        (None, Some(facts)) => Found {
            size: facts.size,
            content_type: facts.content_type.clone(),
            state: facts.state,
            uri: None,
        },
    };
    let next = places.as_ref().and_then(|places| places.next.as_deref());
    let info = ArtifactInfo {
        sha256: address.digest.to_string(),
        tenant: address.tenant.to_string(),
        size_bytes: content.size,
        content_type: content.content_type,
        filename: known.and_then(|facts| facts.file_name),
        state: content.state.name(),
        uri: content.uri,
        page: server.page_url(&address),
        more: next.map(|next| server.places_url(&address, next)),
        places,
    };
    Ok(json(StatusCode::OK, &info))
}

impl Server {
    /// What the bytes of an artifact are, if they can be read here.
    async fn content(&self, address: &Address, payer: &str) -> Result<Option<Found>, OpenError> {
        let store = self.store.of_tenant(&address.tenant);
        let facts = |_| Reading::Facts;
        let opened = match self.pieces.open(&store, address, payer, facts).await {
            Ok(opened) => opened,
            Err(OpenError::Store(StoreError::NotFound { .. })) => return Ok(None),
            Err(error) => return Err(error),
        };
        // The catalog hears a moment later what became of it.
        let waiting = store.spooled_size(&address.digest).await;
        let is_spooled = waiting.is_ok_and(|size| size.is_some());
        let extension = opened.media.extension;
        Ok(Some(Found {
            size: opened.size,
            content_type: opened.media.shown.to_owned(),
            state: if is_spooled {
                Whereabouts::Spooled
            } else {
                Whereabouts::Stored
            },
            uri: Some(format!("{}.{extension}", self.plain_url(address))),
        }))
    }

    /// Where the places that refer to an artifact are listed, behind those that ended with `cursor`.
    fn places_url(&self, address: &Address, cursor: &str) -> String {
        let Address { tenant, digest } = address;
        let pages = &self.urls.pages;
        format!(
            "{pages}/v1/artifacts?sha256={digest}&tenant={tenant}&limit={PLACES}&cursor={cursor}"
        )
    }
}
