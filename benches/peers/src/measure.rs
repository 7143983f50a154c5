//! Measures times. The engines take turns.

use std::hint::black_box;
use std::time::Instant;

use anyhow::Result;

/// Runs one query, given by its index, on one engine.
pub type Run<'a> = dyn FnMut(usize) -> Result<()> + 'a;

/// The distribution of the query times of a class, in nanoseconds. The time of a query is the
/// median of its repeats.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct Times {
    /// The median.
    pub p50_ns: f64,
    /// The 99th percentile.
    pub p99_ns: f64,
    /// The mean.
    pub mean_ns: f64,
}

/// Times `count` queries on every engine, `repeats` times each.
///
/// Every query first runs once on each engine without being timed. Then the engines take turns, and
/// the first engine changes from repeat to repeat, so that slow phases of the machine and caches
/// warmed by another engine affect all engines equally.
///
/// # Errors
///
/// The first error of an engine.
pub fn alternate(count: usize, repeats: usize, engines: &mut [Box<Run<'_>>]) -> Result<Vec<Times>> {
    let mut medians = vec![Vec::with_capacity(count); engines.len()];
    let mut samples = vec![Vec::with_capacity(repeats); engines.len()];
    for query in 0..count {
        for engine in engines.iter_mut() {
            engine(black_box(query))?;
        }
        samples.iter_mut().for_each(Vec::clear);
        for repeat in 0..repeats {
            for turn in 0..engines.len() {
                let which = (turn + repeat) % engines.len();
                let start = Instant::now();
                engines[which](black_box(query))?;
                samples[which].push(start.elapsed().as_nanos() as f64);
            }
        }
        for (medians, samples) in medians.iter_mut().zip(&mut samples) {
            medians.push(quantile(samples, 0.5));
        }
    }
    Ok(medians.iter_mut().map(|medians| Times::of(medians)).collect())
}

impl Times {
    /// Summarizes one time per query.
    pub fn of(values: &mut [f64]) -> Self {
        let mean_ns = values.iter().sum::<f64>() / values.len().max(1) as f64;
        Self { p50_ns: quantile(values, 0.5), p99_ns: quantile(values, 0.99), mean_ns }
    }
}

/// Returns the smallest value such that at least this share of all values is less than or equal to
/// it (the nearest-rank quantile). Sorts the values.
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let place = (share * values.len() as f64).ceil() as usize;
    values.get(place.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn quantiles_are_values_that_occur() {
        let mut values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(quantile(&mut values, 0.5), 100.0);
        assert_eq!(quantile(&mut values, 0.99), 198.0);
        assert_eq!(quantile(&mut values, 1.0), 200.0);
        assert_eq!(quantile(&mut [], 0.5), 0.0);
    }
}
