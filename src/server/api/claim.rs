//! What a program says that it has, before it sends it.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Limited};
use serde::Deserialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::answer::ApiError;

/// The most that is read of what somebody says it has.
const CLAIM: usize = 16 << 10;

/// How long that may take to come.
const CLAIM_TIME: Duration = Duration::from_secs(10);

/// What a program has.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Claim {
    /// The SHA-256 of its bytes, in 64 lower-case hexadecimal digits
    pub(super) sha256: String,
    /// How many bytes there are
    pub(super) size_bytes: u64,
    /// What its sender takes it for; what it is shows in its bytes
    #[serde(default)]
    #[expect(dead_code, reason = "programs may say it, and nothing here goes by it")]
    content_type: Option<String>,
    /// What its sender calls it
    #[serde(default)]
    pub(super) filename: Option<String>,
}

impl Claim {
    /// What a body says, in JSON.
    pub(super) async fn read(body: Body) -> Result<Self, ApiError> {
        let claim = serde_json::from_slice(&description(body).await?);
        claim.map_err(|error| ApiError::bad(no_claim(&error)))
    }
}

/// What somebody says it has, as it is written.
async fn description(body: Body) -> Result<Bytes, ApiError> {
    let told = Limited::new(body, CLAIM).collect();
    let told = timeout(CLAIM_TIME, told).await.map_err(|_| {
        let told = "the description stopped arriving".to_owned();
        ApiError::Told(StatusCode::REQUEST_TIMEOUT, told)
    })?;
    let told = told.map_err(|_| ApiError::bad("the body is longer than a description may be"))?;
    Ok(told.to_bytes())
}

/// What is wrong with a description. Nothing of it is repeated: a program may have sent anything.
fn no_claim(error: &serde_json::Error) -> String {
    let wrong = if error.is_data() {
        "sha256 is a text, size_bytes is a number, and content_type and filename may be texts"
    } else {
        "it is no JSON"
    };
    let (line, column) = (error.line(), error.column());
    format!("the body is no description of an artifact, at line {line}, column {column}: {wrong}")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::convert::Infallible;

    use futures::{StreamExt as _, stream};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_description_that_stops_is_not_waited_for() {
        let whole = description(Body::from("{}")).await;
        assert_eq!(whole.unwrap(), "{}");
        let begins = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{"))]);
        let stopped = Body::from_stream(begins.chain(stream::pending()));
        let refused = description(stopped).await.unwrap_err();
        let slow = StatusCode::REQUEST_TIMEOUT;
        assert!(
            matches!(refused, ApiError::Told(status, _) if status == slow),
            "{refused:?}"
        );
    }
}
