use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
#[cfg(test)]
use std::sync::Arc;

use tokio::time::Instant;

use super::super::config::CatalogConfig;
use super::super::entry::State;
use super::from_lines;
use super::queue::{Home, Record};
#[cfg(test)]
use crate::journal::FaultyDisk;
use crate::journal::{self, Journal, Options};

/// A segment is deleted when all of its entries are in the bucket.
const SEGMENT: u64 = 8 << 20;

/// So many processes of one machine may share a folder.
const MOST: usize = 64;

/// The journals that this process has: its own, and those that others left.
#[derive(Debug, Default)]
pub(super) struct Journals {
    open: BTreeMap<usize, Journal>,
    /// The one that it writes to.
    own: Option<usize>,
}

impl Journals {
    /// Opens the first journal of `folder` that nobody has, and those that others left.
    pub(super) fn open(folder: &Path, config: &CatalogConfig) -> (Self, Vec<Record>) {
        let mut journals = Self::default();
        let mut found = Vec::new();
        for number in 0..MOST {
            let is_left = name(folder, number).is_dir();
            if !is_left && journals.own.is_some() {
                continue;
            }
            match open(folder, number, config) {
                Ok(left) => {
                    found.extend(journals.add(left));
                    journals.own.get_or_insert(number);
                }
                Err(error) if error.is_in_use() => {}
                // What is in it waits for another start. The next one may be fine.
                Err(error @ journal::OpenError::Marks { .. }) => {
                    tracing::error!("extensions.artifact_store.catalog.directory: {error}");
                }
                Err(error) => {
                    if journals.own.is_none() {
                        tracing::warn!(
                            "extensions.artifact_store.catalog.directory: {error}. What is not in \
                             the catalog yet waits in memory: requests with files wait until the store has \
                             it, and where it takes none, what waits is lost where slimspan is killed"
                        );
                    }
                    break;
                }
            }
        }
        (journals, found)
    }

    /// One journal on a disk with faults.
    #[cfg(test)]
    pub(super) fn on(disk: &FaultyDisk, folder: &Path, config: &CatalogConfig) -> Self {
        let opened = Journal::open_on(Arc::new(disk.clone()), folder, options(config));
        let journal = opened.map(|(journal, _)| journal);
        Self {
            own: journal.is_ok().then_some(0),
            open: journal.into_iter().map(|journal| (0, journal)).collect(),
        }
    }

    /// Which it has.
    pub(super) fn numbers(&self) -> Vec<usize> {
        self.open.keys().copied().collect()
    }

    /// Has one more; returns what is in it.
    pub(super) fn add(&mut self, left: Left) -> Vec<Record> {
        self.open.insert(left.number, left.journal);
        left.records
    }

    /// The one to write to.
    pub(super) fn own(&self) -> Option<(usize, Journal)> {
        let own = self.own?;
        Some((own, self.open.get(&own)?.clone()))
    }

    pub(super) fn get(&self, number: usize) -> Option<Journal> {
        self.open.get(&number).cloned()
    }
}

/// A journal with what an earlier process left in it.
pub(super) struct Left {
    number: usize,
    journal: Journal,
    records: Vec<Record>,
}

/// Opens those that others left, beside the ones that this process `has`.
pub(super) fn left_in(folder: &Path, config: &CatalogConfig, has: &[usize]) -> Vec<Left> {
    let numbers = (0..MOST).filter(|number| !has.contains(number));
    let left = numbers.filter(|number| name(folder, *number).is_dir());
    // Those that somebody has are none of ours.
    left.filter_map(|number| open(folder, number, config).ok())
        .collect()
}

/// The folders of those that are there, whoever has them.
pub(in super::super) fn journals_in(folder: &Path) -> Vec<PathBuf> {
    let all = (0..MOST).map(|number| name(folder, number));
    all.filter(|path| path.is_dir()).collect()
}

fn options(config: &CatalogConfig) -> Options {
    Options {
        segment_bytes: SEGMENT,
        max_bytes: config.max_bytes.as_u64(),
        // What is kept for people to look at takes no more than what waits.
        max_damaged_bytes: config.max_bytes.as_u64(),
        fsync: true,
    }
}

fn open(folder: &Path, number: usize, config: &CatalogConfig) -> Result<Left, journal::OpenError> {
    let (journal, found) = Journal::open(&name(folder, number), options(config))?;
    let mut records = Vec::new();
    for entry in found.entries {
        // Which artifacts were in the spool then stands in the lines.
        let lines = journal.read_blocking(&entry).unwrap_or_default();
        let (entries, _) = from_lines(&lines);
        let recorded = entries.iter().map(|of| of.recorded).max();
        let spooled = entries.into_iter().filter(|of| of.state == State::Spooled);
        let waits = spooled.filter_map(|of| Some((of.tenant, of.digest?)));
        records.push(Record {
            home: Home::Journal { number, entry },
            len: entry.len(),
            waits: waits.collect(),
            recorded: recorded.unwrap_or_default(),
            since: Instant::now(),
            is_awaited: false,
        });
    }
    Ok(Left {
        number,
        journal,
        records,
    })
}

fn name(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("journal-{number}"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs;

    use super::*;

    /// Without its marks, all that is in the bucket already would be put there again.
    #[tokio::test]
    async fn a_journal_of_which_the_marks_cannot_be_read_is_left_for_another_start() {
        let folder = tempfile::tempdir().unwrap();
        let config = CatalogConfig::default();
        let (journals, _) = Journals::open(folder.path(), &config);
        drop(journals);
        let marks = name(folder.path(), 0).join("marks");
        let _ = fs::remove_file(&marks);
        fs::create_dir(&marks).unwrap();
        let (journals, found) = Journals::open(folder.path(), &config);
        assert_eq!(journals.own().map(|(number, _)| number), Some(1));
        assert!(found.is_empty() && marks.is_dir());
        fs::remove_dir(&marks).unwrap();
        let left = left_in(folder.path(), &config, &journals.numbers());
        assert_eq!(left.len(), 1);
    }
}
