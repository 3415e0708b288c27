//! The configuration of the `file_storage` extension.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::disk::shared_folder;
use super::{Journal, OpenError, Options};
use crate::config::CompactionConfig;
use crate::config::ComponentId;
use crate::config::units::{AnyDuration, PermissionsOrNone, PositiveSize};

/// What the folder of an exporter's queue begins with.
const PREFIX: &str = "exporter_";

/// Large enough for several requests, small enough that a delivered one makes room soon.
const SEGMENT: u64 = 16 << 20;

/// What is kept of damage unless something else is said.
pub(crate) const MAX_DAMAGED: ByteSize = ByteSize::mib(256);

/// `file_storage`: where queues are kept on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FileStorageConfig {
    /// The folder; each queue has a folder of its own in it.
    pub directory: PathBuf,
    /// Whether the folder is made where it is missing.
    pub create_directory: bool,
    /// The permissions of the folder where it is made, less what the umask takes away. Those of the queues in it are for
    /// slimspan alone.
    #[serde(with = "PermissionsOrNone")]
    pub directory_permissions: Option<u32>,
    /// How long a start waits for another process to let go of it.
    #[serde(with = "AnyDuration")]
    pub timeout: Duration,
    /// Whether what is acknowledged survives a power cut, and not only the end of the process.
    pub fsync: bool,
    /// The size of each queue on disk.
    #[serde(with = "PositiveSize")]
    pub max_bytes: ByteSize,
    /// The bytes of damage that are kept of each queue for people to look at, the newest first; beside
    /// `max_bytes`.
    #[serde(with = "PositiveSize")]
    pub max_damaged_bytes: ByteSize,
    /// Nothing here needs it.
    pub compaction: CompactionConfig,
}

impl Default for FileStorageConfig {
    fn default() -> Self {
        Self {
            directory: "./data/file_storage".into(),
            create_directory: true,
            directory_permissions: None,
            timeout: Duration::from_secs(1),
            fsync: true,
            max_bytes: ByteSize::gib(1),
            max_damaged_bytes: MAX_DAMAGED,
            compaction: CompactionConfig::default(),
        }
    }
}

/// A queue that no exporter has.
#[derive(Debug)]
pub struct Forgotten {
    /// Where it is.
    pub folder: PathBuf,
    /// The exporter that had it.
    pub exporter: ComponentId,
    /// How many requests wait in it, and their size; an error where nobody knows, or where somebody else has
    /// it open, whose they are.
    pub left: Result<(usize, ByteSize), OpenError>,
}

/// The exporter whose folder has this name: the inverse of [`FileStorageConfig::folder_of`].
fn exporter_of(name: &str) -> Option<ComponentId> {
    let mut rest = name.strip_prefix(PREFIX)?.bytes();
    let mut id = Vec::new();
    while let Some(byte) = rest.next() {
        id.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            _ => byte,
        });
    }
    String::from_utf8(id).ok()?.parse().ok()
}

impl FileStorageConfig {
    /// The folder of the queue of one exporter. Ids hold characters that names of files cannot.
    pub fn folder_of(&self, exporter: &ComponentId) -> PathBuf {
        let escaped: String = exporter
            .to_string()
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => {
                    char::from(byte).to_string()
                }
                _ => format!("%{byte:02x}"),
            })
            .collect();
        self.directory.join(format!("{PREFIX}{escaped}"))
    }

    /// Queues whose folders are not among `used` and that hold something: requests that nobody
    /// delivers, but another process that has them open. Reads all of each.
    pub fn forgotten(&self, used: &[PathBuf]) -> Vec<Forgotten> {
        let Ok(entries) = fs::read_dir(&self.directory) else {
            return Vec::new();
        };
        let folders = entries.flatten().map(|entry| entry.path());
        let forgotten = folders.filter_map(|folder| {
            let name = folder.file_name().and_then(|name| name.to_str())?;
            let exporter = exporter_of(name)?;
            if used.contains(&folder) {
                return None;
            }
            let left = match Journal::open_read_only(&folder) {
                Ok(journal) if journal.entries().is_empty() => return None,
                Ok(_) if Journal::is_open(&folder) => Err(OpenError::InUse {
                    folder: folder.clone(),
                }),
                Ok(journal) => {
                    let lens = journal.entries().iter().map(|entry| entry.len() as u64);
                    Ok((journal.entries().len(), ByteSize::b(lens.sum())))
                }
                Err(error) => Err(error),
            };
            Some(Forgotten {
                folder,
                exporter,
                left,
            })
        });
        let mut forgotten: Vec<_> = forgotten.collect();
        forgotten.sort_by(|one, other| one.folder.cmp(&other.folder));
        forgotten
    }

    /// How queues use it.
    pub fn options(&self) -> Options {
        let max_bytes = self.max_bytes.as_u64();
        Options {
            segment_bytes: SEGMENT,
            max_bytes,
            fsync: self.fsync,
            max_damaged_bytes: self.max_damaged_bytes.as_u64(),
        }
    }

    /// Makes the folder where it is missing and to have permissions of its own; an error is why it cannot be made. It is
    /// made with the first queue otherwise.
    pub fn make(&self) -> Result<(), String> {
        let Some(mode) = self.directory_permissions else {
            return Ok(());
        };
        shared_folder(&self.directory, mode)
            .map_err(|reason| format!("cannot make {}: {reason}", self.directory.display()))
    }

    /// Whether the folder may be used; if not, why.
    pub fn check(&self) -> Result<(), String> {
        if self.create_directory || self.directory.is_dir() {
            return Ok(());
        }
        Err(format!(
            "the folder {} is missing: make it, or set create_directory to true",
            self.directory.display()
        ))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn each_exporter_has_a_folder_of_its_own() {
        let storage = FileStorageConfig::default();
        let folder = |id: &str| storage.folder_of(&id.parse().unwrap());
        let expected = "./data/file_storage/exporter_otlp_grpc%2feu.1";
        let expected = expected.replace(".1", "%2e1");
        assert_eq!(folder("otlp_grpc/eu.1"), PathBuf::from(expected));
        assert_ne!(folder("otlp_grpc/a%2f"), folder("otlp_grpc/a/"));
        for id in [
            "otlp_grpc",
            "otlp_grpc/eu.1",
            "otlp_http/a%2f",
            "otlp_grpc/ü",
        ] {
            let folder = folder(id);
            let name = folder.file_name().unwrap().to_str().unwrap();
            assert_eq!(exporter_of(name).unwrap().to_string(), id);
        }
        for name in [
            "exporter_",
            "exporter_a%2",
            "exporter_a%zz",
            "receiver_a",
            "lock",
        ] {
            assert_eq!(exporter_of(name), None, "{name}");
        }
    }

    #[test]
    fn a_folder_that_is_missing_is_made_only_where_that_is_wanted() {
        let home = tempfile::tempdir().unwrap();
        let mut storage = FileStorageConfig {
            directory: home.path().join("missing"),
            ..FileStorageConfig::default()
        };
        assert_eq!(storage.check(), Ok(()));
        storage.create_directory = false;
        assert!(storage.check().unwrap_err().contains("create_directory"));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_is_made_has_the_permissions_that_are_wanted() {
        use std::os::unix::fs::PermissionsExt as _;

        let home = tempfile::tempdir().unwrap();
        let mut storage = FileStorageConfig {
            directory: home.path().join("above/storage"),
            ..FileStorageConfig::default()
        };
        assert_eq!(storage.make(), Ok(()));
        assert!(!storage.directory.exists(), "the first queue makes it");
        storage.directory_permissions = Some(0o700);
        assert_eq!(storage.make(), Ok(()));
        let mode = || {
            fs::metadata(&storage.directory)
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!(mode(), 0o700);
        // What is there stays as it is.
        fs::set_permissions(&storage.directory, fs::Permissions::from_mode(0o750)).unwrap();
        assert_eq!(storage.make(), Ok(()));
        assert_eq!(mode(), 0o750);
    }
}
