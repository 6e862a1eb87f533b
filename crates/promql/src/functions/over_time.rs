//! `*_over_time`: one number of all samples in a window.

use series::Sample;

use super::{Over, RangeFunction};
use crate::numbers;
use crate::range_vector::{Reads, Window};

pub(super) fn function(name: &str) -> Option<Over> {
    let reads = match name {
        "count_over_time" | "first_over_time" | "last_over_time" | "present_over_time" => Reads::Ends,
        "ts_of_first_over_time" | "ts_of_last_over_time" => Reads::Ends,
        _ => Reads::Samples,
    };
    let function: RangeFunction = match name {
        "avg_over_time" => |window| Some(numbers::mean(values(window))),
        "sum_over_time" => |window| Some(numbers::sum(values(window))),
        "count_over_time" => |window| Some(window.samples.len() as f64),
        "min_over_time" => |window| values(window).reduce(numbers::smaller),
        "max_over_time" => |window| values(window).reduce(numbers::greater),
        "first_over_time" => |window| window.samples.first().map(|sample| sample.value),
        "last_over_time" => |window| window.samples.last().map(|sample| sample.value),
        "present_over_time" => |_| Some(1.0),
        "stdvar_over_time" => |window| Some(numbers::variance(values(window))),
        "stddev_over_time" => |window| Some(numbers::variance(values(window)).sqrt()),
        "quantile_over_time" => |window| Some(numbers::quantile(window.args[0], values(window).collect())),
        "mad_over_time" => |window| Some(median_deviation(window)),
        "ts_of_first_over_time" => |window| window.samples.first().map(|sample| sample.at.seconds()),
        "ts_of_last_over_time" => |window| window.samples.last().map(|sample| sample.at.seconds()),
        "ts_of_min_over_time" => |window| time_of(window, |kept, value| value <= kept),
        "ts_of_max_over_time" => |window| time_of(window, |kept, value| value >= kept),
        _ => return None,
    };
    Some(Over { reads, function })
}

/// The functions whose result is a sample of the series itself.
pub(super) fn keeps_name(name: &str) -> bool {
    matches!(name, "first_over_time" | "last_over_time")
}

fn values<'a>(window: &Window<'a>) -> impl Iterator<Item = f64> + Clone + use<'a> {
    window.samples.iter().map(|sample: &Sample| sample.value)
}

fn median_deviation(window: &Window) -> f64 {
    let median = numbers::quantile(0.5, values(window).collect());
    numbers::quantile(0.5, values(window).map(|value| (value - median).abs()).collect())
}

/// The time of the last sample that takes the place of the one kept so far.
fn time_of(window: &Window, replaces: fn(f64, f64) -> bool) -> Option<f64> {
    let kept = window
        .samples
        .iter()
        .reduce(|kept, sample| if kept.value.is_nan() || replaces(kept.value, sample.value) { sample } else { kept })?;
    Some(kept.at.seconds())
}
