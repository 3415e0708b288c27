//! What only S3 can be asked, beyond what the client of all stores does.

mod lifecycle;
mod unfinished;
mod xml;

use std::error::Error;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use object_store::aws::AmazonS3;
use object_store::client::{HttpClient, HttpRequestBody};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};
use tokio::time::timeout;
use url::Url;

use super::cloud::{self, Settings};
use super::config::StoreConfig;
use super::error::{OpenError, one_line};
use super::open;
pub use lifecycle::{LifecycleRule, LifecycleRules, lifecycle_rules};
pub(super) use unfinished::{EVERY, MOST, Uploads};

/// How long a question is good for, and how long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A bucket that is asked about itself.
struct Asked {
    bucket: AmazonS3,
    /// With the options of the store's own client: a proxy, certificates.
    http: HttpClient,
}

impl Asked {
    /// The bucket of a store.
    fn of(url: &Url, config: &StoreConfig) -> Result<Self, OpenError> {
        let environment = open::environment();
        let settings = Settings {
            timeout: config.timeout,
            environment: &environment,
            options: &config.options,
        };
        let (bucket, http) = cloud::s3(url, &settings)?;
        Ok(Self { bucket, http })
    }

    /// What it answers.
    async fn ask(&self, about: &[(&str, &str)]) -> Result<(StatusCode, String), String> {
        let query = SignedUrlOptions::new().with_query(about.iter().copied());
        let signed = self
            .bucket
            .signed_url_opts(Method::GET, &Path::ROOT, PATIENCE, &query)
            .await;
        let signed = signed.map_err(told)?;
        let question = Request::get(signed.as_str()).body(HttpRequestBody::empty());
        let question = question.map_err(told)?;
        let answered = async {
            // There is no URL in its errors, which would have a signature in it.
            let answer = self.http.execute(question).await.map_err(told)?;
            let status = answer.status();
            let text = answer.into_body().bytes().await.map_err(told)?;
            Ok((status, String::from_utf8_lossy(&text).into_owned()))
        };
        timeout(PATIENCE, answered)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")))
    }
}

fn told(error: impl Error + Send + Sync + 'static) -> String {
    one_line(Box::<dyn Error + Send + Sync>::from(error))
}
