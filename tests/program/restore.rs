//! `slimspan restore`: files come back into captured requests, or it is said which do not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::json;
use slimspan::config::Delivery;
use slimspan::storage::config::StoreConfig;
use slimspan::storage::spool::config::SpoolConfig;
use slimspan::storage::{Spool, Store};
use slimspan_artifact::{Digest, Form, Location, Policy, extract};
use slimspan_proto::Signal;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::references::{files, path_in, references};
use crate::support::slimspan::{command, peak_memory};
use crate::support::{config, frames, otlp, soon};

const FORMS: [Form; 5] = [
    Form::Native,
    Form::Object,
    Form::Uri,
    Form::Semconv,
    Form::Logfire,
];

/// A configuration, its store, and requests whose files are in there.
struct Archive {
    folder: TempDir,
    store: Store,
}

/// A request before and after its files were taken out.
struct Slimmed {
    name: String,
    signal: Signal,
    original: Bytes,
    slim: Bytes,
}

/// What an ended process leaves behind; its output may be protobuf.
struct Restored {
    code: Option<i32>,
    stdout: Vec<u8>,
    stderr: String,
}

impl Archive {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Nothing is sent anywhere.
        let config = config::standard(([127, 0, 0, 1], 9).into());
        fs::write(folder.path().join("collector.yaml"), config.to_string()).unwrap();
        let artifacts = folder.path().join("artifacts");
        let store = Store::open(&StoreConfig::new(artifacts.to_str().unwrap())).unwrap();
        Self { folder, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the file with this digest lies.
    fn artifact(&self, digest: &str) -> PathBuf {
        path_in(&self.path("artifacts"), digest)
    }

    fn policy(&self, form: Form) -> Policy {
        let location = Location::Store(self.store.uri_base().to_owned());
        Policy {
            form,
            ..Policy::new(8 << 10, location)
        }
    }

    async fn slim(&self, name: &str, signal: Signal, original: Bytes, form: Form) -> Slimmed {
        let policy = self.policy(form);
        let extraction = extract(signal, &original, &policy).unwrap();
        self.store.put_all(&extraction.artifacts).await.unwrap();
        Slimmed {
            name: name.to_owned(),
            signal,
            original,
            slim: extraction.request,
        }
    }

    /// What SDKs really sent.
    async fn captures(&self, form: Form) -> Vec<Slimmed> {
        let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
        let mut slimmed = Vec::new();
        for entry in fs::read_dir(captures).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let Some(signal) = Signal::ALL
                .into_iter()
                .find(|signal| name.ends_with(&format!(".{signal}.pb")))
            else {
                continue;
            };
            let original = fs::read(&path).unwrap().into();
            slimmed.push(self.slim(name, signal, original, form).await);
        }
        let changed = slimmed.iter().filter(|one| one.slim != one.original);
        assert!(changed.count() > 20, "the captures hold files");
        slimmed
    }

    /// Two requests with a picture of their own each; the digests of these.
    async fn two(&self) -> ([Slimmed; 2], [String; 2]) {
        let files = [1, 2].map(|seed| otlp::photo(seed, otlp::PHOTO));
        let slim = async |name, file: &[u8]| {
            let request = otlp::span_with(file);
            self.slim(name, Signal::Traces, request, Form::Object).await
        };
        let requests = [
            slim("one.pb", &files[0]).await,
            slim("two.pb", &files[1]).await,
        ];
        (requests, files.map(|file| Digest::of(&file).to_string()))
    }

    /// Runs `slimspan restore` with its configuration.
    async fn restore(&self, arguments: &[&str], stdin: Option<&[u8]>) -> Restored {
        let mut command = command();
        command
            .args(["restore", "--config", "collector.yaml"])
            .args(arguments)
            .current_dir(self.folder.path());
        if stdin.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = command.spawn().unwrap();
        let pipe = child.stdin.take();
        let feed = async {
            if let (Some(mut pipe), Some(bytes)) = (pipe, stdin) {
                // Who has failed already reads no more.
                let _ = pipe.write_all(bytes).await;
            }
        };
        let (output, ()) = tokio::join!(soon("restore ends", child.wait_with_output()), feed);
        let output = output.unwrap();
        Restored {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// As the Collector's file exporter writes them.
fn length_prefixed(requests: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Vec<u8> {
    let mut file = Vec::new();
    for request in requests {
        let request = request.as_ref();
        file.extend(u32::try_from(request.len()).unwrap().to_be_bytes());
        file.extend(request);
    }
    file
}

fn json(signal: Signal, request: &Bytes) -> String {
    let request = request.clone();
    match signal {
        Signal::Traces => {
            serde_json::to_string(&ExportTraceServiceRequest::decode(request).unwrap())
        }
        _ => serde_json::to_string(&ExportLogsServiceRequest::decode(request).unwrap()),
    }
    .unwrap()
}

#[tokio::test]
async fn captures_come_back_byte_for_byte() {
    let archive = Archive::new();
    // Whatever references look like now, those of before are restored too.
    for form in FORMS {
        let captures = archive.captures(form).await;
        fs::create_dir(archive.path("slim")).unwrap();
        let mut arguments = vec!["--output".to_owned(), "out".to_owned()];
        for capture in &captures {
            let file = format!("slim/{}", capture.name);
            fs::write(archive.path(&file), &capture.slim).unwrap();
            arguments.push(file);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = archive.restore(&arguments, None).await;
        assert_eq!(ended.code, Some(0), "{form:?}: {}", ended.stderr);
        assert_eq!(ended.stderr, "");
        for capture in &captures {
            let restored = fs::read(archive.path("out").join(&capture.name)).unwrap();
            assert!(restored == capture.original, "{form:?}: {}", capture.name);
        }
        for folder in ["slim", "out"] {
            fs::remove_dir_all(archive.path(folder)).unwrap();
        }
    }
}

#[tokio::test]
async fn many_requests_in_a_file_stay_apart() {
    let archive = Archive::new();
    let captures = archive.captures(Form::Native).await;
    let originals = length_prefixed(captures.iter().map(|capture| &capture.original));
    // Traces and logs in one file, some of the messages compressed.
    let slim = captures.iter().enumerate().map(|(index, capture)| {
        if index % 2 == 0 {
            capture.slim.to_vec()
        } else {
            frames::compress("zstd", &capture.slim)
        }
    });
    let slim = length_prefixed(slim);
    for input in [slim.clone(), frames::compress("gzip", &slim)] {
        let ended = archive.restore(&[], Some(&input)).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stdout == originals);
    }
}

#[tokio::test]
async fn compressed_files_are_written_plain() {
    let archive = Archive::new();
    let (requests, _) = archive.two().await;
    for (compression, extension) in [("gzip", "gz"), ("zstd", "zst")] {
        let name = format!("one.pb.{extension}");
        let compressed = frames::compress(compression, &requests[0].slim);
        fs::write(archive.path(&name), compressed).unwrap();
        let ended = archive.restore(&[&name, "--output", "out/"], None).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let restored = fs::read(archive.path("out/one.pb")).unwrap();
        assert!(restored == requests[0].original);
        fs::remove_dir_all(archive.path("out")).unwrap();
    }
}

/// The text around what was put back is not touched: unknown members and white space stay.
#[tokio::test]
async fn json_lines_come_back() {
    let archive = Archive::new();
    for form in FORMS {
        let captures = archive.captures(form).await;
        let lines = |request: fn(&Slimmed) -> &Bytes| {
            let mut lines = String::new();
            for capture in &captures {
                let line = json(capture.signal, request(capture));
                let line = line.strip_prefix('{').unwrap();
                lines.push_str("{\"future\": [1.50,  null], ");
                lines.push_str(line);
                lines.push('\n');
            }
            lines
        };
        let (originals, slim) = (lines(|one| &one.original), lines(|one| &one.slim));
        assert!(slim.len() < originals.len() / 2);
        let ended = archive.restore(&["-"], Some(slim.as_bytes())).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stdout == originals.as_bytes(), "{form:?}");
    }
}

#[tokio::test]
async fn json_stands_where_protobuf_may_stand() {
    let archive = Archive::new();
    let (requests, _) = archive.two().await;
    // A document over several lines; alone, and in a file that is otherwise protobuf.
    let pretty: serde_json::Value =
        serde_json::from_str(&json(Signal::Traces, &otlp::plain_span(1))).unwrap();
    let pretty = serde_json::to_string_pretty(&pretty).unwrap();
    let ended = archive.restore(&[], Some(pretty.as_bytes())).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(ended.stdout, format!("{pretty}\n").into_bytes());
    let mixed = length_prefixed([pretty.as_bytes(), &requests[0].slim]);
    let ended = archive.restore(&[], Some(&mixed)).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout == length_prefixed([pretty.as_bytes(), &requests[0].original]));
}

#[tokio::test]
async fn an_empty_file_among_others_is_skipped() {
    let archive = Archive::new();
    let (requests, _) = archive.two().await;
    let text = json(Signal::Traces, &requests[0].slim);
    fs::write(archive.path("one.json"), format!("\n\r\n{text}\n")).unwrap();
    fs::write(archive.path("empty.json"), "").unwrap();
    fs::write(archive.path("two.json"), &text).unwrap();
    for order in [
        ["one.json", "empty.json", "two.json"],
        ["empty.json", "one.json", "two.json"],
    ] {
        let ended = archive.restore(&order, None).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("empty.json is empty, and is skipped"));
        let original = json(Signal::Traces, &requests[0].original) + "\n";
        let restored = String::from_utf8(ended.stdout).unwrap();
        assert!(restored == original.repeat(2));
    }
    // Standard input is one of them.
    let ended = archive.restore(&["one.json", "-"], Some(b"")).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("standard input is empty"));
    let both = archive
        .restore(&["-", "one.json"], Some(text.as_bytes()))
        .await;
    assert_eq!(both.code, Some(0), "{}", both.stderr);
    assert_eq!(both.stdout.len(), 2 * ended.stdout.len());
}

#[tokio::test]
async fn what_cannot_stand_in_one_stream_is_told_before_anything_is_written() {
    let archive = Archive::new();
    let (requests, _) = archive.two().await;
    let text = json(Signal::Traces, &requests[0].slim);
    fs::write(archive.path("one.json"), &text).unwrap();
    fs::write(archive.path("two.pb"), &requests[1].slim).unwrap();
    let slim = &requests[1].slim;
    for (files, stdin) in [
        (["one.json", "two.pb"], None),
        (["one.json", "-"], Some(&slim[..])),
        (["-", "one.json"], Some(&slim[..])),
    ] {
        let ended = archive.restore(&files, stdin).await;
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("different formats")
                || ended.stderr.contains("several requests in protobuf"),
            "{}",
            ended.stderr
        );
        assert_eq!(ended.stdout, b"");
    }
}

#[tokio::test]
async fn a_missing_or_damaged_file_is_named_and_nothing_is_written() {
    let archive = Archive::new();
    let (requests, digests) = archive.two().await;
    let slim = length_prefixed(requests.iter().map(|request| &request.slim));
    fs::write(archive.path("slim.pb"), slim).unwrap();
    let lost = archive.artifact(&digests[1]);
    let arguments = ["slim.pb", "--output", "out/restored.pb"];
    fs::create_dir(archive.path("out")).unwrap();
    let mut damaged = fs::read(&lost).unwrap();
    damaged[100] ^= 1;
    for what in ["has no artifact", "holds damaged bytes as artifact"] {
        if what == "has no artifact" {
            fs::remove_file(&lost).unwrap();
        } else {
            fs::write(&lost, &damaged).unwrap();
        }
        let ended = archive.restore(&arguments, None).await;
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        let store = archive.path("artifacts").display().to_string();
        for told in ["slim.pb, request 2", &digests[1], &store, what] {
            assert!(ended.stderr.contains(told), "{told}: {}", ended.stderr);
        }
        assert_eq!(fs::read_dir(archive.path("out")).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn keep_going_leaves_only_what_cannot_be_had() {
    let archive = Archive::new();
    let (requests, digests) = archive.two().await;
    fs::remove_file(archive.artifact(&digests[0])).unwrap();
    for request in &requests {
        fs::write(archive.path(&request.name), &request.slim).unwrap();
    }
    let arguments = ["--keep-going", "--output", "out", "one.pb", "two.pb"];
    let ended = archive.restore(&arguments, None).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains(&digests[0]), "{}", ended.stderr);
    assert!(!ended.stderr.contains(&digests[1]), "{}", ended.stderr);
    let left = fs::read(archive.path("out/one.pb")).unwrap();
    assert!(left == requests[0].slim);
    let [reference] = <[_; 1]>::try_from(references(Signal::Traces, &left)).unwrap();
    assert_eq!(reference.sha256, digests[0]);
    let restored = fs::read(archive.path("out/two.pb")).unwrap();
    assert!(restored == requests[1].original);
}

/// Of a slimspan that does not run any more, and which a kill may have kept from writing one of them to its end.
#[tokio::test]
async fn what_waits_in_a_spool_comes_back_unless_it_is_half_written() {
    let archive = Archive::new();
    // Where it is unless something else is configured.
    let config = SpoolConfig {
        directory: archive.path("data/spool"),
        ..SpoolConfig::default()
    };
    let spool = Spool::open(&config, "spool".to_owned(), &archive.store).unwrap();
    let spooled = archive.store.clone().with_spool(spool);
    let policy = archive.policy(Form::Object);
    let names = ["one.pb", "two.pb"];
    let originals = [1, 2].map(|seed| otlp::span_with(&otlp::photo(seed, otlp::PHOTO)));
    for (name, original) in names.iter().zip(&originals) {
        let extraction = extract(Signal::Traces, original, &policy).unwrap();
        let kept = spooled.keep_all(&extraction.artifacts, Delivery::Background);
        assert_eq!(kept.await.unwrap().spooled, 1);
        fs::write(archive.path(name), &extraction.request).unwrap();
    }
    drop(spooled);
    let restore = async |folder: &str| {
        let arguments = ["--keep-going", "--output", folder, names[0], names[1]];
        let ended = archive.restore(&arguments, None).await;
        let restored = names.map(|name| fs::read(archive.path(folder).join(name)).unwrap());
        (ended, restored)
    };
    let (ended, restored) = restore("whole").await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(restored == originals);

    let mut segments = files(&config.directory).into_iter();
    let segment = segments.find(|path| path.extension().is_some_and(|of| of == "segment"));
    let segment = segment.unwrap();
    let len = fs::metadata(&segment).unwrap().len() - 1_000;
    let cut = fs::File::options().write(true).open(&segment).unwrap();
    cut.set_len(len).unwrap();
    let (ended, restored) = restore("half").await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let digest = Digest::of(&otlp::photo(2, otlp::PHOTO)).to_string();
    assert!(ended.stderr.contains(&digest), "{}", ended.stderr);
    assert!(restored[0] == originals[0]);
    let slim = fs::read(archive.path(names[1])).unwrap();
    assert!(restored[1] == slim);
    // It is for its owner to repair.
    assert_eq!(fs::metadata(&segment).unwrap().len(), len);
}

/// What the pipeline gave up when its store failed cannot come back.
#[tokio::test]
async fn what_was_given_up_is_told() {
    let archive = Archive::new();
    let digest = Digest::of(otlp::PICTURE);
    let mut policy = archive.policy(Form::Object);
    policy.dropped.insert(digest);
    let request = otlp::span_with(otlp::PICTURE);
    let marked = extract(Signal::Traces, &request, &policy).unwrap().request;
    assert!(marked.len() < request.len() / 2);
    let ended = archive.restore(&["--keep-going"], Some(&marked)).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let digest = digest.to_string();
    assert!(ended.stderr.contains(&digest), "{}", ended.stderr);
    assert!(ended.stdout == marked);
}

/// A folder that is not there is a mistake in the configuration or in where it is run.
#[tokio::test]
async fn a_store_that_is_not_there_is_not_made() {
    let archive = Archive::new();
    let (requests, _) = archive.two().await;
    fs::rename(archive.path("artifacts"), archive.path("elsewhere")).unwrap();
    let ended = archive.restore(&[], Some(&requests[0].slim)).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let folder = archive.path("artifacts");
    let told = folder.display().to_string();
    assert!(ended.stderr.contains(&told), "{}", ended.stderr);
    assert_eq!(ended.stdout, b"");
    assert!(!folder.exists());
}

#[tokio::test]
async fn what_cannot_be_told_is_asked_for() {
    let archive = Archive::new();
    // A resource and nothing else: of any signal.
    let resource = b"\x0a\x02\x0a\x00";
    let ended = archive.restore(&[], Some(resource)).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("--signal"), "{}", ended.stderr);
    let ended = archive.restore(&["--signal", "logs"], Some(resource)).await;
    assert_eq!((ended.code, ended.stdout), (Some(0), resource.to_vec()));

    let ended = archive.restore(&[], Some(b"resourceSpans: []")).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("--format"), "{}", ended.stderr);

    // Two requests in protobuf after each other would be one.
    let (requests, _) = archive.two().await;
    for request in &requests {
        fs::write(archive.path(&request.name), &request.slim).unwrap();
    }
    let ended = archive.restore(&["one.pb", "two.pb"], None).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("--output"), "{}", ended.stderr);
    assert_eq!(ended.stdout, b"");
}

#[tokio::test]
async fn one_of_several_processors_has_to_be_named() {
    let archive = Archive::new();
    let (requests, _) = archive.two().await;
    let mut config = config::standard(([127, 0, 0, 1], 9).into());
    config["processors"]["artifact/other"] = json!({ "store": "artifact_store/other" });
    config["extensions"]["artifact_store/other"] = json!({ "url": "./other" });
    let extensions = json!(["artifact_store", "artifact_store/other"]);
    config["service"]["extensions"] = extensions;
    let processors = json!(["memory_limiter", "artifact/other"]);
    config["service"]["pipelines"]["logs"]["processors"] = processors;
    fs::write(archive.path("collector.yaml"), config.to_string()).unwrap();
    fs::create_dir(archive.path("other")).unwrap();

    let slim = &requests[0].slim;
    let ended = archive.restore(&[], Some(slim)).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    for told in ["--processor", "artifact, artifact/other"] {
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
    }
    let ended = archive
        .restore(&["--processor", "artifact"], Some(slim))
        .await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout == requests[0].original);
}

/// What was read is written before the next request is read, so a file may be larger than the
/// memory.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn requests_come_out_one_by_one() {
    const REQUESTS: usize = 200;
    let archive = Archive::new();
    let mut child = command()
        .args(["restore", "--config", "collector.yaml"])
        .current_dir(archive.folder.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let frame = length_prefixed([otlp::sized_span(1 << 20)]);
    let mut restored = vec![0; frame.len()];
    for _ in 0..REQUESTS {
        let (fed, read) = soon("a request comes out", async {
            tokio::join!(stdin.write_all(&frame), stdout.read_exact(&mut restored))
        })
        .await;
        fed.unwrap();
        read.unwrap();
        assert!(restored == frame);
    }
    let peak = peak_memory(child.id().unwrap());
    assert!(peak < (REQUESTS as u64) << 19, "{} MiB", peak >> 20);
    drop(stdin);
    let status = soon("restore ends", child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0));
}
