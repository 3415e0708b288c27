use std::path::Path;

use super::disk::Disk;
use super::quarantine::{Quarantine, told};
use super::survey::Found;
use crate::crash::{self, Point};

/// Puts in order what a survey found. Each step may be the last one of a process: the next one finds
/// what is left to do. What cannot be done is left as it is, and told.
pub(super) struct Repair<'d> {
    pub(super) disk: &'d dyn Disk,
    pub(super) quarantine: Quarantine<'d>,
}

impl Repair<'_> {
    /// Keeps what is damaged in `segment`, and cuts off what a crash left half written. Returns
    /// whether there is nothing left in it that is not kept.
    pub(super) fn mend(&mut self, segment: &mut Found) -> bool {
        let mut kept = true;
        for hole in &segment.holes {
            let done = self.quarantine.keep(&segment.path, hole);
            kept &= told(&done, &segment.path);
        }
        if !segment.holes.is_empty() && kept {
            tracing::warn!(
                "{} is damaged in {} places; its other records are fine",
                segment.path.display(),
                segment.holes.len(),
            );
        }
        if let Some(torn) = segment.torn
            && told(&self.disk.truncate(&segment.path, torn), &segment.path)
        {
            segment.len = torn;
            crash::at(Point::JournalCut);
        }
        kept && segment.is_whole
    }

    /// Takes a file out of the journal whose records all stand in another one, too.
    pub(super) fn set_aside(&mut self, path: &Path, len: u64) -> bool {
        self.quarantine.set_aside(path, len)
    }
}
