//! `slimspan validate --config FILE`

use std::process::ExitCode;

use super::{ConfigFile, say};

pub(super) fn validate(file: &ConfigFile) -> ExitCode {
    let config = match file.load() {
        Ok(config) => config,
        Err(exit_code) => return exit_code,
    };
    let pipelines: Vec<String> = config
        .service
        .pipelines
        .keys()
        .map(ToString::to_string)
        .collect();
    say(format_args!(
        "{}: valid; pipelines: {}\n",
        file.config.display(),
        pipelines.join(", ")
    ));
    ExitCode::SUCCESS
}
