//! Expressions that one newest sample decides: `selector CMP number`. Alert rules of this form
//! are evaluated straight from the stream, without any storage.

use promql_parser::parser::{Expr as Tree, token};

use crate::matcher::Matcher;
use crate::parse::{Expr, matchers_of, without_parens};

/// A comparison, the sample on the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
}

impl Comparison {
    /// Whether `value CMP bound`.
    #[must_use]
    pub fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Equal => value == bound,
            Self::NotEqual => value != bound,
            Self::Greater => value > bound,
            Self::GreaterOrEqual => value >= bound,
            Self::Less => value < bound,
            Self::LessOrEqual => value <= bound,
        }
    }

    pub(crate) fn from_token(id: token::TokenId) -> Option<Self> {
        Some(match id {
            token::T_EQLC => Self::Equal,
            token::T_NEQ => Self::NotEqual,
            token::T_GTR => Self::Greater,
            token::T_GTE => Self::GreaterOrEqual,
            token::T_LSS => Self::Less,
            token::T_LTE => Self::LessOrEqual,
            _ => return None,
        })
    }

    fn mirrored(self) -> Self {
        match self {
            Self::Equal | Self::NotEqual => self,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
        }
    }
}

/// A threshold on the newest sample of each selected series.
#[derive(Debug, Clone, PartialEq)]
pub struct Direct {
    /// Which series.
    pub matchers: Vec<Matcher>,
    /// How the sample's value is compared.
    pub op: Comparison,
    /// With what.
    pub bound: f64,
}

/// The threshold, where `expr` is `selector CMP number` or `number CMP selector` (parentheses and
/// signs allowed). A selector with `offset` or `@`, a comparison with `bool`, and anything else
/// has none.
#[must_use]
pub fn direct_threshold(expr: &Expr) -> Option<Direct> {
    let Tree::Binary(binary) = without_parens(expr.tree()) else { return None };
    if binary.return_bool() {
        return None;
    }
    let op = Comparison::from_token(binary.op.id())?;
    let (lhs, rhs) = (without_parens(&binary.lhs), without_parens(&binary.rhs));
    let (selector, bound, op) = match (lhs, rhs) {
        (Tree::VectorSelector(selector), number) => (selector, constant(number)?, op),
        (number, Tree::VectorSelector(selector)) => (selector, constant(number)?, op.mirrored()),
        _ => return None,
    };
    let plain = selector.offset.is_none() && selector.at.is_none() && selector.matchers.or_matchers.is_empty();
    plain.then(|| Direct { matchers: matchers_of(selector), op, bound })
}

fn constant(node: &Tree) -> Option<f64> {
    match without_parens(node) {
        Tree::NumberLiteral(number) => Some(number.val),
        Tree::Unary(unary) => constant(&unary.expr).map(|value| -value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    fn check(text: &str, expected: Option<(&str, Comparison, f64)>) {
        let direct = direct_threshold(&parse(text).unwrap());
        let shown = direct.as_ref().map(|d| (d.matchers[0].value(), d.op, d.bound));
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn selectors_compared_with_a_number_are_direct() {
        check("up == 0", Some(("up", Comparison::Equal, 0.0)));
        check("((x{a=\"b\"}) > (-(5)))", Some(("x", Comparison::Greater, -5.0)));
        check("5 <= x", Some(("x", Comparison::GreaterOrEqual, 5.0)));
        check("1e3 > x", Some(("x", Comparison::Less, 1_000.0)));
        for text in ["up", "up == bool 0", "x offset 1m > 1", "x @ 1 > 1", "x + 1", "x > y", "x > 1 + 1", "-x > 1", "1"]
        {
            check(text, None);
        }
        assert!(!Comparison::Equal.holds(f64::NAN, f64::NAN));
    }
}
