//! The log.

pub mod config;
mod line;
mod outputs;
mod sampling;

use std::sync::OnceLock;
use std::{env, io};

use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::TextOrFields;
use config::{Encoding, LogLevel, LogsConfig};
use line::Line;
pub(crate) use outputs::Output;
use outputs::Outputs;
pub(crate) use sampling::Sampling;

/// The log cannot be written where it is to go.
#[derive(Debug, thiserror::Error)]
#[error("service.telemetry.logs.{key}: cannot write to {path}: {reason}")]
pub struct LogError {
    /// Which of the keys names the path.
    pub key: &'static str,
    /// The path.
    pub path: String,
    /// Why.
    pub reason: io::Error,
}

/// Says what is worth telling.
const VARIABLE: &str = "SLIMSPAN_LOG";

/// Libraries that write down what goes over the wire where a level asks for all: what a backend says when it ends a
/// connection, and requests. They are heard where `SLIMSPAN_LOG` names them.
const WIRE: &str = "h2=warn,hyper=warn,hyper_util=warn,reqwest=warn,tonic=warn";

/// What is worth telling at the moment.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Tells from now on what `config` says is worth it, unless `SLIMSPAN_LOG` says so. All else stays as it
/// was at the start.
pub fn set_level(config: &LogsConfig) {
    if let Some(filter) = FILTER.get()
        && !matches!(from_env(), Some(Ok(_)))
        && let Err(error) = filter.reload(of_level(config.level))
    {
        tracing::warn!("service.telemetry.logs.level stays as it was: {error}");
    }
}

fn name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    }
}

fn of_level(level: LogLevel) -> EnvFilter {
    let name = name(level);
    filter(name).unwrap_or_else(|_| EnvFilter::new(name))
}

/// What `SLIMSPAN_LOG` says, if it is set.
fn from_env() -> Option<Result<EnvFilter, String>> {
    let said = env::var_os(VARIABLE)?;
    let said = said.to_str().ok_or_else(|| "it is no UTF-8".to_owned());
    Some(said.and_then(filter))
}

/// What `said` asks for, but for libraries that it does not name and that say too much.
fn filter(said: &str) -> Result<EnvFilter, String> {
    // A rule for one library would be louder than these.
    let is_quiet = ["off", "error"]
        .iter()
        .any(|level| said.trim().eq_ignore_ascii_case(level));
    let filter = if said.is_empty() || is_quiet {
        EnvFilter::try_new(said)
    } else {
        EnvFilter::try_new(format!("{WIRE},{said}"))
    };
    filter.map_err(|error| error.to_string())
}

/// Writes the log of this process as `config` says. `SLIMSPAN_LOG` has the last word on what is worth
/// telling, in the syntax of `tracing_subscriber::EnvFilter`.
pub fn init(config: &LogsConfig) -> Result<(), LogError> {
    let (filter, ignored) = match from_env() {
        Some(Ok(filter)) => (filter, None),
        Some(Err(reason)) => (of_level(config.level), Some(reason)),
        None => (of_level(config.level), None),
    };
    let log = Log::new(config)?;
    let (filter, handle) = reload::Layer::new(filter);
    // Only one log can be written at a time: a second configuration does not change it.
    let initialised = tracing_subscriber::registry()
        .with(filter)
        .with(log)
        .try_init();
    if initialised.is_ok() {
        let _ = FILTER.set(handle);
    }
    if let Some(reason) = ignored {
        tracing::warn!(
            "{VARIABLE} is ignored: {reason}; use a level such as debug, or slimspan=debug"
        );
    }
    Ok(())
}

/// Writes a line for each event.
struct Log {
    encoding: Encoding,
    initial_fields: Vec<(String, TextOrFields)>,
    caller: bool,
    sampling: Option<Sampling>,
    outputs: Outputs,
}

impl Log {
    fn new(config: &LogsConfig) -> Result<Self, LogError> {
        let fields = config.initial_fields.iter();
        let fields = fields.map(|(key, value)| (key.clone(), value.clone()));
        Ok(Self {
            encoding: config.encoding,
            initial_fields: fields.collect(),
            caller: !config.disable_caller,
            sampling: config
                .sampling
                .enabled
                .then(|| Sampling::new(&config.sampling)),
            outputs: Outputs::open(config)?,
        })
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if let Some(sampling) = &self.sampling
            && !sampling.admits(metadata.callsite())
        {
            return;
        }
        let mut line = Line::of(event);
        if self.caller {
            line.say_caller(metadata);
        }
        line.add(&self.initial_fields);
        self.outputs.write(|is_terminal| match self.encoding {
            Encoding::Console => line.to_console(is_terminal),
            Encoding::Json => line.to_json(),
        });
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// The targets that are heard.
    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Heard {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let target = event.metadata().target().to_owned();
            self.0.lock().unwrap().push(target);
        }
    }

    fn heard(said: &str) -> Vec<String> {
        let heard = Heard::default();
        let subscriber = tracing_subscriber::registry()
            .with(filter(said).unwrap())
            .with(heard.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: "slimspan::exporters", "trying again");
            tracing::debug!(target: "h2::codec::framed_read", "received");
            tracing::debug!(target: "hyper_util::client::legacy", "error");
            tracing::warn!(target: "hyper_util::connect", "error");
            tracing::debug!(target: "tower::buffer", "static");
        });
        heard.0.lock().unwrap().clone()
    }

    #[test]
    fn what_goes_over_the_wire_is_heard_where_it_is_asked_for_by_name() {
        let slimspan = "slimspan::exporters";
        let wire = ["h2::codec::framed_read", "hyper_util::client::legacy"];
        let others = ["hyper_util::connect", "tower::buffer"];
        assert_eq!(heard("debug"), [&[slimspan][..], &others].concat());
        assert_eq!(
            heard("debug,h2=debug"),
            [&[slimspan, wire[0]][..], &others].concat()
        );
        assert_eq!(heard("slimspan=debug,hyper_util=off"), [slimspan]);
        assert_eq!(heard("h2=trace"), [wire[0], others[0]]);
        assert!(heard("").is_empty());
        filter("slimspan=loud").unwrap_err();
    }
}
