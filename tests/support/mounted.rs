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

    /// The file system in an image. It is only there for this mount.
    fn image(image: &Path) -> Option<Self> {
        Self::mount(&["-o", "loop", image.to_str().unwrap()])
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

/// A disk whose power can be cut: ext4 in a file. What has come to the disk is in that file, what
/// the kernel still holds back is not; so a copy of it is what a power cut leaves.
pub(crate) struct Disk {
    mounted: Mounted,
    /// Where the file is: in memory, so that it is copied in no time.
    room: Mounted,
}

impl Disk {
    /// A new disk, or none where it cannot be mounted.
    pub(crate) fn new(size: usize) -> Option<Self> {
        let room = Mounted::memory(size * 3)?;
        let image = room.path().join("disk");
        std::fs::File::create(&image)
            .and_then(|file| file.set_len(size as u64))
            .unwrap();
        let made = Command::new("mkfs.ext4").arg("-q").arg(&image).status();
        assert!(
            made.is_ok_and(|status| status.success()),
            "mkfs.ext4 failed"
        );
        let mounted = Mounted::image(&image)?;
        Some(Self { mounted, room })
    }

    pub(crate) fn path(&self) -> &Path {
        self.mounted.path()
    }

    /// What would be left of the disk if its power went now. Who writes to it has to be stopped
    /// meanwhile: a power cut takes no time.
    pub(crate) fn cut(&self) -> Mounted {
        let copy = self.room.path().join("copy");
        let copied = Command::new("cp")
            .arg("--sparse=always")
            .arg(self.room.path().join("disk"))
            .arg(&copy)
            .status();
        assert!(copied.is_ok_and(|status| status.success()), "cp failed");
        // Replays the journal, as after every power cut; 1 says that it had something to do.
        let checked = Command::new("e2fsck")
            .args(["-p", "-f"])
            .arg(&copy)
            .output();
        let checked = checked.unwrap();
        assert!(checked.status.code() <= Some(1), "{checked:?}");
        let left = Mounted::image(&copy).unwrap();
        // The mount holds it.
        std::fs::remove_file(&copy).unwrap();
        left
    }
}
