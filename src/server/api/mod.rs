//! The API, beside the pages.

mod answer;
mod artifact;
mod claim;
mod delete;
mod files;
mod handshake;
mod here;
mod links;
mod list;
mod openapi;
mod receiving;
mod responses;
mod restore;
mod steady;

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Request};
use axum::routing::{MethodRouter, delete as delete_route, get, post, put};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use url::form_urlencoded;

use super::Server;
use super::access::Reader;
use super::address::Address;
use super::door::Elsewhere;
use super::place::Place;
use crate::catalog::Tenants;
use crate::peer::Remote;
use crate::tenant::TenantId;
pub(super) use answer::ApiError;
pub(super) use restore::Rooms;

/// What programs ask for.
pub(super) fn routes() -> Router<Arc<Server>> {
    let routes = operations().into_iter();
    routes.fold(Router::new(), |routes, (path, answers)| {
        routes.route(path, answers)
    })
}

/// Every path, and what answers there.
fn operations() -> [(&'static str, MethodRouter<Arc<Server>>); 9] {
    [
        ("/openapi.json", get(openapi::openapi)),
        ("/v1/artifacts", get(list::list).post(handshake::register)),
        (
            "/v1/artifacts/{sha256}",
            get(artifact::artifact).delete(delete::artifact),
        ),
        ("/v1/traces/{trace_id}", delete_route(delete::trace)),
        ("/v1/tenants/{tenant}", delete_route(delete::tenant)),
        ("/v1/artifacts/{sha256}/blob", put(handshake::upload)),
        ("/v1/artifacts/{sha256}/finalize", post(handshake::finalize)),
        ("/v1/artifacts/{sha256}/link", post(links::link)),
        ("/v1/restore/{signal}", post(restore::restore)),
    ]
}

/// What a path names. What is no text names nothing.
pub(crate) struct Named(String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let named = Path::<String>::from_request_parts(parts, state).await;
        let Path(named) = named.map_err(|_| ApiError::nothing())?;
        Ok(Self(named))
    }
}

/// Of these, what puts an artifact.
pub(super) fn routes_of_who_puts() -> Router<Arc<Server>> {
    Router::new()
        .route("/v1/artifacts", post(handshake::register))
        .route("/v1/artifacts/{sha256}/blob", put(handshake::upload))
        .route("/v1/artifacts/{sha256}/finalize", post(handshake::finalize))
        .fallback(only_put)
        .method_not_allowed_fallback(only_put)
}

/// What is told where nothing but that is answered.
async fn only_put() -> ApiError {
    let told = "only what puts an artifact is answered here; everything else is at the artifact_server itself";
    ApiError::Told(StatusCode::NOT_FOUND, told.to_owned())
}

/// A request of somebody who may ask.
#[derive(Debug)]
struct Asking {
    reader: Reader,
    peer: IpAddr,
    /// What was asked for it, where that is no listener of this server.
    elsewhere: Option<Elsewhere>,
    headers: HeaderMap,
    query: String,
    /// Where it has its place, unless it has another one.
    place: Option<Place>,
}

impl Asking {
    /// Finds out who asks, before anything of the body is read, and takes a place for the answer.
    async fn begin(server: &Server, request: Request) -> Result<(Self, Body), ApiError> {
        let (asking, body) = Self::begin_to_read(server, request).await?;
        asking.take_place(server).await?;
        Ok((asking, body))
    }

    /// The same for what takes its place when the body has come, so that nobody has one by sending slowly.
    async fn begin_to_read(server: &Server, request: Request) -> Result<(Self, Body), ApiError> {
        let reader = server.reader(request.headers()).await?;
        Self::of(server, request, reader)
    }

    /// The same for who wants to delete something.
    async fn begin_deletion(server: &Server, request: Request) -> Result<Self, ApiError> {
        let reader = server.deleter(request.headers()).await?;
        let (asking, _) = Self::of(server, request, reader)?;
        asking.take_place(server).await?;
        Ok(asking)
    }

    fn of(server: &Server, request: Request, reader: Reader) -> Result<(Self, Body), ApiError> {
        let (head, body) = request.into_parts();
        let peer = Remote::of(&head.extensions);
        server.rate_allows(&reader, peer)?;
        let query = head.uri.query().unwrap_or_default().to_owned();
        let asking = Self {
            reader,
            peer,
            elsewhere: Elsewhere::of(&head.extensions),
            headers: head.headers,
            query,
            place: Place::of(&head.extensions),
        };
        Ok((asking, body))
    }

    /// Takes a place for the answer, unless others have them all.
    async fn take_place(&self, server: &Server) -> Result<(), ApiError> {
        let Some(place) = &self.place else {
            return Ok(());
        };
        let payer = server.payer(&self.reader, self.peer);
        let placed = place.take(&server.questions, &payer).await;
        placed.map_err(|full| {
            ApiError::later(&format!(
                "too many requests are answered at the moment: {full}"
            ))
        })
    }

    /// A parameter of the query; an empty one is none.
    fn parameter(&self, name: &str) -> Option<String> {
        let mut parameters = form_urlencoded::parse(self.query.as_bytes());
        let value = parameters.find_map(|(key, value)| (key == name).then_some(value));
        value
            .map(std::borrow::Cow::into_owned)
            .filter(|value| !value.is_empty())
    }

    /// The same, read.
    fn read<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let value = self.parameter(name);
        let value = value.map(|value| {
            value
                .parse()
                .map_err(|error: T::Err| ApiError::bad(format!("{name}: {error}")))
        });
        value.transpose()
    }

    /// The tenant that is asked about; none for all that may be seen.
    fn tenant(&self) -> Result<Option<TenantId>, ApiError> {
        let Some(tenant) = self.parameter("tenant") else {
            return Ok(None);
        };
        let tenant: Option<TenantId> = tenant.parse().ok();
        let seen = tenant.filter(|tenant| self.reader.scope.includes(tenant));
        seen.map(Some).ok_or_else(ApiError::nothing)
    }

    /// Whose entries may be seen, of those that are asked about.
    fn tenants(&self) -> Result<Tenants, ApiError> {
        Ok(match self.tenant()? {
            Some(one) => Tenants::one(one),
            None => self.reader.scope.tenants(),
        })
    }

    /// The artifact that a path and the query name, if its reader may know of it.
    fn address(&self, sha256: &str) -> Result<Address, ApiError> {
        let tenant = self.tenant()?;
        let digest = sha256.parse().map_err(|_| ApiError::nothing())?;
        Ok(Address {
            tenant: tenant.unwrap_or_else(|| self.reader.scope.usual()),
            digest,
        })
    }
}
