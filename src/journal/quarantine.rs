//! Damaged bytes, kept for people to look at: the newest of them, up to a limit.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;

use super::disk::{Disk, write_all};
use super::survey::Found;

/// The folder, inside that of the journal.
const QUARANTINE: &str = "quarantine";

/// A copy that is not whole yet.
const UNFINISHED: &str = "unfinished";

/// How much is copied at a time.
const CHUNK: u64 = 256 * 1024;

/// The folder, and what may be in it. Names begin with the number of a segment, so that the newest
/// damage has the last name.
pub(super) struct Quarantine<'d> {
    disk: &'d dyn Disk,
    folder: PathBuf,
    limit: u64,
    /// The names of what there is room for.
    wanted: BTreeSet<String>,
    given_up: u64,
}

impl<'d> Quarantine<'d> {
    /// Makes room for what is damaged in these segments of the journal in `folder`: what is older, and
    /// too much with that, is deleted.
    pub(super) fn with_room_for<'f>(
        segments: impl Iterator<Item = &'f Found>,
        disk: &'d dyn Disk,
        folder: &Path,
        limit: u64,
    ) -> Self {
        let mut quarantine = Self {
            disk,
            folder: folder.join(QUARANTINE),
            limit,
            wanted: BTreeSet::new(),
            given_up: 0,
        };
        let there = quarantine.there();
        let mut all = BTreeMap::new();
        for segment in segments {
            for hole in &segment.holes {
                all.insert(name_of(&segment.path, hole), hole.end - hole.start);
            }
            if segment.is_only_a_copy() {
                all.insert(name(&segment.path), segment.len);
            }
        }
        // Those are counted where they are come across.
        let found: BTreeSet<String> = all.keys().cloned().collect();
        all.extend(there.clone());
        let mut held = 0;
        for (name, len) in all.into_iter().rev() {
            // One that could never be kept is no reason to give up those before it.
            if len > limit {
                continue;
            }
            held += len;
            if held > limit {
                break;
            }
            quarantine.wanted.insert(name);
        }
        for (name, len) in there {
            if !quarantine.wanted.contains(&name) {
                let path = quarantine.folder.join(&name);
                let is_new = !found.contains(&name);
                if told(&disk.delete(&path), &path) && is_new {
                    quarantine.given_up += len;
                }
            }
        }
        quarantine
    }

    /// Copies a part of a file, unless that was done before or there is no room for it.
    pub(super) fn keep(&mut self, path: &Path, hole: &Range<u64>) -> io::Result<()> {
        let name = name_of(path, hole);
        if !self.wanted.contains(&name) {
            self.given_up += hole.end - hole.start;
            return Ok(());
        }
        let kept = self.folder.join(name);
        if fs::exists(&kept)? {
            return Ok(());
        }
        self.disk.create_folder(&self.folder)?;
        let unfinished = self.folder.join(UNFINISHED);
        if fs::exists(&unfinished)? {
            self.disk.delete(&unfinished)?;
        }
        let mut copy = self.disk.create(&unfinished)?;
        let mut file = self.disk.open(path)?;
        file.seek(SeekFrom::Start(hole.start))?;
        let mut left = hole.end - hole.start;
        let mut chunk = Vec::new();
        while left > 0 {
            chunk.clear();
            let read = file
                .as_mut()
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
        self.disk.sync_folder(&self.folder)
    }

    /// Moves a file whose records all stand in another one, too; deletes it if there is no room for it.
    pub(super) fn set_aside(&mut self, path: &Path, len: u64) -> bool {
        let name = name(path);
        let moved = if self.wanted.contains(&name) {
            let to = self.folder.join(name);
            let made = self.disk.create_folder(&self.folder);
            let moved = made.and_then(|()| self.disk.rename(path, &to));
            moved.and_then(|()| self.disk.sync_folder(&self.folder))
        } else {
            self.given_up += len;
            self.disk.delete(path)
        };
        told(&moved, path)
    }

    /// Tells how much is kept and what is not; returns the bytes that are not.
    pub(super) fn tell(self) -> u64 {
        let there = self.there();
        let limit = ByteSize::b(self.limit);
        if !there.is_empty() {
            tracing::warn!(
                "{} takes {} in {} files of damaged bytes, beside max_bytes and up to \
                 max_damaged_bytes, {limit}; delete what nobody wants to look at",
                self.folder.display(),
                ByteSize::b(there.values().sum()),
                there.len(),
            );
        }
        if self.given_up > 0 {
            tracing::error!(
                "{}: {} of damaged bytes are not kept: there are newer ones, and max_damaged_bytes is \
                 {limit}",
                self.folder.display(),
                ByteSize::b(self.given_up)
            );
        }
        self.given_up
    }

    /// The lengths of what is in the folder.
    fn there(&self) -> BTreeMap<String, u64> {
        let Ok(files) = fs::read_dir(&self.folder) else {
            return BTreeMap::new();
        };
        let files = files.filter_map(|file| {
            let file = file.ok()?;
            let metadata = file.metadata().ok()?;
            let name = file.file_name().to_str()?.to_owned();
            (metadata.is_file() && name != UNFINISHED).then_some((name, metadata.len()))
        });
        files.collect()
    }
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn name_of(path: &Path, hole: &Range<u64>) -> String {
    format!("{}.{}-{}", name(path), hole.start, hole.end)
}

/// Whether it was done; if not, it is told.
pub(super) fn told(done: &io::Result<()>, path: &Path) -> bool {
    if let Err(error) = done {
        tracing::error!("cannot put {} in order, it stays: {error}", path.display());
    }
    done.is_ok()
}
