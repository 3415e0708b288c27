use std::process::ExitCode;

use anyhow::Context as _;
use bytesize::ByteSize;
use clap::Args;
use serde_json::{Value, json};

use super::super::progress::Progress;
use super::super::{complain, say};
use super::block_on;
use super::opened::OfStore;
use crate::catalog::Gc;
use crate::catalog::gc::{Plan, Step, Stepped, Swept};

/// Remove files that nothing has referred to for longer than catalog.retention says
///
/// Without --yes it says what it would do. A first run with it marks what is too old; a run after the grace
/// period looks again, and removes what still is. Let it run once a day. The exit code is 1 if the store did
/// not remove something.
#[derive(Debug, Args)]
pub(crate) struct Collect {
    #[command(flatten)]
    of: OfStore,
    /// Really mark and remove
    #[arg(long)]
    yes: bool,
    /// A JSON object that says what would be done, or was
    #[arg(long)]
    json: bool,
}

pub(crate) fn gc(collect: &Collect) -> anyhow::Result<ExitCode> {
    block_on(async {
        let (id, store, config) = match collect.of.store()? {
            Ok(chosen) => chosen,
            Err(code) => return Ok(code),
        };
        let place = || format!("extensions.{id}");
        let gc = Gc::new(store, &config).with_context(place)?;
        let searching = Progress::searching("reading the catalog and the store");
        let told = |step| {
            if let Step::Read(count) | Step::Looked(count) = step {
                searching.add(count);
            }
        };
        let plan = gc.plan(&told).await.with_context(place)?;
        drop(searching);
        let swept = if collect.yes {
            let progress = Progress::counting(plan.due().count() as u64, "removing");
            let told = |step| {
                if let Step::Removed(count) = step {
                    progress.add(count);
                }
            };
            let failed = |error: &_| progress.complain(error);
            Some(
                gc.carry_out(&plan, &told, &failed)
                    .await
                    .with_context(place)?,
            )
        } else {
            None
        };
        if collect.json {
            say(format_args!("{:#}\n", as_json(&plan, swept)));
        } else {
            say(as_text(&plan, swept));
        }
        if swept.is_some_and(|swept| swept.failed > 0) {
            complain("what the store did not remove stays marked, for the next run");
            return Ok(ExitCode::FAILURE);
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn as_json(plan: &Plan, swept: Option<Swept>) -> Value {
    let count = |(files, bytes): (u64, u64)| json!({ "files": files, "bytes": bytes });
    let tenants = plan.by_tenant.iter().map(|(tenant, of)| {
        json!({
            "tenant": tenant,
            "files": of.files,
            "bytes": of.bytes,
            "to_mark": count(of.new),
            "waiting": count(of.waiting),
            "to_remove": count(of.due),
        })
    });
    let done = swept.map(|swept| {
        json!({
            "marked": swept.marked,
            "removed": swept.removed,
            "removed_bytes": swept.bytes,
            "stored_again": swept.kept,
            "failed": swept.failed,
        })
    });
    json!({ "tenants": tenants.collect::<Vec<_>>(), "done": done })
}

const HEADINGS: [&str; 5] = ["tenant", "files", "to mark", "in grace", "to remove"];

fn as_text(plan: &Plan, swept: Option<Swept>) -> String {
    let cell = |(files, bytes): (u64, u64)| match files {
        0 => "-".to_owned(),
        _ => format!("{files}, {}", ByteSize::b(bytes)),
    };
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    let mut all = Stepped::default();
    for (tenant, of) in &plan.by_tenant {
        rows.push([
            tenant.to_string(),
            cell((of.files, of.bytes)),
            cell(of.new),
            cell(of.waiting),
            cell(of.due),
        ]);
        for (sum, more) in [
            (&mut all.new, of.new),
            (&mut all.waiting, of.waiting),
            (&mut all.due, of.due),
        ] {
            sum.0 += more.0;
            sum.1 += more.1;
        }
        all.files += of.files;
        all.bytes += of.bytes;
    }
    if plan.by_tenant.len() > 1 {
        let all = [(all.files, all.bytes), all.new, all.waiting, all.due].map(cell);
        let [files, new, waiting, due] = all;
        rows.push(["all".to_owned(), files, new, waiting, due]);
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().filter_map(|row| row.get(column));
            let width = width.map(|cell| cell.chars().count()).max().unwrap_or(0);
            line.extend([cell.as_str(), &" ".repeat(width + 2 - cell.chars().count())]);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    match swept {
        None => text.push_str("nothing is changed: --yes marks and removes\n"),
        Some(swept) => {
            let kept = match swept.kept {
                0 => String::new(),
                kept => format!(", kept {kept} that were stored again"),
            };
            let (marked, removed) = (swept.marked, swept.removed);
            let bytes = ByteSize::b(swept.bytes);
            text.extend([
                format!("marked {marked}, removed {removed} ({bytes})"),
                kept,
                "\n".to_owned(),
            ]);
        }
    }
    text
}
