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

/// What is worth telling at the moment.
static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// Tells from now on what `config` says is worth it, unless `SLIMSPAN_LOG` says so. All else stays as it
/// was at the start.
pub fn set_level(config: &LogsConfig) {
    if let Some(filter) = FILTER.get()
        && EnvFilter::try_from_env(VARIABLE).is_err()
        && let Err(error) = filter.reload(EnvFilter::new(name(config.level)))
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

/// Writes the log of this process as `config` says. `SLIMSPAN_LOG` has the last word on what is worth
/// telling, in the syntax of `tracing_subscriber::EnvFilter`.
pub fn init(config: &LogsConfig) -> Result<(), LogError> {
    let filter = EnvFilter::try_from_env(VARIABLE);
    let is_set = env::var_os(VARIABLE).is_some();
    let ignored = filter.as_ref().err().filter(|_| is_set);
    let ignored = ignored.map(ToString::to_string);
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(name(config.level)));
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
    initial_fields: Vec<(String, String)>,
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
