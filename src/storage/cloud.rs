use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::{HttpClient, HttpConnector as _, ReqwestConnector};
use object_store::gcp::{GcpCredentialProvider, GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, ObjectStore, RetryConfig};
use url::Url;

use super::error::OpenError;
use super::location::Cloud;
use crate::config::Secret;

/// Where buckets on Google are, unless it is said otherwise.
const GOOGLE: &str = "https://storage.googleapis.com";

/// A bucket's client, and where it connects if not to the cloud's own address.
pub(super) struct Client {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) endpoint: Option<String>,
}

/// What decides how a bucket is reached, besides its URL.
///
/// The client's own defaults are overridden by ours, ours by the environment, that by the YAML.
pub(super) struct Settings<'a> {
    pub(super) timeout: Duration,
    pub(super) environment: &'a [(String, String)],
    pub(super) options: &'a BTreeMap<String, Secret>,
}

pub(super) fn open(cloud: Cloud, url: &Url, settings: &Settings<'_>) -> Result<Client, OpenError> {
    match cloud {
        Cloud::Aws => {
            let keys = keys(cloud, settings)?;
            client(url, aws(url, &keys, settings).build(), aws_endpoint(&keys))
        }
        Cloud::Azure => {
            let keys = keys(cloud, settings)?;
            let endpoint = last(&keys, &AzureConfigKey::Endpoint);
            client(url, azure(url, &keys, settings).build(), endpoint)
        }
        Cloud::Google => {
            let keys = keys(cloud, settings)?;
            let endpoint = last(&keys, &GoogleConfigKey::BaseUrl);
            client(url, google(url, &keys, settings).build(), endpoint)
        }
    }
}

/// The client of a bucket on S3, for what only that has, and what that one sends its requests by.
pub(super) fn s3(url: &Url, settings: &Settings<'_>) -> Result<(AmazonS3, HttpClient), OpenError> {
    let failed = |source| OpenError::Client {
        url: url.to_string(),
        source: Box::new(source),
    };
    let keys = keys(Cloud::Aws, settings)?;
    let built = aws(url, &keys, settings).build().map_err(failed)?;
    let of_client = keys.iter().filter_map(|(key, value)| match key {
        AmazonS3ConfigKey::Client(key) => Some((*key, value)),
        _ => None,
    });
    let http = settings.http(of_client).map_err(failed)?;
    Ok((built, http))
}

/// What a bucket on Google is asked by that its client does not ask.
pub(super) struct GoogleApi {
    /// Who asks; none where nothing is signed.
    pub(super) credentials: Option<GcpCredentialProvider>,
    /// Where, without a slash at its end.
    pub(super) base: String,
    /// What its client sends its requests by.
    pub(super) http: HttpClient,
}

pub(super) fn google_api(url: &Url, settings: &Settings<'_>) -> Result<GoogleApi, OpenError> {
    let failed = |source| OpenError::Client {
        url: url.to_string(),
        source: Box::new(source),
    };
    let keys = keys(Cloud::Google, settings)?;
    let builder = google(url, &keys, settings);
    let is_unsigned = builder.get_config_value(&GoogleConfigKey::SkipSignature);
    let is_unsigned = is_unsigned.as_deref() == Some("true");
    let base = google_base(&builder);
    let built = builder.build().map_err(failed)?;
    let of_client = keys.iter().filter_map(|(key, value)| match key {
        GoogleConfigKey::Client(key) => Some((*key, value)),
        _ => None,
    });
    let http = settings.http(of_client).map_err(failed)?;
    Ok(GoogleApi {
        credentials: (!is_unsigned).then(|| Arc::clone(built.credentials())),
        base: base.trim_end_matches('/').to_owned(),
        http,
    })
}

/// Where the client of a bucket on Google sends its requests, which it does not tell.
fn google_base(builder: &GoogleCloudStorageBuilder) -> String {
    let value = |key| builder.get_config_value(&key);
    let of_account = || {
        let account = value(GoogleConfigKey::ServiceAccountKey).or_else(|| {
            let path = value(GoogleConfigKey::ServiceAccount)?;
            std::fs::read_to_string(path).ok()
        });
        let account: serde_json::Value = serde_json::from_str(&account?).ok()?;
        account.get("gcs_base_url")?.as_str().map(str::to_owned)
    };
    value(GoogleConfigKey::BaseUrl)
        .or_else(of_account)
        .unwrap_or_else(|| GOOGLE.to_owned())
}

fn client<S: ObjectStore>(
    url: &Url,
    built: object_store::Result<S>,
    endpoint: Option<&str>,
) -> Result<Client, OpenError> {
    let store = built.map_err(|source| OpenError::Client {
        url: url.to_string(),
        source: Box::new(source),
    })?;
    Ok(Client {
        store: Arc::new(store),
        endpoint: endpoint.and_then(without_credentials),
    })
}

fn aws(
    url: &Url,
    keys: &[(AmazonS3ConfigKey, String)],
    settings: &Settings<'_>,
) -> AmazonS3Builder {
    // A signed payload is a second SHA-256 over every artifact, and TLS already protects it.
    let plain = aws_endpoint(keys).is_some_and(|endpoint| endpoint.starts_with("http://"));
    let builder = AmazonS3Builder::new()
        .with_retry(settings.retry())
        .with_client_options(settings.client_options())
        .with_unsigned_payload(!plain);
    keys.iter()
        .fold(builder, |builder, (key, value)| {
            builder.with_config(*key, value)
        })
        .with_url(url.as_str())
}

fn aws_endpoint(keys: &[(AmazonS3ConfigKey, String)]) -> Option<&str> {
    last(keys, &AmazonS3ConfigKey::S3Endpoint).or_else(|| last(keys, &AmazonS3ConfigKey::Endpoint))
}

fn azure(
    url: &Url,
    keys: &[(AzureConfigKey, String)],
    settings: &Settings<'_>,
) -> MicrosoftAzureBuilder {
    let builder = MicrosoftAzureBuilder::new()
        .with_retry(settings.retry())
        .with_client_options(settings.client_options());
    keys.iter()
        .fold(builder, |builder, (key, value)| {
            builder.with_config(*key, value)
        })
        .with_url(url.as_str())
}

fn google(
    url: &Url,
    keys: &[(GoogleConfigKey, String)],
    settings: &Settings<'_>,
) -> GoogleCloudStorageBuilder {
    let builder = GoogleCloudStorageBuilder::new()
        .with_retry(settings.retry())
        .with_client_options(settings.client_options());
    keys.iter()
        .fold(builder, |builder, (key, value)| {
            builder.with_config(*key, value)
        })
        .with_url(url.as_str())
}

impl Settings<'_> {
    /// Enough for a connection that the server has closed meanwhile. Anything longer is for the
    /// store to see, which knows how much time there is; the client's own patience is three minutes.
    fn retry(&self) -> RetryConfig {
        RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(50),
                max_backoff: Duration::from_millis(100),
                base: 2.0,
            },
            max_retries: 1,
            retry_timeout: self.timeout,
        }
    }

    /// What a client sends its requests by that has these options.
    fn http<'k>(
        &self,
        options: impl Iterator<Item = (ClientConfigKey, &'k String)>,
    ) -> object_store::Result<HttpClient> {
        let options = options.fold(self.client_options(), |options, (key, value)| {
            options.with_config(key, value)
        });
        ReqwestConnector::default().connect(&options)
    }

    /// The store ends what takes too long and says which limit that was; a second clock in the
    /// client would now and then be faster.
    fn client_options(&self) -> ClientOptions {
        ClientOptions::new()
            .with_timeout_disabled()
            .with_connect_timeout(Duration::from_secs(2).min(self.timeout))
    }
}

/// The keys that the environment and the YAML set, in order of rising precedence.
///
/// Foreign variables of the environment are passed over, as the clients themselves do.
fn keys<K: FromStr>(cloud: Cloud, settings: &Settings<'_>) -> Result<Vec<(K, String)>, OpenError> {
    let names = Names::of(cloud);
    let mut keys = Vec::new();
    for (variable, value) in settings.environment {
        let key = match names.also.iter().find(|(name, _)| name == variable) {
            Some((_, key)) => (*key).to_owned(),
            None if variable.starts_with(names.prefix) => variable.to_ascii_lowercase(),
            None => continue,
        };
        if let Ok(key) = key.parse() {
            keys.push((key, value.clone()));
        }
    }
    for (option, value) in settings.options {
        let key = option
            .to_ascii_lowercase()
            .parse()
            .map_err(|_| OpenError::UnknownOption {
                key: option.clone(),
                store: names.store,
            })?;
        keys.push((key, value.expose().to_owned()));
    }
    Ok(keys)
}

/// What a cloud and its variables are called.
struct Names {
    store: &'static str,
    prefix: &'static str,
    /// Variables without the prefix that the client reads too, and their keys.
    also: &'static [(&'static str, &'static str)],
}

impl Names {
    fn of(cloud: Cloud) -> Self {
        match cloud {
            Cloud::Aws => Self {
                store: "S3",
                prefix: "AWS_",
                also: &[],
            },
            Cloud::Azure => Self {
                store: "Azure Blob Storage",
                prefix: "AZURE_",
                also: &[("IDENTITY_ENDPOINT", "msi_endpoint")],
            },
            Cloud::Google => Self {
                store: "Google Cloud Storage",
                prefix: "GOOGLE_",
                also: &[("SERVICE_ACCOUNT", "service_account")],
            },
        }
    }
}

fn last<'a, K: PartialEq>(keys: &'a [(K, String)], key: &K) -> Option<&'a str> {
    let (_, value) = keys.iter().rev().find(|(found, _)| found == key)?;
    Some(value)
}

fn without_credentials(endpoint: &str) -> Option<String> {
    let mut url = Url::parse(endpoint).ok()?;
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.set_query(None);
    Some(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    struct Case {
        environment: Vec<(String, String)>,
        options: BTreeMap<String, Secret>,
    }

    fn case(environment: &[(&str, &str)], options: &[(&str, &str)]) -> Case {
        Case {
            environment: environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            options: options
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Secret::new((*value).to_owned())))
                .collect(),
        }
    }

    impl Case {
        fn settings(&self) -> Settings<'_> {
            Settings {
                timeout: Duration::from_secs(10),
                environment: &self.environment,
                options: &self.options,
            }
        }

        fn aws(&self) -> AmazonS3Builder {
            let keys = keys(Cloud::Aws, &self.settings()).unwrap();
            let url = Url::parse("s3://media/a").unwrap();
            aws(&url, &keys, &self.settings())
        }

        fn open(&self, url: &str) -> Result<Client, OpenError> {
            let cloud = match url.get(..2) {
                Some("s3") => Cloud::Aws,
                Some("gs") => Cloud::Google,
                _ => Cloud::Azure,
            };
            open(cloud, &Url::parse(url).unwrap(), &self.settings())
        }
    }

    fn value(builder: &AmazonS3Builder, key: &str) -> Option<String> {
        builder.get_config_value(&key.parse().unwrap())
    }

    #[test]
    fn payloads_are_signed_only_where_nothing_else_protects_them() {
        for (environment, options, unsigned) in [
            (None, None, "true"),
            (Some("https://s3.example.com"), None, "true"),
            (Some("http://127.0.0.1:9000"), None, "false"),
            (
                Some("http://127.0.0.1:9000"),
                Some("https://s3.example.com"),
                "true",
            ),
        ] {
            let environment: Vec<_> = environment
                .map(|e| ("AWS_ENDPOINT", e))
                .into_iter()
                .collect();
            let options: Vec<_> = options.map(|o| ("endpoint", o)).into_iter().collect();
            let builder = case(&environment, &options).aws();
            assert_eq!(
                value(&builder, "unsigned_payload").as_deref(),
                Some(unsigned)
            );
        }
        let forced = case(&[], &[("unsigned_payload", "false")]).aws();
        assert_eq!(value(&forced, "unsigned_payload").as_deref(), Some("false"));
        let service = [("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")];
        let builder = case(&service, &[("endpoint", "https://s3.example.com")]).aws();
        assert_eq!(
            value(&builder, "unsigned_payload").as_deref(),
            Some("false")
        );
    }

    #[test]
    fn the_yaml_is_over_the_environment_and_that_over_our_defaults() {
        let builder = case(&[], &[]).aws();
        assert_eq!(value(&builder, "timeout"), None);
        assert_eq!(value(&builder, "connect_timeout").as_deref(), Some("2s"));
        let environment = [
            ("AWS_REGION", "eu-west-1"),
            ("AWS_CONNECT_TIMEOUT", "5s"),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_PAGER", "less"),
            ("REGION", "foreign"),
        ];
        let builder = case(&environment, &[("aws_region", "us-west-2")]).aws();
        assert_eq!(value(&builder, "region").as_deref(), Some("us-west-2"));
        assert_eq!(value(&builder, "connect_timeout").as_deref(), Some("5s"));
        assert_eq!(value(&builder, "allow_http").as_deref(), Some("true"));
    }

    #[test]
    fn each_cloud_opens_without_a_connection() {
        let account =
            r#"{"client_email":"","private_key":"","private_key_id":"","disable_oauth":true}"#;
        for (url, environment, options, endpoint) in [
            ("s3://media", vec![], vec![("region", "eu-west-1")], None),
            (
                "s3://media",
                vec![
                    ("AWS_ENDPOINT", "http://user:pass@127.0.0.1:9000/"),
                    ("AWS_ALLOW_HTTP", "true"),
                ],
                vec![],
                Some("http://127.0.0.1:9000"),
            ),
            (
                "az://media",
                vec![("AZURE_STORAGE_ACCOUNT_NAME", "account")],
                vec![("access_key", "a2V5")],
                None,
            ),
            (
                "gs://media",
                vec![],
                vec![("service_account_key", account)],
                None,
            ),
        ] {
            let client = case(&environment, &options).open(url).unwrap();
            assert_eq!(client.endpoint.as_deref(), endpoint, "{url}");
        }
    }

    #[test]
    fn unknown_options_are_named() {
        for (url, store) in [
            ("s3://media", "S3"),
            ("az://media", "Azure Blob Storage"),
            ("gs://media", "Google Cloud Storage"),
        ] {
            let error = case(&[], &[("regoin", "hunter2")]).open(url).err().unwrap();
            assert_eq!(
                error.to_string(),
                format!("options.regoin: {store} has no such option")
            );
        }
    }

    #[test]
    fn a_client_that_cannot_be_built_is_named() {
        for (url, options) in [
            ("s3://media", [("access_key_id", "key")]),
            ("s3://media", [("allow_http", "perhaps")]),
            ("az://media", [("container_name", "media")]),
            ("az://media@nowhere.example", [("account_name", "a")]),
        ] {
            let error = case(&[], &options).open(url).err().unwrap().to_string();
            let start = format!("url: cannot open {url}: ");
            assert!(error.starts_with(&start), "{error}");
        }
    }
}
