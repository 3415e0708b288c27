//! Whole configurations: what is accepted and what is refused.

mod accepted;
mod mistakes;
