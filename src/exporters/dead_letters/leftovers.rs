//! What a process that was killed left half-kept, and room that only such files take.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::journal::Disk;

/// What is younger may be another process's work.
const AGE: Duration = Duration::from_hours(1);

/// How names of letters begin, with a digit at each `0` and a hexadecimal one at each `x`: what is called
/// otherwise is somebody else's.
const LETTER: &str = "0000-00-00T00-00-00.000000Z-xxxxxxxxxxxx";

/// What a request is called until it is whole and durable.
const UNFINISHED: &str = ".unfinished";

/// The reason beside a request, and how a request is called when it is kept.
const REASON: &str = ".txt";
const REQUEST: &str = ".pb";

/// A file of a letter that may be left over.
struct Part {
    name: String,
    letter: String,
    bytes: u64,
    is_old: bool,
}

/// Removes what is left of letters that were never kept and are older than an hour at `now`; returns how
/// many bytes all other files have. Nobody may write into the folder meanwhile.
pub(super) fn sweep(disk: &dyn Disk, folder: &Path, now: SystemTime) -> io::Result<u64> {
    let (mut used, mut removed) = (0, 0);
    let (mut unfinished, mut reasons) = (Vec::new(), Vec::new());
    // Letters that are whole, or become so.
    let mut kept = HashSet::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // One that is taken out meanwhile takes no room.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        used += metadata.len();
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let Some((letter, ending)) = letter(&name) else {
            continue;
        };
        let part = Part {
            letter: letter.to_owned(),
            bytes: metadata.len(),
            is_old: is_old(&metadata, now),
            name: name.clone(),
        };
        match ending {
            UNFINISHED => unfinished.push(part),
            REASON => reasons.push(part),
            _ if ending.ends_with(REQUEST) => {
                kept.insert(part.letter);
            }
            _ => {}
        }
    }
    let mut remove = |part: &Part| {
        let gone = part.is_old && disk.delete(&folder.join(&part.name)).is_ok();
        if gone {
            used -= part.bytes;
            removed += 1;
        }
        gone
    };
    for part in unfinished {
        if !remove(&part) {
            kept.insert(part.letter);
        }
    }
    // A reason alone says nothing to anybody.
    for part in reasons {
        if !kept.contains(&part.letter) {
            remove(&part);
        }
    }
    if removed > 0 {
        tracing::info!(
            "{}: removed {removed} files of dead letters that a killed process did not finish, or whose \
             requests were taken out",
            folder.display()
        );
    }
    Ok(used)
}

/// Of which letter a file with this name is, and as what.
fn letter(name: &str) -> Option<(&str, &str)> {
    let (letter, ending) = name.split_at_checked(LETTER.len())?;
    let fits = |(byte, like): (u8, u8)| match like {
        b'0' => byte.is_ascii_digit(),
        b'x' => byte.is_ascii_hexdigit(),
        like => byte == like,
    };
    let is_one = letter.bytes().zip(LETTER.bytes()).all(fits);
    is_one.then_some((letter, ending))
}

/// Whether it is a file, and not a link or a folder, that nobody has written to for long enough.
fn is_old(metadata: &Metadata, now: SystemTime) -> bool {
    let age = metadata.modified().ok();
    let age = age.and_then(|modified| now.duration_since(modified).ok());
    metadata.is_file() && age.is_some_and(|age| age > AGE)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::journal::LocalDisk;

    const NAME: &str = "2026-11-22T12-49-43.123456Z-0badcafe0bad";

    fn write(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"part").unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn old_leftovers_go_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("letters");
        // Of each letter another second.
        let of = |second: u32, ending: &str| {
            let second = format!("{second:02}.");
            NAME.replace("43.", &second) + ending
        };
        let leftovers = [
            of(1, ".txt"),
            of(1, ".unfinished"),
            of(2, ".unfinished"),
            // Somebody has taken the request out, or it was never begun.
            of(3, ".txt"),
        ];
        let others = [
            of(4, ".txt"),
            of(4, ".traces.pb"),
            of(5, ".logs.pb"),
            of(6, ".txt.gz"),
            of(7, ".unfinished.bak"),
            of(8, ""),
            "notes.txt".to_owned(),
            "notes.unfinished".to_owned(),
            NAME.replace('T', " ") + ".txt",
            NAME.replace("0bad", "0bäd") + ".unfinished",
            format!("x{NAME}.unfinished"),
            NAME.get(1..).unwrap().to_owned() + ".txt",
        ];
        for name in leftovers.iter().chain(&others) {
            write(&folder.join(name));
        }
        fs::create_dir(folder.join(of(9, ".unfinished"))).unwrap();
        #[cfg(unix)]
        {
            let elsewhere = home.path().join(of(10, ".unfinished"));
            write(&elsewhere);
            let link = folder.join(of(10, ".unfinished"));
            std::os::unix::fs::symlink(&elsewhere, link).unwrap();
        }
        let before = names(&folder);
        let young = SystemTime::now() + Duration::from_mins(59);
        let used = sweep(&LocalDisk, &folder, young).unwrap();
        assert_eq!(names(&folder), before);
        let later = SystemTime::now() + Duration::from_mins(61);
        let less = sweep(&LocalDisk, &folder, later).unwrap();
        assert_eq!(used - less, 4 * leftovers.len() as u64);
        let mut left = before;
        left.retain(|name| !leftovers.contains(name));
        assert_eq!(names(&folder), left);
        assert_eq!(sweep(&LocalDisk, &folder, later).unwrap(), less);
    }

    /// It is written before its request.
    #[test]
    fn a_reason_stays_as_long_as_its_request_may_come() {
        let home = tempfile::tempdir().unwrap();
        let reason = home.path().join(format!("{NAME}.txt"));
        let unfinished = home.path().join(format!("{NAME}.unfinished"));
        write(&reason);
        write(&unfinished);
        let file = fs::File::options().write(true).open(&reason).unwrap();
        let now = SystemTime::now();
        file.set_modified(now - Duration::from_hours(2)).unwrap();
        assert_eq!(sweep(&LocalDisk, home.path(), now).unwrap(), 8);
        assert!(reason.exists() && unfinished.exists());
    }
}
