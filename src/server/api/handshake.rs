//! How a program puts an artifact: it says what it has, sends the bytes if they are wanted, and says that it
//! is done. What it says is checked against what it sends, and against nothing else.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::{StatusCode, header};
use http_body::Body as _;
use serde::Serialize;
use slimspan_artifact::Digest;
use url::form_urlencoded;
use utoipa::ToSchema;

use super::answer::{ApiError, Failure, json};
use super::claim::Claim;
use super::receiving::receive;
use super::responses::{Any, CrossSite, Damaged, NoSense};
use super::{Asking, Named};
use crate::catalog::PutFile;
use crate::server::Server;
use crate::server::address::Address;
use crate::server::audit::Deed;
use crate::server::media::Media;
use crate::server::pieces::{OpenError, Reading};
use crate::storage::{Store, StoreError};

/// What is to be done with it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Registered {
    /// As it was given
    sha256: String,
    /// `upload`: the bytes are wanted; `exists`: they are here
    status: &'static str,
    /// How to send the bytes, if they are wanted
    upload: Option<UploadTarget>,
}

/// How to send the bytes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UploadTarget {
    /// `PUT`
    method: &'static str,
    /// Where to
    url: String,
    /// Whether the credential is to be sent there, too
    requires_auth: bool,
}

/// An artifact that is here.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Finalized {
    /// The SHA-256 of its bytes
    sha256: String,
    /// How many bytes there are
    size_bytes: u64,
    /// What they show to be
    content_type: &'static str,
    /// Where they are read
    uri: String,
}

/// Say that an artifact is there to be stored
#[utoipa::path(
    post, path = "/v1/artifacts", tag = "store", operation_id = "registerArtifact",
    params(("tenant" = Option<String>, Query, description = "Whose it is, if the credential is not a tenant's")),
    request_body = Claim,
    responses(
        (status = 200, description = "It is here already", body = Registered),
        (status = 201, description = "Its bytes are wanted", body = Registered),
        (status = 408, description = "The description stopped arriving", body = Failure),
        (status = 409, description = "It is here, and has another size", body = Failure),
        (status = 413, description = "It is too large", body = Failure),
        Any,
        NoSense,
        CrossSite,
    ),
    security((), ("bearer" = []), ("basic" = [])),
)]
pub(crate) async fn register(
    State(server): State<Arc<Server>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (asking, body) = Asking::begin_to_read(&server, request).await?;
    let claim = Claim::read(body).await?;
    asking.take_place(&server).await?;
    let digest: Digest =
        (claim.sha256.parse()).map_err(|error| ApiError::bad(format!("sha256: {error}")))?;
    let address = asking.address(&claim.sha256)?;
    server.fits(claim.size_bytes)?;
    let store = server.store.of_tenant(&address.tenant);
    let exists = |status| {
        let registered = Registered {
            sha256: claim.sha256.clone(),
            status: "exists",
            upload: None,
        };
        json(status, &registered)
    };
    let payer = server.payer(&asking.reader, asking.peer);
    let here = server.here(&store, &address, &payer, claim.size_bytes);
    let here = here.await?;
    if let Some(Here { media, is_spooled }) = here {
        let (size, name) = (claim.size_bytes, claim.filename.clone());
        let file = put_file(&address, size, media, name);
        // Each time: a deletion may have hidden what was written down before.
        server.record(PutFile { is_spooled, ..file }).await?;
        return Ok(exists(StatusCode::OK));
    }
    // What was said goes with the upload: it may come to another replica.
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("size_bytes", &claim.size_bytes.to_string());
    if let Some(name) = &claim.filename {
        query.append_pair("filename", name);
    }
    if address.tenant != asking.reader.scope.usual() {
        query.append_pair("tenant", address.tenant.as_str());
    }
    let here = server.url_for(&asking);
    let upload = UploadTarget {
        method: "PUT",
        url: format!("{here}/v1/artifacts/{digest}/blob?{}", query.finish()),
        requires_auth: true,
    };
    let registered = Registered {
        sha256: claim.sha256,
        status: "upload",
        upload: Some(upload),
    };
    Ok(json(StatusCode::CREATED, &registered))
}

/// Send the bytes of an artifact
///
/// Their size and digest are computed here; where they are not what was said, nothing is stored.
#[utoipa::path(
    put, path = "/v1/artifacts/{sha256}/blob", tag = "store", operation_id = "uploadArtifact",
    params(
        ("sha256" = String, Path, description = "The digest that the bytes have"),
        ("size_bytes" = Option<u64>, Query, description = "How many bytes there are"),
        ("filename" = Option<String>, Query, description = "What its sender calls it"),
        ("tenant" = Option<String>, Query, description = "Whose it is, if the credential is not a tenant's"),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 201, description = "It is stored", body = Finalized),
        (status = 408, description = "The bytes come too slowly", body = Failure),
        (status = 413, description = "It is too large", body = Failure),
        (status = 422, description = "The bytes are not what was said", body = Failure),
        Any,
        NoSense,
        CrossSite,
    ),
    security((), ("bearer" = []), ("basic" = [])),
)]
pub(crate) async fn upload(
    State(server): State<Arc<Server>>,
    Named(sha256): Named,
    request: Request,
) -> Result<Response, ApiError> {
    let (asking, body) = Asking::begin(&server, request).await?;
    let address = asking.address(&sha256)?;
    let said = asking.parameter("size_bytes").map(|size| {
        size.parse::<u64>()
            .map_err(|_| ApiError::bad("size_bytes is no number"))
    });
    let said = said.transpose()?;
    let announced = said.or_else(|| body.size_hint().exact());
    server.fits(announced.unwrap_or_default())?;
    let payer = server.payer(&asking.reader, asking.peer);
    let _slot = server.uploads.take(&payer).await.map_err(|full| {
        ApiError::later(&format!(
            "too many artifacts are sent at the moment: {full}"
        ))
    })?;
    let store = server.store.of_tenant(&address.tenant);
    let can_tell = server.audit.can_tell().await;
    server.was_told(can_tell)?;
    let limit = said.unwrap_or(server.max_upload_size);
    let received = receive(&store, address.digest, body, limit, said).await;
    let status = match &received {
        Ok(_) => StatusCode::CREATED,
        Err(refused) => refused.status(),
    };
    let (reader, peer) = (&asking.reader, asking.peer);
    let told = server
        .audit
        .tell(reader, peer, Deed::Stored, &address, status);
    server.was_told(told.await)?;
    let (size, media) = received?;
    server.pieces.forget(&address);
    server.pieces.vouch(&address, size);
    server.counts.received(size);
    let file_name = asking.parameter("filename");
    let file = put_file(&address, size, media, file_name);
    server.record(file).await?;
    Ok(json(status, &server.finalized(&address, size, media)))
}

/// Say that all bytes of an artifact were sent
///
/// What did not come through here lately is read and checked before the answer. What was stored too long ago
/// to be kept for sure has to be registered and sent again.
#[utoipa::path(
    post, path = "/v1/artifacts/{sha256}/finalize", tag = "store", operation_id = "finalizeArtifact",
    params(
        ("sha256" = String, Path, description = "Its digest"),
        ("tenant" = Option<String>, Query, description = "Whose it is, if the credential is not a tenant's"),
    ),
    responses(
        (status = 200, description = "It is stored", body = Finalized),
        (status = 409, description = "It is here, and its bytes are wanted again", body = Failure),
        Any,
        CrossSite,
        Damaged,
    ),
    security((), ("bearer" = []), ("basic" = [])),
)]
pub(crate) async fn finalize(
    State(server): State<Arc<Server>>,
    Named(sha256): Named,
    request: Request,
) -> Result<Response, ApiError> {
    let (asking, _) = Asking::begin(&server, request).await?;
    let address = asking.address(&sha256)?;
    let store = server.store.of_tenant(&address.tenant);
    let came_here = server.pieces.is_vouched(&address);
    let (reading, stored) = if came_here {
        (Reading::KnownFacts, None)
    } else {
        let stored = server.sent(&store, &address).await?;
        (Reading::Part, Some(stored))
    };
    let payer = server.payer(&asking.reader, asking.peer);
    let opened = server.pieces.open(&store, &address, &payer, |_| reading);
    let opened = opened.await?;
    if let Some(stored) = stored {
        // Where somebody has written down a name, under that.
        let name = server.own_name(&address).await;
        let file = put_file(&address, opened.size, opened.media, name);
        let is_spooled = stored.is_spooled;
        server.record(PutFile { is_spooled, ..file }).await?;
    }
    let finalized = server.finalized(&address, opened.size, opened.media);
    Ok(json(StatusCode::OK, &finalized))
}

/// An artifact of which the bytes need not come.
struct Here {
    media: Media,
    is_spooled: bool,
}

impl Server {
    /// An artifact that is here, if it is right and counts; of what lies there damaged the bytes are wanted
    /// again. What is very long is looked at only where it has another size than was said: one of the two is
    /// wrong then.
    async fn here(
        &self,
        store: &Store,
        address: &Address,
        payer: &str,
        said: u64,
    ) -> Result<Option<Here>, ApiError> {
        let Some(stored) = self.stored(store, address).await? else {
            return Ok(None);
        };
        let counts = stored.counts(store.refresh());
        let reading = if stored.size != said {
            Reading::Part
        } else if counts {
            Reading::Facts
        } else {
            return Ok(None);
        };
        let opened = self.pieces.open(store, address, payer, |_| reading);
        let opened = match opened.await {
            Ok(opened) => opened,
            Err(OpenError::Store(StoreError::NotFound { .. })) => return Ok(None),
            Err(OpenError::Store(error @ StoreError::Corrupt { .. })) => {
                tracing::error!("{error}; its bytes are asked for again");
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if opened.size != said {
            let size = opened.size;
            let told =
                format!("this artifact has {size} bytes, not the {said} that size_bytes says");
            return Err(ApiError::Told(StatusCode::CONFLICT, told));
        }
        Ok(counts.then_some(Here {
            media: opened.media,
            is_spooled: stored.is_spooled,
        }))
    }

    fn fits(&self, size: u64) -> Result<(), ApiError> {
        if size <= self.max_upload_size {
            return Ok(());
        }
        let told = format!(
            "{size} bytes are more than the {} of extensions.{}.max_upload_size",
            self.max_upload_size, self.id
        );
        Err(ApiError::Told(StatusCode::PAYLOAD_TOO_LARGE, told))
    }

    fn finalized(&self, address: &Address, size: u64, media: Media) -> Finalized {
        Finalized {
            sha256: address.digest.to_string(),
            size_bytes: size,
            content_type: media.shown,
            uri: format!("{}.{}", self.plain_url(address), media.extension),
        }
    }

    /// Where this server is for who asks it: as it was asked, unless it is told. Who asks elsewhere need not reach
    /// what it is told.
    fn url_for(&self, asking: &Asking) -> String {
        let host = asking.headers.get(header::HOST);
        let host = host.and_then(|host| host.to_str().ok());
        match (&asking.elsewhere, self.urls.pages_are_public, host) {
            (Some(elsewhere), _, Some(host)) => format!("{}://{host}", elsewhere.scheme),
            (None, false, Some(host)) => format!("{}://{host}", self.urls.scheme),
            _ => self.urls.pages.clone(),
        }
    }
}

/// An artifact that was put by itself, as the catalog has it.
fn put_file(address: &Address, size: u64, media: Media, name: Option<String>) -> PutFile {
    PutFile {
        tenant: address.tenant.clone(),
        digest: address.digest,
        size,
        content_type: media.shown.to_owned(),
        name,
        is_spooled: false,
    }
}
