//! Go's templates as far as real rule files use them in labels and annotations:
//! `{{ $labels.x }}`, `{{ $value | humanize }}`, `{{ if gt $value 90.0 }}…{{ end }}`.
//!
//! A template is checked when its file is loaded: an unknown function or variable is an error
//! then, not in the middle of the night. What goes wrong later (a label that is no number) is
//! written into the text, as Prometheus does, because half a message is better than none.
//! It never reads anything but the [`Context`]: `query` and its relatives are refused.

mod functions;
mod go_format;
mod syntax;

use std::collections::BTreeMap;

use series::Labels;
use syntax::{Command, Operand, Part, Pipeline};

pub(crate) use functions::percent_encoded;

/// Bytes of one expanded label or annotation; what is longer is cut.
pub const EXPANDED_BYTES_MAX: usize = 4_096;
/// Actions of one expansion, loops counted.
pub const STEPS_MAX: usize = 10_000;

/// Variables that exist in every template.
const KNOWN_VARIABLES: &[&str] = &["labels", "value", "externalLabels", "externalURL"];

/// A template that was read without an error.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

/// Why a text is not a template, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("template: {message}")]
pub struct TemplateError {
    /// From 1, in the template's own text.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// What a template may read.
#[derive(Debug, Clone, Default)]
pub struct Context<'a> {
    /// `$labels`: the labels of the series that the rule found.
    pub labels: Option<&'a Labels>,
    /// `$value`: the value that the rule found.
    pub value: f64,
    /// `$externalLabels`: set for the whole server.
    pub external_labels: BTreeMap<String, String>,
    /// `$externalURL`: where people reach the page.
    pub external_url: &'a str,
}

impl Template {
    /// Reads `source`.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        match syntax::parse(source, KNOWN_VARIABLES) {
            Ok(parts) => Ok(Self { source: source.to_owned(), parts }),
            Err((at, message)) => {
                let before = source.get(..at).unwrap_or(source);
                let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
                let line = before.matches('\n').count() + 1;
                let column = before[line_start..].chars().count() + 1;
                Err(TemplateError { line, column, message })
            }
        }
    }

    /// The text that it was read from.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text with its values, at most [`EXPANDED_BYTES_MAX`] long.
    #[must_use]
    pub fn expand(&self, context: &Context<'_>) -> String {
        let mut run = Run::new(context);
        let result = run.parts(&self.parts, &Value::Nothing);
        let mut out = match result {
            Ok(()) => run.out,
            Err(message) => format!("<error expanding template: {message}>"),
        };
        cut_to(&mut out, EXPANDED_BYTES_MAX);
        out
    }
}

/// Cuts a text to at most `bytes`, at the border of a character.
pub(crate) fn cut_to(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let mut end = bytes;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
}

/// What a template works with.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Text(String),
    Float(f64),
    Int(i64),
    Bool(bool),
    Map(BTreeMap<String, String>),
    Nothing,
}

impl Value {
    /// As Go prints it.
    fn show(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Float(value) => go_format::g(*value, None),
            Self::Int(value) => value.to_string(),
            Self::Bool(value) => value.to_string(),
            Self::Map(pairs) => {
                let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}:{value}")).collect();
                format!("map[{}]", pairs.join(" "))
            }
            Self::Nothing => "<no value>".to_owned(),
        }
    }

    fn go_type(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Float(_) => "float64",
            Self::Int(_) => "int",
            Self::Bool(_) => "bool",
            Self::Map(_) => "map[string]string",
            Self::Nothing => "nil",
        }
    }

    fn truth(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_empty(),
            Self::Float(value) => *value != 0.0,
            Self::Int(value) => *value != 0,
            Self::Bool(value) => *value,
            Self::Map(pairs) => !pairs.is_empty(),
            Self::Nothing => false,
        }
    }

    fn plain_number(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Int(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// A number, or a text that is one: labels are texts.
    fn number(&self) -> Result<f64, String> {
        match self {
            Self::Text(text) => text.trim().parse().map_err(|_| format!("{text:?} is not a number")),
            other => other.plain_number().ok_or_else(|| format!("a {} is not a number", other.go_type())),
        }
    }

    /// A label that is not there is an empty text.
    fn field(&self, name: &str) -> Result<Self, String> {
        match self {
            Self::Map(pairs) => Ok(Self::Text(pairs.get(name).cloned().unwrap_or_default())),
            other => Err(format!("a {} has no field {name:?}", other.go_type())),
        }
    }
}

struct Run<'a> {
    context: &'a Context<'a>,
    variables: Vec<(String, Value)>,
    out: String,
    steps: usize,
}

impl<'a> Run<'a> {
    fn new(context: &'a Context<'a>) -> Self {
        let labels = context.labels.map(|labels| {
            labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>()
        });
        let variables = vec![
            ("labels".to_owned(), Value::Map(labels.unwrap_or_default())),
            ("value".to_owned(), Value::Float(context.value)),
            ("externalLabels".to_owned(), Value::Map(context.external_labels.clone())),
            ("externalURL".to_owned(), Value::Text(context.external_url.to_owned())),
        ];
        Self { context, variables, out: String::new(), steps: 0 }
    }

    fn parts(&mut self, parts: &[Part], dot: &Value) -> Result<(), String> {
        for part in parts {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err(format!("more than {STEPS_MAX} steps"));
            }
            if self.out.len() > EXPANDED_BYTES_MAX {
                return Ok(());
            }
            self.part(part, dot)?;
        }
        Ok(())
    }

    fn part(&mut self, part: &Part, dot: &Value) -> Result<(), String> {
        let outside = self.variables.len();
        match part {
            Part::Text(text) => self.out.push_str(text),
            Part::Show(pipeline) => {
                let shown = self.pipeline(pipeline, dot)?.show();
                self.out.push_str(&shown);
            }
            // A variable lives on after its action, to the end of the block.
            Part::Set { name, value } => {
                let value = self.pipeline(value, dot)?;
                self.variables.push((name.clone(), value));
                return Ok(());
            }
            Part::If { branches, otherwise } => {
                let mut chosen = otherwise;
                for (condition, body) in branches {
                    if self.pipeline(condition, dot)?.truth() {
                        chosen = body;
                        break;
                    }
                }
                self.parts(chosen, dot)?;
            }
            Part::With { value, body, otherwise } => {
                let value = self.pipeline(value, dot)?;
                if value.truth() { self.parts(body, &value)? } else { self.parts(otherwise, dot)? }
            }
            Part::Range { key, item, over, body, otherwise } => {
                let Value::Map(pairs) = self.pipeline(over, dot)? else {
                    return Err("range works on labels only".to_owned());
                };
                if pairs.is_empty() {
                    self.parts(otherwise, dot)?;
                }
                for (name, value) in pairs {
                    let value = Value::Text(value);
                    self.variables.truncate(outside);
                    self.variables.extend(key.clone().map(|key| (key, Value::Text(name))));
                    self.variables.extend(item.clone().map(|item| (item, value.clone())));
                    self.parts(body, &value)?;
                }
            }
        }
        self.variables.truncate(outside);
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut last: Option<Value> = None;
        for command in pipeline {
            last = Some(match command {
                Command::Value(operand) => self.operand(operand, dot)?,
                Command::Call { name, args } => {
                    let mut values = args.iter().map(|arg| self.operand(arg, dot)).collect::<Result<Vec<_>, _>>()?;
                    values.extend(last);
                    functions::call(name, &values, self.context)?
                }
            });
        }
        last.ok_or_else(|| "an empty pipeline".to_owned())
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        let (value, fields) = match operand {
            Operand::Variable(name, fields) if name.is_empty() => return self.root(fields),
            Operand::Variable(name, fields) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                (found.map(|(_, value)| value.clone()).unwrap_or(Value::Nothing), fields)
            }
            // Outside of `with` and `range`, the dot is the root, which has the same as variables.
            Operand::Dot(fields) if *dot == Value::Nothing => return self.root(fields),
            Operand::Dot(fields) => (dot.clone(), fields),
            Operand::Bracket(pipeline, fields) => (self.pipeline(pipeline, dot)?, fields),
            Operand::Text(text) => return Ok(Value::Text(text.clone())),
            Operand::Float(value) => return Ok(Value::Float(*value)),
            Operand::Int(value) => return Ok(Value::Int(*value)),
            Operand::Bool(value) => return Ok(Value::Bool(*value)),
            Operand::Call(name) => return functions::call(name, &[], self.context),
        };
        fields.iter().try_fold(value, |value, field| value.field(field))
    }

    fn root(&self, fields: &[String]) -> Result<Value, String> {
        let variable = |name: &str| self.variables.iter().find(|(known, _)| known == name).map(|(_, v)| v.clone());
        let Some((first, rest)) = fields.split_first() else { return Ok(Value::Nothing) };
        let value = match first.as_str() {
            "Labels" => variable("labels"),
            "Value" => variable("value"),
            "ExternalLabels" => variable("externalLabels"),
            "ExternalURL" => variable("externalURL"),
            other => return Err(format!("there is no .{other}; .Labels and .Value are")),
        };
        rest.iter().try_fold(value.unwrap_or(Value::Nothing), |value, field| value.field(field))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expanded(source: &str) -> String {
        let labels = Labels::from_pairs([("instance", "web-1:9100"), ("job", "node"), ("n", "42")]).unwrap();
        let context = Context {
            labels: Some(&labels),
            value: 93.456,
            external_labels: BTreeMap::from([("region".to_owned(), "eu".to_owned())]),
            external_url: "http://dw",
        };
        match Template::parse(source) {
            Ok(template) => template.expand(&context),
            Err(error) => format!("{}:{}: {}", error.line, error.column, error.message),
        }
    }

    #[track_caller]
    fn check(source: &str, expected: &str) {
        assert_eq!(expanded(source), expected, "{source}");
    }

    #[test]
    fn what_real_rules_use() {
        check("plain", "plain");
        check("on {{ $labels.instance }}", "on web-1:9100");
        check("{{$labels.instance}}: {{ $value }}", "web-1:9100: 93.456");
        check("{{ $labels }}", "map[instance:web-1:9100 job:node n:42]");
        check("[{{ $labels.missing }}]", "[]");
        check("{{ .Labels.job }} {{ .Value }}", "node 93.456");
        check("{{ $externalLabels.region }} {{ $externalURL }} {{ externalURL }}", "eu http://dw http://dw");
        check(r#"{{ printf "%.1f" $value }}%"#, "93.5%");
        check("{{ $value | printf \"%.0f\" }}", "93");
        check("{{ $value | humanize }} {{ humanizeDuration $value }}", "93.46 1m 33s");
        check("{{ $labels.n | humanizePercentage }}", "4200%");
        check("{{ $labels.job | toUpper | printf \"%q\" }}", "\"NODE\"");
        check("{{ reReplaceAll \":.*\" \"\" $labels.instance }}", "web-1");
        check("a {{- /* nothing */ -}} b", "ab");
        check("{{ `raw` }} {{ \"q\\\"\" }}", "raw q\"");
    }

    #[test]
    fn conditions_and_loops() {
        check("{{ if gt $value 90.0 }}high{{ else }}low{{ end }}", "high");
        check("{{ if lt $value 90.0 }}a{{ else if eq $labels.job \"node\" }}b{{ else }}c{{ end }}", "b");
        check("{{ if and $labels.job (not $labels.missing) }}yes{{ end }}", "yes");
        check("{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}", "instance=web-1:9100;job=node;n=42;");
        check("{{ range $labels }}{{ . }} {{ end }}", "web-1:9100 node 42 ");
        check("{{ with $labels.missing }}x{{ else }}none{{ end }}", "none");
        check("{{ with $labels.job }}{{ . }}{{ end }}", "node");
        check("{{ $j := $labels.job }}{{ $j }}-{{ $j }}", "node-node");
        check("x {{- if true }} y {{- end }} z", "x y z");
    }

    #[test]
    fn errors_when_loaded_name_the_place() {
        check("a {{ humanise $value }}", "1:6: unknown function \"humanise\"");
        check("{{ query \"up\" }}", "1:4: function \"query\" is not supported yet");
        check("x\n {{ $lables.x }}", "2:5: unknown variable $lables");
        check("{{ $labels.x", "1:1: {{ is not closed by }}");
        check("{{ if true }}x", "1:1: if without end");
        check("{{ end }}", "1:1: \"end\" without an open if, with or range");
        check("{{ humanize }}", "1:4: humanize takes 1 argument(s), not 0");
        check("{{ humanize 1 2 }}", "1:4: humanize takes 1 argument(s), not 2");
        check("{{ $value | 5 }}", "1:13: only a function can follow |");
        check("{{ $value $labels }}", "1:11: unexpected \"$labels\"; only a function takes arguments");
        check("{{ (len $labels }}", "1:4: ( is not closed by )");
        check("{{ \"x }}", "1:4: the text is not closed by \"");
        check("{{ }}", "1:1: an empty {{ }}");
        check("{{ template \"x\" }}", "1:1: \"template\" is not supported yet");
        check("{{ 1x }}", "1:4: \"1x\" is not a number");
    }

    #[test]
    fn errors_when_expanded_stand_in_the_text() {
        check("{{ $labels.job | humanize }}", "<error expanding template: \"node\" is not a number>");
        check("{{ $value.x }}", "<error expanding template: a float64 has no field \"x\">");
        check("{{ .Nothing }}", "<error expanding template: there is no .Nothing; .Labels and .Value are>");
    }

    #[test]
    fn limits_at_the_limit_and_one_past_it() {
        assert_eq!(expanded(&"x".repeat(EXPANDED_BYTES_MAX)).len(), EXPANDED_BYTES_MAX);
        assert_eq!(expanded(&"x".repeat(EXPANDED_BYTES_MAX + 1)).len(), EXPANDED_BYTES_MAX);
        let nested = |n: usize| format!("{}x{}", "{{ if true }}".repeat(n), "{{ end }}".repeat(n));
        assert_eq!(expanded(&nested(syntax::DEPTH_MAX)), "x");
        assert!(expanded(&nested(syntax::DEPTH_MAX + 1)).contains("nested deeper"));
        let loops = |n: usize| {
            format!("{}{{{{ if false }}}}{{{{ end }}}}{}", "{{ range $labels }}".repeat(n), "{{ end }}".repeat(n))
        };
        assert_eq!(expanded(&loops(8)), "");
        assert!(expanded(&loops(9)).contains("steps"));
    }

    proptest! {
        #[test]
        fn no_text_panics(source in "(\\{\\{|\\}\\}|-| |\\$labels|\\.|x|\\(|\\)|\\||\"|if|end|else|range|:=|,|printf|%9d|1|é){0,24}") {
            let _ = expanded(&source);
        }
    }
}
