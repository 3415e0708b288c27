//! Pages for people, which are whole without a script.
//!
//! Everything that a payload says is text here. Artifacts themselves are shown by the browser, from the
//! listener for them, as pictures, audio and video; nothing of them becomes a part of a page but text.

mod artifact;
mod assets;
mod cards;
mod explained;
mod find;
mod gallery;
mod json;
mod markdown;
mod pdf;
mod preview;
mod query;
#[cfg(test)]
mod tests;
mod traces;
mod words;

use std::net::IpAddr;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderValue, Method, StatusCode, header};
use slimspan_artifact::Digest;

use super::access::Reader;
use super::artifacts::insert;
use super::audit::Deed;
use super::config::origin_of;
use super::links::Disposition;
use super::place::Place;
use super::{Address, Scope, Server, path_of};
use crate::catalog::{CatalogError, Tenants};
use crate::peer::Remote;
use crate::tenant::TenantId;
pub(super) use artifact::artifact;
use explained::Explained;
use query::Query;

/// What people ask for.
pub(super) fn routes() -> Router<Arc<Server>> {
    Router::new()
        .route("/", get(gallery::gallery))
        .route("/find", get(find::find))
        .route("/traces/{id}", get(traces::trace))
        .route("/style.css", get(assets::style))
        .route("/icon.svg", get(assets::icon))
}

/// What every page knows of the site that it is on.
#[derive(Debug, Clone)]
struct Site {
    /// What stands in front of every path here.
    base: String,
    /// The origin of artifacts themselves.
    artifacts: String,
    /// All below which links to artifacts and their pages are.
    urls: Vec<String>,
}

impl Site {
    fn of(server: &Server) -> Self {
        Self {
            base: path_of(&server.urls.pages),
            artifacts: origin_of(&server.urls.artifacts).unwrap_or_default(),
            urls: server.urls.all.clone(),
        }
    }

    /// The page of an artifact.
    fn artifact(&self, address: &Address) -> String {
        format!("{}{address}", self.base)
    }

    /// The only script there may be.
    #[expect(clippy::unused_self, reason = "the form in which templates ask for it")]
    fn script(&self) -> &'static str {
        assets::SCRIPT
    }

    /// The name of the present style, which browsers keep.
    #[expect(clippy::unused_self, reason = "the form in which templates ask for it")]
    fn style(&self) -> &'static str {
        assets::style_name()
    }

    /// What a browser may do with a page: show what is in it, with the style and the script of this server,
    /// and load pictures, audio and video from where artifacts are.
    fn policy(&self) -> String {
        let Self { artifacts, .. } = self;
        format!(
            "default-src 'none'; style-src 'self'; script-src '{}'; img-src 'self' {artifacts}; \
             media-src {artifacts}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            assets::script_hash()
        )
    }

    fn page(&self, status: StatusCode, page: &impl Template) -> Response {
        let (status, text) = match page.render() {
            Ok(text) => (status, text),
            Err(error) => {
                tracing::error!("a page cannot be written: {error}");
                (StatusCode::INTERNAL_SERVER_ERROR, String::new())
            }
        };
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let html = HeaderValue::from_static("text/html; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, html);
        insert(headers, header::CONTENT_SECURITY_POLICY, &self.policy());
        response
    }
}

/// Somebody who may look, and what for.
struct Visit {
    reader: Reader,
    peer: IpAddr,
    site: Site,
    path: String,
    query: Query,
}

impl Visit {
    async fn begin(server: &Server, request: Request) -> Result<Self, Response> {
        let site = Site::of(server);
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = Explained::only_read().page(&site);
            let allow = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allow);
            return Err(response);
        }
        let (head, _) = request.into_parts();
        let peer = Remote::of(&head.extensions);
        let reader = server.person(&head.headers).await;
        let reader = reader.map_err(|refused| Explained::refused(&refused).page(&site))?;
        let allowed = server.rate_allows(&reader, peer);
        allowed.map_err(|refused| Explained::refused(&refused).page(&site))?;
        let payer = server.payer(&reader, peer);
        if let Some(place) = Place::of(&head.extensions) {
            let placed = place.take(&server.questions, &payer).await;
            placed.map_err(|full| {
                tracing::debug!("a page was not made: {full}");
                Explained::later("Too many pages are made at the moment").page(&site)
            })?;
        }
        Ok(Self {
            reader,
            peer,
            site,
            path: head.uri.path().to_owned(),
            query: Query::parse(head.uri.query().unwrap_or_default()),
        })
    }

    /// Whose artifacts may be seen.
    fn everybody(&self) -> Tenants {
        match &self.reader.scope {
            Scope::All => Tenants::All,
            Scope::One(one) => Tenants::one(one.clone()),
        }
    }

    /// Whose artifacts are looked at: those of one tenant, if one is asked for, of all that may be seen.
    fn tenants(&self) -> Tenants {
        let scope = self.everybody();
        if self.query.tenant.is_empty() {
            return scope;
        }
        let asked: Option<TenantId> = self.query.tenant.parse().ok();
        let asked = asked.filter(|asked| scope.include(asked));
        Tenants::These(asked.into_iter().collect())
    }
}

impl Server {
    /// Where a page has its reader's browser load an artifact from.
    ///
    /// A link with a signature opens it for who has the link, so it is written down who got it.
    async fn shown(
        &self,
        visit: &Visit,
        address: &Address,
        disposition: Disposition,
    ) -> Result<String, Response> {
        if !self.access.is_open() {
            self.tell(visit, Deed::Linked, address, StatusCode::OK)
                .await?;
        }
        Ok(self.artifact_url(address, disposition))
    }

    /// Writes down what somebody does; nobody does what cannot be written down.
    async fn tell(
        &self,
        visit: &Visit,
        deed: Deed,
        address: &Address,
        status: StatusCode,
    ) -> Result<(), Response> {
        let told = self
            .audit
            .tell(&visit.reader, visit.peer, deed, address, status)
            .await;
        let told = self.was_told(told);
        told.map_err(|refused| Explained::refused(&refused).page(&visit.site))
    }
}

/// A page about a catalog that does not answer.
fn unanswered(site: &Site, error: &CatalogError) -> Response {
    tracing::warn!("{error}");
    Explained::later("The catalog cannot be asked at the moment").page(site)
}

fn address(tenant: &TenantId, digest: Digest) -> Address {
    Address {
        tenant: tenant.clone(),
        digest,
    }
}
