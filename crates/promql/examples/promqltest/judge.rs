//! Evaluates and compares. Like Prometheus's own runner, an instant query is evaluated once more
//! as the middle step of a range query, which must give the same.

use std::cell::Cell;
use std::collections::BTreeMap;

use promql::{Evaluated, Matcher, Matrix, Options, Series, SeriesSet, Storage, StorageError, Value, all_match};
use series::{Labels, Sample, Timestamp};

use crate::script::{Command, Eval, Expected, Line, Text, Texts, When, commands};

/// Values this near to each other, relatively, are the same.
const EPSILON: f64 = 1e-6;
/// How far the range query reaches to both sides of an instant.
const AROUND_MS: i64 = 60_000;

/// How an evaluation went.
pub(crate) enum Verdict {
    Passed,
    Failed(String),
    Skipped(String),
}

/// What was loaded since the last `clear`.
#[derive(Default)]
struct Data {
    series: Vec<Series>,
    histograms: Vec<Labels>,
    set: SeriesSet,
    touched_histogram: Cell<bool>,
}

impl Data {
    fn load(&mut self, step_ms: i64, lines: Vec<Line>) {
        for (labels, values) in lines {
            let Some(values) = values else {
                self.histograms.push(labels);
                continue;
            };
            let samples = values
                .iter()
                .zip(0..)
                .filter_map(|(value, step)| value.map(|value| Sample { at: Timestamp(step * step_ms), value }));
            self.series.push(Series { labels, samples: samples.collect() });
        }
        self.set = SeriesSet::new(self.series.iter().cloned());
    }
}

impl Storage for Data {
    fn select(&self, matchers: &[Matcher], from: Timestamp, to: Timestamp) -> Result<Vec<Series>, StorageError> {
        if self.histograms.iter().any(|labels| all_match(matchers, labels)) {
            self.touched_histogram.set(true);
        }
        self.set.select(matchers, from, to)
    }
}

/// Runs a whole script: each evaluation's line and verdict.
pub(crate) fn run(text: &str) -> Vec<(usize, Verdict)> {
    let mut data = Data::default();
    let mut verdicts = Vec::new();
    for (line, command) in commands(text) {
        let verdict = match command {
            Err(error) => Verdict::Failed(error),
            Ok(Command::Clear) => {
                data = Data::default();
                continue;
            }
            Ok(Command::Load { step_ms, series }) => {
                data.load(step_ms, series);
                continue;
            }
            Ok(Command::Eval(eval)) => judge(&data, &eval),
            Ok(Command::Unknown(what)) => Verdict::Skipped(what),
        };
        verdicts.push((line, verdict));
    }
    verdicts
}

fn judge(data: &Data, eval: &Eval) -> Verdict {
    data.touched_histogram.set(false);
    let result = evaluate(data, eval);
    if data.touched_histogram.get() || eval.expected.series.iter().any(|(_, values)| values.is_none()) {
        return Verdict::Skipped(format!("native histograms in {}", eval.expr));
    }
    match (result, &eval.expected.fails) {
        (Ok(()), None) => Verdict::Passed,
        (Err(Wrong::Evaluation(message)), Some(texts)) if is_expected(texts, &message) => Verdict::Passed,
        (Ok(()) | Err(Wrong::Result(_)), Some(_)) => Verdict::Failed(format!("{}: an error is expected", eval.expr)),
        (Err(Wrong::Evaluation(why) | Wrong::Result(why)), _) => Verdict::Failed(format!("{}: {why}", eval.expr)),
    }
}

enum Wrong {
    Evaluation(String),
    Result(String),
}

fn evaluate(data: &Data, eval: &Eval) -> Result<(), Wrong> {
    let failed = |error: promql::EvalError| Wrong::Evaluation(error.to_string());
    let expr = promql::parse(&eval.expr).map_err(|error| Wrong::Evaluation(error.to_string()))?;
    let options = Options { delayed_name_removal: true, ..Options::default() };
    match eval.when {
        When::Instant { at_ms } => {
            let at = Timestamp(at_ms);
            let result = promql::instant(&expr, at, data, &options).map_err(failed)?;
            annotations(&eval.expected, &result.annotations)?;
            value(&eval.expected, &result.value, eval.expected.ordered)?;
            if matches!(result.value, Value::Vector(_) | Value::Scalar(_)) && !eval.expected.ordered {
                let (start, end) = (at.plus_ms(-AROUND_MS), at.plus_ms(AROUND_MS));
                let around = promql::range(&expr, start, end, AROUND_MS, data, &options).map_err(failed)?;
                middle(&result.value, &around, at, eval)?;
            }
            Ok(())
        }
        When::Range { start_ms, end_ms, step_ms } => {
            let (start, end) = (Timestamp(start_ms), Timestamp(end_ms));
            let result = promql::range(&expr, start, end, step_ms, data, &options).map_err(failed)?;
            annotations(&eval.expected, &result.annotations)?;
            let scalar = eval.expected.scalar.map(|value| (Labels::empty(), Some(vec![Some(value)])));
            let expected: Vec<Line> = eval.expected.series.iter().cloned().chain(scalar).collect();
            matrix(&expected, &result.value, start_ms, step_ms)
        }
    }
}

fn annotations(expected: &Expected, found: &[String]) -> Result<(), Wrong> {
    for (kind, wanted) in [("warning", &expected.warns), ("info", &expected.informs)] {
        let Some(wanted) = wanted else { continue };
        let found: Vec<&String> = found.iter().filter(|text| text.starts_with(&format!("PromQL {kind}"))).collect();
        let right = match wanted {
            Texts::Nothing => found.is_empty(),
            Texts::These(texts) => {
                let all_told = texts.iter().all(|text| !matches!(text, Text::Any));
                texts.iter().all(|text| found.iter().any(|message| text.fits(message)))
                    && (!all_told || found.iter().all(|message| texts.iter().any(|text| text.fits(message))))
            }
        };
        if !right {
            return Err(Wrong::Result(format!("annotations of the kind {kind}: {found:?}")));
        }
    }
    Ok(())
}

/// Whether an error is the one that is expected. Ours may say more behind Prometheus's words, and the wording of what
/// is no PromQL at all is our own.
fn is_expected(texts: &[Text], message: &str) -> bool {
    texts.iter().all(|text| match text {
        Text::Exactly(expected) => message.starts_with(expected.as_str()) || expected.contains("parse error"),
        Text::Like(regex) => regex.is_match(message) || regex.as_str().contains("parse error"),
        Text::Any => true,
    })
}

fn value(expected: &Expected, found: &Value, ordered: bool) -> Result<(), Wrong> {
    match found {
        Value::String(text) if expected.string.as_ref() == Some(text) => Ok(()),
        Value::Scalar(sample) if expected.scalar.is_some_and(|value| same(value, sample.value)) => Ok(()),
        Value::Vector(vector) if expected.scalar.is_none() && expected.string.is_none() => {
            let wanted = expected
                .series
                .iter()
                .map(|(labels, values)| (labels, values.as_ref().and_then(|values| values.first().copied().flatten())));
            let wanted: Vec<(&Labels, Option<f64>)> = wanted.collect();
            let given: Vec<(&Labels, f64)> = vector.iter().map(|(labels, sample)| (labels, sample.value)).collect();
            compare(&wanted, &given, ordered)
        }
        Value::Matrix(series) => {
            let (start_ms, step_ms) = expected.matrix.unwrap_or((0, 1));
            matrix(&expected.series, series, start_ms, step_ms)
        }
        other => Err(Wrong::Result(format!("got {other:?}"))),
    }
}

fn compare(wanted: &[(&Labels, Option<f64>)], given: &[(&Labels, f64)], ordered: bool) -> Result<(), Wrong> {
    let shown = || format!("expected {wanted:?}\n    got {given:?}");
    let pairs: Vec<_> = if ordered {
        wanted.iter().zip(given).collect()
    } else {
        let given: BTreeMap<&Labels, &(&Labels, f64)> = given.iter().map(|pair| (pair.0, pair)).collect();
        wanted.iter().filter_map(|want| given.get(want.0).map(|give| (want, *give))).collect()
    };
    let equal = pairs.iter().all(|(want, give)| want.0 == give.0 && want.1.is_some_and(|v| same(v, give.1)));
    if equal && pairs.len() == wanted.len() && wanted.len() == given.len() {
        Ok(())
    } else {
        Err(Wrong::Result(shown()))
    }
}

fn matrix(expected: &[Line], found: &Matrix, start_ms: i64, step_ms: i64) -> Result<(), Wrong> {
    let wanted: BTreeMap<&Labels, Vec<(i64, f64)>> = expected
        .iter()
        .map(|(labels, values)| {
            let timed = values.iter().flatten().zip(0..).filter_map(|(v, n)| v.map(|v| (start_ms + n * step_ms, v)));
            (labels, timed.collect::<Vec<_>>())
        })
        .filter(|(_, points)| !points.is_empty())
        .collect();
    let given: BTreeMap<&Labels, Vec<(i64, f64)>> = found
        .iter()
        .map(|one| (&one.labels, one.samples.iter().map(|sample| (sample.at.ms(), sample.value)).collect()))
        .collect();
    let equal = wanted.len() == given.len()
        && wanted.iter().zip(&given).all(|(want, give)| {
            want.0 == give.0
                && want.1.len() == give.1.len()
                && want.1.iter().zip(give.1).all(|(a, b)| a.0 == b.0 && same(a.1, b.1))
        });
    if equal { Ok(()) } else { Err(Wrong::Result(format!("expected {wanted:?}\n    got {given:?}"))) }
}

/// The range query's step at the instant must be what the instant query gave.
fn middle(instant: &Value, around: &Evaluated<Matrix>, at: Timestamp, eval: &Eval) -> Result<(), Wrong> {
    // What hangs on the query's ends is another question when asked over a range.
    if ["start()", "end()", "step()", "range()", "limit"].iter().any(|word| eval.expr.contains(word)) {
        return Ok(());
    }
    let given: Vec<(&Labels, f64)> = around
        .value
        .iter()
        .filter_map(|one| one.samples.iter().find(|s| s.at == at).map(|s| (&one.labels, s.value)))
        .collect();
    let empty = Labels::empty();
    let wanted: Vec<(&Labels, Option<f64>)> = match instant {
        Value::Vector(vector) => vector.iter().map(|(labels, sample)| (labels, Some(sample.value))).collect(),
        Value::Scalar(sample) => vec![(&empty, Some(sample.value))],
        _ => return Ok(()),
    };
    compare(&wanted, &given, false).map_err(|wrong| match wrong {
        Wrong::Result(why) | Wrong::Evaluation(why) => Wrong::Result(format!("as a range query: {why}")),
    })
}

fn same(wanted: f64, found: f64) -> bool {
    if wanted == found || (wanted.is_nan() && found.is_nan()) {
        return true;
    }
    let (sum, difference) = (wanted.abs() + found.abs(), (wanted - found).abs());
    if wanted == 0.0 || found == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}
