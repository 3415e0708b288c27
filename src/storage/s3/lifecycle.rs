//! The rules by which a bucket deletes objects, as far as its store tells them.

use http::StatusCode;
use url::Url;

use super::Asked;
use super::xml::{elements, first};
use crate::storage::config::StoreConfig;
use crate::storage::google;
use crate::storage::location::{Cloud, Location};

/// Where they are on Azure: of a container they are not to be asked for.
const OF_AZURE: &str = "Azure has them not with the container but as the storage account's Lifecycle management, which \
                        az storage account management-policy show --account-name ACCOUNT --resource-group GROUP shows";

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

    /// After how many days it deletes artifacts of the store whose keys begin like this, if that is before so
    /// many.
    pub fn deletes_too_early(&self, days: u64, prefix: &str) -> Option<u64> {
        let is_only_of_catalog = self.prefix.starts_with(&format!("{prefix}catalog/"));
        let concerns = self.covers(prefix) && !is_only_of_catalog;
        self.expires_after.filter(|after| concerns && *after < days)
    }
}

/// The rules of the bucket of a store, and what its keys begin with there.
pub async fn lifecycle_rules(config: &StoreConfig) -> (LifecycleRules, String) {
    let untold = |why: &str| LifecycleRules::Untold(why.to_owned());
    let (cloud, url, prefix) = match Location::parse(&config.url) {
        Ok(Location::Bucket {
            cloud, url, prefix, ..
        }) => (cloud, url, prefix),
        Ok(_) => return (untold("it is no bucket"), String::new()),
        Err(error) => return (LifecycleRules::Untold(error.to_string()), String::new()),
    };
    let mut prefix = prefix.to_string();
    if !prefix.is_empty() {
        prefix.push('/');
    }
    let told = match cloud {
        Cloud::Aws => told(&url, config).await,
        Cloud::Google => google::rules_of(&url, config).await,
        Cloud::Azure => Err(OF_AZURE.to_owned()),
    };
    let rules = match told {
        Ok(rules) => LifecycleRules::Told(rules),
        Err(why) => LifecycleRules::Untold(why),
    };
    (rules, prefix)
}

async fn told(url: &Url, config: &StoreConfig) -> Result<Vec<LifecycleRule>, String> {
    let bucket = Asked::of(url, config).map_err(|error| error.to_string())?;
    let (status, text) = bucket.ask(&[("lifecycle", "")]).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Nobody is asked for them there.
    #[tokio::test]
    async fn where_rules_cannot_be_read_it_is_told_where_they_are() {
        let config = StoreConfig::new("az://container/media");
        let (rules, prefix) = lifecycle_rules(&config).await;
        assert_eq!(prefix, "media/");
        let is_told = |why: &str| why.contains("az storage account management-policy show");
        assert!(
            matches!(&rules, LifecycleRules::Untold(why) if is_told(why)),
            "{rules:?}"
        );
    }

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
    fn a_rule_that_deletes_artifacts_too_early_is_found() {
        let rule = |prefix: &str, expires_after| LifecycleRule {
            prefix: prefix.to_owned(),
            expires_after,
            ..LifecycleRule::default()
        };
        for (rule, expected) in [
            (rule("", Some(31)), Some(31)),
            (rule("", Some(32)), None),
            (rule("", None), None),
            (rule("media/default/", Some(0)), Some(0)),
            (rule("media/catalog/", Some(1)), None),
            (rule("other/", Some(1)), None),
        ] {
            let found = rule.deletes_too_early(32, "media/");
            assert_eq!(found, expected, "{rule:?}");
        }
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
