//! An expression as Prometheus's `parse_query` shows it: JSON, a node an object, with the fields and words of
//! Prometheus 3. Knows no text and no evaluation.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use promql_parser::label::{Labels, Matcher};
use promql_parser::parser::{
    AtModifier, BinModifier, BinaryExpr, Expr as Tree, LabelModifier, Offset, VectorMatchCardinality, VectorSelector,
    value::ValueType,
};
use serde_json::{Value, json};

/// The tree as JSON. Its depth is bounded by the parser.
pub(super) fn json_of(tree: &Tree) -> Value {
    match tree {
        Tree::Aggregate(it) => {
            let (grouping, without) = grouping(it.modifier.as_ref());
            json!({
                "type": "aggregation", "op": it.op.to_string(), "expr": json_of(&it.expr),
                "param": it.param.as_deref().map(json_of), "grouping": grouping, "without": without,
            })
        }
        Tree::Unary(it) => json!({ "type": "unaryExpr", "op": "-", "expr": json_of(&it.expr) }),
        Tree::Binary(it) => json!({
            "type": "binaryExpr", "op": it.op.to_string(), "lhs": json_of(&it.lhs), "rhs": json_of(&it.rhs),
            "matching": matching(it), "bool": it.modifier.as_ref().is_some_and(|modifier| modifier.return_bool),
        }),
        Tree::Paren(it) => json!({ "type": "parenExpr", "expr": json_of(&it.expr) }),
        Tree::Subquery(it) => {
            let (at, start_or_end) = at(it.at.as_ref());
            json!({
                "type": "subquery", "expr": json_of(&it.expr), "range": ms(it.range),
                "offset": offset(it.offset.as_ref()), "step": it.step.map_or(0, ms),
                "timestamp": at, "startOrEnd": start_or_end,
            })
        }
        Tree::NumberLiteral(it) => json!({ "type": "numberLiteral", "val": number(it.val) }),
        Tree::StringLiteral(it) => json!({ "type": "stringLiteral", "val": it.val }),
        Tree::VectorSelector(it) => selector("vectorSelector", it),
        Tree::MatrixSelector(it) => {
            let mut shown = selector("matrixSelector", &it.vs);
            shown["range"] = json!(ms(it.range));
            shown
        }
        Tree::Call(it) => {
            let types = it.func.arg_types.iter().map(ToString::to_string).collect::<Vec<_>>();
            json!({
                "type": "call", "args": it.args.args.iter().map(|arg| json_of(arg)).collect::<Vec<_>>(),
                "func": {
                    "name": it.func.name, "argTypes": types, "variadic": it.func.variadic,
                    "returnType": it.func.return_type.to_string(),
                },
            })
        }
        // The grammar makes no such node.
        Tree::Extension(_) => Value::Null,
    }
}

fn selector(kind: &str, it: &VectorSelector) -> Value {
    let shown =
        |matcher: &Matcher| json!({ "name": matcher.name, "type": matcher.op.to_string(), "value": matcher.value });
    let mut matchers: Vec<Value> = it.matchers.matchers.iter().map(shown).collect();
    if let Some(name) = &it.name {
        // Prometheus has the name among the matchers, as the last one.
        matchers.push(json!({ "name": "__name__", "type": "=", "value": name }));
    }
    let (at, start_or_end) = at(it.at.as_ref());
    json!({
        "type": kind, "name": it.name.as_deref().unwrap_or_default(), "offset": offset(it.offset.as_ref()),
        "matchers": matchers, "timestamp": at, "startOrEnd": start_or_end,
    })
}

fn grouping(modifier: Option<&LabelModifier>) -> (Vec<&String>, bool) {
    match modifier {
        Some(LabelModifier::Include(labels)) => (names(labels), false),
        Some(LabelModifier::Exclude(labels)) => (names(labels), true),
        None => (Vec::new(), false),
    }
}

fn names(labels: &Labels) -> Vec<&String> {
    labels.labels.iter().collect()
}

/// How two vectors are matched; null where one side is none.
fn matching(it: &BinaryExpr) -> Value {
    let vectors = [&it.lhs, &it.rhs].iter().all(|side| side.value_type() == ValueType::Vector);
    if !vectors {
        return Value::Null;
    }
    let set = ["and", "or", "unless"].contains(&it.op.to_string().as_str());
    let (card, include) = match it.modifier.as_ref().map(|BinModifier { card, .. }| card) {
        _ if set => ("many-to-many", Vec::new()),
        Some(VectorMatchCardinality::ManyToOne(labels)) => ("many-to-one", names(labels)),
        Some(VectorMatchCardinality::OneToMany(labels)) => ("one-to-many", names(labels)),
        Some(VectorMatchCardinality::ManyToMany) => ("many-to-many", Vec::new()),
        Some(VectorMatchCardinality::OneToOne) | None => ("one-to-one", Vec::new()),
    };
    let by = it.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref());
    let labels = by.map(|by| names(by.labels())).unwrap_or_default();
    json!({ "card": card, "labels": labels, "on": by.is_some_and(LabelModifier::is_include), "include": include })
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn offset(offset: Option<&Offset>) -> i64 {
    match offset {
        Some(Offset::Pos(duration)) => ms(*duration),
        Some(Offset::Neg(duration)) => -ms(*duration),
        None => 0,
    }
}

fn at(at: Option<&AtModifier>) -> (Option<i64>, Option<&'static str>) {
    match at {
        Some(AtModifier::At(time)) => (Some(since_1970(*time)), None),
        Some(AtModifier::Start) => (None, Some("start")),
        Some(AtModifier::End) => (None, Some("end")),
        None => (None, None),
    }
}

fn since_1970(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or_else(|before| -ms(before.duration()), ms)
}

/// As Go writes it without an exponent.
fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &Value) {
        let shown = crate::parse(text).unwrap().translated().unwrap();
        assert_eq!(shown, *expected, "{text}");
    }

    fn foo(kind: &str) -> Value {
        json!({ "type": kind, "name": "foo", "offset": 0, "timestamp": null, "startOrEnd": null,
            "matchers": [{ "name": "__name__", "type": "=", "value": "foo" }] })
    }

    #[test]
    fn prometheuss_own_example() {
        let mut bar = foo("vectorSelector");
        (bar["name"], bar["matchers"][0]["value"]) = (json!("bar"), json!("bar"));
        let matching = json!({ "card": "one-to-one", "labels": [], "on": false, "include": [] });
        let lhs = foo("vectorSelector");
        check(
            "foo/bar",
            &json!({ "type": "binaryExpr", "op": "/", "lhs": lhs, "rhs": bar, "matching": matching, "bool": false }),
        );
    }

    #[test]
    fn selectors_calls_and_aggregations() {
        let mut range = foo("matrixSelector");
        (range["range"], range["offset"], range["timestamp"]) = (json!(300_000), json!(-60_000), json!(-1_500));
        let rate = json!({ "type": "call", "args": [range], "func":
            { "name": "rate", "argTypes": ["matrix"], "variadic": 0, "returnType": "vector" } });
        check(
            "topk without (a, b) (2, rate(foo[5m] @ -1.5 offset -1m))",
            &json!({ "type": "aggregation", "op": "topk", "expr": rate, "without": true, "grouping": ["a", "b"],
                "param": { "type": "numberLiteral", "val": "2" } }),
        );
        let one = json!({ "type": "numberLiteral", "val": "1.5" });
        let greater = json!({ "type": "binaryExpr", "op": ">", "lhs": foo("vectorSelector"), "rhs": one,
            "matching": null, "bool": true });
        check(
            "(foo > bool 1.5)[1h:1m] @ end()",
            &json!({ "type": "subquery", "expr": { "type": "parenExpr", "expr": greater }, "range": 3_600_000,
                "step": 60_000, "offset": 0, "timestamp": null, "startOrEnd": "end" }),
        );
    }

    #[test]
    fn matching_says_who_is_many() {
        let shown = |text: &str| crate::parse(text).unwrap().translated().unwrap()["matching"].clone();
        let many = json!({ "card": "many-to-one", "labels": ["a"], "on": true, "include": ["b"] });
        assert_eq!(shown("foo * on (a) group_left (b) foo"), many);
        let set = json!({ "card": "many-to-many", "labels": ["a"], "on": false, "include": [] });
        assert_eq!(shown("foo unless ignoring (a) foo"), set);
    }
}
