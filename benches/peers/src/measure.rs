//! Times, taken in turn: ours, theirs, ours, theirs.

use std::hint::black_box;
use std::time::Instant;

use anyhow::Result;

/// Something to time: one query of one engine.
pub type Run<'a> = dyn FnMut(usize) -> Result<()> + 'a;

/// The distribution of a class: of each query the median of its repeats, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct Times {
    /// The middle query.
    pub p50_ns: f64,
    /// The query that one in a hundred exceeds.
    pub p99_ns: f64,
    /// The average query.
    pub mean_ns: f64,
}

/// Times `count` queries on every engine, `repeats` times each.
///
/// Every query is first run once by each engine without a clock. Then the engines take turns, and
/// who is first changes from repeat to repeat, so that a slow moment of the machine and a cache
/// warmed by the other fall on all alike.
///
/// # Errors
///
/// The first that an engine reports.
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
    /// Summarises one number per query.
    pub fn of(values: &mut [f64]) -> Self {
        let mean_ns = values.iter().sum::<f64>() / values.len().max(1) as f64;
        Self { p50_ns: quantile(values, 0.5), p99_ns: quantile(values, 0.99), mean_ns }
    }
}

/// Returns the value that a share of the values does not exceed; sorts them.
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
