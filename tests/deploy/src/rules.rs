//! What rendered rules say of scrapes of a proxy, by Prometheus's own rule engine.

use crate::{command, example, portcullis, root, run};
use portcullis_e2e::{Sample, Samples};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// A file of rules.
pub struct Rules {
    file: PathBuf,
}

impl Rules {
    /// Those in a file.
    #[must_use]
    pub fn of(file: PathBuf) -> Self {
        Self { file }
    }

    /// The example's alerts.
    ///
    /// # Panics
    /// If they cannot be rendered.
    #[must_use]
    pub fn alerts(folder: &Path) -> Self {
        let folder = folder.join("monitoring");
        let mut render = portcullis();
        render.args(["render", "monitoring"]).arg(example()).arg("--settings");
        render.arg(root().join("envoy/monitoring/settings.yaml")).arg("--out").arg(&folder);
        run(render).expect_success();
        Self::of(folder.join("rules.yaml"))
    }

    /// Whether `alert` fires if twenty minutes go on as it went between the two scrapes, a step of 30 s each.
    ///
    /// # Panics
    /// If Prometheus cannot read the rules.
    #[must_use]
    pub fn fires(&self, alert: &str, before: &Samples, after: &Samples) -> bool {
        let firing = format!(r#"count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)"#);
        let series = self.series(before, after);
        let is = |count: f64| self.evaluate(&[(firing.clone(), count)], &series);
        let fires = is(1.0).is_ok();
        if !fires {
            is(0.0).unwrap_or_else(|said| panic!("{said}"));
        }
        fires
    }

    /// Looks whether queries of a number have these values, by the rules and a scrape.
    ///
    /// # Errors
    /// What Prometheus says.
    pub fn check(&self, queries: &[(String, f64)], samples: &Samples) -> Result<(), String> {
        self.evaluate(queries, &self.series(samples, samples))
    }

    /// Those series that a rule may look at.
    fn series(&self, before: &Samples, after: &Samples) -> Vec<Value> {
        let rules = fs::read_to_string(&self.file).expect("the rules");
        let all = after.all().into_iter().filter(|sample| rules.contains(&sample.name));
        all.map(|sample| series(&sample, before)).collect()
    }

    fn evaluate(&self, queries: &[(String, f64)], series: &[Value]) -> Result<(), String> {
        let expected = |value: f64| json!([{ "labels": "{}", "value": value }]);
        let test = |(query, value): &(String, f64)| json!({ "expr": query, "eval_time": "20m", "exp_samples": expected(*value) });
        let tests = json!({ "rule_files": [&self.file], "evaluation_interval": "30s", "tests": [{
            "interval": "30s",
            "input_series": series,
            "promql_expr_test": queries.iter().map(test).collect::<Vec<_>>(),
        }] });
        let file = self.file.with_extension("tests.yaml");
        fs::write(&file, tests.to_string()).expect("it can be written");
        let mut promtool = command(root().join(".tools/bin/promtool"));
        promtool.args(["test", "rules"]).arg(&file);
        let output = run(promtool);
        let said = format!("{}{}", output.stdout, output.stderr);
        if output.status == Some(0) { Ok(()) } else { Err(said) }
    }
}

/// A series of a pod that is scraped as the gateway.
fn series(sample: &Sample, before: &Samples) -> Value {
    let labels: Vec<_> = sample.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let first = before.value(&sample.name, &labels).unwrap_or(sample.value);
    let target = [("job", "gateway"), ("instance", "gateway-0")];
    let labels = labels.iter().chain(&target).map(|(name, value)| format!("{name}={value:?}"));
    let labels = labels.collect::<Vec<_>>().join(",");
    json!({
        "series": format!("{}{{{labels}}}", sample.name),
        "values": format!("{first}{:+}x40", sample.value - first),
    })
}
