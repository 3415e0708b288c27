//! What only S3 can be asked, beyond what the client of all stores does.

mod lifecycle;
mod unfinished;
mod xml;

use std::error::Error;
use std::time::Duration;

use http::{Method, StatusCode};
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};
use url::Url;

use super::cloud::{self, Settings};
use super::config::StoreConfig;
use super::error::{OpenError, one_line};
use super::open;
pub use lifecycle::{LifecycleRule, LifecycleRules, lifecycle_rules};
pub(super) use unfinished::{EVERY, Uploads};

/// How long a question is good for, and how long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The bucket of a store.
fn bucket(url: &Url, config: &StoreConfig) -> Result<AmazonS3, OpenError> {
    let environment = open::environment();
    let settings = Settings {
        timeout: config.timeout,
        environment: &environment,
        options: &config.options,
    };
    cloud::s3(url, &settings)
}

/// What a bucket answers when it is asked about itself.
async fn ask(bucket: &AmazonS3, about: &[(&str, &str)]) -> Result<(StatusCode, String), String> {
    let query = SignedUrlOptions::new().with_query(about.iter().copied());
    let signed = bucket
        .signed_url_opts(Method::GET, &Path::ROOT, PATIENCE, &query)
        .await;
    let signed = signed.map_err(|error| one_line(Box::<dyn Error + Send + Sync>::from(error)))?;
    let client = reqwest::Client::builder().timeout(PATIENCE).build();
    let client = client.map_err(|error| error.to_string())?;
    // With the URL there would be a signature in it.
    let told = |error: reqwest::Error| error.without_url().to_string();
    let answer = client.get(signed).send().await.map_err(told)?;
    let status = answer.status();
    let text = answer.text().await.map_err(told)?;
    Ok((status, text))
}
