//! What cannot stay in the file, and is not to be lost, is moved beside it; the newest of that is kept.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytesize::ByteSize;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::open::folder_of;
use super::rotation::FORMAT;
use crate::telemetry::Counters;

/// Parts of requests that a crash left.
const TORN: &str = "torn";

/// Whole files, with everything that was sound in them.
const DAMAGED: &str = "damaged";

/// What is moved aside of one file.
#[derive(Debug)]
pub(super) struct Aside {
    path: PathBuf,
    /// The bytes of it that are kept. The newest of each kind is kept however large it is.
    limit: ByteSize,
    counters: Arc<Counters>,
}

impl Aside {
    pub(super) fn new(path: &Path, limit: ByteSize, counters: Arc<Counters>) -> Self {
        Self {
            path: path.to_owned(),
            limit,
            counters,
        }
    }

    /// Copies what stands from `start` to `end` into a file of its own, and returns its name.
    pub(super) fn copy_tail(&self, start: u64, end: u64) -> io::Result<PathBuf> {
        let mut from = File::open(&self.path)?;
        from.seek(SeekFrom::Start(start))?;
        let beside = self.name(TORN)?;
        let mut to = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&beside)?;
        let copied = io::copy(&mut from.take(end - start), &mut to).and_then(|_| to.sync_all());
        if let Err(error) = copied {
            // Half a copy is none; it will be made anew.
            let _ = fs::remove_file(&beside);
            return Err(error);
        }
        self.prune();
        Ok(beside)
    }

    /// Gives the whole file another name, and returns that.
    pub(super) fn rename(&self) -> io::Result<PathBuf> {
        let beside = self.name(DAMAGED)?;
        fs::rename(&self.path, &beside)?;
        self.prune();
        Ok(beside)
    }

    /// Deletes what is older, and more than there may be with what is newer. What cannot be deleted
    /// stays, which is said.
    pub(super) fn prune(&self) {
        let (mut held, mut given_up) = (0_u64, 0);
        let mut kept = [TORN, DAMAGED].map(|kind| (kind, false));
        for (_, kind, path, len) in self.newest_first() {
            held = held.saturating_add(len);
            let newest = kept
                .iter_mut()
                .find(|(of, is_kept)| *of == kind && !is_kept);
            if let Some((_, is_kept)) = newest {
                *is_kept = true;
                continue;
            }
            if held <= self.limit.as_u64() {
                continue;
            }
            match fs::remove_file(&path) {
                Ok(()) => given_up += len,
                Err(error) => {
                    tracing::warn!("{} cannot be deleted: {error}", path.display());
                }
            }
        }
        if given_up > 0 {
            self.counters.damage_given_up(given_up);
            tracing::error!(
                "{}: {} of what was moved aside of it are deleted: there is newer damage, and \
                 max_damaged_bytes is {}",
                self.path.display(),
                ByteSize::b(given_up),
                self.limit,
            );
        }
    }

    /// Time, kind, path and length of what is there.
    fn newest_first(&self) -> Vec<(String, &'static str, PathBuf, u64)> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let Ok(files) = fs::read_dir(folder_of(&self.path)) else {
            return Vec::new();
        };
        let files = files.filter_map(|file| {
            let file = file.ok()?;
            let found = file.file_name();
            let rest = found.to_str()?.strip_prefix(&*name)?.strip_prefix('.')?;
            let (kind, time) = rest.split_once('-')?;
            let kind = [TORN, DAMAGED].into_iter().find(|of| *of == kind)?;
            // What people call so is theirs.
            jiff::civil::DateTime::strptime("%Y-%m-%dT%H-%M-%S%.f", time).ok()?;
            let len = file.metadata().ok()?.len();
            Some((time.to_owned(), kind, file.path(), len))
        });
        let mut files: Vec<_> = files.collect();
        files.sort();
        files.reverse();
        files
    }

    fn name(&self, what: &str) -> io::Result<PathBuf> {
        let mut time = Timestamp::now();
        loop {
            let mut name = OsString::from(&self.path);
            let told = TimeZone::UTC.to_datetime(time).strftime(FORMAT).to_string();
            name.push(format!(".{what}-{told}"));
            let name = PathBuf::from(name);
            if !name.try_exists()? {
                return Ok(name);
            }
            time = time
                .checked_add(1.millisecond())
                .map_err(io::Error::other)?;
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_kept_and_the_rest_as_far_as_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.json");
        fs::write(&path, "the file").unwrap();
        let others = [
            "data.json.torn-of-mine",
            "data.json.torn",
            "other.json.torn-2026-01-01T00-00-00.000",
            "data-2026-01-01T00-00-00.000.json",
        ];
        for name in others {
            fs::write(folder.path().join(name), [0; 1_000]).unwrap();
        }
        let at = |day: u8, kind: &str| {
            let name = format!("data.json.{kind}-2026-01-{day:02}T00-00-00.000");
            folder.path().join(name)
        };
        let all = [
            (1, TORN, 10),
            (2, DAMAGED, 10),
            (3, DAMAGED, 500),
            (4, TORN, 10),
            (5, TORN, 40),
            (6, TORN, 50),
        ];
        for (day, kind, len) in all {
            fs::write(at(day, kind), vec![0; len]).unwrap();
        }
        let left = |aside: &Aside| -> Vec<u8> {
            aside.prune();
            let all = all.iter();
            let left = all.filter(|(day, kind, _)| at(*day, kind).exists());
            left.map(|(day, ..)| *day).collect()
        };
        for (limit, kept) in [
            (1_000, &[1, 2, 3, 4, 5, 6][..]),
            (619, &[2, 3, 4, 5, 6]),
            (99, &[3, 5, 6]),
            (1, &[3, 6]),
        ] {
            let counters = Arc::default();
            let aside = Aside::new(&path, ByteSize::b(limit), Arc::clone(&counters));
            assert_eq!(left(&aside), kept, "{limit}");
        }
        let names = others.map(|name| folder.path().join(name));
        assert!(names.iter().all(|path| path.exists()));
        assert_eq!(fs::read(&path).unwrap(), b"the file");
    }
}
