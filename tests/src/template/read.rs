//! The template as a tree: YAML with CloudFormation's short tags becomes the JSON that they stand for.
//!
//! `!Ref a` is `{"Ref": "a"}`, `!GetAtt a.b` is `{"Fn::GetAtt": ["a", "b"]}`, any other `!X v` is
//! `{"Fn::X": v}`. Anchors are refused: CloudFormation does not take them.

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use serde_json::{Map, Value, json};

/// A list or map that is not closed yet; `None` children pending: a map's are key, value, key, ….
struct Open {
    tag: Option<String>,
    is_map: bool,
    children: Vec<Value>,
}

/// The document, or why it is none.
pub(super) fn yaml(text: &str) -> Result<Value, String> {
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        let done = match event {
            Event::Scalar(_, _, anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _)
                if anchor != 0 =>
            {
                return Err(format!("line {}: an anchor", span.start.line()));
            }
            Event::Alias(_) => return Err(format!("line {}: an alias", span.start.line())),
            Event::Scalar(text, style, _, tag) => Some(tagged(suffix(tag.as_deref()), scalar(&text, style))),
            Event::SequenceStart(_, tag) => {
                open.push(Open { tag: suffix(tag.as_deref()), is_map: false, children: Vec::new() });
                None
            }
            Event::MappingStart(_, tag) => {
                open.push(Open { tag: suffix(tag.as_deref()), is_map: true, children: Vec::new() });
                None
            }
            Event::SequenceEnd | Event::MappingEnd => Some(close(open.pop().ok_or("an end without a start")?)),
            _ => None,
        };
        let Some(done) = done else { continue };
        match open.last_mut() {
            Some(parent) => parent.children.push(done),
            None => root = Some(done),
        }
    }
    root.ok_or_else(|| "there is nothing in it".to_owned())
}

fn suffix(tag: Option<&Tag>) -> Option<String> {
    tag.map(|tag| tag.suffix.clone())
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return json!(text);
    }
    match text {
        "true" => json!(true),
        "false" => json!(false),
        "" | "~" | "null" => Value::Null,
        _ => text
            .parse::<i64>()
            .map(Value::from)
            .or_else(|_| text.parse::<f64>().map(Value::from))
            .unwrap_or_else(|_| json!(text)),
    }
}

fn close(open: Open) -> Value {
    let value = if open.is_map {
        let mut map = Map::new();
        let mut children = open.children.into_iter();
        while let (Some(key), Some(value)) = (children.next(), children.next()) {
            let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
            map.insert(key, value);
        }
        Value::Object(map)
    } else {
        Value::Array(open.children)
    };
    tagged(open.tag, value)
}

fn tagged(tag: Option<String>, value: Value) -> Value {
    match (tag.as_deref(), value) {
        (None, value) => value,
        (Some(tag @ ("Ref" | "Condition")), value) => json!({ tag: value }),
        (Some("GetAtt"), Value::String(path)) => {
            let (resource, attribute) = path.split_once('.').unwrap_or((&path, ""));
            json!({ "Fn::GetAtt": [resource, attribute] })
        }
        (Some(tag), value) => json!({ (format!("Fn::{tag}")): value }),
    }
}

#[test]
fn short_tags_stand_for_their_long_forms() {
    let check = |text: &str, expected: Value| assert_eq!(yaml(text), Ok(expected), "{text}");
    check("a: !Ref b", json!({ "a": { "Ref": "b" } }));
    check("a: !GetAtt b.Arn", json!({ "a": { "Fn::GetAtt": ["b", "Arn"] } }));
    check(
        "a: !If [x, !Sub '${b}/*', {c: 1}]",
        json!({ "a": { "Fn::If": ["x", { "Fn::Sub": "${b}/*" }, { "c": 1 }] } }),
    );
    check("a: '1'\nb: -1\nc: true\nd: 0.5", json!({ "a": "1", "b": -1, "c": true, "d": 0.5 }));
    assert!(yaml("a: &b 1\nc: *b").is_err());
    assert!(yaml("").is_err());
}
