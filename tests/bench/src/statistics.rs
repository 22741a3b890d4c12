//! Medians and spreads. Not means: what disturbs a measurement only ever makes it larger.

/// What repeated measurements of one thing came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The least.
    pub min: f64,
    /// The middle one; the mean of the two in the middle, if their number is even.
    pub median: f64,
    /// The greatest.
    pub max: f64,
}

impl Summary {
    /// Of measurements; `None` if there are none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let upper = sorted.len() / 2;
        let lower = (sorted.len() - 1) / 2;
        Some(Self { min, median: f64::midpoint(sorted[lower], sorted[upper]), max })
    }

    /// `median (min..max)`, with that many decimals.
    pub fn show(&self, decimals: usize) -> String {
        let Self { min, median, max } = self;
        format!("{median:.decimals$} ({min:.decimals$}..{max:.decimals$})")
    }
}

/// How each measurement relates to the reference's of the same round: rounds differ with what else the machine does, and
/// the two of one round are next to each other in time.
pub fn ratios(values: &[f64], reference: &[f64]) -> Vec<f64> {
    values.iter().zip(reference).map(|(value, reference)| value / reference).collect()
}

/// What each measurement is above the reference's of the same round.
pub fn differences(values: &[f64], reference: &[f64]) -> Vec<f64> {
    values.iter().zip(reference).map(|(value, reference)| value - reference).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_odd_number_is_the_one_in_the_middle() {
        let summary = Summary::of(&[9.0, 1.0, 2.0]);
        assert_eq!(summary, Some(Summary { min: 1.0, median: 2.0, max: 9.0 }));
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_two_in_the_middle() {
        assert_eq!(Summary::of(&[4.0, 100.0, 1.0, 2.0]).map(|s| s.median), Some(3.0));
    }

    #[test]
    fn one_outlier_does_not_move_the_median() {
        let calm = Summary::of(&[5.0, 5.0, 5.0, 5.0, 5.0]).map(|s| s.median);
        let disturbed = Summary::of(&[5.0, 5.0, 5000.0, 5.0, 5.0]).map(|s| s.median);
        assert_eq!(calm, disturbed);
    }

    #[test]
    fn of_nothing_there_is_no_summary() {
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn a_ratio_is_taken_within_a_round_so_that_a_slow_round_cancels_out() {
        assert_eq!(ratios(&[20.0, 200.0, 20.0], &[10.0, 100.0, 10.0]), [2.0, 2.0, 2.0]);
        assert_eq!(differences(&[20.0, 30.0], &[10.0, 25.0]), [10.0, 5.0]);
    }

    #[test]
    fn a_summary_is_shown_with_its_spread() {
        let summary = Summary { min: 1.0, median: 2.345, max: 10.0 };
        assert_eq!(summary.show(1), "2.3 (1.0..10.0)");
    }
}
