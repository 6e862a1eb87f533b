//! Numbers and `printf` as Go writes them, because the templates of existing rule files expect
//! exactly that: `{{ $value }}` of 1234567 is `1.234567e+06`.

use super::Value;

/// Widths and precisions above this are refused: nobody needs them, and they cost memory.
pub(super) const WIDTH_MAX: usize = 200;

/// Go's `%.<precision>g`, or `%g` with the fewest digits that read back the same.
pub(super) fn g(value: f64, precision: Option<usize>) -> String {
    if let Some(text) = not_finite(value) {
        return text;
    }
    let precision = precision.map(|p| p.max(1));
    let scientific = match precision {
        Some(p) => format!("{value:.*e}", p - 1),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let mantissa = trim_zeros(mantissa);
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count() as i32;
    // Without a precision Go decides as if it were 6.
    let limit = precision.map_or(6, |p| p as i32);
    if exponent < -4 || exponent >= limit {
        return format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    }
    let decimals = (digits - exponent - 1).max(0) as usize;
    // Rounding again at the same digit gives the same digits.
    format!("{value:.decimals$}")
}

/// Go's `%e`.
fn e(value: f64, precision: usize) -> String {
    if let Some(text) = not_finite(value) {
        return text;
    }
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn f(value: f64, precision: usize) -> String {
    not_finite(value).unwrap_or_else(|| format!("{value:.precision$}"))
}

fn not_finite(value: f64) -> Option<String> {
    if value.is_nan() {
        Some("NaN".to_owned())
    } else if value.is_infinite() {
        Some(if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned())
    } else {
        None
    }
}

fn trim_zeros(mantissa: &str) -> &str {
    if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa }
}

/// One `%` directive.
#[derive(Debug, Default)]
struct Directive {
    minus: bool,
    plus: bool,
    zero: bool,
    space: bool,
    width: usize,
    precision: Option<usize>,
}

/// Go's `Sprintf`, with its `%!d(string=x)` where a verb does not suit its argument.
pub(super) fn sprintf(format: &str, args: &[Value]) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    let mut next = 0;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let directive = read_directive(&mut chars)?;
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => {
                match args.get(next) {
                    None => out.push_str(&format!("%!{verb}(MISSING)")),
                    Some(arg) => out.push_str(&apply(&directive, verb, arg)),
                }
                next += 1;
            }
        }
    }
    if next < args.len() {
        let extra: Vec<String> = args[next..].iter().map(|arg| format!("{}={}", arg.go_type(), arg.show())).collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(out)
}

fn read_directive(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Directive, String> {
    let mut directive = Directive::default();
    while let Some(flag) = chars.next_if(|c| "+-# 0".contains(*c)) {
        match flag {
            '-' => directive.minus = true,
            '+' => directive.plus = true,
            '0' => directive.zero = true,
            ' ' => directive.space = true,
            _ => {}
        }
    }
    directive.width = read_number(chars)?;
    if chars.next_if_eq(&'.').is_some() {
        directive.precision = Some(read_number(chars)?);
    }
    Ok(directive)
}

fn read_number(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<usize, String> {
    let mut number = 0usize;
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        number = number * 10 + digit.to_digit(10).unwrap_or(0) as usize;
        if number > WIDTH_MAX {
            return Err(format!("printf: a width above {WIDTH_MAX}"));
        }
    }
    Ok(number)
}

fn apply(directive: &Directive, verb: char, arg: &Value) -> String {
    let precision = directive.precision;
    let mut numeric = true;
    let body = match (verb, arg) {
        ('e' | 'E', Value::Float(v)) => e(*v, precision.unwrap_or(6)),
        ('f' | 'F', Value::Float(v)) => f(*v, precision.unwrap_or(6)),
        ('g' | 'G' | 'v', Value::Float(v)) => g(*v, precision),
        ('d' | 'v', Value::Int(v)) => v.to_string(),
        ('x', Value::Int(v)) => format!("{v:x}"),
        ('X', Value::Int(v)) => format!("{v:X}"),
        _ => {
            numeric = false;
            match (verb, arg) {
                ('v', other) => other.show(),
                ('s', Value::Text(text)) => cut(text, precision),
                ('q', Value::Text(text)) => format!("{:?}", cut(text, precision)),
                ('x', Value::Text(text)) => text.bytes().map(|b| format!("{b:02x}")).collect(),
                ('t', Value::Bool(v)) => v.to_string(),
                ('s', Value::Map(_)) => arg.show(),
                (verb, other) => format!("%!{verb}({}={})", other.go_type(), other.show()),
            }
        }
    };
    let body = if verb.is_ascii_uppercase() && matches!(verb, 'E' | 'G') { body.to_uppercase() } else { body };
    pad(directive, body, numeric)
}

fn cut(text: &str, precision: Option<usize>) -> String {
    precision.map_or_else(|| text.to_owned(), |chars| text.chars().take(chars).collect())
}

fn pad(directive: &Directive, mut body: String, numeric: bool) -> String {
    let signed = body.starts_with(['-', '+']);
    if numeric && !signed && directive.plus {
        body.insert(0, '+');
    } else if numeric && !signed && directive.space {
        body.insert(0, ' ');
    }
    let missing = directive.width.saturating_sub(body.chars().count());
    if missing == 0 {
        body
    } else if directive.minus {
        body + &" ".repeat(missing)
    } else if directive.zero && numeric && body.contains(|c: char| c.is_ascii_digit()) {
        let sign = usize::from(body.starts_with(['-', '+', ' ']));
        format!("{}{}{}", &body[..sign], "0".repeat(missing), &body[sign..])
    } else {
        " ".repeat(missing) + &body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_go_writes_them() {
        for (value, expected) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.5, "0.5"),
            (-2.25, "-2.25"),
            (99.123456789, "99.123456789"),
            (123456.0, "123456"),
            (1234567.0, "1.234567e+06"),
            (100000.0, "100000"),
            (1000000.0, "1e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(g(value, None), expected);
        }
        for (value, expected) in
            [(1000.0, "1000"), (10000.0, "1e+04"), (1.23456, "1.235"), (0.1, "0.1"), (99999.0, "1e+05"), (12.0, "12")]
        {
            assert_eq!(g(value, Some(4)), expected);
        }
    }

    #[test]
    fn printf_as_go_does_it() {
        let float = Value::Float;
        let text = |t: &str| Value::Text(t.to_owned());
        for (format, args, expected) in [
            ("%.2f%%", vec![float(12.345)], "12.35%"),
            ("%.0f", vec![float(2.5)], "2"),
            ("%6.1f|%-6.1f|%06.1f", vec![float(1.25), float(1.25), float(-1.25)], "   1.2|1.2   |-001.2"),
            ("%v %s", vec![float(1.5), text("x")], "1.5 x"),
            ("%d", vec![float(1.5)], "%!d(float64=1.5)"),
            ("%d %x", vec![Value::Int(42), Value::Int(255)], "42 ff"),
            ("%q", vec![text("a\"b")], "\"a\\\"b\""),
            ("%s", vec![float(1.0)], "%!s(float64=1)"),
            ("%s", vec![], "%!s(MISSING)"),
            ("x", vec![Value::Int(1)], "x%!(EXTRA int=1)"),
            ("%e", vec![float(1234.5)], "1.234500e+03"),
            ("%", vec![], "%!(NOVERB)"),
            ("%+.1f", vec![float(1.0)], "+1.0"),
            ("%5t", vec![Value::Bool(true)], " true"),
        ] {
            assert_eq!(sprintf(format, &args).unwrap(), expected, "{format}");
        }
    }

    #[test]
    fn a_width_at_the_limit_and_one_past_it() {
        assert_eq!(sprintf(&format!("%{WIDTH_MAX}d"), &[Value::Int(1)]).unwrap().len(), WIDTH_MAX);
        assert!(sprintf(&format!("%{}d", WIDTH_MAX + 1), &[Value::Int(1)]).is_err());
    }
}
