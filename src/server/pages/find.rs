//! From a reference, a digest or a trace id to its page.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{StatusCode, header};
use slimspan_artifact::Digest;

use super::super::artifacts::insert;
use super::super::mention::Mention;
use super::query::DIGEST;
use super::{Address, Explained, Scope, Server, Site, Visit, address, unanswered};
use crate::catalog::{CatalogError, Filter, Index, Tenants, TraceId};
use crate::tenant::TenantId;

/// What somebody looks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sought {
    Trace(TraceId),
    Artifact(Address),
    /// An artifact of which nothing says for sure whose it is.
    Anybodys(Digest, Option<TenantId>),
}

/// Of whom the catalog has references to an artifact.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Nobodys,
    Of(TenantId),
    Several,
}

pub(super) async fn find(State(server): State<Arc<Server>>, request: Request) -> Response {
    let visit = match Visit::begin(&server, request).await {
        Ok(visit) => visit,
        Err(response) => return response,
    };
    let site = &visit.site;
    let Some(sought) = sought(site, &visit.reader.scope, visit.query.find.trim()) else {
        return Explained::bad_question(
            "Look for a reference as it stands in a span, a digest of 64 hexadecimal digits, or a trace id \
             of 32.",
        )
        .page(site);
    };
    let place = match place(&server, site, sought).await {
        Ok(place) => place,
        Err(error) => return unanswered(site, &error),
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    insert(response.headers_mut(), header::LOCATION, &place);
    response
}

/// What a text means. Who sees what one tenant has means that one, unless the text says otherwise.
pub(super) fn sought(site: &Site, scope: &Scope, asked: &str) -> Option<Sought> {
    if let Ok(trace) = asked.parse::<TraceId>() {
        return Some(Sought::Trace(trace));
    }
    let named = asked.parse::<Mention>();
    let named = named.or_else(|_| asked.to_ascii_lowercase().parse::<Mention>());
    let named = named.ok()?;
    let said = named.tenant(&site.urls);
    let said = said.or_else(|| match scope {
        Scope::One(one) => Some(one.clone()),
        Scope::All => None,
    });
    Some(match said {
        Some(tenant) => Sought::Artifact(address(&tenant, named.digest)),
        None => Sought::Anybodys(named.digest, named.likely_tenant(&site.urls)),
    })
}

/// The page of that, always one of this site.
async fn place(server: &Server, site: &Site, sought: Sought) -> Result<String, CatalogError> {
    let (digest, likely) = match sought {
        Sought::Trace(trace) => return Ok(format!("{}/traces/{trace}", site.base)),
        Sought::Artifact(of) => return Ok(site.artifact(&of)),
        Sought::Anybodys(digest, likely) => (digest, likely),
    };
    let whose = match &server.catalog {
        Some(catalog) => whose(catalog.index(), digest, likely.as_ref()).await?,
        None => Whose::Nobodys,
    };
    Ok(match whose {
        Whose::Of(tenant) => site.artifact(&address(&tenant, digest)),
        // It may be there all the same: what comes is in the catalog seconds later.
        Whose::Nobodys => site.artifact(&address(&likely.unwrap_or_default(), digest)),
        Whose::Several => format!("{}/?{DIGEST}={digest}", site.base),
    })
}

/// Whose an artifact is, for who may see what everybody has: of several, that one who is `likely` to be meant.
pub(super) async fn whose(
    index: &Index,
    digest: Digest,
    likely: Option<&TenantId>,
) -> Result<Whose, CatalogError> {
    if let Some(likely) = likely {
        let filter = Filter {
            tenants: Tenants::one(likely.clone()),
            digest: Some(digest),
            ..Filter::default()
        };
        if !index.page(&filter, 1, None).await?.entries.is_empty() {
            return Ok(Whose::Of(likely.clone()));
        }
    }
    let mut tenants = index.tenants_of(&digest).await?;
    Ok(match (tenants.pop(), tenants.is_empty()) {
        (None, _) => Whose::Nobodys,
        (Some(only), true) => Whose::Of(only),
        (Some(_), false) => Whose::Several,
    })
}
