use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;

use super::disk::{Disk, write_all};
use super::survey::Found;

/// The folder, inside that of the journal, in which damaged bytes are kept for people to look at.
const QUARANTINE: &str = "quarantine";

/// How much is copied at a time.
const CHUNK: u64 = 256 * 1024;

/// Puts in order what a survey found. Each step may be the last one of a process: the next one finds
/// what is left to do. What cannot be done is left as it is, and told.
pub(super) struct Repair<'d> {
    pub(super) disk: &'d dyn Disk,
    pub(super) folder: &'d Path,
}

impl Repair<'_> {
    /// Keeps what is damaged in `segment`, and cuts off what a crash left half written. Returns
    /// whether there is nothing left in it that is not kept.
    pub(super) fn mend(&self, segment: &mut Found) -> bool {
        let kept = segment
            .holes
            .iter()
            .all(|hole| told(&self.keep(&segment.path, hole), &segment.path));
        if !segment.holes.is_empty() && kept {
            tracing::warn!(
                "{} is damaged in {} places; its other records are fine, and the damaged bytes are \
                 kept in {}",
                segment.path.display(),
                segment.holes.len(),
                self.folder.join(QUARANTINE).display()
            );
        }
        if let Some(torn) = segment.torn
            && told(&self.disk.truncate(&segment.path, torn), &segment.path)
        {
            segment.len = torn;
        }
        kept && segment.is_whole
    }

    /// Moves a file whose records all stand in another one, too.
    pub(super) fn set_aside(&self, path: &Path) -> bool {
        let moved = self.quarantine().and_then(|quarantine| {
            let name = path.file_name().unwrap_or_default();
            self.disk.rename(path, &quarantine.join(name))?;
            self.disk.sync_folder(&quarantine)
        });
        told(&moved, path)
    }

    /// Copies a part of a file, unless that was done before.
    fn keep(&self, path: &Path, hole: &Range<u64>) -> io::Result<()> {
        let quarantine = self.quarantine()?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let kept = quarantine.join(format!("{name}.{}-{}", hole.start, hole.end));
        if fs::exists(&kept)? {
            return Ok(());
        }
        let unfinished = quarantine.join("unfinished");
        if fs::exists(&unfinished)? {
            self.disk.delete(&unfinished)?;
        }
        let mut copy = self.disk.create(&unfinished)?;
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(hole.start))?;
        let mut left = hole.end - hole.start;
        let mut chunk = Vec::new();
        while left > 0 {
            chunk.clear();
            let read = file
                .by_ref()
                .take(left.min(CHUNK))
                .read_to_end(&mut chunk)?;
            if read == 0 {
                break;
            }
            write_all(copy.as_mut(), &[&chunk])?;
            left -= read as u64;
        }
        copy.sync()?;
        self.disk.rename(&unfinished, &kept)?;
        self.disk.sync_folder(&quarantine)
    }

    /// Tells how much is kept for people. Only they can say when nobody needs it any more.
    pub(super) fn tell_kept(&self) {
        let quarantine = self.folder.join(QUARANTINE);
        let Ok(kept) = fs::read_dir(&quarantine) else {
            return;
        };
        let lengths = kept.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
        let (files, bytes) = lengths.fold((0_u64, 0_u64), |(files, bytes), len| {
            (files + 1, bytes.saturating_add(len))
        });
        if files > 0 {
            tracing::warn!(
                "{} takes {} in {files} files of damaged bytes, beside max_bytes; delete what \
                 nobody wants to look at",
                quarantine.display(),
                ByteSize::b(bytes)
            );
        }
    }

    fn quarantine(&self) -> io::Result<PathBuf> {
        let quarantine = self.folder.join(QUARANTINE);
        self.disk.create_folder(&quarantine)?;
        Ok(quarantine)
    }
}

fn told(done: &io::Result<()>, path: &Path) -> bool {
    if let Err(error) = done {
        tracing::error!("cannot put {} in order, it stays: {error}", path.display());
    }
    done.is_ok()
}
