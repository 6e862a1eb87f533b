//! Parameters of Prometheus's HTTP API: times, durations, selectors.

use pipeline::promql::{self, Matcher};
use pipeline::{Fault, Request, Timestamp};

/// The steps that one range query may have.
pub(crate) const STEPS_MAX: i64 = 11_000;

/// A time: seconds since 1970 with a fraction, or RFC 3339.
pub(crate) fn time(name: &str, text: &str) -> Result<Timestamp, Fault> {
    let wrong = || Fault::bad(format!("parameter {name:?}: {text:?} is neither seconds since 1970 nor RFC 3339"));
    if let Ok(seconds) = text.parse::<f64>() {
        if !seconds.is_finite() || seconds.abs() > 1e13 {
            return Err(wrong());
        }
        return Ok(Timestamp::from_seconds(seconds));
    }
    let instant: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    Ok(Timestamp(instant.as_millisecond()))
}

/// A duration: seconds with a fraction, or Prometheus's `1h30m`. Milliseconds.
pub(crate) fn duration_ms(name: &str, text: &str) -> Result<i64, Fault> {
    let wrong = || Fault::bad(format!("parameter {name:?}: {text:?} is neither seconds nor a duration like 30s"));
    let ms = match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds.abs() < 1e12 => (seconds * 1_000.0).round() as i64,
        Ok(_) => return Err(wrong()),
        Err(_) => pipeline::alerts::duration::parse_ms(text).map_err(|_| wrong())?,
    };
    Ok(ms)
}

/// `time`, or now.
pub(crate) fn at(request: &Request, now: Timestamp) -> Result<Timestamp, Fault> {
    request.parameter("time").map_or(Ok(now), |text| time("time", text))
}

/// `start`, `end` and `step` of a range query.
pub(crate) fn range(request: &Request) -> Result<(Timestamp, Timestamp, i64), Fault> {
    let start = time("start", request.required("start")?)?;
    let end = time("end", request.required("end")?)?;
    let step_ms = duration_ms("step", request.required("step")?)?;
    if end < start {
        return Err(Fault::bad("parameter \"end\": the end is before the start"));
    }
    if step_ms <= 0 {
        return Err(Fault::bad("parameter \"step\": a step is more than zero"));
    }
    if (end.ms() - start.ms()) / step_ms >= STEPS_MAX {
        return Err(Fault::bad(format!(
            "parameter \"step\": more than {STEPS_MAX} points a series (steps_max); take a longer step"
        )));
    }
    Ok((start, end, step_ms))
}

/// `start` and `end` of the metadata calls; the last day where they are not given.
pub(crate) fn span(request: &Request, now: Timestamp) -> Result<(Timestamp, Timestamp), Fault> {
    let end = request.parameter("end").map_or(Ok(now), |text| time("end", text))?;
    let start = request.parameter("start").map_or(Ok(end.plus_ms(-pipeline::DAY_MS)), |text| time("start", text))?;
    Ok((start, end))
}

/// All of `match[]`.
pub(crate) fn selectors(request: &Request) -> Result<Vec<Vec<Matcher>>, Fault> {
    let texts = request.all("match[]");
    texts
        .map(|text| promql::parse_selector(text).map_err(|e| Fault::bad(format!("parameter \"match[]\": {e}"))))
        .collect()
}

/// `limit`; 0 or nothing is none.
pub(crate) fn limit(request: &Request) -> Result<usize, Fault> {
    match request.parameter("limit") {
        None => Ok(usize::MAX),
        Some(text) => match text.parse::<usize>() {
            Ok(0) => Ok(usize::MAX),
            Ok(limit) => Ok(limit),
            Err(_) => Err(Fault::bad(format!("parameter \"limit\": {text:?} is not a whole number"))),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_both_forms() {
        for (text, ms) in [("1.5", 1_500), ("-1", -1_000), ("1970-01-01T00:00:01.25Z", 1_250), ("1e3", 1_000_000)] {
            assert_eq!(time("time", text).unwrap(), Timestamp(ms), "{text}");
        }
        for text in ["", "now", "NaN", "1e300", "2020-13-01T00:00:00Z"] {
            assert!(time("time", text).unwrap_err().to_string().contains("\"time\""), "{text}");
        }
    }

    fn query(start: &str, end: &str, step: &str) -> Request {
        let parameters = [("start", start), ("end", end), ("step", step)];
        let parameters = parameters.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
        Request { parameters, ..Request::default() }
    }

    #[test]
    fn ranges_at_the_limit_of_steps_and_one_past_it() {
        assert!(range(&query("0", "10999", "1")).is_ok());
        assert!(range(&query("0", "11000", "1")).unwrap_err().to_string().contains("steps_max"));
        assert!(range(&query("1", "0", "1")).is_err());
        assert!(range(&query("0", "1", "0")).is_err());
        assert_eq!(range(&query("0", "60", "1m")).unwrap().2, 60_000);
    }
}
