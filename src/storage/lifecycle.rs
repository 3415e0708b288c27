//! The rules by which a bucket deletes objects, as far as its store tells them.

use std::error::Error;
use std::time::Duration;

use http::{Method, StatusCode};
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};

use super::cloud::{self, Settings};
use super::config::StoreConfig;
use super::error::one_line;
use super::location::{Cloud, Location};
use super::open;

/// How long the question is good for, and how long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LifecycleRules {
    /// Those that are in force.
    Told(Vec<LifecycleRule>),
    /// Nobody can say, and why.
    Untold(String),
}

/// A rule that is in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LifecycleRule {
    /// What it is called.
    pub id: String,
    /// With what the keys of its objects begin, below the store's prefix or above it.
    pub prefix: String,
    /// After so many days it deletes them.
    pub expires_after: Option<u64>,
    /// After so many days it ends uploads that nobody has finished.
    pub aborts_after: Option<u64>,
}

impl LifecycleRule {
    /// Whether it is about keys that begin like this.
    pub fn covers(&self, prefix: &str) -> bool {
        prefix.starts_with(&self.prefix) || self.prefix.starts_with(prefix)
    }
}

/// The rules of the bucket of a store, and what stands before its keys there.
pub async fn lifecycle_rules(config: &StoreConfig) -> (LifecycleRules, String) {
    let untold = |why: &str| LifecycleRules::Untold(why.to_owned());
    let (cloud, url, prefix) = match Location::parse(&config.url) {
        Ok(Location::Bucket {
            cloud, url, prefix, ..
        }) => (cloud, url, prefix),
        Ok(_) => return (untold("it is no bucket"), String::new()),
        Err(error) => return (LifecycleRules::Untold(error.to_string()), String::new()),
    };
    let prefix = prefix.to_string();
    if cloud != Cloud::Aws {
        return (untold("slimspan can read them on S3 only"), prefix);
    }
    let environment = open::environment();
    let settings = Settings {
        timeout: config.timeout,
        environment: &environment,
        options: &config.options,
    };
    let rules = match ask(&url, &settings).await {
        Ok(rules) => LifecycleRules::Told(rules),
        Err(why) => LifecycleRules::Untold(why),
    };
    (rules, prefix)
}

async fn ask(url: &url::Url, settings: &Settings<'_>) -> Result<Vec<LifecycleRule>, String> {
    let bucket = cloud::s3(url, settings).map_err(|error| error.to_string())?;
    let query = SignedUrlOptions::new().with_query([("lifecycle", "")]);
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
    match status {
        StatusCode::OK => Ok(rules(&text)),
        StatusCode::NOT_FOUND if text.contains("NoSuchLifecycleConfiguration") => Ok(Vec::new()),
        StatusCode::FORBIDDEN => {
            Err("that needs the permission s3:GetLifecycleConfiguration".to_owned())
        }
        status => Err(format!("the store answers HTTP {status}")),
    }
}

/// The rules in an answer that are in force.
fn rules(text: &str) -> Vec<LifecycleRule> {
    let rules = elements(text, "Rule").filter(|rule| first(rule, "Status") == Some("Enabled"));
    let rules = rules.map(|rule| {
        let number = |within: &str, name| first(first(rule, within)?, name)?.trim().parse().ok();
        LifecycleRule {
            id: first(rule, "ID").unwrap_or_default().to_owned(),
            prefix: first(rule, "Prefix").unwrap_or_default().to_owned(),
            // One for a date deletes what is there then, however young it is.
            expires_after: number("Expiration", "Days").or_else(|| {
                first(rule, "Expiration")
                    .filter(|expiration| expiration.contains("<Date>"))
                    .map(|_| 0)
            }),
            aborts_after: number("AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
        }
    });
    rules.collect()
}

/// What stands in the elements of this name. They have no attributes, and none is in one of its own name.
fn elements<'t>(text: &'t str, name: &str) -> impl Iterator<Item = &'t str> {
    let (opens, closes) = (format!("<{name}>"), format!("</{name}>"));
    let mut left = text;
    std::iter::from_fn(move || {
        let (_, rest) = left.split_once(&opens)?;
        let (element, rest) = rest.split_once(&closes)?;
        left = rest;
        Some(element)
    })
}

fn first<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    elements(text, name).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_the_store_writes_them() {
        let text = "<?xml version=\"1.0\"?><LifecycleConfiguration xmlns=\"x\">\
            <Rule><ID>old</ID><Filter><Prefix>media/</Prefix></Filter><Status>Enabled</Status>\
            <Expiration><Days>30</Days></Expiration></Rule>\
            <Rule><ID>parts</ID><Filter/><Status>Enabled</Status><AbortIncompleteMultipartUpload>\
            <DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>\
            <Rule><ID>off</ID><Prefix></Prefix><Status>Disabled</Status>\
            <Expiration><Days>1</Days></Expiration></Rule>\
            <Rule><ID>then</ID><Prefix>x</Prefix><Status>Enabled</Status>\
            <Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration></Rule>\
            </LifecycleConfiguration>";
        let found = rules(text);
        let rule = |id: &str, prefix: &str, expires_after, aborts_after| LifecycleRule {
            id: id.to_owned(),
            prefix: prefix.to_owned(),
            expires_after,
            aborts_after,
        };
        let expected = [
            rule("old", "media/", Some(30), None),
            rule("parts", "", None, Some(7)),
            rule("then", "x", Some(0), None),
        ];
        assert_eq!(found, expected);
        assert_eq!(rules("<html>no rules</html>"), []);
        assert_eq!(rules("<Rule><Status>Enabled</Status>"), []);
    }

    #[test]
    fn a_rule_covers_what_begins_like_it() {
        let rule = |prefix: &str| LifecycleRule {
            prefix: prefix.to_owned(),
            ..LifecycleRule::default()
        };
        for (of_rule, of_store, covers) in [
            ("", "media/", true),
            ("media/", "media/", true),
            ("media/default/", "media/", true),
            ("med", "media/", true),
            ("other/", "media/", false),
            ("logs/", "", true),
        ] {
            assert_eq!(
                rule(of_rule).covers(of_store),
                covers,
                "{of_rule} {of_store}"
            );
        }
    }
}
