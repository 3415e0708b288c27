//! A catalog such as a month of an AI application leaves.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use slimspan_artifact::Digest;

/// The lines of an object, unless others are asked for: about a mebibyte, as they are put where there is much, or merged.
pub(super) const LINES: u64 = 2_000;

/// Entries for each trace and for each span, and places for each file.
pub(super) const OF_A_TRACE: u64 = 6;
pub(super) const OF_A_SPAN: u64 = 2;
const FILES: u64 = 400_000;

/// What two of nine entries are about: a logo, say, that is in every conversation.
pub(super) const EVERYWHERE: u64 = FILES + 60;

/// Whose the bytes of that are here.
pub(super) const OF_PAGES: &str = "tenant-1";

pub(super) const TYPES: [&str; 10] = [
    "image/png",
    "image/png",
    "image/jpeg",
    "image/png",
    "application/pdf",
    "application/json",
    "text/plain",
    "audio/wav",
    "image/webp",
    "video/mp4",
];

/// Writes so many entries below `store`, with so many `lines` in an object, and returns their bytes.
pub(super) fn write(store: &Path, entries: u64, lines: u64) -> Result<u64, Box<dyn Error>> {
    let objects = entries.div_ceil(lines);
    let mut bytes = 0;
    let mut body = String::new();
    for object in 0..objects {
        body.clear();
        for number in object * lines..((object + 1) * lines).min(entries) {
            line(&mut body, number, entries)?;
        }
        let (date, hour, rest) = moment(object * lines, entries);
        let folder = store.join(format!("catalog/{date}/{hour:02}"));
        fs::create_dir_all(&folder)?;
        let stamp = format!("{}T{hour:02}{rest:04}00.000000Z", date.replace('-', ""));
        fs::write(
            folder.join(format!("{stamp}-00000001-{object:08x}.jsonl")),
            &body,
        )?;
        bytes += body.len() as u64;
    }
    let digest = hex("file", EVERYWHERE, 64);
    let shard = digest.get(..2).unwrap_or_default();
    let folder = store.join(OF_PAGES).join("sha256").join(shard);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(&digest), content(EVERYWHERE))?;
    Ok(bytes)
}

/// Day, hour, and minute and second of an entry: a month of them, evenly.
fn moment(number: u64, entries: u64) -> (String, u64, u64) {
    let second = number * (28 * 86_400) / entries.max(1);
    let date = format!("2026-10-{:02}", second / 86_400 + 1);
    let (minute, rest) = (second % 3_600 / 60, second % 60);
    (date, second % 86_400 / 3_600, minute * 100 + rest)
}

pub(super) fn hex(kind: &str, number: u64, digits: usize) -> String {
    let mut digest = Digest::of(text(kind, number).as_bytes()).to_string();
    digest.truncate(digits);
    digest
}

/// The service of an entry: a few have most of them, and one in fifty has hardly any.
pub(super) fn service(number: u64) -> String {
    let of = match number % 1_000 {
        0 => 49,
        of if of < 500 => of % 3,
        of => of % 49,
    };
    format!("service-{of:02}")
}

/// The bytes of a file: few are large.
pub(super) fn size(number: u64) -> u64 {
    let usual = 10_000 + number * 7_919 % 400_000;
    match number % 50_000 {
        0 => 100_000_000 + number,
        of if of < 50 => 5_000_000 + number,
        _ => usual,
    }
}

/// The file that an entry is about, which comes again and again for a while.
pub(super) fn file(number: u64) -> u64 {
    if number % 9 < 2 || is_referred(number) || is_put(number) {
        return EVERYWHERE;
    }
    number / 5 * 2 % FILES + number % 2
}

/// Whether the sender of an entry stores its file itself.
fn is_referred(number: u64) -> bool {
    number % 5_003 == 1
}

/// Whether an entry tells of a file that was put by itself.
fn is_put(number: u64) -> bool {
    number % 200_000 == 2
}

/// The bytes of a file: its digest is that of them.
fn content(file: u64) -> String {
    text("file", file)
}

fn text(kind: &str, number: u64) -> String {
    format!("{kind} {number}")
}

fn line(body: &mut String, number: u64, entries: u64) -> std::fmt::Result {
    let (date, hour, rest) = moment(number, entries);
    let time = format!(
        "{date}T{hour:02}:{:02}:{:02}.{:06}Z",
        rest / 100,
        rest % 100,
        number % 1_000_000
    );
    let file = file(number);
    let kind = TYPES[usize::try_from(file % 10).unwrap_or_default()];
    let name = match number % 3 {
        0 => format!(
            "\"report-{file}.{}\"",
            kind.rsplit('/').next().unwrap_or("bin")
        ),
        _ => "null".to_owned(),
    };
    let state = match number {
        _ if number.is_multiple_of(5_000) => "dropped",
        _ if is_referred(number) => "referred",
        _ => "stored",
    };
    let signal = match number {
        _ if is_put(number) => "null",
        _ if number.is_multiple_of(11) => "\"logs\"",
        _ => "\"traces\"",
    };
    writeln!(
        body,
        "{{\"id\":\"{}\",\"recorded\":\"{time}\",\"settled\":null,\"time\":\"{time}\",\"tenant\":\"tenant-{}\",\
         \"signal\":{signal},\"service\":\"{}\",\"trace_id\":\"{}\",\"span_id\":\"{}\",\
         \"span_name\":\"chat model-{}\",\"carrier\":\"span\",\"carrier_index\":null,\"event_name\":null,\
         \"attribute\":\"gen_ai.input.messages\",\"path\":\"[{}].parts[1].data\",\"position\":{},\
         \"shape\":\"data_uri\",\"sha256\":\"{}\",\"content_type\":\"{kind}\",\"size_bytes\":{},\
         \"filename\":{name},\"state\":\"{state}\"}}",
        hex("id", number, 32),
        number % 5,
        service(number),
        hex("trace", number / OF_A_TRACE, 32),
        hex("span", number / OF_A_SPAN, 16),
        number % 3_000,
        number % 40,
        number % OF_A_SPAN,
        hex("file", file, 64),
        size(file),
    )
}
