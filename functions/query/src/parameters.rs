//! Parameters of Prometheus's HTTP API: times, durations, selectors, limits, in its words. A
//! parameter without a value counts as not given.

use pipeline::promql::{self, Matcher};
use pipeline::{Fault, Request, Timestamp};

/// Steps after the first point that one range query may have.
pub(crate) const STEPS_MAX: i64 = 11_000;
/// Selectors of one metadata call.
pub(crate) const SELECTORS_MAX: usize = 1_000;

/// A parameter that has a value.
pub(crate) fn given<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    request.parameter(name).filter(|text| !text.is_empty())
}

/// What is wrong with a parameter.
pub(crate) fn invalid(name: &str, what: impl std::fmt::Display) -> Fault {
    Fault::bad(format!("invalid parameter {name:?}: {what}"))
}

/// A time: seconds since 1970 with a fraction, or RFC 3339.
pub(crate) fn time(name: &str, text: &str) -> Result<Timestamp, Fault> {
    let wrong = || invalid(name, format!("cannot parse {text:?} to a valid timestamp"));
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
    let wrong = || invalid(name, format!("cannot parse {text:?} to a valid duration"));
    match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds.abs() < 1e12 => Ok((seconds * 1_000.0).round() as i64),
        Ok(_) => Err(wrong()),
        Err(_) => pipeline::alerts::duration::parse_ms(text).map_err(|_| wrong()),
    }
}

/// `query`, which must be there.
pub(crate) fn query(request: &Request) -> Result<&str, Fault> {
    given(request, "query").ok_or_else(|| invalid("query", "no expression found in input"))
}

/// A time that may be missing.
pub(crate) fn time_or(request: &Request, name: &str, default: Timestamp) -> Result<Timestamp, Fault> {
    given(request, name).map_or(Ok(default), |text| time(name, text))
}

/// `start`, `end` and `step` of a range query.
pub(crate) fn range(request: &Request) -> Result<(Timestamp, Timestamp, i64), Fault> {
    let text = |name| given(request, name).unwrap_or_default();
    let start = time("start", text("start"))?;
    let end = time("end", text("end"))?;
    if end < start {
        return Err(invalid("end", "end timestamp must not be before start time"));
    }
    let step_ms = duration_ms("step", text("step"))?;
    if step_ms <= 0 {
        let what = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(invalid("step", what));
    }
    if (end.ms() - start.ms()) / step_ms > STEPS_MAX {
        return Err(Fault::bad(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    Ok((start, end, step_ms))
}

/// `start` and `end` of the metadata calls; the last day where they are not given.
pub(crate) fn span(request: &Request, now: Timestamp) -> Result<(Timestamp, Timestamp), Fault> {
    let end = time_or(request, "end", now)?;
    let start = time_or(request, "start", end.plus_ms(-pipeline::DAY_MS))?;
    if end < start {
        return Err(invalid("end", "end timestamp must not be before start time"));
    }
    Ok((start, end))
}

/// All of `match[]`. One that nothing narrows is refused, as in Prometheus.
pub(crate) fn selectors(request: &Request) -> Result<Vec<Vec<Matcher>>, Fault> {
    let texts: Vec<&str> = request.all("match[]").collect();
    if texts.len() > SELECTORS_MAX {
        let many = texts.len();
        return Err(invalid("match[]", format!("there are {many}, at most {SELECTORS_MAX} are taken (selectors_max)")));
    }
    let one = |text: &&str| {
        let matchers = promql::parse_selector(text).map_err(|error| invalid("match[]", error))?;
        if matchers.iter().all(|matcher| matcher.matches_value("")) {
            return Err(invalid("match[]", "match[] must contain at least one non-empty matcher"));
        }
        Ok(matchers)
    };
    texts.iter().map(one).collect()
}

/// `limit`; 0 or nothing is none.
pub(crate) fn limit(request: &Request) -> Result<usize, Fault> {
    let Some(text) = given(request, "limit") else { return Ok(usize::MAX) };
    match text.parse::<i64>() {
        Ok(0) => Ok(usize::MAX),
        Ok(limit) => usize::try_from(limit).map_err(|_| invalid("limit", "limit must be non-negative")),
        Err(_) => Err(invalid("limit", format!("{text:?} is not a whole number"))),
    }
}

/// A count with which Prometheus's older calls are limited: 0 is none at all, and so is less.
pub(crate) fn count(request: &Request, name: &str) -> Result<Option<usize>, Fault> {
    let Some(text) = given(request, name) else { return Ok(None) };
    let count: i64 = text.parse().map_err(|_| Fault::bad(format!("{name} must be a number")))?;
    Ok(usize::try_from(count).ok())
}

/// A label's name as a path has it: `U__` begins one in which what is not a letter, a digit or `_`
/// is written `_1F600_`, and `_` is `__`.
pub(crate) fn label_name(text: &str) -> String {
    let Some(escaped) = text.strip_prefix("U__") else { return text.to_owned() };
    unescaped(escaped).unwrap_or_else(|| text.to_owned())
}

fn unescaped(escaped: &str) -> Option<String> {
    let mut name = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '_' {
            name.push(c);
        } else if let Some(after) = rest.strip_prefix('_') {
            name.push('_');
            rest = after;
        } else {
            let (digits, after) = rest.split_once('_')?;
            let valid = (1..=6).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            name.push(char::from_u32(u32::from_str_radix(digits, 16).ok().filter(|_| valid)?)?);
            rest = after;
        }
    }
    Some(name)
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
            let expected = format!("invalid parameter \"time\": cannot parse {text:?} to a valid timestamp");
            assert_eq!(time("time", text).unwrap_err().to_string(), expected);
        }
    }

    fn request(parameters: &[(&str, &str)]) -> Request {
        let parameters = parameters.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Request { parameters, ..Request::default() }
    }

    fn query(start: &str, end: &str, step: &str) -> Request {
        request(&[("start", start), ("end", end), ("step", step)])
    }

    #[test]
    fn ranges_at_the_limit_of_steps_and_one_past_it() {
        assert!(range(&query("0", "11000", "1")).is_ok());
        assert!(range(&query("0", "11000.999", "1")).is_ok());
        let refused = range(&query("0", "11001", "1")).unwrap_err();
        assert!(refused.to_string().starts_with("exceeded maximum resolution of 11,000 points"), "{refused}");
        assert!(range(&query("1", "0", "1")).is_err());
        assert!(range(&query("0", "1", "0")).is_err());
        assert_eq!(range(&query("0", "60", "1m")).unwrap().2, 60_000);
    }

    #[test]
    fn a_limit_is_none_where_it_is_zero_or_has_no_value() {
        for (text, expected) in [("", usize::MAX), ("0", usize::MAX), ("3", 3)] {
            assert_eq!(limit(&request(&[("limit", text)])).unwrap(), expected);
        }
        for text in ["-1", "few", "1.5"] {
            assert!(limit(&request(&[("limit", text)])).unwrap_err().to_string().contains("\"limit\""), "{text}");
        }
        assert_eq!(count(&request(&[("limit", "-1")]), "limit").unwrap(), None);
        assert_eq!(count(&request(&[("limit", "x")]), "limit").unwrap_err().to_string(), "limit must be a number");
    }

    #[test]
    fn selectors_at_the_limit_and_one_past_it() {
        let of = |many: usize| selectors(&request(&vec![("match[]", "up"); many]));
        assert_eq!(of(SELECTORS_MAX).unwrap().len(), SELECTORS_MAX);
        assert!(of(SELECTORS_MAX + 1).unwrap_err().to_string().contains("selectors_max"));
        for text in [r#"{a=""}"#, r#"{a=~".*"}"#, "{}", ""] {
            let refused = selectors(&request(&[("match[]", text)])).unwrap_err();
            assert!(refused.to_string().starts_with("invalid parameter \"match[]\": "), "{refused}");
        }
    }

    #[test]
    fn names_of_labels_in_a_path() {
        for (text, name) in [
            ("job", "job"),
            ("U__http_2e_status__code", "http.status_code"),
            ("U___1F600_", "😀"),
            ("U__a_", "U__a_"),
            ("U__a_xyz_", "U__a_xyz_"),
            ("U__a_1234567_", "U__a_1234567_"),
            ("U__a_d800_", "U__a_d800_"),
            ("U__", ""),
        ] {
            assert_eq!(label_name(text), name, "{text}");
        }
    }
}
