//! The figures of a run: a table for people, JSON for programs.

use serde_json::{Map, Value, json};

use crate::ledger::Tally;
use crate::stop::Early;
use crate::table::Table;

/// Times in nanoseconds, kept to three digits.
#[derive(Clone, Debug)]
pub(crate) struct Histogram(hdrhistogram::Histogram<u64>);

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram(hdrhistogram::Histogram::new(3).expect("three digits are allowed"))
    }
}

impl Histogram {
    /// Enters a time.
    pub(crate) fn record(&mut self, nanos: u64) {
        self.0.record(nanos).expect("the histogram resizes itself");
    }

    /// Enters another's times.
    pub(crate) fn add(&mut self, other: &Histogram) {
        self.0.add(&other.0).expect("the histogram resizes itself");
    }

    /// The number of times entered.
    pub(crate) fn len(&self) -> u64 {
        self.0.len()
    }

    /// A percentile in milliseconds; None of nothing.
    pub(crate) fn millis(&self, percentile: f64) -> Option<f64> {
        (self.len() > 0).then(|| self.micros(percentile) / 1e3)
    }

    /// A percentile in microseconds.
    fn micros(&self, percentile: f64) -> f64 {
        self.0.value_at_percentile(percentile) as f64 / 1e3
    }
}

/// The middle one; for an even number the upper of the two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// In the place of a figure.
const NOT_MEASURED: &str = "not measured";

/// What one scenario found out.
#[derive(Debug)]
pub(crate) struct Report {
    scenario: &'static str,
    figures: Vec<(String, Value, &'static str)>,
    tables: Vec<Table>,
    sound: bool,
    failure: Option<String>,
}

impl Report {
    /// Without figures yet.
    pub(crate) fn new(scenario: &'static str) -> Report {
        Report { scenario, figures: Vec::new(), tables: Vec::new(), sound: true, failure: None }
    }

    /// Adds a figure; `name` is its key in the JSON.
    pub(crate) fn figure(
        &mut self,
        name: impl Into<String>,
        value: impl Into<Value>,
        unit: &'static str,
    ) {
        self.figures.push((name.into(), value.into(), unit));
    }

    /// Adds a table.
    pub(crate) fn table(&mut self, table: Table) {
        self.tables.push(table);
    }

    /// The tables so far.
    pub(crate) fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// Adds a figure if it could be measured.
    pub(crate) fn measured(
        &mut self,
        name: impl Into<String>,
        value: Option<impl Into<Value>>,
        unit: &'static str,
    ) {
        self.figure(name, value.map_or(Value::Null, Into::into), unit);
    }

    /// Adds the median of what the rounds showed, and each of them if there are several. Returns
    /// the median.
    pub(crate) fn rounds(
        &mut self,
        name: &str,
        values: Option<Vec<f64>>,
        unit: &'static str,
    ) -> Option<f64> {
        let middle = values.clone().map(median);
        self.measured(name, middle, unit);
        if let Some(values) = values.filter(|values| values.len() > 1) {
            self.figure(format!("{name}_of_each_round"), values, unit);
        }
        middle
    }

    /// Adds percentiles.
    pub(crate) fn times(&mut self, name: &str, times: &Histogram) {
        for (suffix, percentile) in [("p50", 50.0), ("p99", 99.0), ("p999", 99.9), ("max", 100.0)] {
            let value = (times.len() > 0).then(|| times.micros(percentile));
            self.measured(format!("{name}_{suffix}"), value, "µs");
        }
    }

    /// Adds what was counted, and judges it.
    pub(crate) fn tally(&mut self, tally: &Tally) {
        let counts = [
            ("deliveries", tally.deliveries),
            ("lost", tally.lost),
            ("repeated", tally.repeated),
            ("disordered", tally.disordered),
            ("foreign", tally.foreign),
            ("gaps", tally.gaps),
            ("streams_ended_by_server", tally.ended),
            ("heartbeats", tally.heartbeats),
        ];
        for (name, count) in counts {
            self.figure(name, count, "");
        }
        self.require(!tally.faulty());
    }

    /// The run is sound only if this holds.
    pub(crate) fn require(&mut self, holds: bool) {
        self.sound &= holds;
    }

    /// Says that the run had to end before its time: the figures are of the time until then.
    pub(crate) fn cut_short(&mut self, early: Early) {
        self.figure("cut_short", early.to_string(), "");
    }

    /// Says that the run could not be carried to its end, with what there is so far.
    pub(crate) fn fail(&mut self, why: String) {
        self.sound = false;
        self.failure.get_or_insert(why);
    }

    /// Why it could not be carried to its end.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Whether nothing was lost, repeated or refused.
    pub(crate) fn sound(&self) -> bool {
        self.sound
    }

    /// The scenario's name.
    pub(crate) fn scenario(&self) -> &'static str {
        self.scenario
    }

    /// Every figure as people read it: its name, its value and its unit.
    pub(crate) fn figures(&self) -> impl Iterator<Item = (&str, String, &'static str)> {
        self.figures.iter().map(|(name, value, unit)| (name.as_str(), shown(value), *unit))
    }

    /// One object with every figure by its name.
    pub(crate) fn json(&self) -> String {
        let mut object = Map::new();
        object.insert("scenario".into(), json!(self.scenario));
        object.insert("sound".into(), json!(self.sound));
        object.extend(self.failure.iter().map(|why| ("failure".to_owned(), json!(why))));
        object.extend(self.figures.iter().map(|(name, value, _)| (name.clone(), value.clone())));
        object.extend(self.tables.iter().map(|table| (table.title().to_owned(), table.json())));
        Value::Object(object).to_string()
    }

    /// One line a figure, then the tables.
    pub(crate) fn text(&self) -> String {
        let width = self.figures.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
        let mut table = format!("{}\n", self.scenario);
        for (name, value, unit) in self.figures() {
            let unit = if value == NOT_MEASURED { "" } else { unit };
            table += format!("  {name:width$}  {value:>14} {unit}").trim_end();
            table.push('\n');
        }
        for part in &self.tables {
            table += &format!("\n{}\n{}\n", part.title(), part.markdown());
        }
        table + if self.sound { "  sound: nothing lost\n" } else { "  NOT SOUND\n" }
    }
}

/// Numbers with a point get as many digits as their size is worth.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => NOT_MEASURED.into(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(" "),
        Value::Number(number) if number.is_f64() => match number.as_f64().unwrap_or(f64::NAN) {
            value if value.abs() >= 1000.0 => format!("{value:.0}"),
            value if value.abs() >= 10.0 => format!("{value:.1}"),
            value => format!("{value:.3}"),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_in_both_forms() {
        let mut report = Report::new("test");
        report.figure("ratio", 1.2345, "");
        report.measured("rss", None::<u64>, "bytes");
        report.require(false);
        let expected = json!({"scenario": "test", "sound": false, "ratio": 1.2345, "rss": null});
        assert_eq!(serde_json::from_str::<Value>(&report.json()).unwrap(), expected);
        assert!(report.text().contains("1.234") && report.text().contains("NOT SOUND"));
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert!(median(vec![]).is_nan());
    }
}
