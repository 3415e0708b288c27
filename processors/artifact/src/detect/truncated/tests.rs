use super::*;

/// Data that no structure is in, and no end of one.
fn data(len: usize) -> Vec<u8> {
    (0..len).map(|n| (n % 97) as u8 | 0x80).collect()
}

fn png_file() -> Vec<u8> {
    let chunk = |kind: &[u8], data: &[u8]| {
        [&(data.len() as u32).to_be_bytes()[..], kind, data, &[0; 4]].concat()
    };
    [
        &b"\x89PNG\r\n\x1a\n"[..],
        &chunk(b"IHDR", &[1; 13]),
        &chunk(b"IDAT", &data(300)),
        &chunk(b"IDAT", &data(300)),
        &chunk(b"IEND", b""),
    ]
    .concat()
}

fn jpeg_file() -> Vec<u8> {
    let segment = |kind: u8, data: &[u8]| {
        let len = data.len() as u16 + 2;
        [&[0xff, kind][..], &len.to_be_bytes(), data].concat()
    };
    // A preview in a segment ends like a picture.
    let preview = [&data(100)[..], b"\xff\xd9", &data(100)].concat();
    [
        &b"\xff\xd8"[..],
        &segment(0xe0, b"JFIF\0"),
        &segment(0xe1, &preview),
        &segment(0xda, &[0; 10]),
        &data(500),
        b"\xff\xd9",
    ]
    .concat()
}

fn gif_file() -> Vec<u8> {
    let blocks = |data: &[u8]| {
        let mut blocks = Vec::new();
        for block in data.chunks(255) {
            blocks.push(block.len() as u8);
            blocks.extend_from_slice(block);
        }
        blocks.push(0);
        blocks
    };
    [
        // A table of four colours for all, and one of two for the picture.
        &b"GIF89a\x01\0\x01\0\x81\0\0"[..],
        &[7; 12],
        b"\x21\xfe",
        &blocks(b"a comment"),
        b"\x2c\0\0\0\0\x01\0\x01\0\x80",
        &[7; 6],
        b"\x02",
        &blocks(&data(600)),
        b"\x3b",
    ]
    .concat()
}

fn riff_file(kind: &[u8], chunk: &[u8]) -> Vec<u8> {
    let data = data(600);
    let size = |len: usize| (len as u32).to_le_bytes();
    [
        &b"RIFF"[..],
        &size(data.len() + 12),
        kind,
        chunk,
        &size(data.len()),
        &data,
    ]
    .concat()
}

fn pdf_file() -> Vec<u8> {
    let stream = data(600);
    [
        &b"%PDF-1.7\n1 0 obj\n<<>>stream\n"[..],
        &stream,
        b"\nendstream\nendobj\n%%EOF\n",
    ]
    .concat()
}

fn zip_file() -> Vec<u8> {
    let mut header = [0; 30];
    header[..4].copy_from_slice(b"PK\x03\x04");
    header[26] = 5;
    [&header[..], b"a.txt", &data(600), b"PK\x05\x06", &[0; 18]].concat()
}

fn mp4_file(brand: &[u8]) -> Vec<u8> {
    let sized = |kind: &[u8], data: &[u8]| {
        [&(data.len() as u32 + 8).to_be_bytes()[..], kind, data].concat()
    };
    let long = |kind: &[u8], data: &[u8]| {
        let len = data.len() as u64 + 16;
        [&1_u32.to_be_bytes()[..], kind, &len.to_be_bytes(), data].concat()
    };
    [
        sized(b"ftyp", brand),
        sized(b"moov", &data(200)),
        long(b"mdat", &data(400)),
    ]
    .concat()
}

#[test]
fn a_file_is_cut_wherever_it_is_cut() {
    for file in [
        png_file(),
        jpeg_file(),
        gif_file(),
        riff_file(b"WEBP", b"VP8 "),
        riff_file(b"WAVE", b"fmt "),
        riff_file(b"AVI ", b"LIST"),
        pdf_file(),
        zip_file(),
        mp4_file(b"isom"),
        mp4_file(b"M4A "),
        mp4_file(b"qt  "),
        mp4_file(b"heic"),
        mp4_file(b"avif"),
    ] {
        let kind = magic::distinctive(&file).unwrap();
        assert!(!is_cut(&file), "{kind}");
        for tenth in 1..10 {
            let cut = &file[..file.len() * tenth / 10];
            assert!(is_cut(cut), "{tenth} tenths of {kind}");
        }
        // The last byte is part of it, but for the line break of a PDF, and where the length may be
        // that of the whole file.
        let last = match kind {
            "application/pdf" => file.len() - 2,
            _ if file.starts_with(b"RIFF") => file.len() - 9,
            _ => file.len() - 1,
        };
        if kind != "application/zip" {
            assert!(is_cut(&file[..last]) || kind == "image/gif", "{kind}");
        }
    }
}

#[test]
fn what_only_begins_like_a_file_is_not_cut() {
    for magic in [
        &b"\x89PNG\r\n\x1a\n"[..],
        b"\xff\xd8\xff",
        b"GIF89a",
        b"RIFF\xff\xff\0\0WEBP",
        b"RIFF\xff\xff\0\0WAVE",
        b"RIFF\xff\xff\0\0AVI ",
        b"%PDF-1.7",
        b"PK\x03\x04",
        b"\0\0\0\x10ftypisom\0\0\0\0",
        b"OggS",
        b"\x1f\x8b\x08",
    ] {
        let fake = [magic, &data(600)].concat();
        assert!(!is_cut(&fake), "{}", magic.escape_ascii());
    }
    // A stream was written before its length was known.
    let mut stream = riff_file(b"WAVE", b"fmt ");
    stream[4..8].fill(0xff);
    assert!(!is_cut(&stream));
}

#[test]
fn a_riff_of_another_length_is_damaged() {
    let file = riff_file(b"WAVE", b"fmt ");
    assert!(!is_damaged(&file));
    assert!(!is_damaged(&[&file[..], b"\0"].concat()), "padding");
    assert!(is_damaged(&file[..file.len() - 1]));
    assert!(is_damaged(&[&file[..], b"\0\0"].concat()));
    assert!(is_damaged(b"RIFF\0"));
    assert!(!is_damaged(&png_file()));
}

/// Files that encoders wrote.
const WRITTEN: [(&str, &[u8]); 10] = [
    ("sound.mp3", include_bytes!("files/sound.mp3")),
    ("sound.opus", include_bytes!("files/sound.opus")),
    ("sound.flac", include_bytes!("files/sound.flac")),
    ("sound.webm", include_bytes!("files/sound.webm")),
    ("live.webm", include_bytes!("files/live.webm")),
    ("sound.aiff", include_bytes!("files/sound.aiff")),
    ("picture.bmp", include_bytes!("files/picture.bmp")),
    ("picture.tiff", include_bytes!("files/picture.tiff")),
    ("strips.tiff", include_bytes!("files/strips.tiff")),
    ("changed.pdf", include_bytes!("files/changed.pdf")),
];

#[test]
fn what_an_encoder_wrote_is_cut_nearly_wherever_it_is_cut() {
    for (name, file) in WRITTEN {
        assert!(!is_cut(file), "{name}");
        // A cut where a frame, page or element ends leaves a shorter one of those, and in the last
        // frame of a FLAC and the last strip of a TIFF none is seen.
        let places = 400..file.len() - 200.min(file.len() / 2);
        let seen = places.clone().filter(|at| is_cut(&file[..*at])).count();
        let places = places.len();
        assert!(seen * 100 >= places * 95, "{name}: {seen} of {places}");
    }
}

#[test]
fn what_stands_behind_a_whole_file_makes_no_cut_one_of_it() {
    let boxes = [&b"isom"[..], b"M4A ", b"qt  ", b"heic", b"avif"].map(mp4_file);
    let boxes = boxes.iter().map(|file| ("boxes", file.as_slice()));
    for (name, file) in WRITTEN.into_iter().chain(boxes) {
        for behind in [
            &b"\0"[..],
            &[0; 4],
            &[0; 40],
            b"TAG and more",
            b"\n",
            b"<html>",
            b"<html></html>",
            b"\x7f\xff\xff\xfftext",
        ] {
            let with = behind.escape_ascii();
            assert!(!is_cut(&[file, behind].concat()), "{name} with {with}");
        }
    }
}

#[test]
fn wrong_lengths_that_writers_are_known_for_prove_nothing() {
    let file = |name: &str| {
        let (_, file) = WRITTEN.iter().find(|(known, _)| *known == name).unwrap();
        file.to_vec()
    };
    let mut bmp = file("picture.bmp");
    bmp[2..6].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(!is_cut(&bmp), "a length that is too large");
    let most = [u32::MAX, (1 << 31) + 1, (1 << 31) - 1];
    for (at, number) in [10, 18, 22].into_iter().zip(most) {
        bmp[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    bmp[28] = 32;
    assert!(!is_cut(&bmp), "a picture that no number counts");
    let mut flac = file("sound.flac");
    flac[21] &= 0xf0;
    flac[22..26].fill(0);
    assert!(!is_cut(&flac[..flac.len() / 2]), "unknown samples");
    let mut aiff = file("sound.aiff");
    aiff[4..8].fill(0xff);
    assert!(!is_cut(&aiff), "a stream");
    let mut aiff = file("sound.aiff");
    let len = aiff.len() as u32;
    aiff[4..8].copy_from_slice(&len.to_be_bytes());
    assert!(!is_cut(&aiff), "the length of the whole file");
    let mut wav = riff_file(b"WAVE", b"fmt ");
    let len = wav.len() as u32;
    wav[4..8].copy_from_slice(&len.to_le_bytes());
    assert!(!is_cut(&wav), "the length of the whole file");
}

/// No number in a file leads anywhere it must not, or keeps a core busy.
#[test]
fn nothing_in_a_file_is_taken_on_trust() {
    for (_, file) in WRITTEN {
        for at in 0..file.len().min(600) {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = file.to_vec();
                bytes[at] = byte;
                is_cut(&bytes);
                bytes[at..file.len().min(at + 8)].fill(byte);
                is_cut(&bytes);
            }
        }
    }
}

/// A directory of as many `entries`, all of which share the numbers behind it, and what follows it.
fn tiff_directory(entries: &[(u16, u16, u32, u32)], next: u32) -> Vec<u8> {
    let mut directory = (entries.len() as u16).to_le_bytes().to_vec();
    for (tag, kind, count, value) in entries {
        directory.extend_from_slice(&tag.to_le_bytes());
        directory.extend_from_slice(&kind.to_le_bytes());
        directory.extend_from_slice(&count.to_le_bytes());
        directory.extend_from_slice(&value.to_le_bytes());
    }
    directory.extend_from_slice(&next.to_le_bytes());
    directory
}

fn tiff_file(directory: &[u8], data: &[u8]) -> Vec<u8> {
    [b"II*\0\x08\0\0\0", directory, data].concat()
}

#[test]
fn numbers_that_directories_of_a_tiff_share_are_not_read_over_and_over() {
    let numbers = 20_000;
    for tag in [273, 279, 324, 325] {
        let entries = 2_000;
        let at = 8 + 2 + entries * 12 + 4;
        let shared = vec![(tag, 3, numbers, at); entries as usize];
        let data = vec![0; numbers as usize * 2];
        let file = tiff_file(&tiff_directory(&shared, 0), &data);
        assert_eq!(tiff::is_cut(&file), None, "{tag}");
        // Each once is what a file has.
        let file = tiff_file(&tiff_directory(&[(tag, 3, numbers, 26)], 0), &data);
        assert_eq!(tiff::is_cut(&file), Some(false), "{tag}");
    }
}

#[test]
fn a_directory_of_a_tiff_is_not_read_again() {
    let width = (256, 3, 1, 1);
    let file = tiff_file(&tiff_directory(&[width], 8), &[0; 4000]);
    assert_eq!(tiff::is_cut(&file), None);
    let second = tiff_directory(&[width], 0);
    let file = tiff_file(&tiff_directory(&[width], 8 + 18), &second);
    assert_eq!(tiff::is_cut(&file), Some(false));
}

#[test]
fn a_strip_that_is_not_compressed_is_as_long_as_its_picture() {
    // Ten rows of eight pixels in three bytes, whose directory tells more.
    let strip = |compression, photometric| {
        let start = 8 + 2 + 8 * 12 + 4 + 6;
        let entries = [
            (256, 3, 1, 8),
            (257, 3, 1, 10),
            (258, 3, 3, start - 6),
            (259, 3, 1, compression),
            (262, 3, 1, photometric),
            (273, 4, 1, start),
            (277, 3, 1, 3),
            (279, 4, 1, 500),
        ];
        let data = [&[8, 0, 8, 0, 8, 0][..], &data(240)].concat();
        tiff_file(&tiff_directory(&entries, 0), &data)
    };
    let whole = strip(1, 2);
    assert!(!is_cut(&whole));
    assert!(is_cut(&whole[..whole.len() - 1]));
    let subsampled = strip(1, 6);
    assert!(!is_cut(&subsampled[..subsampled.len() - 1]));
    assert!(is_cut(&strip(5, 2)), "nothing but the length tells");
}

/// A FLAC of one frame of `samples` samples that are all the same.
fn silent_flac(samples: u8) -> Vec<u8> {
    let mut info = [0; 34];
    info[1] = 192;
    info[3] = 192;
    // 44.1 kHz, one channel, 16 bits.
    info[10..14].copy_from_slice(&[0x0a, 0xc4, 0x40, 0xf0]);
    info[17] = samples;
    // 192 samples, as the information says; its number; a subframe of one value; a CRC at the end.
    let frame = [0xff, 0xf8, 0x10, 0, 0, 0x28, 0, 0, 0, 0, 0];
    [&b"fLaC\x80\0\0\x22"[..], &info, &frame].concat()
}

#[test]
fn a_frame_of_silence_is_a_whole_one() {
    let file = silent_flac(192);
    assert!(!is_cut(&file));
    for left in 0..6 {
        assert!(is_cut(&file[..42 + left]), "{left} bytes of the frame");
    }
    // Another way to number blocks, and no frame at all.
    for other in [b"\xff\xf9", b"TA"] {
        let mut file = file.clone();
        file[42..44].copy_from_slice(other);
        assert!(!is_cut(&file));
    }
}
