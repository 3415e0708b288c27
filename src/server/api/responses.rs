//! What operations answer, as far as several answer the same.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::{Content, Ref, RefOr, Response};

pub(super) type Responses = BTreeMap<String, RefOr<Response>>;

/// What any of them may answer that is for those who may.
pub(super) struct Any;

/// What those answer, too, that are told more than whose and which artifact.
pub(super) struct NoSense;

/// What those answer, too, that change something, or are sent something.
pub(super) struct CrossSite;

/// What those answer, too, that delete.
pub(super) struct NotDeleted;

/// What those answer, too, that look at what is stored.
pub(super) struct Damaged;

/// What those answer, too, that need the catalog.
pub(super) struct NoCatalog;

impl IntoResponses for Any {
    fn responses() -> Responses {
        let mut responses = refusals();
        responses.extend([
            failure("404", "There is no such thing, or none that may be seen"),
            later(),
        ]);
        responses
    }
}

impl IntoResponses for NoSense {
    fn responses() -> Responses {
        let told = "What is asked makes no sense; the answer says why";
        [failure("400", told)].into()
    }
}

impl IntoResponses for CrossSite {
    fn responses() -> Responses {
        [text("403", "A page of another origin asks for it")].into()
    }
}

impl IntoResponses for NotDeleted {
    fn responses() -> Responses {
        let told = "The credential is not for deleting, or a page of another origin asks for it";
        let mut responses = NoCatalog::responses();
        responses.extend([text("403", told)]);
        responses
    }
}

impl IntoResponses for Damaged {
    fn responses() -> Responses {
        [failure("500", "What is stored is damaged")].into()
    }
}

impl IntoResponses for NoCatalog {
    fn responses() -> Responses {
        [failure("501", "There is no catalog")].into()
    }
}

/// How both listeners turn somebody away.
pub(super) fn refusals() -> Responses {
    [
        text("401", "There is no good credential"),
        text("421", "The host is none of this server's"),
        text(
            "429",
            "There are too many requests; Retry-After says when to come back",
        ),
    ]
    .into()
}

/// One in words.
pub(super) fn text(status: &str, told: &str) -> (String, RefOr<Response>) {
    let mut response = Response::new(told);
    add_text(&mut response);
    (status.to_owned(), RefOr::T(response))
}

/// One with a [`Failure`](super::answer::Failure).
fn failure(status: &str, told: &str) -> (String, RefOr<Response>) {
    let mut response = Response::new(told);
    add_failure(&mut response);
    (status.to_owned(), RefOr::T(response))
}

/// What cannot be done at the moment is told in either way.
fn later() -> (String, RefOr<Response>) {
    let mut response =
        Response::new("It cannot be done at the moment; Retry-After says when to come back");
    add_failure(&mut response);
    add_text(&mut response);
    ("503".to_owned(), RefOr::T(response))
}

fn add_failure(response: &mut Response) {
    let failure = Content::new(Some(Ref::from_schema_name("Failure")));
    let content = &mut response.content;
    content.insert("application/json".to_owned(), RefOr::T(failure));
}

fn add_text(response: &mut Response) {
    let words = Content::new(Some(Object::with_type(Type::String)));
    let content = &mut response.content;
    content.insert("text/plain".to_owned(), RefOr::T(words));
}
