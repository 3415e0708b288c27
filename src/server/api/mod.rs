//! The API, beside the pages.

mod answer;
mod links;

use std::sync::Arc;

use axum::Router;
use axum::routing::post;

use super::Server;
use super::access::Reader;
use super::address::Address;
use super::links::parameter;
use answer::ApiError;

/// What programs ask for.
pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new().route("/v1/artifacts/{sha256}/link", post(links::link))
}

/// The artifact that a path and a query name, if `reader` may know of it.
fn address(reader: &Reader, sha256: &str, query: &str) -> Result<Address, ApiError> {
    let tenant = match parameter(query, "tenant") {
        Some(tenant) => tenant.parse().map_err(|_| ApiError::nothing())?,
        None => reader.scope.usual(),
    };
    let digest = sha256.parse().map_err(|_| ApiError::nothing())?;
    if reader.scope.includes(&tenant) {
        Ok(Address { tenant, digest })
    } else {
        Err(ApiError::nothing())
    }
}
