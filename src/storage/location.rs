use std::path::PathBuf;

use object_store::ObjectStoreScheme;
use object_store::path::Path;
use url::Url;

use super::error::OpenError;

/// Where the `url` of an `artifact_store` points.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// A folder of this machine, absolute.
    Folder(PathBuf),
    /// This process.
    Memory { prefix: Path, base: String },
    /// A bucket or container.
    Bucket {
        cloud: Cloud,
        /// As written, for the client's own parser.
        url: Url,
        /// Where in the bucket.
        prefix: Path,
        /// `url` without a slash at its end.
        base: String,
    },
}

/// Whose bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cloud {
    Aws,
    Azure,
    Google,
}

impl Location {
    pub(super) fn parse(text: &str) -> Result<Self, OpenError> {
        if text.is_empty() {
            return Err(OpenError::url(text, "it is empty"));
        }
        match Url::parse(text) {
            // A scheme of one letter is a Windows drive.
            Ok(url) if url.scheme().len() > 1 => Self::from_url(url),
            Ok(_) | Err(url::ParseError::RelativeUrlWithoutBase) => Self::folder(text),
            Err(error) => {
                // What cannot be taken apart may hold a password before its @, or in a query.
                let host = text.rsplit('@').next().unwrap_or_default();
                let shown = host.split('?').next().unwrap_or_default();
                Err(OpenError::url(shown, error.to_string()))
            }
        }
    }

    fn folder(text: &str) -> Result<Self, OpenError> {
        std::path::absolute(text)
            .map(Self::Folder)
            .map_err(|error| OpenError::url(text, error.to_string()))
    }

    fn from_url(url: Url) -> Result<Self, OpenError> {
        refuse_extras(&url)?;
        // `memory://` has an empty host, `memory:///` none.
        if url.scheme() == "memory" && url.host_str().unwrap_or_default().is_empty() {
            let prefix = Path::from_url_path(url.path())
                .map_err(|error| OpenError::url(&url, error.to_string()))?;
            let base = format!("memory://{}", url.path().trim_end_matches('/'));
            return Ok(Self::Memory { prefix, base });
        }
        let (scheme, prefix) = ObjectStoreScheme::parse(&url)
            .map_err(|error| OpenError::url(&url, unrecognised(&url, &error)))?;
        let cloud = match scheme {
            ObjectStoreScheme::Local => {
                let path = url.to_file_path().map_err(|()| {
                    OpenError::url(&url, "it is not a path of this machine".to_owned())
                })?;
                return Ok(Self::Folder(path));
            }
            ObjectStoreScheme::AmazonS3 => Cloud::Aws,
            ObjectStoreScheme::MicrosoftAzure => Cloud::Azure,
            ObjectStoreScheme::GoogleCloudStorage => Cloud::Google,
            _ => return Err(OpenError::url(&url, KINDS)),
        };
        // Only Azure's `container@account` is a name before an @ and no credential.
        if !url.username().is_empty() && cloud != Cloud::Azure {
            return Err(OpenError::credentials_in_url());
        }
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self::Bucket {
            cloud,
            url,
            prefix,
            base,
        })
    }
}

const KINDS: &str = "a store is a path, file:///path, memory://, s3://bucket/prefix, \
                     gs://bucket/prefix or az://container/prefix";

fn refuse_extras(url: &Url) -> Result<(), OpenError> {
    if url.password().is_some() {
        return Err(OpenError::credentials_in_url());
    }
    if url.query().is_some() || url.fragment().is_some() {
        // A query may be a SAS token: do not print it.
        let mut shown = url.clone();
        shown.set_query(None);
        shown.set_fragment(None);
        return Err(OpenError::url(
            shown,
            "nothing may follow the path; settings belong into options",
        ));
    }
    Ok(())
}

fn unrecognised(url: &Url, error: &dyn std::error::Error) -> String {
    match url.scheme() {
        "file" => "a file URL needs three slashes before an absolute path".to_owned(),
        "s3" | "s3a" | "gs" | "az" | "adl" | "azure" | "abfs" | "abfss"
            if url.host_str().unwrap_or_default().is_empty() =>
        {
            "the name of the bucket or container is missing".to_owned()
        }
        "s3" | "s3a" | "gs" | "az" | "adl" | "azure" | "abfs" | "abfss" => error.to_string(),
        _ => KINDS.to_owned(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn bucket(text: &str) -> (Cloud, String, String) {
        match Location::parse(text).unwrap() {
            Location::Bucket {
                cloud,
                prefix,
                base,
                ..
            } => (cloud, prefix.to_string(), base),
            other => unreachable!("{text} is {other:?}"),
        }
    }

    #[test]
    fn buckets() {
        for (text, cloud, prefix, base) in [
            ("s3://media", Cloud::Aws, "", "s3://media"),
            ("s3://media/", Cloud::Aws, "", "s3://media"),
            ("s3://media/a/b/", Cloud::Aws, "a/b", "s3://media/a/b"),
            ("s3a://media/a", Cloud::Aws, "a", "s3a://media/a"),
            (
                "https://s3.eu-west-1.amazonaws.com/media/a",
                Cloud::Aws,
                "a",
                "https://s3.eu-west-1.amazonaws.com/media/a",
            ),
            ("gs://media/a%20b", Cloud::Google, "a b", "gs://media/a%20b"),
            ("az://media/a", Cloud::Azure, "a", "az://media/a"),
            (
                "abfss://media@account.dfs.core.windows.net/a",
                Cloud::Azure,
                "a",
                "abfss://media@account.dfs.core.windows.net/a",
            ),
        ] {
            let found = bucket(text);
            assert_eq!(found, (cloud, prefix.to_owned(), base.to_owned()), "{text}");
        }
    }

    #[test]
    fn folders() {
        let here = std::env::current_dir().unwrap();
        for (text, path) in [
            ("./data/artifacts", here.join("data/artifacts")),
            ("data", here.join("data")),
            ("/var/lib/slimspan", PathBuf::from("/var/lib/slimspan")),
            ("file:///var/lib/a%20b", PathBuf::from("/var/lib/a b")),
        ] {
            assert_eq!(
                Location::parse(text).unwrap(),
                Location::Folder(path),
                "{text}"
            );
        }
    }

    #[test]
    fn memory() {
        for (text, prefix, base) in [
            ("memory://", "", "memory://"),
            ("memory:///", "", "memory://"),
            ("memory:///a/b", "a/b", "memory:///a/b"),
        ] {
            let Location::Memory {
                prefix: found,
                base: found_base,
            } = Location::parse(text).unwrap()
            else {
                unreachable!("{text} is not memory")
            };
            assert_eq!((found.as_ref(), found_base.as_str()), (prefix, base));
        }
    }

    #[test]
    fn refusals_say_what_to_write() {
        for (text, advice) in [
            ("", "it is empty"),
            ("ftp://host/path", "a store is a path"),
            ("https://example.com/media", "a store is a path"),
            ("memory://host", "a store is a path"),
            ("s3:///prefix", "name of the bucket or container is missing"),
            ("s3:/media", "name of the bucket or container is missing"),
            ("file://data/artifacts", "three slashes"),
            ("s3://media/a//b", "empty path segment"),
            ("s3://media?region=eu", "settings belong into options"),
        ] {
            let error = Location::parse(text).unwrap_err().to_string();
            assert!(error.starts_with("url: "), "{error}");
            assert!(error.contains(advice), "{text}: {error}");
        }
    }

    #[test]
    fn credentials_in_a_url_are_refused_and_not_repeated() {
        for text in [
            "s3://key:hunter2@media/prefix",
            "s3://hunter2@media/prefix",
            "gs://hunter2@media",
            "az://media/a?sig=hunter2",
            "s3://key:hunter2@media:port/prefix?sig=hunter2",
        ] {
            let error = Location::parse(text).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
