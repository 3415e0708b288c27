use std::fs;
use std::io;
use std::path::Path;

use object_store::local::LocalFileSystem;

use super::error::OpenError;

/// Opens the folder at `root`, an absolute path, and makes it if it is missing.
///
/// A put returns when the bytes and the names that lead to them are on the disk.
pub(super) fn open(root: &Path) -> Result<LocalFileSystem, OpenError> {
    let failed = |source| OpenError::Folder {
        path: root.display().to_string(),
        source,
    };
    create(root).map_err(failed)?;
    let folder = LocalFileSystem::new_with_prefix(root).map_err(|source| OpenError::Client {
        url: root.display().to_string(),
        source: Box::new(source),
    })?;
    Ok(folder.with_fsync(true))
}

fn create(root: &Path) -> io::Result<()> {
    if root.is_dir() {
        return Ok(());
    }
    // Each new folder is a name in its parent, and a power cut must not take that name away.
    let missing: Vec<&Path> = root.ancestors().take_while(|path| !path.exists()).collect();
    if let Some(parent) = root.parent() {
        fs::create_dir_all(parent)?;
    }
    create_private(root)?;
    for path in missing {
        if let Some(parent) = path.parent() {
            sync(parent)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn create_private(root: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;

    // Artifacts are what users sent to a model: nobody else on the machine reads them.
    match fs::DirBuilder::new().mode(0o700).create(root) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && root.is_dir() => Ok(()),
        done => done,
    }
}

#[cfg(unix)]
fn sync(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn create_private(root: &Path) -> io::Result<()> {
    fs::create_dir_all(root)
}

#[cfg(not(unix))]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn only_the_root_is_private() {
        use std::os::unix::fs::PermissionsExt as _;

        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("data/artifacts");
        open(&root).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&root), 0o700);
        assert_ne!(mode(&home.path().join("data")), 0o700);
        open(&root).unwrap();
    }

    #[test]
    fn puts_reach_the_disk() {
        let home = tempfile::tempdir().unwrap();
        let folder = open(home.path()).unwrap();
        assert!(format!("{folder:?}").contains("fsync: true"));
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, b"").unwrap();
        for root in [file.clone(), file.join("artifacts")] {
            let error = open(&root).unwrap_err().to_string();
            assert!(error.starts_with("url: "), "{error}");
            assert!(error.contains(root.to_str().unwrap()), "{error}");
        }
    }
}
