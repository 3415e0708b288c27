//! Files that a folder's client did not finish because the process was killed.
//!
//! It writes an object beside its name, as `<digest>#1` or `<time>-….jsonl#1`, and renames it then. What a
//! kill leaves of that is hidden from listings, and nobody would ever remove it.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// What is younger may be another process's work.
const AGE: Duration = Duration::from_hours(1);

/// A sweep that takes longer ends, and the next one goes on.
const LONGEST: Duration = Duration::from_mins(5);

/// Hexadecimal digits of a digest, and of the folder that it is in.
const NAME: usize = 64;
const SHARD: usize = 2;

/// How folders of the catalog are called, each `0` a digit, and what each of its objects begins with.
const DAY: &str = "0000-00-00";
const HOUR: &str = "00";
const STAMP: &str = "00000000T000000.000000Z-";

/// What was removed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Swept {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Removes leftovers of artifacts under `root`, where the shards are, that are older than an hour at `now`;
/// never anything else. What cannot be read or removed is left.
pub(super) fn sweep(root: &Path, now: SystemTime) -> io::Result<Swept> {
    let mut sweep = Sweep::begin(now);
    for (folder, shard) in folders(root)? {
        if is_hex(&shard, SHARD) {
            sweep.remove(&folder, |name| {
                is_hex(name, NAME) && name.starts_with(&shard)
            });
        }
    }
    Ok(sweep.swept)
}

/// The same of the catalog, of which `root` is the folder.
pub(super) fn sweep_catalog(root: &Path, now: SystemTime) -> io::Result<Swept> {
    let mut sweep = Sweep::begin(now);
    if fs::symlink_metadata(root).is_ok_and(|found| found.is_symlink()) {
        return Ok(sweep.swept);
    }
    for (folder, name) in folders(root)? {
        match name.as_str() {
            "tombstones" => sweep.remove(&folder, |name| is_of_catalog(name, ".json")),
            "gc" => sweep.remove(&folder, |name| is_of_catalog(name, ".jsonl")),
            day if is_like(day, DAY) => {
                for (folder, hour) in folders(&folder).unwrap_or_default() {
                    if is_like(&hour, HOUR) {
                        sweep.remove(&folder, |name| is_of_catalog(name, ".jsonl"));
                    }
                }
            }
            // A tenant may have that name, too, and its artifacts are another sweep's.
            _ => {}
        }
    }
    Ok(sweep.swept)
}

/// The folders in a folder, if that is there, and what they are called. No link is followed: what it leads
/// to is not ours.
fn folders(root: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let folders = entries.flatten().filter_map(|entry| {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let name = entry.file_name().into_string().ok();
        name.filter(|_| is_folder).map(|name| (entry.path(), name))
    });
    Ok(folders.collect())
}

/// One that goes on.
struct Sweep {
    begun: Instant,
    now: SystemTime,
    swept: Swept,
}

impl Sweep {
    fn begin(now: SystemTime) -> Self {
        Self {
            begun: Instant::now(),
            now,
            swept: Swept::default(),
        }
    }

    /// Removes from a folder what is left of objects that are called so.
    fn remove(&mut self, folder: &Path, is_ours: impl Fn(&str) -> bool) {
        let Ok(files) = fs::read_dir(folder) else {
            return;
        };
        for file in files.flatten() {
            if self.begun.elapsed() > LONGEST {
                return;
            }
            let name = file.file_name();
            if name.to_str().and_then(unfinished).is_some_and(&is_ours)
                && let Some(bytes) = old(&file, self.now)
                && fs::remove_file(file.path()).is_ok()
            {
                self.swept.files += 1;
                self.swept.bytes += bytes;
            }
        }
    }
}

/// Of which object a file with this name is what the client began, if it is.
fn unfinished(name: &str) -> Option<&str> {
    let (object, number) = name.split_once('#')?;
    let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then_some(object)
}

/// Whether an object of the catalog is called so: a time, who wrote it and what makes it unique.
fn is_of_catalog(name: &str, ending: &str) -> bool {
    let Some((stamp, rest)) = name.split_at_checked(STAMP.len()) else {
        return false;
    };
    let plain = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    is_like(stamp, STAMP)
        && rest
            .strip_suffix(ending)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(plain))
}

/// Whether a name has a digit at each `0` of the pattern, and else what stands there.
fn is_like(name: &str, pattern: &str) -> bool {
    let fits = |(byte, like): (u8, u8)| match like {
        b'0' => byte.is_ascii_digit(),
        like => byte == like,
    };
    name.len() == pattern.len() && name.bytes().zip(pattern.bytes()).all(fits)
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
    fn old_leftovers_of_the_catalog_go_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("catalog");
        let day = "2026-11-21/19/20261121T194305.000120Z";
        let deletion = "tombstones/20261121T194305.000120Z-000000ab-0badcafe";
        let leftovers = [
            format!("{day}-000000ab-0badcafe.jsonl#1"),
            format!("{day}-000000ab-0badcafe_0002-0badcafe.jsonl#23"),
            format!("{deletion}.json#1"),
            format!("{deletion}-until-1795172334.json#2"),
            "gc/20261121T194305.000120Z-0badcafe.jsonl#1".to_owned(),
        ];
        let others = [
            format!("{day}-000000ab-0badcafe.jsonl"),
            format!("{day}-000000ab-0badcafe.jsonl#"),
            format!("{day}-000000ab-0badcafe.jsonl#1a"),
            format!("{day}-000000ab-0badcafe.jsonl#1#2"),
            format!("{day}-000000ab-0badcafe.jsonl.gz#1"),
            format!("{day}-000000ab-0badcafe#1"),
            format!("{day}-.jsonl"),
            format!("{day}-.jsonl#1"),
            format!("{day}.jsonl#1"),
            format!("{day}-My notes.jsonl#1"),
            format!("{deletion}.jsonl#1"),
            "2026-11-21/19/notes.jsonl#1".to_owned(),
            "2026-11-21/20261121T194305.000120Z-0badcafe.jsonl#1".to_owned(),
            "2026-11-21/deeper/20261121T194305.000120Z-0badcafe.jsonl#1".to_owned(),
            "yesterday/19/20261121T194305.000120Z-0badcafe.jsonl#1".to_owned(),
            "notes/20261121T194305.000120Z-0badcafe.jsonl#1".to_owned(),
            format!("sha256/ba/{DIGEST}#1"),
            format!("../notes/{day}-000000ab-0badcafe.jsonl#1"),
        ];
        for name in leftovers.iter().chain(&others) {
            write(&root.join(name));
        }
        let folder = root.join("gc/20261121T194305.000120Z-0badcafe.jsonl#7");
        fs::create_dir(&folder).unwrap();
        let elsewhere = home
            .path()
            .join("20/20261121T194305.000120Z-0badcafe.jsonl#1");
        write(&elsewhere);
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            let of_links = elsewhere.parent().unwrap();
            symlink(of_links, root.join("2026-11-21/20")).unwrap();
            let name = "gc/20261121T194305.000120Z-0badcafe.jsonl#9";
            symlink(&elsewhere, root.join(name)).unwrap();
            fs::create_dir_all(home.path().join("elsewhere")).unwrap();
            let linked = home.path().join("elsewhere/catalog");
            symlink(&root, &linked).unwrap();
            let later = SystemTime::now() + Duration::from_mins(61);
            assert_eq!(sweep_catalog(&linked, later).unwrap(), Swept::default());
        }
        let young = SystemTime::now() + Duration::from_mins(59);
        assert_eq!(sweep_catalog(&root, young).unwrap(), Swept::default());
        let later = SystemTime::now() + Duration::from_mins(61);
        let swept = sweep_catalog(&root, later).unwrap();
        let all = Swept {
            files: leftovers.len() as u64,
            bytes: 4 * leftovers.len() as u64,
        };
        assert_eq!(swept, all);
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
        let none = home.path().join("none");
        for sweep in [sweep, sweep_catalog] {
            let swept = sweep(&none, SystemTime::now());
            assert_eq!(swept.unwrap(), Swept::default());
        }
    }
}
