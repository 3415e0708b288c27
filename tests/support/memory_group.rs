//! A control group that counts the memory of one process, and ends it where it takes too much.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where version 1 of control groups has those for memory.
const ROOT: &str = "/sys/fs/cgroup/memory";

/// A group. It is removed when dropped, if the processes in it have ended.
pub(crate) struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// A group that may have so many bytes. `None` where there is no right to make one: then the peak
    /// of the process itself has to do.
    pub(crate) fn limited(bytes: u64) -> Option<Self> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let place = format!("{ROOT}/slimspan-{}-{number}", std::process::id());
        fs::create_dir(&place).ok()?;
        let group = Self(place.into());
        group.write("memory.limit_in_bytes", bytes).then_some(group)
    }

    /// What `process` takes from now on is counted here.
    pub(crate) fn admit(&self, process: u32) {
        assert!(
            self.write("cgroup.procs", process.into()),
            "{}",
            self.0.display()
        );
    }

    /// The most that was taken at a time.
    pub(crate) fn peak(&self) -> u64 {
        self.read("memory.max_usage_in_bytes")
            .trim()
            .parse()
            .unwrap()
    }

    /// Whether a process was ended for it.
    pub(crate) fn killed(&self) -> bool {
        let told = self.read("memory.oom_control");
        told.lines()
            .any(|line| line.starts_with("oom_kill ") && line != "oom_kill 0")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn write(&self, name: &str, value: u64) -> bool {
        fs::write(self.0.join(name), value.to_string()).is_ok()
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // One that has processes in it stays until somebody removes it.
        let _ = fs::remove_dir(&self.0);
    }
}
