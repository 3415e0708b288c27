#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::OpenOptions;

use super::super::config::RotationConfig;
use super::*;

fn config(folder: &tempfile::TempDir) -> FileConfig {
    FileConfig::new(folder.path().join("telemetry.json"))
}

fn names(folder: &tempfile::TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

const A: &str = "{\"resourceSpans\":[1]}\n";
const B: &str = "{\"resourceLogs\":[2]}\n";
const C: &str = "{\"resourceLogs\":[3]}\n";

#[test]
fn what_is_torn_goes_and_what_is_whole_stays() {
    let torn = "{\"resourceSpans\":[4";
    let zeros = "\0\0\0";
    for (before, after, moved) in [
        (String::new(), B.to_owned(), None),
        (A.to_owned(), [A, B].concat(), None),
        ([A, torn].concat(), [A, B].concat(), Some(torn)),
        (torn.to_owned(), B.to_owned(), Some(torn)),
        // All but the end of the line, as some editors leave it.
        (A.trim_end().to_owned(), [A, B].concat(), None),
        // What a power cut leaves of what had not come to the disk.
        ([A, zeros].concat(), [A, B].concat(), None),
        (zeros.to_owned(), B.to_owned(), None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        config.fsync = true;
        fs::write(&config.path, &before).unwrap();
        let mut output = Output::open(&config, Arc::default()).unwrap();
        output.append(B.as_bytes()).unwrap();
        let text = fs::read_to_string(&config.path).unwrap();
        assert_eq!(text, after, "{before:?}");
        let names = names(&folder);
        let kept = names.iter().find(|name| name.contains(".json.torn-2"));
        let kept = kept.map(|name| fs::read_to_string(folder.path().join(name)).unwrap());
        assert_eq!(kept.as_deref(), moved, "{before:?}");
    }
}

#[test]
fn a_damaged_file_is_kept_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.format = Format::Proto;
    let record = b"\0\0\0\x04\x0a\x02\x08\x01";
    let mut damaged = record.repeat(3);
    damaged[8] = 0xff;
    fs::write(&config.path, &damaged).unwrap();
    let mut output = Output::open(&config, Arc::default()).unwrap();
    output.append(record).unwrap();
    assert_eq!(fs::read(&config.path).unwrap(), record);
    let names = names(&folder);
    let kept = names.iter().find(|name| name.contains(".json.damaged-2"));
    assert_eq!(
        fs::read(folder.path().join(kept.unwrap())).unwrap(),
        damaged
    );
}

#[test]
fn a_file_of_something_else_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    for append in [true, false] {
        config.append = append;
        for (format, content) in [
            (Format::Json, &b"\x00\x01\x00\x00\x0a"[..]),
            (Format::Json, b"hello"),
            (Format::Json, b"{\n  \"resourceSpans\": []\n}"),
            (Format::Proto, A.as_bytes()),
            (Format::Proto, b"hello"),
        ] {
            config.format = format;
            fs::write(&config.path, content).unwrap();
            let error = Output::open(&config, Arc::default())
                .unwrap_err()
                .to_string();
            assert!(error.contains("holds something else"), "{error}");
            assert_eq!(fs::read(&config.path).unwrap(), content);
        }
    }
    config.format = Format::Json;
    fs::write(&config.path, A).unwrap();
    let mut output = Output::open(&config, Arc::default()).unwrap();
    output.append(B.as_bytes()).unwrap();
    assert_eq!(fs::read_to_string(&config.path).unwrap(), B);
}

#[test]
fn nothing_is_written_to_a_foreign_file_that_takes_the_place() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let mut output = Output::open(&config, Arc::default()).unwrap();
    output.append(A.as_bytes()).unwrap();
    fs::rename(&config.path, folder.path().join("moved")).unwrap();
    fs::write(&config.path, "hello").unwrap();
    for _ in 0..3 {
        output.append(B.as_bytes()).unwrap_err();
        assert_eq!(fs::read_to_string(&config.path).unwrap(), "hello");
    }
    fs::remove_file(&config.path).unwrap();
    output.append(B.as_bytes()).unwrap();
    assert_eq!(fs::read_to_string(&config.path).unwrap(), B);
}

#[test]
fn a_file_that_was_cut_from_outside_gets_no_zeros() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let mut output = Output::open(&config, Arc::default()).unwrap();
    output.append(A.as_bytes()).unwrap();
    let cut = || {
        let file = OpenOptions::new().write(true).open(&config.path).unwrap();
        file.set_len(0).unwrap();
    };
    cut();
    // As after a write that failed.
    output.is_torn = true;
    output.append(B.as_bytes()).unwrap();
    assert_eq!(fs::read_to_string(&config.path).unwrap(), B);
    cut();
    assert!(output.cut().is_err(), "in the middle of a write");
    assert_eq!(fs::metadata(&config.path).unwrap().len(), 0);
    output.append(C.as_bytes()).unwrap();
    assert_eq!(fs::read_to_string(&config.path).unwrap(), C);
}

#[test]
fn a_sync_that_failed_has_failed_until_the_file_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.fsync = true;
    let mut output = Output::open(&config, Arc::default()).unwrap();
    output.append(A.as_bytes()).unwrap();
    output.has_failed_to_sync = true;
    assert!(output.sync().is_err());
    assert!(output.sync().is_err());
    output.append(B.as_bytes()).unwrap();
    output.sync().unwrap();
    let text = fs::read_to_string(&config.path).unwrap();
    assert_eq!(text, [A, B].concat());
    assert!(
        Output::open(&config, Arc::default()).is_err(),
        "it is locked again"
    );
}

#[test]
fn a_record_that_does_not_fit_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let mut output = Output::open(&config, Arc::default()).unwrap();
    output.append(A.as_bytes()).unwrap();
    // A disk that fails in the middle of a record.
    output.file.write_all(b"{\"torn").unwrap();
    output.is_torn = true;
    output.append(B.as_bytes()).unwrap();
    let text = fs::read_to_string(&config.path).unwrap();
    assert_eq!(text, [A, B].concat());
    // One that is read-only for this process.
    output.file = File::open(&config.path).unwrap();
    assert!(output.append(C.as_bytes()).is_err());
    assert!(output.is_torn);
    output.file = OpenOptions::new().append(true).open(&config.path).unwrap();
    output.append(C.as_bytes()).unwrap();
    let text = fs::read_to_string(&config.path).unwrap();
    assert_eq!(text, [A, B, C].concat());
}

#[test]
fn a_file_has_one_writer() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let one = Output::open(&config, Arc::default()).unwrap();
    let error = Output::open(&config, Arc::default()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    drop(one);
    Output::open(&config, Arc::default()).unwrap();
}

#[test]
fn a_folder_is_made_only_where_that_is_wanted() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = FileConfig::new(folder.path().join("a/b/telemetry.json"));
    let error = Output::open(&config, Arc::default())
        .unwrap_err()
        .to_string();
    assert!(error.contains("create_directory"), "{error}");
    config.create_directory = true;
    config.directory_permissions = Some(0o700);
    Output::open(&config, Arc::default()).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let made = fs::metadata(folder.path().join("a/b")).unwrap();
        assert_eq!(made.permissions().mode() & 0o777, 0o700);
    }
}

#[test]
fn what_was_renamed_or_deleted_from_outside_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let mut output = Output::open(&config, Arc::default()).unwrap();
    output.append(b"{\"a\":1}\n").unwrap();
    fs::rename(&config.path, folder.path().join("moved")).unwrap();
    output.append(b"{\"b\":2}\n").unwrap();
    fs::remove_file(&config.path).unwrap();
    output.append(b"{\"c\":3}\n").unwrap();
    assert_eq!(fs::read(&config.path).unwrap(), b"{\"c\":3}\n");
    assert_eq!(
        fs::read(folder.path().join("moved")).unwrap(),
        b"{\"a\":1}\n"
    );
}

#[test]
fn a_full_file_makes_room_and_old_ones_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    let rotation = RotationConfig {
        max_megabytes: 1,
        max_backups: 3,
        ..RotationConfig::default()
    };
    config.rotation = Some(rotation);
    // Neither is a renamed one.
    for other in ["telemetry-2020.json", "other-2020-01-02T03-04-05.678.json"] {
        fs::write(folder.path().join(other), "kept").unwrap();
    }
    let mut output = Output::open(&config, Arc::default()).unwrap();
    let record = |number: u8| [vec![number; 400_000], vec![b'\n']].concat();
    let numbers = b'a'..=b'l';
    for number in numbers.clone() {
        output.append(&record(number)).unwrap();
    }
    // Two to a file: six files, of which the last is open and three are kept.
    let names = names(&folder);
    let renamed = |name: &&String| name.starts_with("telemetry-2") && name.len() > 30;
    let renamed: Vec<_> = names.iter().filter(renamed).collect();
    assert_eq!(renamed.len(), 3, "{names:?}");
    assert_eq!(names.len(), 6, "{names:?}");
    let paths = renamed.iter().map(|name| folder.path().join(name));
    let paths: Vec<_> = paths.chain([config.path.clone()]).collect();
    let all = paths.iter().flat_map(|path| fs::read(path).unwrap());
    let expected: Vec<u8> = numbers.skip(4).flat_map(record).collect();
    assert!(all.eq(expected), "in the order of their names");
    // What is larger than a file may be has one of its own.
    output.append(&vec![b'x'; 3 << 20]).unwrap();
    assert_eq!(fs::metadata(&config.path).unwrap().len(), 3 << 20);
}
