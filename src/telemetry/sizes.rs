use std::sync::atomic::{AtomicU64, Ordering};

use super::Spread;

/// How large something was, counted in buckets.
#[derive(Debug)]
pub struct Sizes {
    /// The upper bounds of the buckets; what is larger has a bucket of its own.
    bounds: &'static [u32],
    buckets: Vec<AtomicU64>,
    sum: AtomicU64,
}

impl Sizes {
    /// Items of requests, in the buckets of the Collector.
    pub(crate) fn of_items() -> Self {
        Self::new(&[
            10, 25, 50, 75, 100, 250, 500, 750, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000,
            9000, 10_000, 20_000, 30_000, 50_000, 100_000,
        ])
    }

    /// Bytes of requests.
    pub(crate) fn of_bytes() -> Self {
        Self::new(&[
            1 << 8,
            1 << 10,
            1 << 12,
            1 << 14,
            1 << 16,
            1 << 18,
            1 << 20,
            1 << 22,
            1 << 24,
            1 << 26,
        ])
    }

    fn new(bounds: &'static [u32]) -> Self {
        Self {
            bounds,
            buckets: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// One was so large.
    pub(crate) fn add(&self, size: usize) {
        let size = size as u64;
        let bucket = self
            .bounds
            .iter()
            .position(|bound| size <= u64::from(*bound));
        if let Some(bucket) = self.buckets.get(bucket.unwrap_or(self.bounds.len())) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(size, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub(crate) fn read(&self) -> Spread {
        let bounds = self.bounds.iter().map(|bound| f64::from(*bound));
        let counts = self.buckets.iter().map(|at| at.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.chain([f64::INFINITY]).zip(counts).collect();
        Spread {
            count: buckets.iter().map(|(_, count)| count).sum(),
            sum: self.sum.load(Ordering::Relaxed) as f64,
            buckets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_size_is_in_the_first_bucket_that_holds_it() {
        let sizes = Sizes::of_items();
        for size in [0, 10, 11, 200_000] {
            sizes.add(size);
        }
        let spread = sizes.read();
        assert_eq!(spread.count, 4);
        assert!((spread.sum - 200_021.0).abs() < 0.5, "{spread:?}");
        let filled: Vec<_> = spread.buckets.iter().filter(|of| of.1 > 0).collect();
        assert_eq!(filled, [&(10.0, 2), &(25.0, 1), &(f64::INFINITY, 1)]);
    }
}
