//! What Prometheus refuses and the grammar's crate lets pass.

use promql_parser::parser::{AggregateExpr, BinaryExpr, Call, Expr as Tree, token, value::ValueType};

use super::{ParseError, children};
use crate::scan::Token;

/// Looks at every node, without recursion.
pub(super) fn tree(text: &str, tokens: &[Token], tree: &Tree) -> Result<(), ParseError> {
    let mut open = vec![tree];
    while let Some(node) = open.pop() {
        let wrong = match node {
            Tree::VectorSelector(one) => alternatives(&one.matchers.or_matchers),
            Tree::MatrixSelector(matrix) => alternatives(&matrix.vs.matchers.or_matchers),
            Tree::Binary(binary) => filled_set(binary),
            Tree::Aggregate(aggregate) => parameter(aggregate),
            Tree::Call(call) => labels_only(call),
            _ => None,
        };
        if let Some((word, message)) = wrong {
            let token = tokens.iter().find(|token| token.of(text).eq_ignore_ascii_case(&word));
            return Err(ParseError::at(text, token.map_or(0, |token| token.start), message));
        }
        open.extend(children(node));
    }
    Ok(())
}

/// What is wrong: the word at which the caret stands, and the message.
type Wrong = Option<(String, String)>;

/// `{a="1" or b="2"}` is MetricsQL's.
fn alternatives<T>(or_matchers: &[T]) -> Wrong {
    let message = "unexpected \"or\" in label matching, expected \",\" or \"}\"";
    (!or_matchers.is_empty()).then(|| ("or".to_owned(), message.to_owned()))
}

fn filled_set(binary: &BinaryExpr) -> Wrong {
    let fill = &binary.modifier.as_ref()?.fill_values;
    let filled = fill.lhs.is_some() || fill.rhs.is_some();
    let message = "filling in missing series not allowed for set operators";
    (filled && binary.op.is_set_operator()).then(|| (binary.op.to_string(), message.to_owned()))
}

fn parameter(aggregate: &AggregateExpr) -> Wrong {
    let found = aggregate.param.as_ref()?.value_type();
    let scalar = matches!(aggregate.op.id(), token::T_LIMITK | token::T_LIMIT_RATIO);
    let message = || format!("expected type scalar in aggregation parameter, got {found}");
    (scalar && found != ValueType::Scalar).then(|| (aggregate.op.to_string(), message()))
}

/// The second argument of `info` is a set of matchers that stands for no series.
fn labels_only(call: &Call) -> Wrong {
    let (true, Some(second)) = (call.func.name == "info", call.args.args.get(1)) else { return None };
    let message = match &**second {
        Tree::VectorSelector(one) if one.name.is_some() => "expected label selectors only, got vector selector instead",
        Tree::VectorSelector(one) if one.offset.is_none() && one.at.is_none() => return None,
        _ => "expected label selectors only",
    };
    Some(("info".to_owned(), message.to_owned()))
}
