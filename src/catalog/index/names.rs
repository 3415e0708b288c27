//! Which entries have a text in the name of their span or of their file.

use memchr::memchr2_iter;
use rusqlite::{Connection, Row};

use super::listing::FEW;

/// So many names are looked for one by one.
const MOST_NAMES: usize = if cfg!(test) { 2 } else { 1_000 };

/// What has a text in one of its names.
pub(super) enum Named {
    /// No entry.
    None,
    /// The entries with these numbers, as SQL lists them.
    Few(String),
    /// More of them than are put in order by themselves: those whose names are among these words. There may be very
    /// many, so no query lists them.
    Many(Words),
}

/// Words, a bit for each: their numbers are counted from 1, and none is left out.
#[derive(Debug, Default)]
pub(super) struct Words {
    bits: Vec<u64>,
}

impl Words {
    fn add(&mut self, word: i64) {
        let Some((place, bit)) = bit(word) else {
            return;
        };
        if place >= self.bits.len() {
            self.bits.resize(place + 1, 0);
        }
        if let Some(bits) = self.bits.get_mut(place) {
            *bits |= bit;
        }
    }

    /// Whether this word is one of them.
    fn have(&self, word: i64) -> bool {
        let bits = bit(word).and_then(|(place, bit)| Some((self.bits.get(place)?, bit)));
        bits.is_some_and(|(bits, bit)| bits & bit != 0)
    }

    /// Whether one of them is the name of the span of a row, or of its file, which stand in these columns.
    pub(super) fn name(&self, row: &Row<'_>, span: usize, file: usize) -> rusqlite::Result<bool> {
        let file = row.get::<_, Option<i64>>(file)?;
        Ok(self.have(row.get(span)?) || file.is_some_and(|file| self.have(file)))
    }
}

/// Where the bit of a word is.
fn bit(word: i64) -> Option<(usize, u64)> {
    let word = usize::try_from(word).ok()?;
    Some((word / 64, 1 << (word % 64)))
}

pub(super) fn with(connection: &Connection, text: &str) -> rusqlite::Result<Named> {
    let (words, first) = words_with(connection, text)?;
    if first.is_empty() {
        return Ok(Named::None);
    }
    if first.len() <= MOST_NAMES
        && let Some(numbers) = few(connection, &listed(&first))?
    {
        return Ok(Named::Few(listed(&numbers)));
    }
    Ok(Named::Many(words))
}

/// The words in which a text is, in any case of ASCII letters, and the first of them, at most one more than are looked
/// for one by one. All are gone through, where what SQL has for this would write each down in small letters first.
fn words_with(connection: &Connection, text: &str) -> rusqlite::Result<(Words, Vec<i64>)> {
    let mut all = connection.prepare("SELECT id, text FROM word")?;
    let mut all = all.query([])?;
    let (mut words, mut first) = (Words::default(), Vec::new());
    while let Some(word) = all.next()? {
        if has(word.get_ref(1)?.as_bytes()?, text.as_bytes()) {
            let word = word.get(0)?;
            words.add(word);
            if first.len() <= MOST_NAMES {
                first.push(word);
            }
        }
    }
    Ok((words, first))
}

/// Whether a part is in a whole, in any case of ASCII letters.
fn has(whole: &[u8], part: &[u8]) -> bool {
    let Some((first, rest)) = part.split_first() else {
        return true;
    };
    let (small, large) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    memchr2_iter(small, large, whole).any(|at| {
        let behind = whole.get(at + 1..at + part.len());
        behind.is_some_and(|behind| behind.eq_ignore_ascii_case(rest))
    })
}

/// The entries with one of these words for a name; none where that are many.
fn few(connection: &Connection, words: &str) -> rusqlite::Result<Option<Vec<i64>>> {
    let named = format!(
        "SELECT number FROM entry INDEXED BY entry_by_span_name WHERE span_name IN ({words}) \
         UNION ALL \
         SELECT number FROM entry INDEXED BY entry_by_file_name \
         WHERE file_name IN ({words}) AND file_name IS NOT NULL LIMIT {FEW}"
    );
    // While very much is read, there are no such indexes.
    let Ok(mut named) = connection.prepare(&named) else {
        return Ok(None);
    };
    let named = named.query_map([], |row| row.get(0))?;
    let named = named.collect::<rusqlite::Result<Vec<i64>>>()?;
    Ok(Some(named).filter(|named| named.len() < FEW))
}

fn listed(numbers: &[i64]) -> String {
    let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
    numbers.join(",")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::super::schema::{LISTINGS, TABLES};
    use super::*;

    /// A hundred thousand of them in a query would be tens of megabytes, whether entries have them or not.
    #[test]
    fn names_of_which_there_are_many_are_not_listed_in_a_query() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(TABLES).unwrap();
        connection.execute_batch(LISTINGS).unwrap();
        let add = |text: &str| {
            connection
                .execute("INSERT INTO word (text) VALUES (?)", [text])
                .unwrap();
            connection.last_insert_rowid()
        };
        let mut reports = Vec::new();
        for number in 0..3 {
            if number == 2 {
                let few = with(&connection, "REPORT").unwrap();
                assert!(matches!(few, Named::Few(_)), "two are looked for");
            }
            reports.push(add(&format!("report-{number}.pdf")));
            // Their bits are far apart.
            for other in 0..100 {
                add(&format!("photo-{number}-{other}.png"));
            }
        }
        let many = match with(&connection, "REPORT").unwrap() {
            Named::Many(words) => Some(words),
            Named::None | Named::Few(_) => None,
        };
        let words = many.unwrap();
        let last = connection.last_insert_rowid();
        let found: Vec<i64> = (-1..=2 * last).filter(|word| words.have(*word)).collect();
        assert_eq!(found, reports);
        assert!(matches!(with(&connection, "absent").unwrap(), Named::None));
    }

    #[test]
    fn a_part_is_found_wherever_it_is_and_however_it_is_written() {
        for (whole, part) in [
            ("Invoice.PDF", "invoice"),
            ("Invoice.PDF", "PDF"),
            ("Invoice.PDF", ".p"),
            ("aab", "ab"),
            ("Größe", "öß"),
            ("x", ""),
            ("", ""),
        ] {
            assert!(has(whole.as_bytes(), part.as_bytes()), "{part} in {whole}");
        }
        for (whole, part) in [("Invoice", "invoices"), ("aa", "ab"), ("Ö", "ö"), ("", "a")] {
            assert!(!has(whole.as_bytes(), part.as_bytes()), "{part} in {whole}");
        }
    }
}
