//! Files that a folder's client did not finish because the process was killed.
//!
//! It writes an artifact beside its name, as `<digest>#1`, and renames it then. What a kill leaves of
//! that is hidden from listings, and nobody would ever remove it.

use std::ffi::OsStr;
use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// What is younger may be another process's work.
const AGE: Duration = Duration::from_hours(1);

/// A sweep that takes longer ends, and the next one goes on.
const LONGEST: Duration = Duration::from_mins(5);

/// Hexadecimal digits of a digest, and of the folder that it is in.
const NAME: usize = 64;
const SHARD: usize = 2;

/// What was removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Swept {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Removes leftovers under `root`, where the shards are, that are older than an hour at `now`; never
/// anything else. What cannot be read or removed is left.
pub(super) fn sweep(root: &Path, now: SystemTime) -> io::Result<Swept> {
    let begun = Instant::now();
    let mut swept = Swept::default();
    let shards = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(swept),
        shards => shards?,
    };
    for shard in shards.flatten() {
        // No link is followed: what it leads to is not ours.
        let is_folder = shard.file_type().is_ok_and(|kind| kind.is_dir());
        let name = shard.file_name();
        let Some(name) = name
            .to_str()
            .filter(|name| is_folder && is_hex(name, SHARD))
        else {
            continue;
        };
        let Ok(files) = fs::read_dir(shard.path()) else {
            continue;
        };
        for file in files.flatten() {
            if begun.elapsed() > LONGEST {
                return Ok(swept);
            }
            if is_leftover(&file.file_name(), name)
                && let Some(bytes) = old(&file, now)
                && fs::remove_file(file.path()).is_ok()
            {
                swept.files += 1;
                swept.bytes += bytes;
            }
        }
    }
    Ok(swept)
}

/// Whether the client calls an unfinished artifact of the shard so.
fn is_leftover(name: &OsStr, shard: &str) -> bool {
    let parts = name.to_str().and_then(|name| name.split_once('#'));
    parts.is_some_and(|(digest, number)| {
        is_hex(digest, NAME)
            && digest.starts_with(shard)
            && !number.is_empty()
            && number.bytes().all(|digit| digit.is_ascii_digit())
    })
}

fn is_hex(name: &str, len: usize) -> bool {
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    name.len() == len && name.bytes().all(is_digit)
}

/// The length of the file, if it is one and nobody has written to it for long enough.
fn old(file: &DirEntry, now: SystemTime) -> Option<u64> {
    let metadata = file.metadata().ok().filter(fs::Metadata::is_file)?;
    let age = now.duration_since(metadata.modified().ok()?).ok()?;
    (age > AGE).then_some(metadata.len())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const DIGEST: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn write(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"part").unwrap();
    }

    #[test]
    fn old_leftovers_go_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("default/sha256");
        let leftovers = [format!("ba/{DIGEST}#1"), format!("ba/{DIGEST}#23")];
        let others = [
            format!("ba/{DIGEST}"),
            format!("ba/{DIGEST}#"),
            format!("ba/{DIGEST}#1a"),
            format!("ba/{DIGEST}#1#2"),
            format!("ba/{}#1", &DIGEST[1..]),
            format!("ba/{}#1", DIGEST.to_uppercase()),
            format!("ba/deeper/{DIGEST}#1"),
            format!("bb/{DIGEST}#1"),
            format!("other/{DIGEST}#1"),
            format!("BA/{DIGEST}#1"),
            "notes#1".to_owned(),
            format!("../sha512/ba/{DIGEST}#1"),
        ];
        for name in leftovers.iter().chain(&others) {
            write(&root.join(name));
        }
        let folder = root.join(format!("ba/{DIGEST}#7"));
        fs::create_dir(&folder).unwrap();
        let elsewhere = home.path().join("elsewhere").join(format!("{DIGEST}#1"));
        write(&elsewhere);
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            symlink(elsewhere.parent().unwrap(), root.join("cc")).unwrap();
            symlink(&elsewhere, root.join(format!("ba/{DIGEST}#9"))).unwrap();
        }
        let young = SystemTime::now() + Duration::from_mins(59);
        assert_eq!(sweep(&root, young).unwrap(), Swept::default());
        let later = SystemTime::now() + Duration::from_mins(61);
        let swept = sweep(&root, later).unwrap();
        assert_eq!(swept, Swept { files: 2, bytes: 8 });
        for name in &leftovers {
            assert!(!root.join(name).exists(), "{name}");
        }
        for name in &others {
            assert!(root.join(name).exists(), "{name}");
        }
        assert!(folder.exists() && elsewhere.exists());
    }

    #[test]
    fn a_folder_that_is_not_there_has_none() {
        let home = tempfile::tempdir().unwrap();
        let swept = sweep(&home.path().join("none"), SystemTime::now());
        assert_eq!(swept.unwrap(), Swept::default());
    }
}
