//! Vector matching: which series of two vectors belong together (`on`, `ignoring`), how many of
//! each (`group_left`, `group_right`), and the set operators.
//!
//! Series are put into groups once; what may not happen is checked at each step, as Prometheus
//! does, because a series can be absent at some of them.

use std::collections::HashMap;

use promql_parser::parser::{BinaryExpr, LabelModifier, VectorMatchCardinality, token};
use series::{Labels, METRIC_NAME};

use crate::binary::Operator;
use crate::error::EvalError;
use crate::eval::Evaluator;
use crate::grid::Grid;
use crate::row::{ABSENT, Row, merge, without_name};

/// The labels by which series are matched.
fn signature(labels: &Labels, matching: Option<&LabelModifier>) -> Labels {
    match matching {
        Some(LabelModifier::Include(on)) => labels.keep(|name| on.labels.iter().any(|one| one == name)),
        Some(LabelModifier::Exclude(ignoring)) => {
            labels.without(|name| name == METRIC_NAME || ignoring.labels.iter().any(|one| one == name))
        }
        None => labels.without(|name| name == METRIC_NAME),
    }
}

fn matching(binary: &BinaryExpr) -> Option<&LabelModifier> {
    binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref())
}

/// `and`, `or`, `unless`: by signature, step by step.
pub(crate) fn set_operation(
    binary: &BinaryExpr,
    mut lhs: Vec<Row>,
    mut rhs: Vec<Row>,
    grid: Grid,
) -> Result<Vec<Row>, EvalError> {
    let matching = matching(binary);
    let presence = |rows: &[Row]| {
        let mut groups: HashMap<Labels, Vec<bool>> = HashMap::new();
        for row in rows {
            let present = groups.entry(signature(&row.labels, matching)).or_insert_with(|| vec![false; grid.count]);
            (0..grid.count).for_each(|step| present[step] |= row.at(step).is_some());
        }
        groups
    };
    let mask = |rows: &mut [Row], groups: &HashMap<Labels, Vec<bool>>, keep_matched: bool| {
        for row in rows {
            let present = groups.get(&signature(&row.labels, matching));
            row.change(|step, value| {
                let matched = present.is_some_and(|present| present[step]);
                (matched == keep_matched).then_some(value)
            });
        }
    };
    match binary.op.id() {
        token::T_LAND => mask(&mut lhs, &presence(&rhs), true),
        token::T_LUNLESS => mask(&mut lhs, &presence(&rhs), false),
        _ => {
            mask(&mut rhs, &presence(&lhs), false);
            lhs.append(&mut rhs);
        }
    }
    merge(lhs)
}

/// The series of both sides that share a signature, by their numbers.
#[derive(Default)]
struct Group {
    many: Vec<usize>,
    one: Vec<usize>,
}

/// Arithmetic and comparison between two vectors.
pub(crate) fn pair(
    evaluator: &Evaluator,
    binary: &BinaryExpr,
    operator: Operator,
    lhs: Vec<Row>,
    rhs: Vec<Row>,
    grid: Grid,
) -> Result<Vec<Row>, EvalError> {
    let one_to_one = VectorMatchCardinality::OneToOne;
    let card = binary.modifier.as_ref().map_or(&one_to_one, |modifier| &modifier.card);
    // From here on the "one" side is on the right; values are turned back when computed.
    let turned = matches!(card, VectorMatchCardinality::OneToMany(_));
    let (mut many, mut one) = if turned { (rhs, lhs) } else { (lhs, rhs) };

    let mut numbers: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<(Labels, Group)> = Vec::new();
    let mut group_of = |labels: &Labels| {
        let signature = signature(labels, matching(binary));
        let number = *numbers.entry(signature.clone()).or_insert(groups.len());
        if number == groups.len() {
            groups.push((signature, Group::default()));
        }
        number
    };
    let many_groups: Vec<usize> = many.iter().map(|row| group_of(&row.labels)).collect();
    let one_groups: Vec<usize> = one.iter().map(|row| group_of(&row.labels)).collect();
    many_groups.into_iter().enumerate().for_each(|(row, group)| groups[group].1.many.push(row));
    one_groups.into_iter().enumerate().for_each(|(row, group)| groups[group].1.one.push(row));

    if let Some(fill) = binary.modifier.as_ref().map(|modifier| &modifier.fill_values) {
        let (fill_many, fill_one) = if turned { (fill.rhs, fill.lhs) } else { (fill.lhs, fill.rhs) };
        for (signature, group) in &mut groups {
            let missing_one = filled(evaluator, signature, (&many, &group.many), (&one, &group.one), fill_one, grid)?;
            let missing_many = filled(evaluator, signature, (&one, &group.one), (&many, &group.many), fill_many, grid)?;
            for (row, rows, numbers) in
                [(missing_one, &mut one, &mut group.one), (missing_many, &mut many, &mut group.many)]
            {
                if let Some(row) = row {
                    numbers.push(rows.len());
                    rows.push(row);
                }
            }
        }
    }

    let pairing = Pairing { evaluator, binary, operator, card, turned, many: &many, one: &one, grid };
    let mut rows = Vec::new();
    for (signature, group) in &groups {
        pairing.check_unique(signature, group)?;
        pairing.group(signature, group, &mut rows)?;
    }
    // Different groups may still give the same labels.
    merge(rows)
}

/// The series that `fill` puts on a side where a group has none: the group's labels, and the value
/// at the steps at which only the `other` side is there.
fn filled(
    evaluator: &Evaluator,
    signature: &Labels,
    other: (&[Row], &[usize]),
    missing: (&[Row], &[usize]),
    fill: Option<f64>,
    grid: Grid,
) -> Result<Option<Row>, EvalError> {
    let Some(value) = fill else { return Ok(None) };
    let present = |(rows, numbers): (&[Row], &[usize]), step| numbers.iter().any(|row| rows[*row].at(step).is_some());
    let mut points = evaluator.blank(grid)?;
    for (step, point) in points.iter_mut().enumerate() {
        if present(other, step) && !present(missing, step) {
            *point = value;
        }
    }
    Ok(Some(Row::new(signature.clone(), points)).filter(Row::is_present))
}

/// Labels as Prometheus's errors show them, the name among them.
fn in_braces(labels: &Labels) -> String {
    let shown: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", shown.join(", "))
}

struct Pairing<'a> {
    evaluator: &'a Evaluator<'a>,
    binary: &'a BinaryExpr,
    operator: Operator,
    card: &'a VectorMatchCardinality,
    turned: bool,
    many: &'a [Row],
    one: &'a [Row],
    grid: Grid,
}

impl Pairing<'_> {
    /// At no step may the "one" side have two series of a group, unless nothing can match.
    fn check_unique(&self, signature: &Labels, group: &Group) -> Result<(), EvalError> {
        if group.one.len() < 2 {
            return Ok(());
        }
        for step in 0..self.grid.count {
            let mut present = group.one.iter().filter(|row| self.one[**row].at(step).is_some());
            if let (Some(first), Some(second)) = (present.next(), present.next())
                && self.many.iter().any(|row| row.at(step).is_some())
            {
                return Err(EvalError::ManyToMany {
                    group: in_braces(signature),
                    side: if self.turned { "left" } else { "right" },
                    // In Prometheus's order: the one that was met later comes first.
                    first: in_braces(&self.one[*second].labels),
                    second: in_braces(&self.one[*first].labels),
                });
            }
        }
        Ok(())
    }

    fn group(&self, signature: &Labels, group: &Group, rows: &mut Vec<Row>) -> Result<(), EvalError> {
        let return_bool = self.binary.return_bool();
        let explicit = !matches!(self.card, VectorMatchCardinality::OneToOne);
        let mut places: HashMap<Labels, usize> = HashMap::new();
        // One to one: a step of this group may be taken once, whatever the result's labels are.
        let mut taken = vec![false; if explicit || group.many.len() < 2 { 0 } else { self.grid.count }];
        for (many, one) in group.many.iter().flat_map(|many| group.one.iter().map(move |one| (*many, *one))) {
            let (many, one) = (&self.many[many], &self.one[one]);
            let labels = self.result_labels(&many.labels, &one.labels)?;
            let place = *places.entry(labels.clone()).or_insert(rows.len());
            if place == rows.len() {
                rows.push(Row::new(labels, self.evaluator.blank(self.grid)?));
                rows[place].drop_name =
                    self.evaluator.options.delayed_name_removal && self.operator.drops_name(return_bool);
            }
            for step in 0..self.grid.count {
                let (Some(a), Some(b)) = (many.at(step), one.at(step)) else { continue };
                let (a, b) = if self.turned { (b, a) } else { (a, b) };
                let Some(value) = self.operator.apply(a, b, return_bool) else { continue };
                let twice = taken.get_mut(step).is_some_and(|taken| std::mem::replace(taken, true));
                if twice || rows[place].at(step).is_some() {
                    let group = in_braces(signature);
                    return Err(match explicit {
                        true => EvalError::NotUnique { group },
                        false => EvalError::ManyToOne { group },
                    });
                }
                rows[place].points[step] = if series::is_stale(value) { ABSENT } else { value };
            }
        }
        Ok(())
    }

    fn result_labels(&self, many: &Labels, one: &Labels) -> Result<Labels, EvalError> {
        let return_bool = self.binary.return_bool();
        let drop_name = self.operator.drops_name(return_bool) && !self.evaluator.options.delayed_name_removal;
        let mut labels = if drop_name { without_name(many) } else { many.clone() };
        match (self.card, matching(self.binary)) {
            (VectorMatchCardinality::OneToOne, Some(LabelModifier::Include(on))) => {
                labels = labels.keep(|name| on.labels.iter().any(|one| one == name));
            }
            (VectorMatchCardinality::OneToOne, Some(LabelModifier::Exclude(ignoring))) => {
                labels = labels.without(|name| ignoring.labels.iter().any(|one| one == name));
            }
            _ => {}
        }
        let Some(included) = self.card.labels().filter(|included| !included.is_empty()) else { return Ok(labels) };
        let mut builder = labels.to_builder();
        for name in &included.labels {
            match one.get(name) {
                Some(value) => builder.set(name.as_str(), value),
                None => builder.remove(name),
            };
        }
        Ok(builder.build()?)
    }
}
