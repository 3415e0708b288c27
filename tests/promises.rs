//! What the documentation says proves a promise is a test that exists.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

use crate::layers::collect;

/// Names with `::` that are no tests.
const OTHERS: [&str; 3] = [
    "slimspan_artifact::restore",
    "exporters::debug::verbosity",
    "promises::what_can_be_switched_off_stands_where_it_is_said",
];

/// A name as it stands in a document, and where.
struct Named {
    name: String,
    place: String,
}

/// Every name of a test: with `::`, or with words and underscores behind one of these in the same cell.
fn names(document: &Path) -> Vec<Named> {
    let text = fs::read_to_string(document).unwrap();
    let mut names = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut module: Option<String> = None;
        for (index, quoted) in line.split('`').enumerate() {
            if index % 2 == 0 {
                // Another cell.
                if quoted.contains(" | ") {
                    module = None;
                }
                continue;
            }
            let is_word =
                |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:*".contains(c);
            if !quoted.chars().all(is_word) {
                continue;
            }
            let name = if quoted.contains("::") {
                if OTHERS.contains(&quoted) || quoted.split("::").any(str::is_empty) {
                    continue;
                }
                quoted.to_owned()
            } else if quoted.matches('_').count() >= 3
                && let Some(module) = &module
            {
                format!("{module}::{quoted}")
            } else {
                continue;
            };
            module = name.rsplit_once("::").map(|(module, _)| module.to_owned());
            let place = format!("{}:{}", document.display(), number + 1);
            names.push(Named { name, place });
        }
    }
    names
}

/// The text of a module of this name, with those below it; none if there is no such module.
fn module(root: &Path, segments: &[&str]) -> Option<String> {
    let (last, above) = segments.split_last()?;
    let folder = above
        .iter()
        .fold(root.to_owned(), |path, name| path.join(name));
    let (file, below) = (folder.join(format!("{last}.rs")), folder.join(last));
    let mut files: Vec<PathBuf> = file.is_file().then_some(file).into_iter().collect();
    if below.is_dir() {
        collect(&below, &mut files);
    }
    if files.is_empty() {
        // It may stand in the module above.
        let text = module(root, above)?;
        let (_, text) = text.split_once(&format!("mod {last} {{"))?;
        return Some(text.to_owned());
    }
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    Some(texts.collect())
}

/// Whether this is a test, a module with tests, or one that tests are made of.
pub(crate) fn exists(name: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let segments: Vec<_> = name
        .split("::")
        .take_while(|segment| *segment != "*")
        .collect();
    let is_outside = matches!(segments.first(), Some(&("program" | "delivery" | "store")));
    let root = root.join(if is_outside { "tests" } else { "src" });
    if let Some(text) = module(&root, &segments) {
        return is_outside
            || segments.contains(&"tests")
            || text.contains("#[test]")
            || text.contains("#[tokio::test");
    }
    let Some((name, above)) = segments.split_last() else {
        return false;
    };
    let Some(text) = module(&root, above) else {
        return false;
    };
    let Some((before, _)) = text.split_once(&format!("fn {name}()")) else {
        return false;
    };
    // Between its attribute and its name there is no other function.
    let attribute = before.rfind("#[test]").max(before.rfind("#[tokio::test"));
    attribute.is_some_and(|at| !before[at..].contains("\n}"))
}

#[test]
fn every_test_that_the_documentation_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["docs", "docs/sdks"].map(|folder| fs::read_dir(root.join(folder)).unwrap());
    let documents = folders
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path());
    let documents = documents.filter(|path| path.extension().is_some_and(|of| of == "md"));
    let documents = documents.chain([root.join("README.md")]);
    let names: Vec<_> = documents.flat_map(|document| names(&document)).collect();
    assert!(names.len() > 100, "{} names", names.len());
    let of_sdks = names.iter().any(|named| named.place.contains("sdks"));
    assert!(of_sdks, "those of the pages about SDKs, too");
    let missing = names.iter().filter(|named| !exists(&named.name));
    let missing: Vec<_> = missing
        .map(|named| format!("{} in {}", named.name, named.place))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
    // And it can tell.
    for name in [
        "program::queue::a_test_that_is_not_there",
        "program::nowhere",
        "refusal::no_tests",
    ] {
        assert!(!exists(name), "{name}");
    }
}

/// Each cell of what happens to a delivery names a test, not only where some are.
#[test]
fn what_is_promised_of_a_delivery_names_its_tests() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/delivery.md");
    let text = fs::read_to_string(path).unwrap();
    let mut cells = 0;
    for head in [
        "| what happens |",
        "| | the answer OK means |",
        "| a queue on disk and |",
    ] {
        let (_, table) = text.split_once(head).unwrap();
        let rows = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        for row in rows {
            let row_cells = row.trim_matches('|').split(" | ").skip(1);
            for cell in row_cells {
                cells += 1;
                let mut quoted = cell.split('`').skip(1).step_by(2);
                let names_one = quoted.any(|name| name.matches('_').count() >= 3);
                assert!(names_one, "no test is named in {cell:?} of {row}");
            }
        }
    }
    assert!(cells > 30, "{cells}");
}

/// A protection can be switched off by an edit that is written down, of what stands there still.
#[test]
fn what_can_be_switched_off_stands_where_it_is_said() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/protections.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let rows = rows.filter(|line| !line.starts_with("| what it is for"));
    let mut count = 0;
    for row in rows {
        count += 1;
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, file, instead_of, write, tests] = cells[..] else {
            panic!("{row} has not five cells");
        };
        let file = root.join(file.trim_matches('`'));
        let source = fs::read_to_string(&file).unwrap_or_else(|_| panic!("no {row}"));
        let stands = instead_of.trim_matches('`');
        assert!(
            source.contains(stands),
            "{} has no {stands}",
            file.display()
        );
        assert!(stands != write.trim_matches('`'), "{row} changes nothing");
        assert!(tests.contains("::"), "{row} names no test");
    }
    assert!(count > 40, "{count}");
}

/// The names of the rows that a file measures, with their promises; what a format fills in stands in braces.
fn measured(file: &Path, text: &str) -> Vec<(String, String)> {
    let is_journal = file.to_string_lossy().contains("src/journal/");
    let calls = text.split("measured(").skip(1);
    let calls = calls.filter_map(|call| {
        let mut quoted = call.split('"');
        let (before, first, between, second) = (
            quoted.next()?,
            quoted.next()?,
            quoted.next()?,
            quoted.next()?,
        );
        if !before.trim().is_empty() {
            // The function itself.
            return None;
        }
        if is_journal {
            return Some(("P7".to_owned(), format!("journal::tests::{first}")));
        }
        let is_literal = between
            .chars()
            .all(|c| c.is_whitespace() || ",&format!(".contains(c));
        assert!(
            is_literal,
            "{}: the name of the row behind {first} is to stand in the call",
            file.display()
        );
        Some((first.to_owned(), second.to_owned()))
    });
    calls.collect()
}

/// Whether a name is what becomes of a text with something in braces.
fn fits(text: &str, name: &str) -> bool {
    let mut pieces = text.split('{').map(|piece| {
        let behind = piece.split_once('}');
        behind.map_or(piece, |(_, behind)| behind)
    });
    let beginning = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(beginning) else {
        return false;
    };
    let mut is_open = false;
    for piece in pieces {
        let Some((_, behind)) = rest.split_once(piece) else {
            return false;
        };
        (rest, is_open) = (behind, piece.is_empty());
    }
    is_open || rest.is_empty()
}

/// A test that is skipped leaves its row out: `make soak` knows which rows there have to be, also those of a test
/// that was written today.
#[test]
fn every_row_that_is_measured_stands_among_those_of_the_soak() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("tests/tools/rows.txt")).unwrap();
    let soak = fs::read_to_string(root.join("tests/tools/soak.sh")).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    let rows = rows.map(|line| {
        let cells: Vec<&str> = line.split(" | ").collect();
        let ([promise, name] | [promise, name, "mount"]) = cells[..] else {
            panic!("{line:?} is no promise and no test");
        };
        (promise, name)
    });
    let rows: Vec<(&str, &str)> = rows.collect();

    let mut files = Vec::new();
    collect(&root.join("tests"), &mut files);
    collect(&root.join("src/journal/tests"), &mut files);
    let others = ["promises.rs", "measured.rs"];
    files.retain(|file| !others.iter().any(|other| file.ends_with(other)));
    let calls = files.iter().flat_map(|file| {
        let text = fs::read_to_string(file).unwrap();
        measured(file, &text)
    });
    let calls: Vec<(String, String)> = calls.collect();
    assert!(calls.len() > 50, "{} calls", calls.len());

    let is_of =
        |call: &(String, String), row: &(&str, &str)| call.0 == row.0 && fits(&call.1, row.1);
    let unlisted = calls.iter();
    let unlisted = unlisted.filter(|call| !rows.iter().any(|row| is_of(call, row)));
    let unlisted: Vec<_> = unlisted.collect();
    assert!(
        unlisted.is_empty(),
        "not in tests/tools/rows.txt: {unlisted:#?}"
    );
    // Some are made by the soak itself.
    let is_its_own = |name: &str| soak.contains(name.split(':').next().unwrap_or(name));
    let gone = rows.iter();
    let gone = gone.filter(|row| !calls.iter().any(|call| is_of(call, row)) && !is_its_own(row.1));
    let gone: Vec<_> = gone.collect();
    assert!(gone.is_empty(), "nothing measures {gone:#?}");
    // And it can tell.
    assert!(fits("a, {what:?}", "a, Hang") && fits("{} of {mib} MiB", "one of 63 MiB"));
    assert!(!fits("a, b", "a, bc") && !fits("a file of {mib} MiB", "a file of 63 KiB"));
}

/// The tests in a file that measure something: each by its path, and by its module where that is told by what several
/// of them share.
fn measuring(file: &Path, root: &Path) -> Vec<String> {
    let path = file.strip_prefix(root).unwrap().with_extension("");
    let segments: Vec<_> = path.iter().map(|of| of.to_str().unwrap()).collect();
    let module = segments.join("::");
    let module = module.trim_end_matches("::mod").to_owned();
    let text = fs::read_to_string(file).unwrap();
    let calls = text.match_indices("measured(").filter_map(|(at, _)| {
        let before = &text[..at];
        let function = before.rfind("\nfn ").max(before.rfind("\nasync fn "))?;
        let (head, body) = before.split_at(function);
        let (_, name) = body.split_once("fn ")?;
        let name = name.split(['(', '<']).next()?;
        let attributes = head.rsplit("\n\n").next()?;
        let is_test = |text: &str| text.contains("#[test]") || text.contains("#[tokio::test");
        if is_test(attributes) {
            return Some(format!("{module}::{name}"));
        }
        // What has no tests is for those of other files.
        is_test(&text).then(|| module.clone())
    });
    calls.collect()
}

/// A row that has to be there, and a test that the soak does not run: it could not end well.
#[test]
fn the_soak_runs_what_its_rows_are_measured_by() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let soak = fs::read_to_string(root.join("tools/soak.sh")).unwrap();
    let words: Vec<&str> = soak.split_whitespace().collect();
    let run = words.windows(2).filter(|pair| pair[0] != "--skip");
    let run = run.map(|pair| pair[1]).filter(|word| word.contains("::"));
    let run: Vec<&str> = run.map(|word| word.trim_end_matches("::")).collect();
    let mut files = Vec::new();
    for folder in ["delivery", "program", "store"] {
        collect(&root.join(folder), &mut files);
    }
    let measuring = files.iter().flat_map(|file| measuring(file, &root));
    let measuring: Vec<String> = measuring.collect();
    assert!(measuring.len() > 50, "{} calls", measuring.len());
    let is_run = |of: &String| {
        run.iter()
            .any(|one| of.starts_with(one) || one.starts_with(of.as_str()))
    };
    let left: Vec<_> = measuring.iter().filter(|of| !is_run(of)).collect();
    assert!(left.is_empty(), "not run by tests/tools/soak.sh: {left:#?}");
}
