//! The description of the API for programs.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, header};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::files::Files;
use super::{artifact, delete, handshake, links, list, restore};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "slimspan artifact server",
        description = "Lists, reads, stores and deletes the files that slimspan has taken out of telemetry. The \
                       files themselves are read at the URI of their references, on another origin.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        list::list,
        artifact::artifact,
        handshake::register,
        handshake::upload,
        handshake::finalize,
        links::link,
        restore::restore,
        delete::artifact,
        delete::trace,
        delete::tenant,
        openapi,
    ),
    modifiers(&Credentials, &Files),
)]
struct Document;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        // That of a build says nothing about the API.
        "1".clone_into(&mut document.info.version);
        let components = document.components.get_or_insert_default();
        let of = |scheme| SecurityScheme::Http(Http::new(scheme));
        components.add_security_scheme("bearer", of(HttpAuthScheme::Bearer));
        components.add_security_scheme("basic", of(HttpAuthScheme::Basic));
    }
}

/// The OpenAPI document, as it is checked in.
fn document() -> String {
    let mut text = Document::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

/// Describe the API
#[utoipa::path(
    get, path = "/openapi.json", tag = "describe", operation_id = "describeApi",
    responses(
        (status = 200, description = "This document", body = serde_json::Value),
        (status = 421, description = "The host is none of this server's", body = String, content_type = "text/plain"),
    ),
)]
pub(super) async fn openapi() -> Response {
    let mut response = Response::new(Body::from(document()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use utoipa::OpenApi as _;

    /// What is answered and not described nobody knows of.
    #[test]
    fn every_route_is_described() {
        let described = super::Document::openapi().paths.paths;
        let described: BTreeSet<_> = described.into_keys().collect();
        let here = super::super::operations();
        let files = ["/artifacts/{sha256}", "/{tenant}/artifacts/{sha256}"];
        let there = here.iter().map(|(path, _)| *path).chain(files);
        let there: BTreeSet<_> = there.map(str::to_owned).collect();
        assert_eq!(described, there);
    }

    #[test]
    fn the_document_that_is_checked_in_is_that_of_the_program() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        let document = super::document();
        if std::env::var_os("SLIMSPAN_WRITE_OPENAPI").is_some() {
            let _ = std::fs::write(path, &document);
        }
        let checked_in = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(
            checked_in, document,
            "docs/openapi.json is not up to date: SLIMSPAN_WRITE_OPENAPI=1 cargo test openapi"
        );
    }
}
