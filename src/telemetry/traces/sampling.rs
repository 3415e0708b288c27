//! Which requests have spans.

use super::config::{ParentBased, Sampler, TraceIdRatio};
use super::context::{Context, Parent};

/// What decides it.
#[derive(Debug, Clone)]
pub(super) enum Sampling {
    All,
    None,
    /// Traces whose last eight bytes, but for a bit, are below it: as SDKs have it.
    Below(u64),
    AsParent(Box<Self>),
}

impl Sampling {
    /// As it is configured.
    pub(super) fn new(sampler: Option<&Sampler>) -> Self {
        let Some(sampler) = sampler else {
            return Self::AsParent(Box::new(Self::All));
        };
        if let Some(ParentBased { root }) = &sampler.parent_based {
            let root = root
                .as_ref()
                .map_or(Self::All, |root| Self::new(Some(root)));
            return Self::AsParent(Box::new(root));
        }
        if let Some(TraceIdRatio { ratio }) = sampler.trace_id_ratio_based {
            #[expect(clippy::cast_sign_loss, reason = "it is from 0 to 1")]
            return Self::Below((ratio * (1_u64 << 63) as f64) as u64);
        }
        match sampler.always_off {
            Some(_) => Self::None,
            None => Self::All,
        }
    }

    /// Whether a request of this trace has spans.
    pub(super) fn takes(&self, trace: [u8; 16], context: &Context) -> bool {
        !context.is_own && self.decides(trace, context.parent.as_ref())
    }

    fn decides(&self, trace: [u8; 16], parent: Option<&Parent>) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Below(end) => {
                let low = u128::from_be_bytes(trace) as u64;
                low >> 1 < *end
            }
            Self::AsParent(root) => match parent {
                Some(parent) => parent.is_sampled,
                None => root.decides(trace, None),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::Nothing;
    use super::super::context::random;
    use super::*;

    fn context(is_sampled: Option<bool>) -> Context {
        let parent = is_sampled.map(|is_sampled| Parent {
            trace: [1; 16],
            span: [1; 8],
            is_sampled,
        });
        Context {
            parent,
            is_own: false,
            ..Context::default()
        }
    }

    fn ratio(ratio: f64) -> Sampler {
        Sampler {
            trace_id_ratio_based: Some(TraceIdRatio { ratio }),
            ..Sampler::default()
        }
    }

    #[test]
    fn a_sender_decides_unless_it_says_nothing() {
        let off = Sampler {
            always_off: Some(Nothing {}),
            ..Sampler::default()
        };
        let parent_based = Sampler {
            parent_based: Some(ParentBased {
                root: Some(Box::new(off.clone())),
            }),
            ..Sampler::default()
        };
        for (sampler, expected) in [
            (None, [true, true, false]),
            (Some(&parent_based), [false, true, false]),
            (Some(&off), [false, false, false]),
        ] {
            let sampling = Sampling::new(sampler);
            let says = [None, Some(true), Some(false)];
            let taken = says.map(|said| sampling.takes([1; 16], &context(said)));
            assert_eq!(taken, expected, "{sampler:?}");
        }
    }

    #[test]
    fn a_part_of_all_traces_is_about_that_part() {
        let none = context(None);
        let of = |sampler: &Sampler| {
            let sampling = Sampling::new(Some(sampler));
            let taken = (0..4000).filter(|_| sampling.takes(random(), &none));
            taken.count()
        };
        assert_eq!((of(&ratio(0.0)), of(&ratio(1.0))), (0, 4000));
        let quarter = of(&ratio(0.25));
        assert!((700..1300).contains(&quarter), "{quarter}");
        // The same as in the SDKs: the last eight bytes, without their last bit.
        let sampling = Sampling::new(Some(&ratio(0.5)));
        let with = |byte: u8| {
            let mut trace = [0xff; 16];
            trace[8] = byte;
            trace
        };
        assert!(sampling.takes(with(0x7f), &none) && !sampling.takes(with(0x80), &none));
    }

    #[test]
    fn own_spans_have_none() {
        let always = Sampler {
            always_on: Some(Nothing {}),
            ..Sampler::default()
        };
        let own = Context {
            parent: None,
            is_own: true,
            ..Context::default()
        };
        for sampler in [None, Some(&always)] {
            assert!(!Sampling::new(sampler).takes([1; 16], &own));
        }
    }
}
