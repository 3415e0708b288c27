//! Whole configurations: what is accepted, what is refused, and the file that is shipped.

mod accepted;
mod auth;
mod brought;
mod connectors;
mod context;
mod defaults;
mod idle;
mod instead;
mod mistakes;
mod mutated;
mod optional;
mod presets;
mod redacted;
mod schema;
mod servers;
mod shipped;
mod sources;
mod unlisted;
