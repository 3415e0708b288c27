//! File systems of a test's own, where it may mount some.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::soon;
use super::tools::tool;

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

    /// Lets nobody write to it (EROFS), or lets everybody again. The system does not while a file is open to be
    /// written, which is waited for.
    pub(crate) async fn set_read_only(&self, is_it: bool) {
        let how = if is_it { "remount,ro" } else { "remount,rw" };
        let path = self.path();
        until_done(how, || {
            let mut mount = Command::new("mount");
            mount.args(["-o", how]).arg(path);
            mount
        })
        .await;
    }

    /// It neither gives nor takes anything any more (EIO), as a disk that has died, and what was not synced is
    /// gone. Where there is nothing to do that with, the test is skipped, and says so.
    pub(crate) fn shut_down(&self) -> Option<()> {
        // EXT4_IOC_SHUTDOWN, with EXT4_GOING_FLAGS_NOLOGFLUSH.
        let script = "import fcntl, os, struct, sys\n\
                      disk = os.open(sys.argv[1], os.O_RDONLY)\n\
                      fcntl.ioctl(disk, 0x8004587d, struct.pack('I', 2))";
        let mut python = Command::new(tool("python/bin/python3")?);
        let done = python.args(["-c", script]).arg(self.path()).output();
        let done = done.unwrap();
        assert!(done.status.success(), "{done:?}");
        Some(())
    }

    /// Mounts it again, as a disk that is well. Who has a file open there is waited for, and who writes to it has
    /// to be stopped meanwhile: he would write into the folder below.
    pub(crate) async fn mount_again(&self) {
        let path = self.path();
        until_done("umount", || {
            let mut umount = Command::new("umount");
            umount.arg(path);
            umount
        })
        .await;
        let image = self.room.path().join("disk");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-o", "loop"]).arg(image).arg(path).output();
        let mounted = mounted.unwrap();
        assert!(mounted.status.success(), "{mounted:?}");
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

/// Runs a command until it has done its work.
async fn until_done(what: &str, command: impl Fn() -> Command) {
    let done = async {
        while !command().output().unwrap().status.success() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(what, done).await;
}
