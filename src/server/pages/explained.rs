//! Pages that say why there is nothing else to see.

use askama::Template;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use super::Site;

/// What happened, and what to do.
#[derive(Debug)]
pub(super) struct Explained {
    status: StatusCode,
    title: String,
    advice: String,
    /// What a browser is told to ask for.
    challenges: Vec<HeaderValue>,
}

#[derive(Template)]
#[template(path = "explained.html", config = "src/server/pages/askama.toml")]
struct Page<'a> {
    site: &'a Site,
    title: &'a str,
    advice: &'a str,
}

impl Explained {
    pub(super) fn new(
        status: StatusCode,
        title: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            status,
            title: title.into(),
            advice: advice.into(),
            challenges: Vec::new(),
        }
    }

    /// The page.
    pub(super) fn page(self, site: &Site) -> Response {
        let page = Page {
            site,
            title: &self.title,
            advice: &self.advice,
        };
        let mut response = site.page(self.status, &page);
        let headers = response.headers_mut();
        for challenge in self.challenges {
            headers.append(header::WWW_AUTHENTICATE, challenge);
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    /// There is nothing at this path.
    pub(super) fn nothing() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "There is nothing here",
            "The newest artifacts are on the first page, and a reference, a digest or a trace id can be \
             looked for above.",
        )
    }

    /// There is no such artifact, or none that may be seen: nobody learns which.
    pub(super) fn no_artifact() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "There is no such artifact",
            "Nothing with this digest is stored, or not for you. What has just been sent shows up after a few \
             seconds.",
        )
    }

    pub(super) fn no_trace() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "No artifact of this trace is known",
            "Its spans had no files, or nothing that may be seen by you, or they came only a few seconds ago: \
             then load this page again.",
        )
    }

    pub(super) fn no_catalog() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "Nothing can be listed here",
            "There is no catalog of what refers to the artifacts: catalog.enabled of the artifact_store is \
             false, or its directory cannot be used, which the log tells. The page of an artifact is there \
             all the same: look for its digest or its reference above.",
        )
    }

    pub(super) fn only_read() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "Pages are only read",
            "Programs change things by the API, which /openapi.json describes.",
        )
    }

    pub(super) fn bad_question(advice: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "That is not understood", advice)
    }

    pub(super) fn later(title: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            title,
            "Load this page again in a moment. If it stays like this, the log of slimspan tells why.",
        )
    }

    /// The answer of any listener to who may not, or not now.
    pub(super) fn refused(refused: &Response) -> Self {
        let challenges = refused.headers().get_all(header::WWW_AUTHENTICATE);
        let challenges = challenges.iter().cloned().collect();
        let mut explained = match refused.status() {
            StatusCode::UNAUTHORIZED => Self::new(
                StatusCode::UNAUTHORIZED,
                "A credential is needed here",
                "Load this page again, and the browser asks for a name and a password. Where there are \
                 tokens, the token is the password, and the name can be any.",
            ),
            StatusCode::TOO_MANY_REQUESTS => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "Too many requests",
                "Load this page again in a second: max_requests_per_second of the artifact_server is used up.",
            ),
            _ => Self::later("This cannot be shown at the moment"),
        };
        explained.challenges = challenges;
        explained
    }
}
