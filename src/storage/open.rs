use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;

use super::cloud::{self, Settings};
use super::config::StoreConfig;
use super::error::OpenError;
use super::folder;
use super::layout::Root;
use super::location::Location;

/// A place for artifacts and the client that reaches it.
pub(super) struct Opened {
    pub(super) client: Arc<dyn ObjectStore>,
    pub(super) root: Root,
    /// For people: the URL, and the endpoint if it is not the cloud's own.
    pub(super) place: String,
    /// A folder has nowhere to put a content type, and its client refuses one.
    pub(super) keeps_content_type: bool,
    /// It keeps the very memory that a put hands to it, and with that what the memory is charged to.
    pub(super) keeps_memory: bool,
    /// The folder that it is, if it is one.
    pub(super) folder: Option<PathBuf>,
}

/// Opens what `config.url` names, with `environment` for the clients of clouds.
///
/// Connects to nothing: a store that is down now may be up when the first artifact comes.
pub(super) fn open(
    config: &StoreConfig,
    environment: &[(String, String)],
) -> Result<Opened, OpenError> {
    match Location::parse(&config.url)? {
        Location::Folder(path) => {
            refuse_options(config, "a local folder")?;
            let root = folder_root(config, &path)?;
            let client = folder::open(&path)?;
            Ok(Opened {
                client: Arc::new(client),
                root,
                place: path.display().to_string(),
                keeps_content_type: false,
                keeps_memory: false,
                folder: Some(path),
            })
        }
        Location::Memory { prefix, base } => {
            refuse_options(config, "memory")?;
            Ok(Opened {
                client: Arc::new(InMemory::new()),
                root: Root::new(prefix, base),
                place: "memory".to_owned(),
                keeps_content_type: true,
                keeps_memory: true,
                folder: None,
            })
        }
        Location::Bucket {
            cloud,
            url,
            prefix,
            base,
        } => {
            let settings = Settings {
                timeout: config.timeout,
                environment,
                options: &config.options,
            };
            let client = cloud::open(cloud, &url, &settings)?;
            Ok(Opened {
                client: client.store,
                root: Root::new(prefix, base.clone()),
                place: match client.endpoint {
                    Some(endpoint) => format!("{base} at {endpoint}"),
                    None => base,
                },
                keeps_content_type: true,
                keeps_memory: false,
                folder: None,
            })
        }
    }
}

/// What of this process's environment clients of clouds may look at.
pub(super) fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Where artifacts will be once the store is open.
pub(super) fn root(config: &StoreConfig) -> Result<Root, OpenError> {
    match Location::parse(&config.url)? {
        Location::Folder(path) => folder_root(config, &path),
        Location::Memory { prefix, base } | Location::Bucket { prefix, base, .. } => {
            Ok(Root::new(prefix, base))
        }
    }
}

fn folder_root(config: &StoreConfig, path: &std::path::Path) -> Result<Root, OpenError> {
    let url = url::Url::from_file_path(path)
        .map_err(|()| OpenError::url(&config.url, "it is not a path of this machine"))?;
    let base = url.as_str().strip_suffix('/').unwrap_or(url.as_str());
    Ok(Root::new(Path::ROOT, base.to_owned()))
}

/// Refuses a folder that is not there: who wants to read from it has another one in mind.
pub(super) fn check_exists(config: &StoreConfig) -> Result<(), OpenError> {
    match Location::parse(&config.url)? {
        Location::Folder(path) if !path.is_dir() => Err(OpenError::Folder {
            path: path.display().to_string(),
            source: io::ErrorKind::NotFound.into(),
        }),
        _ => Ok(()),
    }
}

fn refuse_options(config: &StoreConfig, store: &'static str) -> Result<(), OpenError> {
    match config.options.keys().next() {
        None => Ok(()),
        Some(key) => Err(OpenError::UnknownOption {
            key: key.clone(),
            store,
        }),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::config::Secret;
    use crate::tenant::TenantId;

    #[test]
    fn each_place_has_its_uris_and_its_description() {
        let environment = [
            ("AWS_ENDPOINT", "http://127.0.0.1:9000"),
            ("AWS_ALLOW_HTTP", "true"),
            ("AZURE_STORAGE_USE_EMULATOR", "true"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        for (url, uri_base, place) in [
            ("memory://", "memory:///default/sha256", "memory"),
            ("memory:///a", "memory:///a/default/sha256", "memory"),
            (
                "s3://media/a",
                "s3://media/a/default/sha256",
                "s3://media/a at http://127.0.0.1:9000",
            ),
            (
                "az://media/a/",
                "az://media/a/default/sha256",
                "az://media/a",
            ),
        ] {
            let opened = open(&StoreConfig::new(url), &environment).unwrap();
            for root in [opened.root, root(&StoreConfig::new(url)).unwrap()] {
                assert_eq!(root.of(&TenantId::default()).uri_base(), uri_base);
            }
            assert_eq!(opened.place, place);
            assert!(opened.keeps_content_type);
        }
    }

    #[test]
    fn a_folder_is_made_and_has_file_uris() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("data/my artifacts");
        let config = StoreConfig::new(root.to_str().unwrap());
        let uri_base = |root: Root| root.of(&TenantId::default()).uri_base().to_owned();
        let unopened = uri_base(super::root(&config).unwrap());
        assert!(!root.exists());
        let opened = open(&config, &[]).unwrap();
        assert!(root.is_dir());
        assert_eq!(uri_base(opened.root), unopened);
        assert_eq!(opened.place, root.to_str().unwrap());
        assert!(!opened.keeps_content_type);
        let uri = format!("{unopened}/ab");
        let path = url::Url::parse(&uri).unwrap().to_file_path().unwrap();
        assert_eq!(path, root.join("default/sha256/ab"));
    }

    #[test]
    fn a_folder_and_memory_have_no_options() {
        let home = tempfile::tempdir().unwrap();
        for (url, store) in [
            (home.path().to_str().unwrap(), "a local folder"),
            ("memory://", "memory"),
        ] {
            let mut config = StoreConfig::new(url);
            let value = Secret::new("true".to_owned());
            config.options.insert("allow_http".to_owned(), value);
            assert_eq!(
                open(&config, &[]).err().unwrap().to_string(),
                format!("options.allow_http: {store} has no such option")
            );
        }
    }
}
