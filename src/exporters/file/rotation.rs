//! Files that have grown are renamed, and the oldest of them deleted.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::config::RotationConfig;
use super::open::folder_of;

/// The time in a name, as the Collector writes it.
pub(super) const FORMAT: &str = "%Y-%m-%dT%H-%M-%S%.3f";

/// How many characters that has.
const WIDTH: usize = "2006-01-02T15-04-05.000".len();

/// The files that one becomes.
#[derive(Debug)]
pub(super) struct Rotation {
    pub(super) max_bytes: u64,
    max_backups: usize,
    max_age: Option<SignedDuration>,
    zone: TimeZone,
    path: PathBuf,
    /// What stands around the time in the name of a renamed file.
    before: OsString,
    after: OsString,
}

impl Rotation {
    pub(super) fn new(path: &Path, config: &RotationConfig) -> Self {
        let mut before = path.file_stem().unwrap_or_default().to_owned();
        before.push("-");
        let mut after = OsString::new();
        if let Some(extension) = path.extension() {
            after.push(".");
            after.push(extension);
        }
        let days = i64::from(config.max_days);
        Self {
            max_bytes: config.max_megabytes << 20,
            max_backups: config.max_backups,
            max_age: (days > 0).then(|| SignedDuration::from_hours(24 * days)),
            zone: if config.localtime {
                TimeZone::system()
            } else {
                TimeZone::UTC
            },
            path: path.to_owned(),
            before,
            after,
        }
    }

    /// Gives the file the name of this moment.
    pub(super) fn rename(&self) -> io::Result<()> {
        let mut time = Timestamp::now();
        loop {
            let renamed = self.path_at(time);
            // Another one of the same millisecond must not be lost.
            if !renamed.try_exists()? {
                return fs::rename(&self.path, renamed);
            }
            time = time
                .checked_add(1.millisecond())
                .map_err(io::Error::other)?;
        }
    }

    fn path_at(&self, time: Timestamp) -> PathBuf {
        let time = self.zone.to_datetime(time).strftime(FORMAT).to_string();
        let mut name = self.before.clone();
        name.push(time);
        name.push(&self.after);
        folder_of(&self.path).join(name)
    }

    /// The time in the name of a renamed file.
    fn time_of(&self, name: &str) -> Option<Timestamp> {
        let time = name
            .strip_prefix(self.before.to_str()?)?
            .strip_suffix(self.after.to_str()?)?;
        if time.len() != WIDTH {
            return None;
        }
        let time = DateTime::strptime("%Y-%m-%dT%H-%M-%S%.f", time).ok()?;
        self.zone.to_timestamp(time).ok()
    }

    /// Deletes what is too old or too much. What cannot be deleted stays, which is said.
    pub(super) fn prune(&self) {
        if let Err(error) = self.try_prune(Timestamp::now()) {
            tracing::warn!(
                "{}: old files of it cannot be deleted: {error}",
                self.path.display()
            );
        }
    }

    fn try_prune(&self, now: Timestamp) -> io::Result<()> {
        if self.max_backups == 0 && self.max_age.is_none() {
            return Ok(());
        }
        let mut renamed = Vec::new();
        for entry in fs::read_dir(folder_of(&self.path))? {
            let entry = entry?;
            let time = entry
                .file_name()
                .to_str()
                .and_then(|name| self.time_of(name));
            if let Some(time) = time {
                renamed.push((time, entry.path()));
            }
        }
        renamed.sort();
        let mut outcome = Ok(());
        for (index, (time, path)) in renamed.iter().rev().enumerate() {
            let is_too_much = self.max_backups > 0 && index >= self.max_backups;
            let age = now.duration_since(*time);
            if is_too_much || self.max_age.is_some_and(|max_age| age > max_age) {
                // One that cannot be deleted is no reason to keep the others.
                if let Err(error) = fs::remove_file(path) {
                    let named = format!("{}: {error}", path.display());
                    outcome = Err(io::Error::new(error.kind(), named));
                }
            }
        }
        outcome
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn rotation(path: &Path, max_days: u32) -> Rotation {
        let config = RotationConfig {
            max_days,
            max_backups: 0,
            ..RotationConfig::default()
        };
        Rotation::new(path, &config)
    }

    #[test]
    fn names_have_the_time_before_the_extension() {
        let time: Timestamp = "2022-09-14T05:02:14.173Z".parse().unwrap();
        for (path, renamed) in [
            ("data.json", "./data-2022-09-14T05-02-14.173.json"),
            ("a/data", "a/data-2022-09-14T05-02-14.173"),
            ("/a/b.c.json", "/a/b.c-2022-09-14T05-02-14.173.json"),
        ] {
            let mut rotation = rotation(Path::new(path), 0);
            assert_eq!(rotation.path_at(time), PathBuf::from(renamed));
            let name = Path::new(renamed).file_name().unwrap().to_str().unwrap();
            assert_eq!(rotation.time_of(name), Some(time));
            assert_eq!(rotation.time_of(&name.replace("14.173", "14")), None);
            assert_eq!(rotation.time_of(&format!("x{name}")), None);
            rotation.zone = TimeZone::fixed(jiff::tz::offset(2));
            assert!(
                rotation
                    .path_at(time)
                    .to_str()
                    .unwrap()
                    .contains("T07-02-14")
            );
            assert_eq!(
                rotation.time_of(&name.replace("T05", "T07")),
                Some(time),
                "local time"
            );
        }
    }

    #[test]
    fn old_files_go_by_the_time_in_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.json");
        let rotation = rotation(&path, 3);
        let now = Timestamp::now();
        let at = |hours: i64| {
            let time = now.checked_sub(SignedDuration::from_hours(hours)).unwrap();
            rotation.path_at(time)
        };
        for hours in [1, 71, 73, 1000] {
            fs::write(at(hours), "").unwrap();
        }
        fs::write(&path, "").unwrap();
        rotation.try_prune(now).unwrap();
        let kept: Vec<bool> = [1, 71, 73, 1000].map(|hours| at(hours).exists()).into();
        assert_eq!(kept, [true, true, false, false]);
        assert!(path.exists());
    }

    #[test]
    fn one_that_cannot_be_deleted_keeps_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let rotation = rotation(&folder.path().join("data.json"), 1);
        let now = Timestamp::now();
        let at = |hours: i64| {
            let time = now.checked_sub(SignedDuration::from_hours(hours)).unwrap();
            rotation.path_at(time)
        };
        // A folder is no file that could be deleted.
        fs::create_dir(at(50)).unwrap();
        fs::write(at(100), "").unwrap();
        let error = rotation.try_prune(now).unwrap_err().to_string();
        assert!(error.contains(at(50).to_str().unwrap()), "{error}");
        assert!(!at(100).exists());
    }

    #[test]
    fn two_of_one_moment_are_both_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.json");
        let rotation = rotation(&path, 0);
        for number in 0..20 {
            fs::write(&path, number.to_string()).unwrap();
            rotation.rename().unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 20);
    }
}
