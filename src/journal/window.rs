use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::disk::{Disk, Reading};
use super::format::Crc;

/// How much of a file is in memory at a time.
const CAPACITY: usize = 256 * 1024;

/// A file, looked at through a buffer, as long as it was when it was opened.
pub(super) struct Window {
    file: Box<dyn Reading>,
    len: u64,
    buffer: Vec<u8>,
    start: u64,
}

impl Window {
    pub(super) fn open(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = disk.open(path)?;
        let len = file.size()?;
        Ok(Self {
            file,
            len,
            buffer: Vec::new(),
            start: 0,
        })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// `wanted` bytes from `offset` on, fewer where the file ends earlier.
    pub(super) fn at(&mut self, offset: u64, wanted: usize) -> io::Result<&[u8]> {
        let wanted = self.up_to_the_end(offset, wanted.min(CAPACITY));
        if self.buffered(offset).len() < wanted {
            self.fill(offset)?;
        }
        let found = self.buffered(offset);
        Ok(found.get(..wanted).unwrap_or(found))
    }

    /// Some bytes from `offset` on, none only at the end.
    pub(super) fn some(&mut self, offset: u64) -> io::Result<&[u8]> {
        if self.buffered(offset).is_empty() && offset < self.len {
            self.fill(offset)?;
        }
        Ok(self.buffered(offset))
    }

    /// The CRC-32C of `len` bytes from `offset` on, all of which are there.
    pub(super) fn crc(&mut self, offset: u64, len: u64) -> io::Result<u32> {
        let mut sum = Crc::new();
        self.each(offset, len, |bytes| {
            sum.add(bytes);
            Ok(())
        })?;
        Ok(sum.sum())
    }

    /// Gives `len` bytes from `offset` on, all of which are there, one part after the other.
    pub(super) fn each(
        &mut self,
        mut offset: u64,
        len: u64,
        mut give: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let end = offset + len;
        while offset < end {
            let left = usize::try_from(end - offset).unwrap_or(usize::MAX);
            let bytes = self.some(offset)?;
            let bytes = bytes.get(..left).unwrap_or(bytes);
            if bytes.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            give(bytes)?;
            offset += bytes.len() as u64;
        }
        Ok(())
    }

    fn up_to_the_end(&self, offset: u64, wanted: usize) -> usize {
        let left = self.len.saturating_sub(offset);
        wanted.min(usize::try_from(left).unwrap_or(usize::MAX))
    }

    fn buffered(&self, offset: u64) -> &[u8] {
        let begin = offset.checked_sub(self.start);
        let begin = begin.and_then(|begin| usize::try_from(begin).ok());
        begin
            .and_then(|begin| self.buffer.get(begin..))
            .unwrap_or_default()
    }

    fn fill(&mut self, offset: u64) -> io::Result<()> {
        let wanted = self.up_to_the_end(offset, CAPACITY);
        self.buffer.clear();
        self.start = offset;
        self.file.seek(SeekFrom::Start(offset))?;
        self.buffer.reserve_exact(wanted);
        let file = &mut self.file;
        let read = file.take(wanted as u64).read_to_end(&mut self.buffer)?;
        if read < wanted {
            // Somebody cut it meanwhile.
            self.len = offset + read as u64;
        }
        Ok(())
    }
}
