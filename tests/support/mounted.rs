//! File systems of a test's own, where it may mount some.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A mounted file system. It is unmounted when dropped.
pub(crate) struct Mounted {
    place: TempDir,
}

impl Mounted {
    /// A file system in memory with so many bytes of room. Without the right to mount one, the test
    /// is skipped, and says so.
    pub(crate) fn memory(size: usize) -> Option<Self> {
        let size = format!("size={size}");
        Self::mount(&["-t", "tmpfs", "-o", &size, "tmpfs"])
    }

    fn mount(arguments: &[&str]) -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        let output = mount.args(arguments).arg(place.path()).output();
        let problem = match output {
            Ok(output) if output.status.success() => return Some(Self { place }),
            Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
            Err(error) => error.to_string(),
        };
        eprintln!("SKIPPED: cannot mount {arguments:?}, which takes root: {problem}");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.place.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Whoever still has a file open there keeps it.
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("cannot unmount {}", self.path().display());
        }
    }
}
