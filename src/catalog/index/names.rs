//! Which entries have a text in the name of their span or of their file.

use memchr::memchr2_iter;
use rusqlite::Connection;

use super::listing::FEW;

/// So many names are looked for one by one.
const MOST_NAMES: usize = if cfg!(test) { 2 } else { 1_000 };

/// What has a text in one of its names.
pub(super) enum Named {
    /// No entry.
    None,
    /// The entries with these numbers, as SQL lists them.
    Few(String),
    /// More of them than are put in order by themselves: those whose names are these words, as SQL lists them.
    Many(String),
}

pub(super) fn with(connection: &Connection, text: &str) -> rusqlite::Result<Named> {
    let words = words_with(connection, text)?;
    if words.is_empty() {
        return Ok(Named::None);
    }
    let list = listed(&words);
    if words.len() <= MOST_NAMES
        && let Some(numbers) = few(connection, &list)?
    {
        return Ok(Named::Few(listed(&numbers)));
    }
    Ok(Named::Many(list))
}

/// The words in which a text is, in any case of ASCII letters. All are gone through, where what SQL has for this
/// would write each down in small letters first.
fn words_with(connection: &Connection, text: &str) -> rusqlite::Result<Vec<i64>> {
    let mut words = connection.prepare("SELECT id, text FROM word")?;
    let (mut words, mut found) = (words.query([])?, Vec::new());
    while let Some(word) = words.next()? {
        if has(word.get_ref(1)?.as_bytes()?, text.as_bytes()) {
            found.push(word.get(0)?);
        }
    }
    Ok(found)
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
mod tests {
    use super::has;

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
