use series::{Labels, Sample, Timestamp};

use crate::fixture;
use crate::*;

/// A storage from lines `name{label="value"} values`; the values are `step_ms` apart from 0.
pub(crate) fn storage(step_ms: i64, load: &str) -> SeriesSet {
    SeriesSet::new(load.lines().filter(|line| !line.trim().is_empty()).map(|line| {
        let (labels, values) = fixture::labels(line).unwrap();
        let values = fixture::values(values).unwrap();
        let samples = values
            .iter()
            .enumerate()
            .filter_map(|(step, value)| value.map(|value| Sample { at: Timestamp(step as i64 * step_ms), value }));
        Series { labels, samples: samples.collect() }
    }))
}

/// What `expr` gives, as text: `{labels} value` a line, or the error.
pub(crate) fn shown(storage: &SeriesSet, expr: &str, at_seconds: f64, options: &Options) -> String {
    let expr = match parse(expr) {
        Ok(expr) => expr,
        Err(error) => return error.to_string(),
    };
    let line = |labels: &Labels, samples: &[Sample]| {
        let values: Vec<String> = samples.iter().map(|sample| format_value(sample.value)).collect();
        format!("{labels} {}", values.join(" "))
    };
    match instant(&expr, Timestamp::from_seconds(at_seconds), storage, options) {
        Err(error) => error.to_string(),
        Ok(result) => match result.value {
            Value::Scalar(sample) => format_value(sample.value),
            Value::String(text) => format!("{text:?}"),
            Value::Vector(vector) => {
                vector.iter().map(|(labels, sample)| line(labels, &[*sample])).collect::<Vec<_>>().join("\n")
            }
            Value::Matrix(matrix) => {
                matrix.iter().map(|one| line(&one.labels, &one.samples)).collect::<Vec<_>>().join("\n")
            }
        },
    }
}

mod binary;
mod functions;
mod laws;
mod limits;
mod naive;
mod ranges;
mod rollups;
mod vectors;
mod whole;

/// Loads series (10 s apart), evaluates at a time in seconds, compares line by line.
fn check(load: &str, expr: &str, at_seconds: f64, expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let shown = shown(&storage(10_000, load), expr, at_seconds, &Options::default());
    assert_eq!(shown, expected.join("\n"), "\n{expr} at {at_seconds}");
}
