//! `slimspan restore --config FILE FILE...`

mod artifacts;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use clap::Args;
use slimspan_artifact::{Location, Unrestored, restore as put_back};
use slimspan_proto::Signal;

use super::artifact_processor::{artifact_processor, store_config};
use super::destination::{Destination, Target, targets};
use super::otlp_files::{Format, Input, ReadOptions, Request, Requests, parse_signal};
use super::output::Unread;
use super::progress::Progress;
use super::{ConfigFile, say};
use crate::config::ComponentId;
use crate::storage::Store;
use crate::tenant::TenantId;
use artifacts::Artifacts;

/// Put the files back into requests that slimspan made slim
///
/// Reads OTLP export requests: JSON, one or one a line; protobuf, one in a file or many as the
/// Collector's file exporter writes them; each also as gzip or zstd. They are written as they
/// were read, uncompressed. Requests in protobuf come back byte for byte; of JSON, only the
/// values that were taken out are written anew.
///
/// The exit code is 0 when every reference was replaced, 1 when something failed or, with
/// --keep-going, when a reference was left, and 2 when the configuration or the usage is wrong.
#[derive(Debug, Args)]
pub(super) struct Restore {
    #[command(flatten)]
    config: ConfigFile,
    /// The artifact processor of the configuration, if it has several
    #[arg(long, value_name = "ID")]
    processor: Option<ComponentId>,
    /// The tenant whose artifacts they are: references to those of others are left as they are
    #[arg(long, value_name = "NAME", default_value_t)]
    tenant: TenantId,
    /// The file to write, or the folder to write a file of the same name for each input into;
    /// without it, standard output
    ///
    /// A file appears under its name when it is complete, and takes the place of one that is
    /// there.
    #[arg(long, short, value_name = "FILE|DIR")]
    output: Option<PathBuf>,
    /// Leave references in place whose artifacts are missing, deleted or damaged, and go on
    ///
    /// Each is told on standard error, and the exit code is 1 after everything is written. A
    /// store that cannot be reached ends it all the same.
    #[arg(long)]
    keep_going: bool,
    /// How the requests stand in the files, if not as their first bytes tell
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The signal of requests in protobuf, where neither their fields nor the name of their file
    /// tell: traces, logs or metrics
    #[arg(long, value_parser = parse_signal)]
    signal: Option<Signal>,
    /// The files to read; without any, or for -, standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn restore(restore: &Restore) -> anyhow::Result<ExitCode> {
    let config = match restore.config.load() {
        Ok(config) => config,
        Err(exit_code) => return Ok(exit_code),
    };
    let artifact = artifact_processor(&config, restore.processor.as_ref())?;
    let store_config = store_config(&config, artifact)?;
    let store = Store::open_existing(store_config)
        .with_context(|| format!("extensions.{}", artifact.store))?;
    let store = store.of_tenant(&restore.tenant);
    let inputs = Input::of_arguments(&restore.files)?;
    let targets = targets(&inputs, restore.output.as_deref())?;
    let mut restoring = Restoring {
        location: Store::location_of(store_config, &restore.tenant)?,
        artifacts: Artifacts::new(store, store_config.catalog.enabled)?,
        options: ReadOptions {
            format: restore.format,
            signal: restore.signal,
        },
        keep_going: restore.keep_going,
        progress: Progress::over(&inputs),
        printed: None,
        begun: None,
        several: inputs.len() > 1,
        complete: true,
    };
    restoring.check_formats(&inputs, &targets)?;
    for (input, target) in inputs.iter().zip(targets) {
        match restoring.file(input, target) {
            // Who reads no further has what was asked for, unless something was left in it.
            Err(error) if error.is::<Unread>() && !restoring.complete => break,
            done => done?,
        }
    }
    Ok(if restoring.complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

struct Restoring {
    location: Location,
    artifacts: Artifacts,
    options: ReadOptions,
    keep_going: bool,
    progress: Progress,
    /// What went to standard output last.
    printed: Option<Format>,
    /// Standard input, where it was looked at before its turn.
    begun: Option<Requests<'static>>,
    /// Whether there is more than one input.
    several: bool,
    /// Whether no reference was left.
    complete: bool,
}

impl Restoring {
    fn open(&self, input: &Input) -> anyhow::Result<Requests<'static>> {
        let reader = self.progress.reading(input.open()?);
        Requests::read(reader, input.path(), self.options).with_context(|| input.to_string())
    }

    /// Finds what cannot stand in one stream before anything is written to it.
    fn check_formats(&mut self, inputs: &[Input], targets: &[Target]) -> anyhow::Result<()> {
        if !self.several || !targets.contains(&Target::Stdout) {
            return Ok(());
        }
        for input in inputs {
            // A pipe can be read once, so it is kept, or asked when its turn comes.
            let is_stdin = *input == Input::Stdin;
            if !is_stdin && input.len().is_none() {
                continue;
            }
            let requests = if is_stdin {
                self.open(input)?
            } else {
                Requests::read(input.open()?, input.path(), self.options)
                    .with_context(|| input.to_string())?
            };
            if !requests.is_empty() {
                self.check_stdout(requests.format())?;
            }
            if is_stdin {
                self.begun = Some(requests);
            }
        }
        self.printed = None;
        Ok(())
    }

    fn file(&mut self, input: &Input, target: Target) -> anyhow::Result<()> {
        let begun = self.begun.take_if(|_| *input == Input::Stdin);
        let mut requests = match begun {
            Some(requests) => requests,
            None => self.open(input)?,
        };
        if target == Target::Stdout {
            if self.several && requests.is_empty() {
                self.progress
                    .complain(format_args!("{input} is empty, and is skipped"));
                return Ok(());
            }
            self.check_stdout(requests.format())?;
        }
        let mut destination = Destination::open(target)?;
        let (mut count, mut references) = (0_usize, 0);
        while let Some(request) = requests.next() {
            count += 1;
            let place = || format!("{input}, request {count}");
            let request = request.with_context(place)?;
            let restoration = self.request(&request).with_context(place)?;
            if !restoration.left.is_empty() {
                if !self.keep_going {
                    bail!(
                        "{}: {}; --keep-going leaves such references in place",
                        place(),
                        restoration.left.join("; ")
                    );
                }
                self.complete = false;
                for reason in &restoration.left {
                    let told = format!("{}: {reason}; the reference is left", place());
                    self.progress.complain(told);
                }
            }
            references += restoration.references;
            let framed = requests.framed(restoration.request).with_context(place)?;
            destination.write(&framed)?;
        }
        if let Some(path) = destination.finish()? {
            let path = path.display();
            say(format_args!(
                "{path}: {count} requests, {references} references replaced by their files\n"
            ));
        }
        Ok(())
    }

    /// Several files after each other are one file only where each says where it ends.
    fn check_stdout(&mut self, format: Format) -> anyhow::Result<()> {
        if !format.is_text() && io::stdout().is_terminal() {
            bail!("protobuf is nothing for a terminal: write it to a file with --output");
        }
        match self.printed.replace(format) {
            Some(Format::Protobuf) => bail!(
                "several requests in protobuf cannot be told apart in one stream: \
                 write them to a folder with --output"
            ),
            Some(printed) if printed != format => bail!(
                "requests of different formats cannot be told apart in one stream: \
                 write them to a folder with --output"
            ),
            _ => Ok(()),
        }
    }

    fn request(&mut self, request: &Request) -> anyhow::Result<Restored> {
        let (signal, slim) = (request.signal, &request.protobuf);
        let mut needed = BTreeSet::new();
        let found = put_back(signal, slim, &self.location, |digest| {
            needed.insert(digest);
            None
        })?;
        let restoration = if needed.is_empty() {
            found
        } else {
            let progress = &self.progress;
            let complain = |told: String| progress.complain(told);
            self.artifacts.fetch(&needed, complain)?;
            put_back(signal, slim, &self.location, |digest| {
                self.artifacts.get(&digest)
            })?
        };
        let reasons: BTreeSet<String> = restoration
            .left
            .iter()
            .map(|left| self.reason(left))
            .collect();
        Ok(Restored {
            request: request.rewritten(restoration.request)?,
            references: restoration.restored,
            left: reasons.into_iter().collect(),
        })
    }

    /// Why a reference was left; with the name of the store, where it has something to say.
    fn reason(&self, left: &Unrestored) -> String {
        match left {
            Unrestored::Missing(digest) | Unrestored::Corrupt(digest) => {
                let lost = self.artifacts.why_lost(digest);
                lost.map_or_else(|| left.to_string(), str::to_owned)
            }
            Unrestored::Dropped(_) | Unrestored::TooLarge(_) | Unrestored::NoRoom(_) => {
                left.to_string()
            }
        }
    }
}

/// A request with its files, in the encoding that it had.
struct Restored {
    request: Bytes,
    references: usize,
    /// Why references are left in it, each reason once.
    left: Vec<String>,
}
