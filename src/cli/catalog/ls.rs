use std::process::ExitCode;

use bytesize::ByteSize;
use clap::Args;
use jiff::Timestamp;
use slimspan_artifact::Digest;

use super::super::output::is_heard;
use super::super::{complain, say};
use super::block_on;
use super::opened::OfStore;
use crate::catalog::{Entry, Filter, MAX_PAGE, SpanId, State, Tenants, TraceId, TypePattern};
use crate::tenant::TenantId;
use crate::terminal::{Page, Piece, Style, middle_cut};

/// List files and the spans that refer to them, newest first
///
/// What is not in the catalog yet is seconds old. The exit code is 0, also where nothing fits.
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    of: OfStore,
    /// Only those of this tenant
    #[arg(long, value_name = "NAME")]
    tenant: Option<TenantId>,
    /// Only those of this trace
    #[arg(long, value_name = "ID")]
    trace: Option<TraceId>,
    /// Only those of this span
    #[arg(long, value_name = "ID")]
    span: Option<SpanId>,
    /// Only those of this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only files of this type, such as image/png or image/*
    #[arg(long = "type", value_name = "TYPE")]
    content_type: Option<String>,
    /// Only those of this file
    #[arg(long, value_name = "SHA256")]
    artifact: Option<Digest>,
    /// Only those of traces or of logs
    #[arg(long, value_parser = ["traces", "logs"])]
    signal: Option<String>,
    /// Only those with this in the name of the span or of the file
    #[arg(long, value_name = "TEXT")]
    name: Option<String>,
    /// Only those in this state: stored, spooled, dropped, truncated, or referred (to files that their senders store
    /// themselves, whether or not they have)
    #[arg(long)]
    state: Option<State>,
    /// From this time on, such as 2026-11-21T08:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Before this time
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Only files of at least this size, such as 1MiB
    #[arg(long, value_name = "SIZE")]
    min_size: Option<ByteSize>,
    /// Only files of at most this size
    #[arg(long, value_name = "SIZE")]
    max_size: Option<ByteSize>,
    /// How many; 0 for all
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: usize,
    /// A line of JSON for each, as docs/catalog.md has it
    #[arg(long)]
    json: bool,
}

pub(crate) fn ls(list: &List) -> anyhow::Result<ExitCode> {
    block_on(async {
        let opened = match list.of.open().await? {
            Ok(opened) => opened,
            Err(code) => return Ok(code),
        };
        let filter = list.filter();
        let limit = if list.limit == 0 {
            usize::MAX
        } else {
            list.limit
        };
        let (mut left, mut after, mut widths) = (limit, None, Vec::new());
        loop {
            let wanted = left.min(MAX_PAGE);
            let page = opened.catalog.index().page(&filter, wanted, after).await?;
            if list.json {
                for entry in &page.entries {
                    say(format_args!("{}\n", serde_json::to_string(entry)?));
                }
            } else {
                say(table(&page.entries, &mut widths));
            }
            left -= page.entries.len();
            after = page.next;
            if after.is_none() || !is_heard() {
                break;
            }
            if left == 0 {
                if !list.json {
                    complain(format_args!(
                        "the newest {limit} of more: --limit 0 lists all, and filters are in --help"
                    ));
                }
                break;
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

impl List {
    fn filter(&self) -> Filter {
        Filter {
            tenants: self.tenant.clone().map_or(Tenants::All, Tenants::one),
            trace: self.trace,
            span: self.span,
            service: self.service.clone(),
            content_type: self.content_type.as_deref().map(TypePattern::new),
            since: self.since,
            until: self.until,
            min_size: self.min_size.map(|size| size.as_u64()),
            max_size: self.max_size.map(|size| size.as_u64()),
            digest: self.artifact,
            signal: self.signal.clone(),
            name: self.name.clone(),
            state: self.state,
        }
    }
}

const HEADINGS: [&str; 8] = [
    "time",
    "service",
    "span",
    "attribute",
    "type",
    "size",
    "state",
    "sha256",
];

/// The characters of texts that are shown.
const TEXT: usize = 28;

/// A table for people; of a further page without headings, in the widths of the first.
pub(super) fn table(entries: &[Entry], widths: &mut Vec<usize>) -> String {
    let mut rows: Vec<[String; HEADINGS.len()]> = Vec::new();
    if widths.is_empty() {
        if entries.is_empty() {
            return "nothing fits\n".to_owned();
        }
        rows.push(HEADINGS.map(str::to_owned));
    }
    rows.extend(entries.iter().map(cells));
    if widths.is_empty() {
        *widths = vec![0; HEADINGS.len()];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
    }
    // Names are strangers' words: a page escapes them.
    let mut page = Page::new(Style::Plain);
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&*widths) {
            if !line.is_empty() {
                line.push_str("  ");
            }
            line.extend([
                cell.as_str(),
                &" ".repeat(width - cell.chars().count().min(*width)),
            ]);
        }
        page.line(0, [Piece::text(line.trim_end())]);
    }
    page.finish()
}

fn cells(entry: &Entry) -> [String; HEADINGS.len()] {
    let shown = |text: &str| middle_cut(text, TEXT).into_owned();
    let mut attribute = shown(&entry.attribute);
    if let Some(path) = &entry.path {
        attribute.extend([" ", &shown(path)]);
    }
    [
        format!("{:.0}", entry.time),
        shown(&entry.service),
        shown(&entry.span_name),
        attribute,
        shown(&entry.content_type),
        ByteSize::b(entry.size).to_string(),
        entry.state.to_string(),
        entry
            .digest
            .map_or_else(|| "-".to_owned(), |of| of.to_string()),
    ]
}
