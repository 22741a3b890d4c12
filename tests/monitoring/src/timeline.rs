//! Scrapes and their times, as Prometheus would have made them.

use portcullis_e2e::{Labels, Samples};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// Series and their samples, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Timeline(BTreeMap<(String, Labels), Vec<(i64, f64)>>);

impl Timeline {
    /// Adds what one target said at this second since 1970, with the labels that Prometheus gives it, and that it answered.
    pub fn scrape(&mut self, at: i64, samples: &Samples, job: &str, instance: &str) {
        let all = samples.all();
        let count = f64::from(u32::try_from(all.len()).unwrap_or(u32::MAX));
        for sample in all {
            self.add(at, &sample.name, with_target(sample.labels, job, instance), sample.value);
        }
        self.add(at, "up", with_target(Labels::new(), job, instance), 1.0);
        self.add(at, "scrape_samples_scraped", with_target(Labels::new(), job, instance), count);
    }

    /// Adds one sample.
    pub fn add(&mut self, at: i64, name: &str, labels: Labels, value: f64) {
        self.0.entry((name.to_owned(), labels)).or_default().push((at, value));
    }

    /// Every series that has a sample at this time says the same so many seconds later, each time.
    pub fn stay(&mut self, from: i64, later: impl Iterator<Item = i64> + Clone) {
        for samples in self.0.values_mut() {
            let last = samples.last().filter(|(at, _)| *at == from).map(|(_, value)| *value);
            samples
                .extend(last.into_iter().flat_map(|value| later.clone().map(move |by| (from + by, value))));
        }
    }

    /// The same, so much earlier.
    #[must_use]
    pub fn earlier(&self, by: Duration) -> Self {
        let by = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
        let moved = |samples: &Vec<(i64, f64)>| samples.iter().map(|(at, value)| (at - by, *value)).collect();
        Self(self.0.iter().map(|(series, samples)| (series.clone(), moved(samples))).collect())
    }

    /// How many series there are.
    #[must_use]
    pub fn series(&self) -> usize {
        self.0.len()
    }

    /// All of it as OpenMetrics text, without types.
    #[must_use]
    pub fn open_metrics(&self) -> String {
        let mut text = String::new();
        for ((name, labels), samples) in &self.0 {
            let labels: Vec<String> =
                labels.iter().map(|(label, value)| format!("{label}={value:?}")).collect();
            for (at, value) in samples {
                let _ = writeln!(text, "{name}{{{}}} {value} {at}", labels.join(","));
            }
        }
        text + "# EOF\n"
    }
}

fn with_target(mut labels: Labels, job: &str, instance: &str) -> Labels {
    labels.insert("job".to_owned(), job.to_owned());
    labels.insert("instance".to_owned(), instance.to_owned());
    labels
}
