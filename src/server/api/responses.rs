//! What operations of the API answer, as far as several answer the same.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{Content, Ref, RefOr, Response};

type Responses = BTreeMap<String, RefOr<Response>>;

/// What any of them may answer.
pub(super) struct Any;

/// What those answer that need the catalog.
pub(super) struct NoCatalog;

/// What those answer that delete.
pub(super) struct NotDeleted;

impl IntoResponses for Any {
    fn responses() -> Responses {
        [
            text("401", "There is no good credential"),
            text("421", "The host is none of this server's"),
            text(
                "429",
                "There are too many requests; Retry-After says when to come back",
            ),
            failure(
                "503",
                "It cannot be done at the moment; Retry-After says when to come back",
            ),
        ]
        .into()
    }
}

impl IntoResponses for NoCatalog {
    fn responses() -> Responses {
        [failure("501", "There is no catalog")].into()
    }
}

impl IntoResponses for NotDeleted {
    fn responses() -> Responses {
        let forbidden = text("403", "The credential is not for deleting");
        let mut responses = NoCatalog::responses();
        responses.extend([forbidden]);
        responses
    }
}

fn text(status: &str, told: &str) -> (String, RefOr<Response>) {
    (status.to_owned(), RefOr::T(Response::new(told)))
}

/// One with a [`Failure`](super::answer::Failure).
fn failure(status: &str, told: &str) -> (String, RefOr<Response>) {
    let mut response = Response::new(told);
    let schema = Ref::from_schema_name("Failure");
    let content = Content::new(Some(schema));
    response
        .content
        .insert("application/json".to_owned(), RefOr::T(content));
    (status.to_owned(), RefOr::T(response))
}
