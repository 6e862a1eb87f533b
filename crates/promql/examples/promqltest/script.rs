//! The script's language: `load`, `clear`, `eval` and what they expect, line by line.

use regex::Regex;
use series::Labels;

use crate::fixture;

/// Values of one loaded or expected series; `None` where they are native histograms.
pub(crate) type Line = (Labels, Option<Vec<Option<f64>>>);

/// One command.
pub(crate) enum Command {
    Clear,
    Load { step_ms: i64, series: Vec<Line> },
    Eval(Eval),
    Unknown(String),
}

/// When an expression is evaluated.
#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    Instant { at_ms: i64 },
    Range { start_ms: i64, end_ms: i64, step_ms: i64 },
}

/// An expression and what it must give.
pub(crate) struct Eval {
    pub(crate) when: When,
    pub(crate) expr: String,
    pub(crate) expected: Expected,
}

/// What a message must be.
pub(crate) enum Text {
    Any,
    Exactly(String),
    Like(Regex),
}

impl Text {
    pub(crate) fn fits(&self, message: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(text) => text == message,
            Self::Like(regex) => regex.is_match(message),
        }
    }
}

/// What the annotations of one kind must be.
pub(crate) enum Texts {
    Nothing,
    /// Each fits one at least; where one of them is not [`Text::Any`], each annotation fits one of them.
    These(Vec<Text>),
}

/// What is expected; several at once are possible.
#[derive(Default)]
pub(crate) struct Expected {
    /// It must fail, with errors of these texts.
    pub(crate) fails: Option<Vec<Text>>,
    pub(crate) ordered: bool,
    /// There must be warnings, of these texts; or none.
    pub(crate) warns: Option<Texts>,
    /// The same of infos.
    pub(crate) informs: Option<Texts>,
    pub(crate) string: Option<String>,
    pub(crate) scalar: Option<f64>,
    /// Start and step of an expected range vector.
    pub(crate) matrix: Option<(i64, i64)>,
    pub(crate) series: Vec<Line>,
}

/// All commands with their line numbers.
pub(crate) fn commands(text: &str) -> Vec<(usize, Result<Command, String>)> {
    let lines: Vec<(usize, &str)> = text
        .lines()
        .enumerate()
        .map(|(number, line)| (number + 1, line.trim()))
        .filter(|(_, line)| !line.starts_with('#'))
        .collect();
    let mut commands = Vec::new();
    let mut next = 0;
    while let Some(&(number, line)) = lines.get(next) {
        next += 1;
        if line.is_empty() {
            continue;
        }
        let body = lines[next..].iter().take_while(|(_, line)| !line.is_empty() && !begins_command(line)).count();
        let block = &lines[next..next + body];
        next += body;
        commands.push((number, command(line, block)));
    }
    commands
}

fn begins_command(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or("");
    word == "clear" || word.starts_with("eval") || (word.starts_with("load") && !line.contains('{'))
}

fn command(line: &str, block: &[(usize, &str)]) -> Result<Command, String> {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    match word {
        "clear" => Ok(Command::Clear),
        "load" | "load_with_nhcb" => {
            let mut series = block.iter().map(|(_, line)| series(line)).collect::<Result<Vec<Line>, String>>()?;
            if word == "load_with_nhcb" {
                let native = series.iter().filter_map(|(labels, _)| native(labels));
                series.extend(native.collect::<Vec<Line>>());
            }
            Ok(Command::Load { step_ms: duration_ms(rest.trim())?, series })
        }
        _ if word.starts_with("eval") => eval(word, rest.trim(), block).map(Command::Eval),
        _ => Ok(Command::Unknown(line.to_owned())),
    }
}

/// The native histogram that a classic bucket's series stands for.
fn native(labels: &Labels) -> Option<Line> {
    let name = labels.metric_name()?.strip_suffix("_bucket")?.to_owned();
    let labels = labels.without(|name| name == "le");
    Some((labels.to_builder().set(series::METRIC_NAME, name).build().ok()?, None))
}

fn eval(word: &str, rest: &str, block: &[(usize, &str)]) -> Result<Eval, String> {
    let mut expected = Expected {
        fails: (word == "eval_fail").then(Vec::new),
        ordered: word == "eval_ordered",
        warns: (word == "eval_warn").then(|| Texts::These(vec![Text::Any])),
        informs: (word == "eval_info").then(|| Texts::These(vec![Text::Any])),
        ..Expected::default()
    };
    let mut words = rest.splitn(4, char::is_whitespace);
    let (when, expr) = match (words.next(), words.next(), words.next(), words.next()) {
        (Some("instant"), Some("at"), Some(at), Some(expr)) => {
            (When::Instant { at_ms: duration_ms(at)? }, expr.trim().to_owned())
        }
        (Some("range"), ..) => {
            let mut words = rest.splitn(8, char::is_whitespace);
            let mut time = |skip: usize| {
                let word = words.nth(skip).ok_or("a time is missing")?;
                duration_ms(word)
            };
            let (start_ms, end_ms, step_ms) = (time(2)?, time(1)?, time(1)?);
            let expr = words.next().ok_or("the expression is missing")?.trim().to_owned();
            (When::Range { start_ms, end_ms, step_ms }, expr)
        }
        _ => return Err(format!("cannot read: eval {rest}")),
    };
    for (_, line) in block {
        expect(line, &mut expected)?;
    }
    Ok(Eval { when, expr, expected })
}

fn expect(line: &str, expected: &mut Expected) -> Result<(), String> {
    if let Some((word, detail)) = line.split_once(char::is_whitespace)
        && let Some(kind) = word.strip_prefix("expected_fail_")
    {
        let prefix = if kind == "regexp" { "regex:" } else { "msg:" };
        expected.fails.get_or_insert_default().push(text(&format!("{prefix} {detail}"))?);
        return Ok(());
    }
    let Some(rest) = line.strip_prefix("expect ") else {
        match duration_free_number(line) {
            Some(number) => expected.scalar = Some(number),
            None => expected.series.push(series(line)?),
        }
        return Ok(());
    };
    let (word, detail) = rest.trim().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
    match word {
        "fail" => expected.fails.get_or_insert_default().push(text(detail)?),
        "ordered" => expected.ordered = true,
        "warn" => also(&mut expected.warns, text(detail)?),
        "no_warn" => expected.warns = Some(Texts::Nothing),
        "info" => also(&mut expected.informs, text(detail)?),
        "no_info" => expected.informs = Some(Texts::Nothing),
        "string" => expected.string = Some(fixture::quoted(detail.trim())?.0),
        "range" => {
            let words: Vec<&str> = detail.split_whitespace().collect();
            let ["vector", "from", start, "to", _, "step", step] = words.as_slice() else {
                return Err(format!("cannot read: {line}"));
            };
            expected.matrix = Some((duration_ms(start)?, duration_ms(step)?));
        }
        _ => return Err(format!("cannot read: {line}")),
    }
    Ok(())
}

/// `msg: the whole text`, `regex: a part of it`, or nothing.
fn text(detail: &str) -> Result<Text, String> {
    let detail = detail.trim();
    if let Some(text) = detail.strip_prefix("msg:") {
        return Ok(Text::Exactly(text.trim().to_owned()));
    }
    match detail.strip_prefix("regex:") {
        Some(regex) => Regex::new(regex.trim()).map(Text::Like).map_err(|error| error.to_string()),
        None if detail.is_empty() => Ok(Text::Any),
        None => Err(format!("neither msg: nor regex:, but {detail}")),
    }
}

fn also(texts: &mut Option<Texts>, text: Text) {
    match texts {
        Some(Texts::These(these)) => these.push(text),
        _ => *texts = Some(Texts::These(vec![text])),
    }
}

/// A line that is one number is a scalar.
fn duration_free_number(line: &str) -> Option<f64> {
    fixture::one(&line.replace("Inf", "inf")).ok()
}

fn series(line: &str) -> Result<Line, String> {
    let (labels, rest) = fixture::labels(line)?;
    if rest.contains("{{") {
        return Ok((labels, None));
    }
    fixture::values(rest).map(|values| (labels, Some(values)))
}

/// `1m30s`, `10`, `1.5`, `-1m`: milliseconds.
fn duration_ms(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Ok((seconds * 1_000.0).round() as i64);
    }
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut total = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(format!("no duration: {text}"))?;
        let count: i64 = rest[..digits].parse().map_err(|_| format!("no duration: {text}"))?;
        rest = &rest[digits..];
        let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
        let more = [("w", 604_800_000), ("y", 31_536_000_000)];
        let unit = units.iter().chain(&more).find(|(name, _)| rest.starts_with(name));
        let (name, ms) = unit.ok_or(format!("no duration: {text}"))?;
        total += count * ms;
        rest = &rest[name.len()..];
    }
    Ok(sign * total)
}
