/// SplitMix64: the same numbers for the same seed, everywhere and for ever.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
    /// What is chosen before anything is left to chance, the last first.
    choices: Vec<u8>,
}

impl Random {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed,
            choices: Vec::new(),
        }
    }

    /// Choices between few things are those of `choices`, a byte each, as long as there are any: a
    /// change to one of them changes little of what is made.
    pub fn directed(choices: &[u8]) -> Self {
        Self {
            state: 0,
            choices: choices.iter().rev().copied().collect(),
        }
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which must not be zero.
    pub fn below(&mut self, end: usize) -> usize {
        let number = match self.choices.pop() {
            Some(choice) if end <= 256 => choice.into(),
            Some(choice) => u64::from(choice) << 8 | u64::from(self.choices.pop().unwrap_or(0)),
            None => self.number(),
        };
        (number % end as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of `items`, which must not be empty.
    pub fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }

    /// Random bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.number().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}
