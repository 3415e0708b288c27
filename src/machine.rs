//! What the machine has that slimspan runs on.

use std::time::Duration;

use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

/// The memory that there is for this process, in bytes: that of the machine, or of its control group
/// (version 1 or 2) if that has less. `None` where the system does not tell.
pub fn memory() -> Option<u64> {
    let mut system = System::new().ok()?;
    system.refresh_memory();
    let own = sysinfo::get_current_pid().ok().and_then(|own| {
        let (these, kind) = (
            ProcessesToUpdate::Some(&[own]),
            ProcessRefreshKind::nothing(),
        );
        system.refresh_processes_specifics(these, false, kind);
        system.process(own)?.cgroup_limits()
    });
    // In a container the group of the process may be out of sight, and its root is all there is.
    let group = own.or_else(|| system.cgroup_limits());
    [
        Some(system.total_memory()),
        group.map(|group| group.total_memory),
    ]
    .into_iter()
    .flatten()
    .filter(|bytes| *bytes > 0)
    .min()
}

/// What this process has taken so far.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// Time of all processors.
    pub cpu: Duration,
    /// Physical memory, in bytes.
    pub memory: u64,
}

/// What this process has taken so far; `None` where the system does not tell.
pub fn usage() -> Option<Usage> {
    let own = sysinfo::get_current_pid().ok()?;
    let mut system = System::new().ok()?;
    let these = ProcessesToUpdate::Some(&[own]);
    let kind = ProcessRefreshKind::nothing().with_cpu().with_memory();
    system.refresh_processes_specifics(these, false, kind);
    let process = system.process(own)?;
    Some(Usage {
        cpu: Duration::from_millis(process.accumulated_cpu_time()),
        memory: process.memory(),
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn there_is_memory_and_no_more_than_in_the_machine() {
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
        let total = meminfo
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"));
        let total = total.unwrap().trim().strip_suffix("kB").unwrap().trim();
        let total: u64 = total.parse().unwrap();
        let memory = memory().unwrap();
        assert!((1 << 20..=total << 10).contains(&memory), "{memory}");
    }

    #[test]
    fn a_process_takes_memory_and_time() {
        let before = usage().unwrap();
        assert!(before.memory > 1 << 20, "{before:?}");
        let mut sum = 0_u64;
        while usage().unwrap().cpu == before.cpu {
            sum = (0..100_000).fold(sum, |sum: u64, one| sum.wrapping_mul(31) ^ one);
        }
        assert!(usage().unwrap().cpu > before.cpu, "{sum}");
    }
}
