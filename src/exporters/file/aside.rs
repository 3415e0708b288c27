//! What cannot stay in the file, and is not to be lost, is moved beside it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::rotation::FORMAT;

/// Copies what stands from `start` to `end` into a file of its own, and returns its name.
pub(super) fn copy_tail(path: &Path, start: u64, end: u64) -> io::Result<PathBuf> {
    let mut from = File::open(path)?;
    from.seek(SeekFrom::Start(start))?;
    let beside = beside(path, "torn")?;
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
    Ok(beside)
}

/// Gives the whole file another name, and returns that.
pub(super) fn rename(path: &Path) -> io::Result<PathBuf> {
    let beside = beside(path, "damaged")?;
    fs::rename(path, &beside)?;
    Ok(beside)
}

fn beside(path: &Path, what: &str) -> io::Result<PathBuf> {
    let mut time = Timestamp::now();
    loop {
        let mut name = OsString::from(path);
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
