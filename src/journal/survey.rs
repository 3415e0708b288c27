use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::damage::Damage;
use super::disk::Disk;
use super::entry::Entry;
use super::format::{Beginning, EXTENSION, RECORD_HEADER, SEGMENT_HEADER, SegmentHeader};
use super::in_order::InOrder;
use super::marks::{self, History};
use super::moved::Moved;
use super::scan::Scan;
use super::sequences::{self, Sequences};
use super::window::Window;

/// Of a file that nothing tells the segment of.
const NAMELESS: SegmentHeader = SegmentHeader {
    number: 0,
    id: 0,
    first_sequence: 0,
};

/// All that is found in the folder of a journal. To look changes nothing.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// By slot.
    pub(super) segments: BTreeMap<u32, Found>,
    /// What was not removed, oldest first.
    pub(super) entries: Vec<Entry>,
    /// The bytes of these, by slot.
    pub(super) live_bytes: HashMap<u32, u64>,
    /// What was removed, by the id of the segment.
    pub(super) removed: HashMap<u64, Sequences>,
    pub(super) history: History,
    /// Why nobody knows what was removed, though it is written down.
    pub(super) unread_marks: Option<io::Error>,
    pub(super) damage: Damage,
    /// Of the segment that is begun next.
    pub(super) next_number: u64,
    /// Of the record that is appended next.
    pub(super) next_sequence: u64,
}

/// A file with records.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) header: SegmentHeader,
    pub(super) len: u64,
    /// Damaged bytes.
    pub(super) holes: Vec<Range<u64>>,
    /// Where a record begins that a crash left half written.
    pub(super) torn: Option<u64>,
    /// Entries in it.
    pub(super) live: u64,
    /// Whether another file has records that stand here, too.
    pub(super) is_copy: bool,
    /// Whether the disk gave all of it, in a version that this slimspan reads.
    pub(super) is_whole: bool,
}

impl Found {
    /// Whether every record in it stands in another file, too.
    pub(super) fn is_only_a_copy(&self) -> bool {
        self.is_copy && self.live == 0 && self.is_whole
    }

    /// So many records it has at most.
    fn most_records(&self) -> u64 {
        match self.len {
            // The disk does not tell it.
            0 => sequences::MOST,
            len => len / RECORD_HEADER as u64,
        }
    }
}

/// One file, before it is compared with the others.
struct Looked {
    found: Found,
    records: Vec<super::scan::Record>,
}

impl Looked {
    /// One that nothing can be read of: it takes room, and what was removed of it is not forgotten, for
    /// another start may read it.
    fn unread(path: &Path) -> Self {
        Self {
            found: Found {
                path: path.to_owned(),
                header: named(path).unwrap_or(NAMELESS),
                len: fs::metadata(path).map_or(0, |metadata| metadata.len()),
                holes: Vec::new(),
                torn: None,
                live: 0,
                is_copy: false,
                is_whole: false,
            },
            records: Vec::new(),
        }
    }
}

impl Survey {
    pub(super) fn of(disk: &dyn Disk, folder: &Path) -> io::Result<Self> {
        let mut survey = Self::default();
        let mut looked = Vec::new();
        for path in InOrder::of(|| segment_files(folder)) {
            let path = path?;
            match look(disk, &path, &mut survey.damage) {
                Ok(one) => looked.push(one),
                // Its records were removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::error!("cannot read {}, which stays: {error}", path.display());
                    survey.damage.unreadable_segments += 1;
                    looked.push(Looked::unread(&path));
                }
            }
        }
        looked.sort_by(|one, other| {
            let key = |of: &Looked| (of.found.header.number, of.found.path.clone());
            key(one).cmp(&key(other))
        });
        survey.read_marks(disk, folder, &looked);
        survey.count_what_is_missing(&looked);
        survey.compare(looked);
        Ok(survey)
    }

    /// Reads what was removed, as far as it can still be there.
    fn read_marks(&mut self, disk: &dyn Disk, folder: &Path, looked: &[Looked]) {
        for one in looked {
            let first = one.found.header.first_sequence;
            let removed = self.removed.entry(one.found.header.id);
            let removed = removed.or_insert_with(|| Sequences::none_of(first..first));
            for record in &one.records {
                removed.reach(record.sequence);
            }
        }
        let removed = &mut self.removed;
        let read = marks::read(disk, folder, |id, sequence| {
            if let Some(removed) = removed.get_mut(&id) {
                // Beyond what is intact there may be one that is damaged.
                removed.reach(sequence);
                removed.insert(sequence);
            }
        });
        match read {
            Ok(Some((history, damaged))) => {
                self.history = history;
                self.damage.damaged_marks = damaged;
            }
            // There is one as soon as there is a segment.
            Ok(None) => self.damage.damaged_marks = u64::from(!looked.is_empty()),
            Err(error) => {
                self.damage.damaged_marks = 1;
                self.unread_marks = Some(error);
            }
        }
    }

    fn count_what_is_missing(&mut self, looked: &[Looked]) {
        let headers = looked.iter().map(|one| &one.found.header);
        let present: BTreeMap<u64, u64> = headers
            .map(|header| (header.number, header.first_sequence))
            .collect();
        for (number, first_sequence) in &present {
            self.history.begin(*number, *first_sequence);
        }
        // Without a mark for each segment that is done, nobody knows which others are missing.
        if self.damage.damaged_marks == 0 {
            let known = |number| {
                present.contains_key(&number) || self.history.deleted.contains_key(&number)
            };
            let newest = self.history.begun.map_or(0, |(number, _)| number);
            let missing: Vec<u64> = (self.history.floor.max(1)..=newest)
                .filter(|number| !known(*number))
                .take(1 << 20)
                .collect();
            self.damage.missing_segments = missing.len() as u64;
            for number in missing {
                // It is told once.
                let first_sequence = self.history.first_sequence(number).unwrap_or(0);
                self.history.deleted.insert(number, first_sequence);
            }
        }
        // Copies have one id, and what is damaged in one may be intact in the other.
        let mut seen: BTreeMap<(u64, u64), Sequences> = BTreeMap::new();
        // What the disk did not give may be intact, and be there another time.
        let unread = looked.iter().filter(|one| !one.found.is_whole);
        let unread: BTreeSet<u64> = unread.map(|one| one.found.header.id).collect();
        for one in looked {
            let header = one.found.header;
            if unread.contains(&header.id) {
                continue;
            }
            let begin = header.first_sequence;
            let last = one.records.iter().map(|record| record.sequence + 1).max();
            let after = header.number + 1;
            let follower = present.get(&after).copied();
            let follower = follower.or_else(|| {
                self.history
                    .first_sequence(after)
                    .filter(|first| *first > 0)
            });
            let end = follower.or(last).unwrap_or(begin);
            let seen = seen.entry((header.number, header.id));
            let seen = seen.or_insert_with(|| Sequences::none_of(begin..end));
            for record in &one.records {
                if follower.is_none() {
                    seen.reach(record.sequence);
                }
                seen.insert(record.sequence);
            }
        }
        for ((_, id), seen) in seen {
            let removed = self.removed.get(&id);
            let gone = |sequence: &u64| {
                !seen.contains(*sequence)
                    && !removed.is_some_and(|removed| removed.contains(*sequence))
            };
            self.damage.lost_records += seen.range().filter(gone).count() as u64;
        }
    }

    /// What the disk does not give of the newest segment may be there another time, and its records have their
    /// sequences alone: what comes next begins behind all that it can hold.
    fn pass_over_unread(&mut self, looked: &[Looked]) {
        let (newest, newest_first) = self.history.begun.unwrap_or_default();
        let unread = looked.iter().map(|one| &one.found);
        // One that nothing tells the number of may be the newest.
        let unread = unread.filter(|found| {
            !found.is_whole && (found.header.number == newest || found.header == NAMELESS)
        });
        let Some(most) = unread.map(Found::most_records).max() else {
            return;
        };
        self.next_sequence = self.next_sequence.max(newest_first + most);
        // A segment that never was stands between: nobody knows where the unread one ends, and so nothing is
        // missed behind what is found in it.
        self.history.deleted.insert(newest + 1, 0);
    }

    /// Takes each record once, and finds out what comes next.
    fn compare(&mut self, looked: Vec<Looked>) {
        let (newest, newest_first) = self.history.begun.unwrap_or_default();
        self.next_sequence = newest_first.max(1);
        self.pass_over_unread(&looked);
        let deleted = self.history.deleted.keys().next_back();
        let last = deleted.map_or(newest, |last| newest.max(*last));
        self.next_number = self.history.floor.max(last + 1);
        let mut all: Vec<(u64, Entry)> = Vec::new();
        let mut moved = Moved::among(looked.iter().flat_map(|one| {
            let first = one.found.header.first_sequence;
            one.records.iter().map(move |record| (first, record))
        }));
        for (slot, one) in (0..).zip(looked) {
            let id = one.found.header.id;
            for record in one.records {
                self.next_sequence = self.next_sequence.max(record.sequence + 1);
                let removed = self.removed.get_mut(&id);
                let is_removed = removed.is_some_and(|removed| {
                    removed.contains(record.sequence)
                        || moved.was_met(id, &record) && removed.insert(record.sequence)
                });
                if is_removed {
                    continue;
                }
                all.push((
                    id,
                    Entry {
                        sequence: record.sequence,
                        offset: record.offset,
                        slot,
                        len: record.len,
                    },
                ));
            }
            self.segments.insert(slot, one.found);
        }
        all.sort_by_key(|(id, entry)| (entry.sequence, *id, entry.slot, entry.offset));
        let mut last = None;
        for (id, entry) in all {
            let Some(segment) = self.segments.get_mut(&entry.slot) else {
                continue;
            };
            if last.replace((entry.sequence, id)) == Some((entry.sequence, id)) {
                segment.is_copy = true;
                self.damage.duplicate_records += 1;
            } else {
                segment.live += 1;
                *self.live_bytes.entry(entry.slot).or_default() += entry.taken();
                self.entries.push(entry);
            }
        }
        for segment in self.segments.values_mut() {
            // Only the newest can have been written to when a crash came.
            if segment.header.number != newest
                && let Some(torn) = segment.torn.take()
            {
                segment.holes.push(torn..segment.len);
            }
            self.damage.torn_tails += u64::from(segment.torn.is_some());
            self.damage.holes += segment.holes.len() as u64;
            let bytes = segment.holes.iter().map(|hole| hole.end - hole.start);
            self.damage.damaged_bytes += bytes.sum::<u64>();
        }
    }
}

fn segment_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        // What the disk says nothing of is one: to look into it tells why.
        let is_file = || fs::metadata(&path).map_or(true, |metadata| metadata.is_file());
        if path
            .extension()
            .is_some_and(|extension| extension == EXTENSION)
            && is_file()
        {
            files.push(path);
        }
    }
    Ok(files)
}

/// What the name of a file says that it is.
fn named(path: &Path) -> Option<SegmentHeader> {
    SegmentHeader::of_file_name(path.file_name()?.to_str()?)
}

/// Looks into one file.
fn look(disk: &dyn Disk, path: &Path, damage: &mut Damage) -> io::Result<Looked> {
    let mut window = Window::open(disk, path)?;
    let named = named(path);
    let mut scan = Scan::default();
    let mut begin = SEGMENT_HEADER as u64;
    let header = match SegmentHeader::decode(window.at(0, SEGMENT_HEADER)?) {
        Beginning::Segment(header) => {
            damage.misnamed_segments += u64::from(named != Some(header));
            Some(header)
        }
        Beginning::Newer(version) => {
            tracing::error!(
                "{} has version {version} of the format, which this slimspan cannot read; it stays",
                path.display()
            );
            damage.unreadable_segments += 1;
            return Ok(Looked::unread(path));
        }
        Beginning::Damaged if window.len() < begin && named.is_some() => {
            scan.torn = Some(0);
            begin = window.len();
            named
        }
        Beginning::Damaged => {
            begin = 0;
            named
        }
    };
    let ran = if let Some(header) = header {
        scan.run(&mut window, header.id, begin)
    } else {
        // Nothing tells which segment it is.
        scan.holes.push(0..window.len());
        Ok(())
    };
    if let Err(error) = &ran {
        damage.unreadable_segments += 1;
        let found = scan.records.len();
        tracing::error!(
            "cannot read {} to its end, it stays; its first {found} records are fine: {error}",
            path.display()
        );
    }
    Ok(Looked {
        found: Found {
            path: path.to_owned(),
            header: header.unwrap_or(NAMELESS),
            len: window.len(),
            holes: scan.holes,
            torn: scan.torn,
            live: 0,
            is_copy: false,
            is_whole: ran.is_ok(),
        },
        records: scan.records,
    })
}
