//! Which store a spool is for: a file beside its records that has the URL of the store, as references have it.
//!
//! References to what waits are with backends already. Where it goes to another store, they lead nowhere for good,
//! and nobody is told. Nothing but the URL makes a reference lead elsewhere: options, timeouts and credentials may
//! change.

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use slimspan_artifact::Digest;

use crate::journal::{Disk, LocalDisk, write_all};
use crate::storage::error::OpenError;

/// The name of the file, and of what it is until it is whole.
const FILE: &str = "store";
const UNFINISHED: &str = "store.new";

/// The longest that is read.
const MOST: u64 = 64 << 10;

/// What a folder says.
#[derive(Debug, PartialEq, Eq)]
enum Label {
    /// Nothing: it is new, or of a version that wrote no label.
    Missing,
    /// Something else than what was written.
    Damaged,
    /// The URL of its store.
    Of(String),
}

/// What waits in a spool is for another store than the one that is to have it.
#[derive(Debug, thiserror::Error)]
#[error(
    "{folder} holds {holds} for {theirs}, where references to them lead, and the url is {ours} now: set the url back to \
     {theirs} until the spool is empty; or give this store another spool.directory, and what is in this one stays there \
     until a store with the url {theirs} has it again. Where {theirs} is gone for good, delete {file}: all of it goes \
     to {ours} then, and references to {theirs} lead nowhere"
)]
pub struct OfAnother {
    folder: PathBuf,
    file: PathBuf,
    holds: String,
    theirs: String,
    ours: String,
}

/// Has the spool in `folder` be for the store at `ours`, before anything is taken into it. To be called by who
/// owns the folder; `holds` is what waits there, if something does.
pub(super) fn claim(
    disk: &dyn Disk,
    folder: &Path,
    ours: &str,
    holds: Option<String>,
) -> Result<(), OpenError> {
    let file = folder.join(FILE);
    let failed = |what, source| OpenError::Label {
        what,
        file: file.clone(),
        source,
    };
    let label = read(disk, &file).map_err(|source| failed("read", source))?;
    let is_used = holds.is_some();
    match (label, holds) {
        (Label::Of(theirs), _) if theirs == ours => return Ok(()),
        (Label::Of(theirs), Some(holds)) => {
            return Err(OpenError::Spooled(Box::new(OfAnother {
                folder: folder.to_owned(),
                file,
                holds,
                theirs,
                ours: ours.to_owned(),
            })));
        }
        (Label::Missing, Some(holds)) => tracing::warn!(
            "{} holds {holds}, and an older slimspan has not written down for which store: all of it goes to {ours}",
            folder.display()
        ),
        (Label::Damaged, Some(holds)) => tracing::warn!(
            "{} is damaged, so nobody knows for which store {} holds {holds}: all of it goes to {ours}",
            file.display(),
            folder.display()
        ),
        (_, None) => {}
    }
    match write(disk, folder, ours) {
        // What waits is uploaded all the same, and makes room.
        Err(error) if is_used => {
            tracing::warn!(
                "cannot write {}, so the next start does not know either that this spool is for {ours}: {error}",
                file.display()
            );
            Ok(())
        }
        written => written.map_err(|source| failed("write", source)),
    }
}

/// For which store the spool in `directory` is, if it says so. Another process may own it.
pub(crate) fn meant_for(directory: &Path) -> Option<String> {
    let file = directory.join(FILE);
    // Whatever else stands in the folders of others is not opened: a pipe would be waited for.
    if !fs::metadata(&file).is_ok_and(|of| of.is_file()) {
        return None;
    }
    match read(&LocalDisk, &file) {
        Ok(Label::Of(url)) => Some(url),
        _ => None,
    }
}

fn read(disk: &dyn Disk, file: &Path) -> io::Result<Label> {
    let file = match disk.open(file) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Label::Missing),
        Err(error) => return Err(error),
    };
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text)?;
    Ok(url(&text).map_or(Label::Damaged, Label::Of))
}

/// In the place of the one that is there, also where the power goes meanwhile.
fn write(disk: &dyn Disk, folder: &Path, url: &str) -> io::Result<()> {
    let unfinished = folder.join(UNFINISHED);
    if fs::exists(&unfinished)? {
        disk.delete(&unfinished)?;
    }
    let mut file = disk.create(&unfinished)?;
    write_all(file.as_mut(), &[Text(url).to_string().as_bytes()])?;
    file.sync()?;
    disk.rename(&unfinished, &folder.join(FILE))?;
    disk.sync_folder(folder)
}

/// A line with the URL, and one with the SHA-256 of it.
struct Text<'u>(&'u str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}", self.0, Digest::of(self.0.as_bytes()))
    }
}

fn url(text: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(text).ok()?;
    let (url, _) = text.split_once('\n')?;
    // It goes into logs.
    let is_whole = Text(url).to_string() == text && !url.contains(char::is_control);
    is_whole.then(|| url.to_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use slimspan_artifact::Artifact;
    use tempfile::TempDir;

    use super::super::config::SpoolConfig;
    use super::super::{FaultyDisk, Spool};
    use super::*;
    use crate::config::Delivery;
    use crate::storage::{Store, StoreConfig};

    fn store(url: &str) -> Store {
        Store::open(&StoreConfig::new(url)).unwrap()
    }

    fn config(home: &TempDir) -> SpoolConfig {
        SpoolConfig {
            directory: home.path().join("spool"),
            ..SpoolConfig::default()
        }
    }

    /// Opens the spool for the store at `url`, as soon as the one before is closed.
    async fn open(home: &TempDir, url: &str) -> Result<Spool, OpenError> {
        loop {
            match Spool::open(&config(home), "spool".to_owned(), &store(url)) {
                Err(error) if error.is_in_use() => tokio::task::yield_now().await,
                outcome => return outcome,
            }
        }
    }

    /// Leaves an artifact of 5000 bytes in a spool for the store at `url`.
    async fn leave(home: &TempDir, url: &str) {
        let spool = open(home, url).await.unwrap();
        let store = store(url).with_spool(spool);
        let bytes = bytes::Bytes::from(vec![7; 5_000]);
        let artifact = Artifact {
            digest: Digest::of(&bytes),
            media_type: "image/png".to_owned(),
            bytes,
        };
        let one = std::slice::from_ref(&artifact);
        store.keep_all(one, Delivery::Background).await.unwrap();
    }

    #[tokio::test]
    async fn what_waits_is_for_the_store_that_it_was_kept_for() {
        let home = tempfile::tempdir().unwrap();
        leave(&home, "memory:///old").await;
        let folder = home.path().join("spool");
        for _ in 0..2 {
            let error = open(&home, "memory:///new").await.unwrap_err();
            let folder = folder.display();
            assert_eq!(
                error.to_string(),
                format!(
                    "spool.directory: {folder} holds 1 artifact of 5.0 KiB for memory:///old, where references to \
                     them lead, and the url is memory:///new now: set the url back to memory:///old until the spool is \
                     empty; or give this store another spool.directory, and what is in this one stays there until a \
                     store with the url memory:///old has it again. Where memory:///old is gone for good, delete \
                     {folder}/store: all of it goes to memory:///new then, and references to memory:///old lead nowhere"
                )
            );
        }
        // The same store, however it is written.
        let spool = open(&home, "memory:///old/").await.unwrap();
        assert_eq!(spool.left().artifacts, 1);
        drop(spool);
        assert_eq!(meant_for(&folder).unwrap(), "memory:///old");
        // As somebody does who has read the error.
        fs::remove_file(folder.join(FILE)).unwrap();
        let spool = open(&home, "memory:///new").await.unwrap();
        assert_eq!(spool.left().artifacts, 1);
    }

    #[tokio::test]
    async fn an_empty_spool_is_for_whoever_opens_it() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("spool");
        for url in ["memory:///old", "memory:///new", "memory://"] {
            drop(open(&home, url).await.unwrap());
            assert_eq!(meant_for(&folder).unwrap(), url);
        }
        leave(&home, "memory:///new").await;
        assert_eq!(meant_for(&folder).unwrap(), "memory:///new");
    }

    /// An older version wrote no label, and a disk may damage one: what waits is uploaded all the same.
    #[tokio::test]
    async fn a_label_that_says_nothing_is_written_anew() {
        let whole = Text("memory:///old").to_string();
        let damaged = [
            whole.replace("old", "odd"),
            whole.trim_end().to_owned(),
            format!("{whole}more\n"),
            Text("memory:///o\u{1b}d").to_string(),
            String::new(),
            "x".repeat(100_000),
        ];
        for label in damaged.iter().map(Some).chain([None]) {
            let home = tempfile::tempdir().unwrap();
            leave(&home, "memory:///old").await;
            let folder = home.path().join("spool");
            let file = folder.join(FILE);
            assert_eq!(fs::read_to_string(&file).unwrap(), whole);
            match label {
                Some(label) => fs::write(&file, label).unwrap(),
                None => fs::remove_file(&file).unwrap(),
            }
            assert_eq!(meant_for(&folder), None, "{label:?}");
            let spool = open(&home, "memory:///new").await.unwrap();
            assert_eq!(spool.left().artifacts, 1);
            drop(spool);
            assert_eq!(meant_for(&folder).unwrap(), "memory:///new");
            let error = open(&home, "memory:///old").await.unwrap_err();
            assert!(matches!(error, OpenError::Spooled(_)), "{error}");
        }
    }

    /// Wherever the process ends, the old label or the new one is there, and whole; and what is there when it is
    /// written survives a power cut.
    #[test]
    fn a_label_is_replaced_as_a_whole() {
        let [old, new] = ["memory:///old", "memory:///new"];
        for changes in 0.. {
            let home = tempfile::tempdir().unwrap();
            claim(&LocalDisk, home.path(), old, None).unwrap();
            // Of an end before this one.
            fs::write(home.path().join(UNFINISHED), "memory:").unwrap();
            let disk = FaultyDisk::default();
            disk.end_after(changes);
            let claimed = claim(&disk, home.path(), new, None);
            let label = meant_for(home.path()).unwrap();
            if claimed.is_ok() {
                assert_eq!(label, new);
                assert!(disk.has_synced(Text(new).to_string().as_bytes()));
                assert!(changes > 3, "{changes}");
                return;
            }
            assert!([old, new].contains(&label.as_str()), "{label}");
            let error = claimed.unwrap_err().to_string();
            let told = format!(
                "spool.directory: cannot write {}/store, which says for which store the spool is: the process has ended",
                home.path().display()
            );
            assert_eq!(error, told);
        }
    }

    /// On a disk that is full with what waits for the store.
    #[test]
    fn what_waits_is_uploaded_also_where_no_label_can_be_written() {
        let home = tempfile::tempdir().unwrap();
        let disk = FaultyDisk::default();
        disk.set_room(0);
        let holds = Some("2 artifacts".to_owned());
        claim(&disk, home.path(), "memory://", holds).unwrap();
        claim(&disk, home.path(), "memory://", None).unwrap_err();
        disk.fail_reads();
        fs::write(home.path().join(FILE), Text("memory://").to_string()).unwrap();
        let error = claim(&disk, home.path(), "memory://", None).unwrap_err();
        let told = "which says for which store the spool is: Input/output error";
        assert!(error.to_string().contains(told), "{error}");
    }

    #[test]
    fn what_is_no_file_is_no_label() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(meant_for(home.path()), None);
        let made = std::process::Command::new("mkfifo")
            .arg(home.path().join(FILE))
            .status();
        if made.is_ok_and(|made| made.success()) {
            let (folder, (told, hears)) = (home.path().to_owned(), mpsc::channel());
            std::thread::spawn(move || told.send(meant_for(&folder)));
            let told = hears.recv_timeout(Duration::from_mins(1));
            assert_eq!(told.unwrap(), None);
        }
    }
}
