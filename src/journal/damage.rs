use std::fmt;

/// What was wrong with a journal when it was opened. Everything intact was delivered all the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Damage {
    /// Ends that a crash left half written. Nothing in them was ever acknowledged; they are cut off.
    pub torn_tails: u64,
    /// Places where bytes are damaged, with intact records behind them or not. They are kept in
    /// `quarantine`.
    pub holes: u64,
    /// The bytes in these places.
    pub damaged_bytes: u64,
    /// Records that are known to have been there and are damaged or gone.
    pub lost_records: u64,
    /// Segments that are known to have been there and are not.
    pub missing_segments: u64,
    /// Copies of records that are there already.
    pub duplicate_records: u64,
    /// Segments whose name is another one's.
    pub misnamed_segments: u64,
    /// Segments that cannot be read, or that a later slimspan wrote. They stay as they are.
    pub unreadable_segments: u64,
    /// Places in the file of removals that are damaged; removed records may come again.
    pub damaged_marks: u64,
}

impl Damage {
    /// Whether there is anything that a crash does not explain.
    pub fn is_any(&self) -> bool {
        let harmless = Self {
            torn_tails: self.torn_tails,
            ..Self::default()
        };
        *self != harmless
    }
}

/// All that is not zero, in a line.
impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = [
            ("damaged places", self.holes),
            ("damaged bytes", self.damaged_bytes),
            ("lost records", self.lost_records),
            ("missing segments", self.missing_segments),
            ("duplicate records", self.duplicate_records),
            ("misnamed segments", self.misnamed_segments),
            ("unreadable segments", self.unreadable_segments),
            ("damaged marks", self.damaged_marks),
            ("half-written ends", self.torn_tails),
        ];
        let mut told = told.iter().filter(|(_, count)| *count > 0);
        if let Some((what, count)) = told.next() {
            write!(f, "{what} {count}")?;
        } else {
            f.write_str("none")?;
        }
        told.try_for_each(|(what, count)| write!(f, ", {what} {count}"))
    }
}
