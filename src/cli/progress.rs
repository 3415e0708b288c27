use std::io::Read;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::complain;
use super::otlp_files::Input;

/// Files that are smaller together are read before anybody wonders.
const LONG: u64 = 16 << 20;

/// How far the reading of files has come; shown on standard error if that is a terminal and there
/// is much to read.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn over(inputs: &[Input]) -> Self {
        // How much a pipe will bring is not known.
        let total: Option<u64> = inputs.iter().map(Input::len).sum();
        let Some(total) = total.filter(|total| *total >= LONG) else {
            return Self(ProgressBar::hidden());
        };
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let template = "{bar:30} {bytes} of {total_bytes}, {eta} left";
        // A template with a mistake in it costs its looks, nothing else.
        let style = ProgressStyle::with_template(template);
        Self(bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    /// Counts what is read.
    pub(super) fn reading<R: Read>(&self, reader: R) -> impl Read + use<R> {
        self.0.wrap_read(reader)
    }

    /// Over so many bytes of a transfer.
    pub(super) fn of(total: u64, what: &'static str) -> Self {
        if total < LONG {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        // A line that is longer than a terminal is wide would be two.
        let template = "{msg} {bar:16} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
        let style = ProgressStyle::with_template(template);
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar.with_message(what))
    }

    /// Over so many things.
    pub(super) fn counting(total: u64, what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let template = "{msg} {bar:30} {human_pos} of {human_len}, {eta} left";
        let style = ProgressStyle::with_template(template);
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar.with_message(what))
    }

    /// Over what nobody knows how much it is.
    pub(super) fn searching(what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{spinner} {msg}: {human_pos}");
        let bar = bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        Self(bar.with_message(what))
    }

    /// Counts what was done.
    pub(super) fn add(&self, count: u64) {
        self.0.inc(count);
    }

    /// Says something beside the bar.
    pub(super) fn complain(&self, message: impl std::fmt::Display) {
        self.0.suspend(|| complain(message));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
