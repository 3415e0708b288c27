//! What is configured, and since when it runs.

use std::sync::PoisonError;

use super::html::{Cell, Html};
use super::{Shared, Wiring};

pub(super) fn service(shared: &Shared) -> String {
    let mut html = Html::new("Service", None);
    let counters = &shared.counters;
    let up = counters.began.instant.elapsed().as_secs();
    let rows = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("started", format!("{:.0}", counters.began.at)),
        (
            "up",
            format!("{}h {}m {}s", up / 3600, up / 60 % 60, up % 60),
        ),
        ("phase", counters.phase().name().to_owned()),
    ];
    let row = |(name, what): (&str, String)| vec![Cell::text(name), Cell::text(what)];
    html.table(&["", ""], rows.into_iter().map(row).collect());
    html.heading("What runs");
    let summary = shared
        .summary
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let row = |(name, what): &(String, String)| vec![Cell::text(name), Cell::text(what)];
    html.table(
        &["component", "what it does"],
        summary.iter().map(row).collect(),
    );
    html.finish()
}

pub(super) fn pipelines(shared: &Shared) -> String {
    let mut html = Html::new("Pipelines", None);
    let row = |wiring: &Wiring| {
        vec![
            Cell::text(&wiring.pipeline),
            Cell::text(wiring.receivers.join(", ")),
            Cell::text(wiring.processors.join(", ")),
            Cell::text(wiring.exporters.join(", ")),
        ]
    };
    let rows = shared.about.pipelines.iter().map(row).collect();
    html.table(&["pipeline", "receivers", "processors", "exporters"], rows);
    html.finish()
}

pub(super) fn extensions(shared: &Shared) -> String {
    let mut html = Html::new("Extensions", None);
    let rows = shared.about.extensions.iter();
    let rows = rows.map(|extension| vec![Cell::text(extension)]).collect();
    html.table(&["extension"], rows);
    html.finish()
}

/// The Collector's table of feature gates. There are none here.
pub(super) fn gates(_: &Shared) -> String {
    let mut html = Html::new("Feature gates", None);
    html.paragraph(
        "There are no feature gates: --feature-gates is taken, and does nothing. What there is, the \
         configuration says.",
    );
    html.heads(&["id", "enabled", "stage", "description"]);
    html.finish()
}
