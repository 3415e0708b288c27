//! Choices that the bytes of an input make.

use slimspan_artifact::{Action, BytesValues, Form, Location, MediaTypes, Pattern, Policy, Rule};
use slimspan_generators::files;
use slimspan_proto::Signal;

/// The bytes of an input that are not used up.
#[derive(Debug)]
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// All of an input.
    pub fn of(input: &'a [u8]) -> Self {
        Self(input)
    }

    /// What the choices left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// The next byte; zero where there is none.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    /// One of `items`, which must not be empty.
    pub fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[usize::from(self.byte()) % items.len()].clone()
    }

    /// A signal.
    pub fn signal(&mut self) -> Signal {
        self.pick(&[Signal::Traces, Signal::Logs, Signal::Metrics])
    }

    /// A policy, from six bytes. Thresholds are small, because libFuzzer finds short inputs.
    pub fn policy(&mut self) -> Policy {
        let [store, public] = files::LOCATIONS.map(str::to_owned);
        let location = self.pick(&[
            Location::Store(store),
            Location::Public(public),
            // Short references fit where others would not be smaller.
            Location::Store("s:".to_owned()),
            Location::Public("h:".to_owned()),
        ]);
        let threshold = self.pick(&[1, 3, 8, 60, 100, 400]);
        let mut policy = Policy::new(threshold, location);
        policy.form = self.pick(&[
            Form::Native,
            Form::Object,
            Form::Uri,
            Form::Semconv,
            Form::Logfire,
        ]);
        policy.text_threshold = self.pick(&[None, None, None, Some(1), Some(100), Some(900)]);
        policy.preview = self.pick(&[0, 1, 50, 256, 9_000]);
        self.exceptions(&mut policy);
        policy
    }

    fn exceptions(&mut self, policy: &mut Policy) {
        let bits = self.byte();
        if bits & 1 != 0 {
            policy.rules.push(rule("input.*", Action::Keep, None));
        }
        if bits & 2 != 0 {
            policy.rules.push(rule("gen_ai*", Action::Move, Some(200)));
        }
        if bits & 4 != 0 {
            policy.media_types = MediaTypes {
                include: vec![Pattern::any_case("image/*")],
                exclude: vec![Pattern::any_case("*/gif")],
            };
        }
        if bits & 8 != 0 {
            policy.deny_keys = vec![Pattern::any_case("*data*")];
        }
        if bits & 16 != 0 {
            policy.bytes_values = BytesValues::Text;
        }
        if bits & 0xf0 == 0xf0 {
            policy.rules.push(rule("*", Action::Drop, None));
        }
    }
}

fn rule(attributes: &str, action: Action, threshold: Option<usize>) -> Rule {
    Rule {
        attributes: vec![Pattern::new(attributes)],
        action,
        threshold,
        text_threshold: None,
    }
}
