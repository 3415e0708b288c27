//! Spools that nobody empties: references to what waits in them are with backends, and must not lead nowhere because
//! of a change in the configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::error::StartError;
use super::stores::{has_spool, is_needed};
use crate::config::{ComponentId, Config, ExtensionConfig};
use crate::storage::spool::config::SpoolConfig;
use crate::storage::{Store, StoreConfig, spool};

/// Tells of spools in which something waits for one of several stores, none of which fills it.
pub(super) fn tell_orphans(config: &Config, stores: &BTreeMap<ComponentId, Store>) {
    let mut ids_by_directory: BTreeMap<&Path, Vec<&ComponentId>> = BTreeMap::new();
    for (id, store) in config.artifact_stores() {
        let ids = ids_by_directory.entry(&store.spool.directory);
        ids.or_default().push(id);
    }
    for (directory, ids) in ids_by_directory {
        let is_taken_up =
            |id: &&ComponentId| stores.get(*id).is_some_and(|of| of.spool().is_some());
        let is_open = |id: &&ComponentId| stores.contains_key(*id);
        let is_orphan = ids.len() > 1 && ids.iter().any(is_open) && !ids.iter().any(is_taken_up);
        if !is_orphan || !directory.is_dir() {
            continue;
        }
        let named: Vec<String> = ids.iter().map(|id| format!("extensions.{id}")).collect();
        let named = named.join(" and ");
        let left = match spool::left_in(directory) {
            Ok(left) if left.artifacts == 0 => continue,
            Ok(left) => left.to_string(),
            Err(error) => format!("nobody knows how much ({error})"),
        };
        tracing::warn!(
            "{} is the spool.directory of {named}, so what waits there is not uploaded: {left}. \
             References to it lead nowhere until it is: let only the store that it was spooled for \
             keep this directory, give the others one of their own, and start again",
            directory.display()
        );
    }
}

/// Tells of spools in which something waits and which no store that runs has, as far as they can be found.
pub(super) fn tell_unattended(config: &Config, stores: &BTreeMap<ComponentId, Store>) {
    for told in unattended(config, stores) {
        tracing::warn!("{told}");
    }
}

/// A line about each of them.
fn unattended(config: &Config, stores: &BTreeMap<ComponentId, Store>) -> Vec<String> {
    let running = configured(config).filter(|(id, _)| stores.contains_key(*id));
    // One that several stores have is emptied, or told of as that.
    let attended: BTreeSet<PathBuf> = running.filter_map(|(_, of)| folder_of(of)).collect();
    let mut lines = Vec::new();
    for (folder, id) in places(config) {
        if attended.contains(&folder) {
            continue;
        }
        let holds = match spool::left_in(&folder) {
            Ok(left) if left.artifacts == 0 => continue,
            // Whose it is uploads it.
            Ok(_) if spool::is_open(&folder) => continue,
            Ok(left) => left.to_string(),
            // Nothing says that it is a spool.
            Err(_) if id.is_none() => continue,
            Err(error) => format!("nobody knows how many artifacts ({error})"),
        };
        let url = spool::meant_for(&folder);
        let url = url.as_deref().unwrap_or("a store that it does not name");
        let mend = match id {
            Some(id) if config.starts(id) => format!(
                "all that use extensions.{id} have dry_run: true, and it waits until one of them has not"
            ),
            Some(id) => format!("name {id} in service.extensions again"),
            None => "make it the spool.directory of a store with this url until it is empty, unless it is another \
                     slimspan's; who wants to lose what is in it deletes the folder"
                .to_owned(),
        };
        lines.push(format!(
            "{} holds {holds} for {url}, and nothing uploads them, so references to them lead nowhere: {mend}",
            folder.display()
        ));
    }
    lines
}

/// An error where something waits in a spool that is emptied with `before`, and with `next` is not known any more:
/// another start may not find it.
pub(super) fn refuse_to_leave(before: &Config, next: &Config) -> Result<(), StartError> {
    let kept = next.artifact_stores();
    let kept: BTreeSet<PathBuf> = kept.filter_map(|(_, of)| folder_of(of)).collect();
    let emptied = before
        .artifact_stores()
        .filter(|(id, of)| is_needed(before, id) && has_spool(before, id, of));
    for (id, of) in emptied {
        let Some(folder) = folder_of(of).filter(|folder| !kept.contains(folder)) else {
            continue;
        };
        let holds = match spool::left_in(&folder) {
            Ok(left) if left.artifacts == 0 => continue,
            Ok(left) => left,
            // A disk that is broken must not keep anybody on it.
            Err(error) => {
                tracing::warn!(
                    "extensions.{id}.spool.directory: nobody knows what is left there: {error}"
                );
                continue;
            }
        };
        let reason = format!(
            "{} holds {holds} for {}, and no store of the new configuration has that folder: keep one with this url \
             and this spool.directory, and reload again when the spool is empty",
            folder.display(),
            Store::base_of(of).unwrap_or_default()
        );
        let id = id.clone();
        return Err(StartError::Spool { id, reason });
    }
    Ok(())
}

/// The stores that are written down, whether they are started or not.
fn configured(config: &Config) -> impl Iterator<Item = (&ComponentId, &StoreConfig)> {
    let extensions = config.extensions.iter();
    extensions.filter_map(|(id, extension)| match extension {
        ExtensionConfig::ArtifactStore(store) => Some((id, store)),
        _ => None,
    })
}

/// The folder of its spool, however that is written; none if it is not there.
fn folder_of(store: &StoreConfig) -> Option<PathBuf> {
    fs::canonicalize(&store.spool.directory).ok()
}

/// Folders that are there and may be spools: those that stores are configured with, and who that is; the one that a
/// store has where nothing is said; and those beside all of these that say for which store they are.
fn places(config: &Config) -> BTreeMap<PathBuf, Option<&ComponentId>> {
    let usual = SpoolConfig::default().directory;
    let directories = configured(config).map(|(_, of)| of.spool.directory.as_path());
    let near = directories.chain([usual.as_path()]).flat_map(beside);
    let unnamed = near
        .chain([usual.clone()])
        .filter_map(|folder| fs::canonicalize(folder).ok());
    let mut places: BTreeMap<_, _> = unnamed.map(|folder| (folder, None)).collect();
    // Of several that have one, who is started is told of.
    for starts in [false, true] {
        let some = configured(config).filter(|(id, _)| config.starts(id) == starts);
        places.extend(some.filter_map(|(id, of)| Some((folder_of(of)?, Some(id)))));
    }
    places
}

/// The spools in the folder that this one is in, and that folder where it is one.
fn beside(directory: &Path) -> Vec<PathBuf> {
    // A path without a folder in it stands in this one.
    let parent = match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !parent.is_dir() {
        return Vec::new();
    }
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let folders = entries.map(|entry| entry.path()).chain([parent.to_owned()]);
    folders
        .filter(|folder| spool::meant_for(folder).is_some())
        .collect()
}

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]
mod tests {
    use bytes::Bytes;
    use slimspan_artifact::{Artifact, Digest};
    use tempfile::TempDir;

    use super::*;
    use crate::config::Delivery;
    use crate::storage::Spool;

    /// A store at memory:///old with its spool in `directory`, and a processor that fills it or is a dry run.
    fn config(home: &TempDir, directory: &str, dry_run: bool) -> Config {
        with_another(home, directory, dry_run, "unused")
    }

    /// The same, with a store that is not started.
    fn with_another(home: &TempDir, directory: &str, dry_run: bool, another: &str) -> Config {
        let home = home.path().display();
        let yaml = format!(
            "receivers: {{otlp: {{protocols: {{grpc: {{}}}}}}}}\n\
             processors: {{artifact: {{store: artifact_store, delivery: background, dry_run: {dry_run}}}}}\n\
             exporters: {{debug: {{}}}}\n\
             extensions:\n  \
               artifact_store: {{url: \"memory:///old\", spool: {{directory: \"{home}/{directory}\"}}}}\n  \
               artifact_store/b: {{url: \"memory:///b\", spool: {{directory: \"{home}/{another}\"}}}}\n\
             service:\n  extensions: [artifact_store]\n  \
               pipelines: {{traces: {{receivers: [otlp], processors: [artifact], exporters: [debug]}}}}\n"
        );
        Config::parse(&yaml, "c.yaml", |_| None).unwrap().0
    }

    fn old() -> Store {
        Store::open(&StoreConfig::new("memory:///old")).unwrap()
    }

    /// Leaves artifacts of 5000 bytes in a spool for the store, and the spool to nobody.
    async fn leave(home: &TempDir, directory: &str, count: u8) -> PathBuf {
        let directory = home.path().join(directory);
        let config = SpoolConfig {
            directory: directory.clone(),
            ..SpoolConfig::default()
        };
        let store = old();
        let spool = Spool::open(&config, "spool".to_owned(), &store).unwrap();
        let store = store.with_spool(spool);
        let artifact = |number| {
            let bytes = Bytes::from(vec![number; 5_000]);
            Artifact {
                digest: Digest::of(&bytes),
                media_type: "image/png".to_owned(),
                bytes,
            }
        };
        let all: Vec<_> = (0..count).map(artifact).collect();
        store.keep_all(&all, Delivery::Background).await.unwrap();
        drop(store);
        while spool::is_open(&directory) {
            tokio::task::yield_now().await;
        }
        fs::canonicalize(directory).unwrap()
    }

    /// What is told of folders below `home`.
    fn told(home: &TempDir, config: &Config, runs: bool) -> Vec<String> {
        let id = "artifact_store".parse().unwrap();
        let stores = runs.then(|| (id, old())).into_iter().collect();
        let home = fs::canonicalize(home.path()).unwrap();
        let mut lines = unattended(config, &stores);
        lines.retain(|line| line.starts_with(home.to_str().unwrap()));
        lines
    }

    #[tokio::test]
    async fn a_spool_that_nobody_empties_is_told() {
        let home = tempfile::tempdir().unwrap();
        let spool = leave(&home, "spool", 1).await;
        leave(&home, "empty", 0).await;
        let attended = config(&home, "spool", false);
        assert_eq!(told(&home, &attended, true), [""; 0]);
        let holds = format!(
            "{} holds 1 artifact of 5.0 KiB for memory:///old, and nothing uploads them, so references to them lead \
             nowhere: ",
            spool.display()
        );
        let unnamed = "make it the spool.directory of a store with this url until it is empty";
        for (config, runs, mend) in [
            (
                config(&home, "spool", true),
                false,
                "all that use extensions.artifact_store have dry_run: true, and it waits until one of them has not",
            ),
            (
                with_another(&home, "empty", false, "spool"),
                true,
                "name artifact_store/b in service.extensions again",
            ),
            (config(&home, "empty", false), true, unnamed),
            // Beside one that is not there, and below it.
            (config(&home, "new", false), true, unnamed),
            (config(&home, "spool/new", false), true, unnamed),
        ] {
            let told = told(&home, &config, runs);
            let [line] = &told[..] else {
                panic!("{told:?}");
            };
            let told = line.strip_prefix(&holds).unwrap_or(line);
            assert!(told.starts_with(mend), "{line}");
        }
        // Another process uploads it.
        let held = fs::File::open(spool.join("lock")).unwrap();
        held.lock().unwrap();
        assert_eq!(told(&home, &config(&home, "empty", false), true), [""; 0]);
    }

    #[tokio::test]
    async fn a_reload_leaves_no_spool_in_which_something_waits() {
        let home = tempfile::tempdir().unwrap();
        let spool = leave(&home, "spool", 2).await;
        leave(&home, "empty", 0).await;
        let of = |directory| config(&home, directory, false);
        let error = refuse_to_leave(&of("spool"), &of("empty")).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "extensions.artifact_store.spool.directory: {} holds 2 artifacts of 9.9 KiB for memory:///old, and no \
                 store of the new configuration has that folder: keep one with this url and this spool.directory, and \
                 reload again when the spool is empty",
                spool.display()
            )
        );
        // One that is not started empties nothing.
        let another = with_another(&home, "empty", false, "spool");
        refuse_to_leave(&of("spool"), &another).unwrap_err();
        for (before, next) in [
            (of("spool"), of("spool")),
            (of("spool"), of("empty/../spool")),
            // That is told, and it waits where it is.
            (of("spool"), config(&home, "spool", true)),
            (of("empty"), of("spool")),
            (of("missing"), of("empty")),
            // Nobody empties it as it is.
            (config(&home, "spool", true), of("empty")),
        ] {
            refuse_to_leave(&before, &next).unwrap();
        }
    }
}
