//! What only Google can be asked, beyond what the client of all stores does: the rules by which a bucket deletes.

use std::error::Error;
use std::time::Duration;

use http::{Request, StatusCode, header};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use object_store::client::HttpRequestBody;
use serde::Deserialize;
use tokio::time::timeout;
use url::Url;

use super::cloud::{self, GoogleApi, Settings};
use super::config::StoreConfig;
use super::error::one_line;
use super::open;
use super::s3::LifecycleRule;

/// How long an answer may take, and the token that is shown for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How objects of the catalog end.
const ENDINGS: [&str; 2] = [".jsonl", ".json"];

/// What of a bucket is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Bucket {
    lifecycle: Lifecycle,
    storage_class: String,
    autoclass: Autoclass,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Autoclass {
    enabled: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Lifecycle {
    rule: Vec<Rule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Rule {
    action: Action,
    condition: Condition,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Action {
    #[serde(rename = "type")]
    kind: String,
}

/// What an object has to be for a rule, all of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Condition {
    age: Option<u64>,
    created_before: Option<String>,
    is_live: Option<bool>,
    matches_prefix: Vec<String>,
    matches_suffix: Vec<String>,
    matches_storage_class: Vec<String>,
    num_newer_versions: Option<u64>,
    days_since_noncurrent_time: Option<u64>,
    noncurrent_time_before: Option<String>,
    days_since_custom_time: Option<u64>,
    custom_time_before: Option<String>,
}

/// The rules of a bucket that are in force, or why nobody knows.
pub(super) async fn rules_of(
    url: &Url,
    config: &StoreConfig,
) -> Result<Vec<LifecycleRule>, String> {
    let environment = open::environment();
    let settings = Settings {
        timeout: config.timeout,
        environment: &environment,
        options: &config.options,
    };
    let api = cloud::google_api(url, &settings).map_err(|error| error.to_string())?;
    let asked = timeout(PATIENCE, ask(&api, url)).await;
    let (status, text) = asked.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")))?;
    match status {
        StatusCode::OK => {
            let bucket = serde_json::from_slice(&text);
            let bucket: Bucket =
                bucket.map_err(|error| format!("the store answers what is no bucket: {error}"))?;
            let now = Timestamp::now().to_zoned(TimeZone::UTC).date();
            Ok(rules(&bucket, now))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Err("that needs the permission storage.buckets.get".to_owned())
        }
        status => Err(format!("the store answers HTTP {status}")),
    }
}

async fn ask(api: &GoogleApi, url: &Url) -> Result<(StatusCode, Vec<u8>), String> {
    let (base, bucket) = (&api.base, url.host_str().unwrap_or_default());
    let question = Request::get(format!(
        "{base}/storage/v1/b/{bucket}?fields=lifecycle,storageClass,autoclass"
    ));
    let question = match &api.credentials {
        Some(credentials) => {
            let token = credentials.get_credential().await.map_err(told)?;
            match token.bearer.as_str() {
                // So the client is told that none is needed.
                "" => question,
                bearer => question.header(header::AUTHORIZATION, format!("Bearer {bearer}")),
            }
        }
        None => question,
    };
    let question = question.body(HttpRequestBody::empty()).map_err(told)?;
    let answer = api.http.execute(question).await.map_err(told)?;
    let status = answer.status();
    let text = answer.into_body().bytes().await.map_err(told)?;
    Ok((status, text.to_vec()))
}

/// The rules that delete something that slimspan has stored, or end uploads. They have no names there, but an order.
fn rules(bucket: &Bucket, today: Date) -> Vec<LifecycleRule> {
    let rules = &bucket.lifecycle.rule;
    let stays = |rule: &Rule| rule.action.kind != "SetStorageClass";
    // What another rule changes, or Google by itself, may come to be of any class.
    let class = bucket.storage_class.as_str();
    let is_of_it = !class.is_empty() && !bucket.autoclass.enabled && rules.iter().all(stays);
    let class = is_of_it.then_some(class);
    let mut found = Vec::new();
    for (number, rule) in (1..).zip(rules) {
        let condition = &rule.condition;
        let (expires_after, aborts_after) = match rule.action.kind.as_str() {
            "Delete" if condition.is_met(class) => (Some(condition.days(today)), None),
            "AbortIncompleteMultipartUpload" => (None, Some(condition.age.unwrap_or(0))),
            _ => continue,
        };
        let anything = [String::new()];
        let prefixes = match condition.matches_prefix.as_slice() {
            [] => &anything[..],
            prefixes => prefixes,
        };
        found.extend(prefixes.iter().map(|prefix| LifecycleRule {
            id: format!("number {number}"),
            prefix: prefix.clone(),
            expires_after,
            aborts_after,
        }));
    }
    found
}

impl Condition {
    /// Whether an object of slimspan can be what it wants: it is the live one, and has no time of its own.
    fn is_met(&self, class: Option<&str>) -> bool {
        let is_of_old_versions = self.is_live == Some(false)
            || self.num_newer_versions.is_some()
            || self.days_since_noncurrent_time.is_some()
            || self.noncurrent_time_before.is_some();
        let is_of_another_time =
            self.days_since_custom_time.is_some() || self.custom_time_before.is_some();
        // Artifacts are called by their digests, and what the catalog has by what it is.
        let ends_like_ours = |suffix: &String| {
            let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            let is_of_catalog =
                |ending: &&str| ending.ends_with(suffix.as_str()) || suffix.ends_with(*ending);
            suffix.bytes().all(is_digit) || ENDINGS.iter().any(is_of_catalog)
        };
        let suffixes = &self.matches_suffix;
        let ends_otherwise = !suffixes.is_empty() && !suffixes.iter().any(ends_like_ours);
        let classes = &self.matches_storage_class;
        let is_of_another_class =
            !classes.is_empty() && class.is_some_and(|class| !classes.iter().any(|of| of == class));
        !is_of_old_versions && !is_of_another_time && !ends_otherwise && !is_of_another_class
    }

    /// After how many days an object is gone.
    fn days(&self, today: Date) -> u64 {
        // What is older than a day of the calendar: it is as old as that, or any age if that is to come.
        let before = self.created_before.as_deref();
        let before = before.and_then(|before| before.parse::<Date>().ok());
        let since = before.map(|before| {
            let days = before.duration_until(today).as_hours() / 24;
            u64::try_from(days).unwrap_or(0)
        });
        self.age.max(since).unwrap_or(0)
    }
}

fn told(error: impl Error + Send + Sync + 'static) -> String {
    one_line(Box::<dyn Error + Send + Sync>::from(error))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_google_writes_them() {
        let text = r#"{ "lifecycle": { "rule": [
            { "action": { "type": "Delete" }, "condition": { "age": 30 } },
            { "action": { "type": "AbortIncompleteMultipartUpload" }, "condition": { "age": 1 } },
            { "action": { "type": "SetStorageClass", "storageClass": "NEARLINE" }, "condition": { "age": 5 } },
            { "action": { "type": "Delete" }, "condition": { "isLive": false, "numNewerVersions": 3 } },
            { "action": { "type": "Delete" }, "condition": { "daysSinceCustomTime": 3 } },
            { "action": { "type": "Delete" }, "condition": { "age": 2, "matchesSuffix": [".log"] } },
            { "action": { "type": "Delete" }, "condition": { "age": 2, "matchesPrefix": ["a/", "b/"] } },
            { "action": { "type": "Delete" }, "condition": { "createdBefore": "2026-11-02" } },
            { "action": { "type": "Delete" }, "condition": { "createdBefore": "2030-01-01", "isLive": true } }
        ] } }"#;
        let bucket: Bucket = serde_json::from_str(text).unwrap();
        let found = rules(&bucket, "2026-11-22".parse().unwrap());
        let found: Vec<_> = found
            .iter()
            .map(|rule| {
                let days = (rule.expires_after, rule.aborts_after);
                (rule.id.as_str(), rule.prefix.as_str(), days)
            })
            .collect();
        let expected = [
            ("number 1", "", (Some(30), None)),
            ("number 2", "", (None, Some(1))),
            ("number 7", "a/", (Some(2), None)),
            ("number 7", "b/", (Some(2), None)),
            ("number 8", "", (Some(20), None)),
            ("number 9", "", (Some(0), None)),
        ];
        assert_eq!(found, expected);
        // What is of the catalog is slimspan's, too, and what is of another class is not.
        let text = r#"{ "storageClass": "STANDARD", "lifecycle": { "rule": [
            { "action": { "type": "Delete" }, "condition": { "age": 30, "matchesSuffix": [".jsonl"] } },
            { "action": { "type": "Delete" }, "condition": { "age": 1, "matchesStorageClass": ["NEARLINE"] } },
            { "action": { "type": "Delete" }, "condition": { "age": 2, "matchesStorageClass": ["STANDARD"] } }
        ] } }"#;
        let bucket: Bucket = serde_json::from_str(text).unwrap();
        let found = rules(&bucket, Date::MAX);
        let found: Vec<_> = found.iter().map(|rule| rule.expires_after).collect();
        assert_eq!(found, [Some(30), Some(2)]);
        // A bucket without rules.
        let bucket: Bucket = serde_json::from_str("{}").unwrap();
        assert_eq!(rules(&bucket, Date::MAX), []);
    }
}
