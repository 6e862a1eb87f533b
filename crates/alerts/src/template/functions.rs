//! The functions that templates may call, with the number of arguments each takes. What
//! Prometheus has beyond them is refused when the file is loaded, by name.

use super::go_format::{g, sprintf};
use super::{Context, Value};

/// A function, and how many arguments it takes (at least, at most).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signature {
    pub(super) name: &'static str,
    pub(super) least: usize,
    pub(super) most: usize,
}

const fn takes(name: &'static str, least: usize, most: usize) -> Signature {
    Signature { name, least, most }
}

const MANY: usize = 32;

/// All of them, sorted by name.
pub(super) const FUNCTIONS: &[Signature] = &[
    takes("and", 1, MANY),
    takes("eq", 2, MANY),
    takes("externalURL", 0, 0),
    takes("ge", 2, 2),
    takes("graphLink", 1, 1),
    takes("gt", 2, 2),
    takes("humanize", 1, 1),
    takes("humanize1024", 1, 1),
    takes("humanizeDuration", 1, 1),
    takes("humanizePercentage", 1, 1),
    takes("humanizeTimestamp", 1, 1),
    takes("index", 2, 2),
    takes("le", 2, 2),
    takes("len", 1, 1),
    takes("lt", 2, 2),
    takes("match", 2, 2),
    takes("ne", 2, 2),
    takes("not", 1, 1),
    takes("or", 1, MANY),
    takes("parseDuration", 1, 1),
    takes("print", 0, MANY),
    takes("printf", 1, MANY),
    takes("println", 0, MANY),
    takes("reReplaceAll", 3, 3),
    takes("stripDomain", 1, 1),
    takes("stripPort", 1, 1),
    takes("tableLink", 1, 1),
    takes("title", 1, 1),
    takes("toLower", 1, 1),
    takes("toUpper", 1, 1),
    takes("urlquery", 1, MANY),
];

/// Prometheus has these as well; we do not, yet.
const NOT_YET: &[&str] = &[
    "args",
    "call",
    "first",
    "html",
    "js",
    "label",
    "now",
    "pathPrefix",
    "query",
    "safeHtml",
    "slice",
    "sortByLabel",
    "strvalue",
    "tmpl",
    "toDuration",
    "toTime",
    "value",
];

/// The function's signature, or why it cannot be called.
pub(super) fn find(name: &str) -> Result<Signature, String> {
    if let Some(found) = FUNCTIONS.iter().find(|function| function.name == name) {
        return Ok(*found);
    }
    if NOT_YET.contains(&name) {
        return Err(format!("function {name:?} is not supported yet"));
    }
    Err(format!("unknown function {name:?}"))
}

/// Calls it. The number of arguments was checked when the template was read.
pub(super) fn call(name: &str, args: &[Value], context: &Context<'_>) -> Result<Value, String> {
    let text = |index: usize| args.get(index).map(Value::show).unwrap_or_default();
    let number = |index: usize| args.get(index).map_or(Err("no argument".to_owned()), Value::number);
    Ok(match name {
        "and" | "or" => {
            let stop_at = name == "or";
            let found = args.iter().find(|arg| arg.truth() == stop_at).or(args.last());
            found.cloned().unwrap_or(Value::Nothing)
        }
        "not" => Value::Bool(!args.first().is_some_and(Value::truth)),
        "eq" => Value::Bool(args.iter().skip(1).any(|other| args.first().is_some_and(|first| same(first, other)))),
        "ne" => Value::Bool(!same(&args[0], &args[1])),
        "lt" | "le" | "gt" | "ge" => Value::Bool(ordered(name, &args[0], &args[1])?),
        "len" => Value::Int(match &args[0] {
            Value::Map(pairs) => pairs.len() as i64,
            other => other.show().len() as i64,
        }),
        "index" => args[0].field(&text(1))?,
        "print" => Value::Text(args.iter().map(Value::show).collect()),
        "println" => Value::Text(args.iter().map(Value::show).collect::<Vec<_>>().join(" ") + "\n"),
        "printf" => Value::Text(sprintf(&text(0), args.get(1..).unwrap_or_default())?),
        "urlquery" => Value::Text(percent_encoded(&args.iter().map(Value::show).collect::<String>())),
        "humanize" => Value::Text(humanize(number(0)?)),
        "humanize1024" => Value::Text(humanize_1024(number(0)?)),
        "humanizeDuration" => Value::Text(humanize_duration(number(0)?)),
        "humanizePercentage" => Value::Text(g(number(0)? * 100.0, Some(4)) + "%"),
        "humanizeTimestamp" => Value::Text(humanize_timestamp(number(0)?)),
        "toUpper" => Value::Text(text(0).to_uppercase()),
        "toLower" => Value::Text(text(0).to_lowercase()),
        "title" => Value::Text(title(&text(0))),
        "match" => Value::Bool(pattern(&text(0))?.is_match(&text(1))),
        "reReplaceAll" => {
            let replaced = pattern(&text(0))?.replace_all(&text(2), text(1).as_str()).into_owned();
            Value::Text(replaced)
        }
        "stripPort" => Value::Text(split_port(&text(0)).0),
        "stripDomain" => Value::Text(strip_domain(&text(0))),
        "parseDuration" => Value::Float(crate::duration::parse_ms(&text(0))? as f64 / 1_000.0),
        "externalURL" => Value::Text(context.external_url.to_owned()),
        "graphLink" => Value::Text(format!("/graph?g0.expr={}&g0.tab=0", percent_encoded(&text(0)))),
        "tableLink" => Value::Text(format!("/graph?g0.expr={}&g0.tab=1", percent_encoded(&text(0)))),
        other => return Err(format!("unknown function {other:?}")),
    })
}

fn same(a: &Value, b: &Value) -> bool {
    match (a.plain_number(), b.plain_number()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn ordered(name: &str, a: &Value, b: &Value) -> Result<bool, String> {
    let order = match (a.plain_number(), b.plain_number(), a, b) {
        (Some(a), Some(b), ..) => a.partial_cmp(&b),
        (_, _, Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        _ => return Err(format!("{name}: {} and {} cannot be compared", a.go_type(), b.go_type())),
    };
    Ok(order.is_some_and(|order| match name {
        "lt" => order.is_lt(),
        "le" => order.is_le(),
        "gt" => order.is_gt(),
        _ => order.is_ge(),
    }))
}

fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return g(value, Some(4));
    }
    let mut v = value;
    let mut prefix = "";
    if v.abs() >= 1.0 {
        for p in ["k", "M", "G", "T", "P", "E", "Z", "Y"] {
            if v.abs() < 1_000.0 {
                break;
            }
            prefix = p;
            v /= 1_000.0;
        }
    } else {
        (v, prefix) = small(v);
    }
    g(v, Some(4)) + prefix
}

fn small(value: f64) -> (f64, &'static str) {
    let mut v = value;
    let mut prefix = "";
    for p in ["m", "u", "n", "p", "f", "a", "z", "y"] {
        if v.abs() >= 1.0 {
            break;
        }
        prefix = p;
        v *= 1_000.0;
    }
    (v, prefix)
}

fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return g(value, Some(4));
    }
    let mut v = value;
    let mut prefix = "";
    for p in ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"] {
        if v.abs() < 1_024.0 {
            break;
        }
        prefix = p;
        v /= 1_024.0;
    }
    g(v, Some(4)) + prefix
}

fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return g(value, Some(4));
    }
    if value == 0.0 {
        return "0s".to_owned();
    }
    if value.abs() < 1.0 {
        let (v, prefix) = small(value);
        return format!("{}{prefix}s", g(v, Some(4)));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let whole = value.abs() as i64;
    let (days, hours, minutes, seconds) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60);
    if days != 0 {
        format!("{sign}{days}d {hours}h {minutes}m {seconds}s")
    } else if hours != 0 {
        format!("{sign}{hours}h {minutes}m {seconds}s")
    } else if minutes != 0 {
        format!("{sign}{minutes}m {seconds}s")
    } else {
        format!("{sign}{}s", g(value.abs(), Some(4)))
    }
}

fn humanize_timestamp(value: f64) -> String {
    if !value.is_finite() {
        return g(value, Some(4));
    }
    let nanoseconds = (value * 1e9).round() as i128;
    let Ok(at) = jiff::Timestamp::from_nanosecond(nanoseconds) else { return g(value, Some(4)) };
    // jiff writes `2024-01-02T03:04:05.5Z`, Go `2024-01-02 03:04:05.5 +0000 UTC`.
    at.to_string().replace('T', " ").replace('Z', " +0000 UTC")
}

/// Upper-cases the first letter of each word.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        if before.is_alphanumeric() || before == '_' || before == '\'' {
            out.push(c);
        } else {
            out.extend(c.to_uppercase());
        }
        before = c;
    }
    out
}

fn pattern(text: &str) -> Result<regex::Regex, String> {
    regex::RegexBuilder::new(text).size_limit(1 << 20).build().map_err(|error| format!("regular expression: {error}"))
}

/// Host and the rest; the host of `[::1]:80` is `::1`.
fn split_port(text: &str) -> (String, String) {
    if let Some(rest) = text.strip_prefix('[')
        && let Some((host, tail)) = rest.split_once(']')
    {
        return (host.to_owned(), tail.to_owned());
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host.to_owned(), format!(":{port}")),
        _ => (text.to_owned(), String::new()),
    }
}

fn strip_domain(text: &str) -> String {
    let (host, port) = split_port(text);
    if host.parse::<std::net::IpAddr>().is_ok() {
        return text.to_owned();
    }
    host.split('.').next().unwrap_or_default().to_owned() + &port
}

/// As in a URL's query; a space is `+`.
pub(crate) fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, cases: &[(f64, &str)]) {
        let context = Context::default();
        for (value, expected) in cases {
            let got = call(name, &[Value::Float(*value)], &context).unwrap();
            assert_eq!(got, Value::Text((*expected).to_owned()), "{name} of {value}");
        }
    }

    #[test]
    fn numbers_for_people() {
        check(
            "humanize",
            &[
                (0.0, "0"),
                (1.0, "1"),
                (1_234_567.0, "1.235M"),
                (0.12, "120m"),
                (0.000_012, "12u"),
                (-2_500.0, "-2.5k"),
                (f64::INFINITY, "+Inf"),
            ],
        );
        check("humanize1024", &[(0.0, "0"), (1_024.0, "1ki"), (1_048_576.0, "1Mi"), (-3_221_225_472.0, "-3Gi")]);
        check(
            "humanizeDuration",
            &[
                (0.0, "0s"),
                (1.0, "1s"),
                (1.234567, "1.235s"),
                (60.0, "1m 0s"),
                (3_600.0, "1h 0m 0s"),
                (90_061.0, "1d 1h 1m 1s"),
                (-60.0, "-1m 0s"),
                (0.12345, "123.5ms"),
            ],
        );
        check("humanizePercentage", &[(0.2345, "23.45%"), (0.0, "0%"), (1.23456789, "123.5%")]);
        check(
            "humanizeTimestamp",
            &[(0.0, "1970-01-01 00:00:00 +0000 UTC"), (1_435_065_584.128, "2015-06-23 13:19:44.128 +0000 UTC")],
        );
    }

    #[test]
    fn texts() {
        let context = Context::default();
        let run = |name: &str, args: &[&str]| {
            let args: Vec<Value> = args.iter().map(|t| Value::Text((*t).to_owned())).collect();
            call(name, &args, &context).unwrap().show()
        };
        assert_eq!(run("title", &["disk is full"]), "Disk Is Full");
        assert_eq!(run("reReplaceAll", &["(.*):.*", "$1", "web-1:9100"]), "web-1");
        assert_eq!(run("stripPort", &["web-1:9100"]), "web-1");
        assert_eq!(run("stripPort", &["[::1]:80"]), "::1");
        assert_eq!(run("stripDomain", &["web-1.example.org:9100"]), "web-1:9100");
        assert_eq!(run("stripDomain", &["10.0.0.1:9100"]), "10.0.0.1:9100");
        assert_eq!(run("match", &["^web", "web-1"]), "true");
        assert_eq!(run("urlquery", &["a b&c"]), "a+b%26c");
        assert_eq!(run("parseDuration", &["1h"]), "3600");
    }

    #[test]
    fn the_list_is_sorted_and_every_function_of_it_can_be_called() {
        assert!(FUNCTIONS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for function in FUNCTIONS {
            let args = vec![Value::Float(1.0); function.least];
            let answer = call(function.name, &args, &Context::default());
            let known = |message: &String| !message.contains("unknown function");
            assert!(answer.as_ref().err().is_none_or(known), "{}: {answer:?}", function.name);
        }
        assert!(find("query").unwrap_err().contains("not supported yet"));
        assert!(find("humanise").unwrap_err().contains("unknown function"));
    }
}
