//! A folder for what cannot go anywhere: requests that no backend takes and no sender sends again.
//!
//! Each is a file that `slimspan inspect` and `slimspan restore` read, as any OTLP tool does, with
//! a text beside it that says why it is there.

pub mod config;
mod leftovers;
mod turns;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use slimspan_artifact::Digest;
use slimspan_proto::Signal;
use tokio::time::{Instant, timeout_at};

use crate::journal::{Disk, LocalDisk, write_all};
use config::DeadLetterConfig;
use turns::{Turns, turns};

/// The folder. Clones share it.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    disk: Arc<dyn Disk>,
    /// What it is configured at, for messages.
    key: String,
    folder: Option<Folder>,
    max_bytes: u64,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    /// Whose turn it is to write into it.
    turns: Turns,
}

/// Why a request could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// Nobody wants it kept.
    #[error("it is not kept, because {key}.directory is null")]
    Off {
        /// Where that is configured.
        key: String,
    },
    /// There is no room left.
    #[error("it is not kept, because {} would hold more than {limit} bytes; see {key}.max_bytes", folder.display())]
    Full {
        /// The folder.
        folder: PathBuf,
        /// The limit.
        limit: u64,
        /// Where that is configured.
        key: String,
    },
    /// The disk has not written it by then, and may yet.
    #[error("it may not be kept, because {} takes too long to be written", folder.display())]
    Late {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder cannot be written.
    #[error("it is not kept, because {} cannot be written: {reason}", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// Why.
        reason: io::Error,
    },
}

impl NotKept {
    /// Whether it was to be kept.
    pub fn is_wanted(&self) -> bool {
        !matches!(self, Self::Off { .. })
    }
}

impl DeadLetters {
    /// The folder of the exporter `name`. Nothing is made yet.
    pub fn new(name: &str, config: &DeadLetterConfig) -> Self {
        Self::on(Arc::new(LocalDisk), name, config)
    }

    pub(super) fn on(disk: Arc<dyn Disk>, name: &str, config: &DeadLetterConfig) -> Self {
        Self {
            shared: Arc::new(Shared {
                disk,
                key: format!("exporters.{name}.dead_letters"),
                folder: config.directory.as_ref().map(|path| Folder {
                    path: path.clone(),
                    turns: turns(path),
                }),
                max_bytes: config.max_bytes.as_u64(),
            }),
        }
    }

    /// Keeps a request; returns where. When it is there, it is there for good. Waits no longer than `until`, if
    /// somebody waits for that.
    pub async fn keep(&self, letter: Letter, until: Option<Instant>) -> Result<PathBuf, NotKept> {
        let keeping = self.keep_all(vec![letter]);
        let kept = match until {
            None => Ok(keeping.await),
            Some(until) => timeout_at(until, keeping).await,
        };
        match (kept, &self.shared.folder) {
            (Ok(mut kept), _) => kept.pop().unwrap_or_else(|| Err(self.shared.off())),
            (Err(_), Some(Folder { path, .. })) => Err(NotKept::Late {
                folder: path.clone(),
            }),
            (Err(_), None) => Err(self.shared.off()),
        }
    }

    /// Keeps several, which takes less than one after the other; says of each where, in their order.
    pub async fn keep_all(&self, letters: Vec<Letter>) -> Vec<Result<PathBuf, NotKept>> {
        let (shared, count) = (Arc::clone(&self.shared), letters.len());
        let Some(folder) = &self.shared.folder else {
            return (0..count).map(|_| Err(shared.off())).collect();
        };
        // Waited for here, so that of the threads there are for disks, one that hangs has one.
        let turn = folder.turns.next().await;
        let write = move || {
            let kept = shared.keep_all(&letters);
            drop(turn);
            kept
        };
        let written = tokio::task::spawn_blocking(write).await;
        written.unwrap_or_else(|error| {
            let failed = |_| Err(self.shared.failed(io::Error::other(error.to_string())));
            (0..count).map(failed).collect()
        })
    }
}

/// A request that cannot go.
#[derive(Debug, Clone)]
pub struct Letter {
    /// What it is a request of.
    pub signal: Signal,
    /// The request.
    pub request: Bytes,
    /// Why it cannot go.
    pub why: String,
}

impl Shared {
    /// While it is the turn of whoever calls this.
    fn keep_all(&self, letters: &[Letter]) -> Vec<Result<PathBuf, NotKept>> {
        let Some(Folder { path: folder, .. }) = &self.folder else {
            return letters.iter().map(|_| Err(self.off())).collect();
        };
        // Counted each time: people take files out of it. What a kill left takes room from letters.
        let used = self.disk.create_folder(folder);
        let used =
            used.and_then(|()| leftovers::sweep(self.disk.as_ref(), folder, SystemTime::now()));
        let mut used = match used {
            Ok(used) => used,
            Err(error) => {
                let failed = |_| Err(self.failed(io::Error::new(error.kind(), error.to_string())));
                return letters.iter().map(failed).collect();
            }
        };
        let mut kept: Vec<_> = letters
            .iter()
            .map(|letter| {
                let size = (letter.request.len() + letter.why.len()) as u64;
                if used + size > self.max_bytes {
                    return Err(NotKept::Full {
                        folder: folder.clone(),
                        limit: self.max_bytes,
                        key: self.key.clone(),
                    });
                }
                used += size;
                let kept = write(self.disk.as_ref(), folder, letter);
                kept.map_err(|reason| self.failed(reason))
            })
            .collect();
        // Their names are durable with this.
        if let Err(error) = self.disk.sync_folder(folder) {
            for one in kept.iter_mut().filter(|one| one.is_ok()) {
                *one = Err(self.failed(io::Error::new(error.kind(), error.to_string())));
            }
        }
        kept
    }

    fn off(&self) -> NotKept {
        NotKept::Off {
            key: self.key.clone(),
        }
    }

    fn failed(&self, reason: io::Error) -> NotKept {
        NotKept::Io {
            folder: self
                .folder
                .as_ref()
                .map(|of| of.path.clone())
                .unwrap_or_default(),
            reason,
        }
    }
}

/// The reason first, so that there is no request without one. What a power cut takes of its text is
/// not worth a sync of its own.
fn write(disk: &dyn Disk, folder: &Path, letter: &Letter) -> io::Result<PathBuf> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S%.6fZ");
    let digest = Digest::of(&letter.request).to_string();
    let name = format!("{now}-{}", digest.get(..12).unwrap_or(&digest));
    let path = folder.join(format!("{name}.{}.pb", letter.signal.name()));
    let reason = folder.join(format!("{name}.txt"));
    // A file has its name once it is whole and durable.
    let unfinished = folder.join(format!("{name}.unfinished"));
    let kept = disk
        .create(&reason)
        .and_then(|mut file| write_all(file.as_mut(), &[letter.why.as_bytes()]))
        .and_then(|()| {
            let mut file = disk.create(&unfinished)?;
            write_all(file.as_mut(), &[&letter.request])?;
            file.sync()
        })
        .and_then(|()| disk.rename(&unfinished, &path));
    if let Err(error) = kept {
        // What is left of it only takes room.
        for file in [&reason, &unfinished] {
            let _ = disk.delete(file);
        }
        return Err(error);
    }
    Ok(path)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs;

    use bytesize::ByteSize;
    use futures::future::poll_immediate;
    use tokio::time::{Duration, timeout};

    use super::*;
    use crate::journal::FaultyDisk;

    fn letters(directory: Option<PathBuf>, max_bytes: u64) -> DeadLetters {
        let config = DeadLetterConfig {
            directory,
            max_bytes: ByteSize::b(max_bytes),
        };
        DeadLetters::new("otlp_grpc", &config)
    }

    fn on_faulty_disk() -> (tempfile::TempDir, FaultyDisk, DeadLetters) {
        let (home, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
        let config = DeadLetterConfig {
            directory: Some(home.path().to_owned()),
            ..DeadLetterConfig::default()
        };
        let letters = DeadLetters::on(Arc::new(disk.clone()), "otlp_grpc", &config);
        (home, disk, letters)
    }

    #[tokio::test]
    async fn what_was_kept_survives_a_power_cut() {
        let (home, disk, letters) = on_faulty_disk();
        let kept = keep(&letters, b"one").await.unwrap();
        let after = tempfile::tempdir().unwrap();
        disk.cut_power(home.path(), after.path());
        let kept = after.path().join(kept.file_name().unwrap());
        assert_eq!(fs::read(&kept).unwrap(), b"one");
        assert!(kept.with_extension("").with_extension("txt").exists());
    }

    #[tokio::test]
    async fn nobody_is_told_before_it_would_survive() {
        let (_home, disk, letters) = on_faulty_disk();
        let held = disk.hold_syncs();
        let syncing = disk.next_sync();
        let mut keeping = Box::pin(keep(&letters, b"one"));
        assert!(poll_immediate(&mut keeping).await.is_none());
        let soon = Duration::from_secs(30);
        timeout(soon, syncing).await.unwrap();
        assert!(poll_immediate(&mut keeping).await.is_none());
        drop(held);
        keeping.await.unwrap();
    }

    #[tokio::test]
    async fn what_may_not_survive_is_not_called_kept() {
        for fail in [FaultyDisk::fail_syncs, FaultyDisk::fail_folder_syncs] {
            let (home, disk, letters) = on_faulty_disk();
            fail(&disk, 1);
            let kept = keep(&letters, b"one").await;
            assert!(matches!(kept, Err(NotKept::Io { .. })), "{kept:?}");
            assert!(keep(&letters, b"two").await.is_ok());
            let names = fs::read_dir(home.path()).unwrap();
            let mut names = names.map(|file| file.unwrap().file_name().into_string().unwrap());
            assert!(!names.any(|name| name.contains("unfinished")));
        }
    }

    /// What hangs keeps nobody waiting beyond his time, holds one thread, and takes nothing from another folder.
    #[tokio::test]
    async fn a_disk_that_hangs_holds_up_nobody_else() {
        let (home, disk, letters) = on_faulty_disk();
        let (elsewhere, other) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
        let config = DeadLetterConfig {
            directory: Some(elsewhere.path().to_owned()),
            ..DeadLetterConfig::default()
        };
        let beside = DeadLetters::on(Arc::new(other), "otlp_grpc/other", &config);
        let held = disk.hold_syncs();
        let syncing = disk.next_sync();
        for request in [&b"one"[..], b"two", b"three"] {
            let until = Instant::now() + Duration::from_millis(20);
            let kept = letters.keep(letter(request), Some(until)).await;
            assert!(matches!(kept, Err(NotKept::Late { .. })), "{kept:?}");
        }
        let soon = Duration::from_secs(30);
        timeout(soon, syncing).await.unwrap();
        let elsewhere = timeout(soon, keep(&beside, b"four")).await;
        elsewhere.unwrap().unwrap();
        drop(held);
        // It is the turn of this one when the one that hung is written, and those that gave up have no turn.
        let kept = timeout(soon, keep(&letters, b"five")).await;
        kept.unwrap().unwrap();
        let files = fs::read_dir(home.path()).unwrap();
        let requests = files.map(|file| fs::read(file.unwrap().path()).unwrap());
        let mut requests: Vec<_> = requests.filter(|of| of != b"too large").collect();
        requests.sort_unstable();
        assert_eq!(requests, [&b"five"[..], b"one"]);
    }

    fn letter(request: &'static [u8]) -> Letter {
        Letter {
            signal: Signal::Traces,
            request: Bytes::from_static(request),
            why: "too large".to_owned(),
        }
    }

    async fn keep(letters: &DeadLetters, request: &'static [u8]) -> Result<PathBuf, NotKept> {
        letters.keep(letter(request), None).await
    }

    #[tokio::test]
    async fn a_request_is_kept_with_the_reason_beside_it() {
        let home = tempfile::tempdir().unwrap();
        let letters = letters(Some(home.path().join("new/folder")), 1_000);
        let paths = [keep(&letters, b"one").await, keep(&letters, b"two").await];
        let [one, two] = paths.map(Result::unwrap);
        assert!(one < two, "in the order in which they came");
        assert_eq!(fs::read(&one).unwrap(), b"one");
        assert!(one.to_str().unwrap().ends_with(".traces.pb"));
        let beside = one.with_extension("").with_extension("txt");
        assert_eq!(fs::read(beside).unwrap(), b"too large");
        let files = fs::read_dir(home.path().join("new/folder")).unwrap();
        assert_eq!(files.count(), 4, "and no temporary ones");
    }

    #[tokio::test]
    async fn a_full_folder_takes_no_more_until_there_is_room() {
        let home = tempfile::tempdir().unwrap();
        let letters = letters(Some(home.path().to_owned()), 24);
        let first = keep(&letters, b"123456789012345").await.unwrap();
        let full = keep(&letters, b"1").await.unwrap_err();
        assert!(
            full.to_string()
                .contains("exporters.otlp_grpc.dead_letters.max_bytes")
        );
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
        fs::remove_file(first).unwrap();
        keep(&letters, b"1").await.unwrap();
    }

    /// Nobody takes out what a kill left, and it would be counted for ever.
    #[tokio::test]
    async fn what_a_kill_left_makes_room_when_it_is_old() {
        let home = tempfile::tempdir().unwrap();
        let letters = letters(Some(home.path().to_owned()), 24);
        let left = home
            .path()
            .join("2026-11-22T12-49-43.123456Z-0badcafe0bad.unfinished");
        fs::write(&left, [0; 20]).unwrap();
        let full = keep(&letters, b"1").await;
        assert!(matches!(full, Err(NotKept::Full { .. })), "{full:?}");
        assert!(left.exists(), "it may be another process's work");
        let file = fs::File::options().write(true).open(&left).unwrap();
        let hours_ago = SystemTime::now() - Duration::from_hours(2);
        file.set_modified(hours_ago).unwrap();
        keep(&letters, b"1").await.unwrap();
        assert!(!left.exists());
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_told() {
        let off = keep(&letters(None, 1_000), b"one").await.unwrap_err();
        assert!(off.to_string().contains("directory is null"));
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        let broken = keep(&letters(Some(file), 1_000), b"one").await;
        assert!(matches!(broken, Err(NotKept::Io { .. })));
    }
}
