//! Answers in JSON.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::catalog::CatalogError;
use crate::refusal::Refusal;
use crate::server::artifacts::Refused;
use crate::server::pieces::OpenError;
use crate::storage::{BucketError, StoreError};

/// What is told of a store that does not answer.
const STORE: &str = "the store cannot be used at the moment";

/// Why a request has no other answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Failure {
    /// For people
    error: String,
}

/// The same, before it is written.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// Said in these words.
    Told(StatusCode, String),
    /// As every listener says it.
    Answered(Refused),
}

impl ApiError {
    /// There is nothing, or nothing that may be seen.
    pub(super) fn nothing() -> Self {
        Self::Told(
            StatusCode::NOT_FOUND,
            "there is no such artifact".to_owned(),
        )
    }

    /// What was asked makes no sense.
    pub(super) fn bad(told: impl Into<String>) -> Self {
        Self::Told(StatusCode::BAD_REQUEST, told.into())
    }

    /// What it is answered with.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Told(status, _) => *status,
            Self::Answered(response) => response.status(),
        }
    }

    /// It may work in a moment.
    pub(super) fn later(told: &str) -> Self {
        Self::Told(StatusCode::SERVICE_UNAVAILABLE, told.to_owned())
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        Self::Answered(refused)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::Told(refusal.http_status(), refusal.to_string())
    }
}

impl From<CatalogError> for ApiError {
    fn from(error: CatalogError) -> Self {
        tracing::warn!("{error}");
        match error {
            // To try again does not help, and what was done and what was not is to be known.
            CatalogError::Unreadable { .. } => Self::Told(StatusCode::CONFLICT, error.to_string()),
            CatalogError::Bucket(_) => Self::later(STORE),
            CatalogError::Restless => Self::later(&error.to_string()),
            _ => Self::later("the catalog cannot be used at the moment"),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => Self::nothing(),
            StoreError::Corrupt { .. } => {
                tracing::error!("{error}");
                let told = "what is stored of this artifact is damaged";
                Self::Told(StatusCode::INTERNAL_SERVER_ERROR, told.to_owned())
            }
            error => {
                tracing::warn!("{error}");
                Self::later(STORE)
            }
        }
    }
}

impl From<BucketError> for ApiError {
    fn from(error: BucketError) -> Self {
        tracing::warn!("{error}");
        Self::later(STORE)
    }
}

impl From<OpenError> for ApiError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Store(error) => error.into(),
            OpenError::Busy(_) | OpenError::Slow => Self::later(&error.to_string()),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::Answered(response) => *response,
            Self::Told(status, told) => {
                let mut response = json(status, &Failure { error: told });
                if status == StatusCode::SERVICE_UNAVAILABLE {
                    let soon = HeaderValue::from_static("1");
                    response.headers_mut().insert(header::RETRY_AFTER, soon);
                }
                response
            }
        }
    }
}

/// A value as an answer.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let text = serde_json::to_string(value).unwrap_or_default();
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
