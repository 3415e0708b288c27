use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in milliseconds; what takes longer has a bucket of its own.
const BOUNDS: [u32; 13] = [
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000,
];

/// How long something took, counted in buckets.
#[derive(Debug, Default)]
pub struct Latency {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

/// What a [`Latency`] had counted when it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    /// The upper bound of each bucket in seconds, and how many were in it and in none before.
    pub buckets: Vec<(f64, u64)>,
    /// All of them together took so many seconds.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
}

impl Latency {
    /// Something took so long.
    pub fn took(&self, time: Duration) {
        let bucket = BOUNDS
            .iter()
            .position(|bound| time <= Duration::from_millis(u64::from(*bound)));
        if let Some(bucket) = self.buckets.get(bucket.unwrap_or(BOUNDS.len())) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn read(&self) -> Spread {
        let bounds = BOUNDS.iter().map(|bound| f64::from(*bound) / 1e3);
        let bounds = bounds.chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(|at| at.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        Spread {
            count: buckets.iter().map(|(_, count)| count).sum(),
            sum: self.micros.load(Ordering::Relaxed) as f64 / 1e6,
            buckets,
        }
    }
}

impl Spread {
    /// The bound, in seconds, below which this part of all was.
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let wanted = self.count as f64 * part;
        let mut below = 0;
        self.buckets.iter().find_map(|(bound, count)| {
            below += count;
            (below > 0 && below as f64 >= wanted).then_some(*bound)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_the_first_bucket_that_holds_it() {
        let latency = Latency::default();
        assert_eq!(latency.read().quantile(0.5), None);
        for millis in [1, 2, 2, 3, 11_000] {
            latency.took(Duration::from_millis(millis));
        }
        let spread = latency.read();
        assert_eq!(spread.count, 5);
        assert!((spread.sum - 11.008).abs() < 1e-9, "{spread:?}");
        let filled: Vec<_> = spread.buckets.iter().filter(|of| of.1 > 0).collect();
        assert_eq!(
            filled,
            [&(0.001, 1), &(0.002, 2), &(0.005, 1), &(f64::INFINITY, 1)]
        );
        assert_eq!(spread.quantile(0.5), Some(0.002));
        assert_eq!(spread.quantile(0.99), Some(f64::INFINITY));
    }
}
