//! Rule files: what is read, and what every problem looks like.

use expect_test::{Expect, expect};

use super::*;
use crate::problem::render;

fn check_problems(text: &str, expected: Expect) {
    expected.assert_eq(&render(&parse("r.yml", text).expect_err("the file has a problem")));
}

fn one_rule(rule: &str) -> Result<Rule, String> {
    let text = format!("groups:\n- name: g\n  rules:\n  - {}\n", rule.replace('\n', "\n    "));
    parse("r.yml", &text).map(|mut file| file.groups.remove(0).rules.remove(0)).map_err(|p| render(&p))
}

#[test]
fn a_whole_file_is_read() {
    let text = r#"
groups:
- name: hosts
  interval: 30s
  query_offset: 10s
  limit: 7
  labels: {team: ops, severity: mail}
  rules:
  - alert: HostDown
    expr: up{job="node"} == 0
    for: 1h30m
    keep_firing_for: 5m
    labels: {severity: page}
    annotations:
      summary: "{{ $labels.instance }} is down"
  - record: job:up:sum
    expr: sum by (job) (up)
- name: other
  rules: []
"#;
    let file = parse("hosts.yml", text).unwrap();
    let group = &file.groups[0];
    assert_eq!((group.interval_ms, group.query_offset_ms, group.limit), (30_000, 10_000, 7));
    assert_eq!(file.groups[1].interval_ms, INTERVAL_MS_DEFAULT);
    let rule = &group.rules[0];
    let alert = rule.alert().unwrap();
    assert_eq!((alert.for_ms, alert.keep_firing_for_ms), (5_400_000, 300_000));
    let labels: Vec<(&str, &str)> = rule.labels.iter().map(|(n, t)| (n.as_str(), t.source())).collect();
    assert_eq!(labels, [("team", "ops"), ("severity", "page")]);
    assert_eq!(rule.direct.as_ref().unwrap().bound, 0.0);
    assert_eq!(rule.place.line, 9);
    assert_eq!(group.rules[1].kind, RuleKind::Record);
    assert_eq!(group.id(), "hosts.yml;hosts");
}

#[test]
fn every_problem_is_reported_with_its_place() {
    check_problems(
        r#"groups:
- name: g
  intervall: 30s
  rules:
  - alert: A
    expr: up ==
    for: 1x
  - alert: B
    expr: sum(up) by
    labels:
      severity: "{{ $lables.x }}"
      0bad: x
  - record: a-b
    expr: up
    for: 5m
  - expr: up
  - alert: C
    record: c
    expr: up
  - alert: D
  - alert: E
    expr: up
    annotations:
      summary: {{ $value }}
      text: |
        line one
        {{ humanise 1 }}
"#,
        expect![[r#"
            r.yml:3:3: unknown field "intervall" in a group; it takes name, interval, query_offset, limit, labels, rules
              |   intervall: 30s
              |   ^
            r.yml:6:16: expr: unexpected end of the expression
              |     expr: up ==
              |                ^
            r.yml:7:10: for: "1x" is not a duration; write for example 30s, 5m or 1h30m
              |     for: 1x
              |          ^
            r.yml:9:21: expr: unexpected end of the expression
              |     expr: sum(up) by
              |                     ^
            r.yml:11:21: labels.severity: unknown variable $lables
              |       severity: "{{ $lables.x }}"
              |                     ^
            r.yml:12:7: labels: "0bad" is not a label name
              |       0bad: x
              |       ^
            r.yml:13:13: "a-b" is not a metric name
              |   - record: a-b
              |             ^
            r.yml:15:5: a recording rule has no for
              |     for: 5m
              |     ^
            r.yml:16:5: a rule needs alert or record
              |   - expr: up
              |     ^
            r.yml:18:13: a rule has either alert or record, not both
              |     record: c
              |             ^
            r.yml:20:5: a rule has no expr
              |   - alert: D
              |     ^
            r.yml:24:16: annotations.summary must be a text, this is a map; a text that begins with {{ needs quotes around it
              |       summary: {{ $value }}
              |                ^
            r.yml:27:12: annotations.text: unknown function "humanise"
              |         {{ humanise 1 }}
              |            ^"#]],
    );
}

#[test]
fn a_bad_expression_in_a_block_points_into_the_block() {
    check_problems(
        "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: |\n      sum(\n        rate(x[5m]\n      ) > 1\n",
        expect![[r#"
            r.yml:8:12: expr: unexpected end of the expression
              |       ) > 1
              |            ^"#]],
    );
}

#[test]
fn duplicates_are_refused() {
    check_problems(
        "groups:\n- name: g\n- name: g\n",
        expect![[r#"
        r.yml:3:3: the group "g" is there twice in this file
          | - name: g
          |   ^"#]],
    );
    check_problems(
        "groups:\n- name: g\n  rules:\n  - {alert: A, expr: up}\n  - {alert: A, expr: up > 1}\n  - {alert: A, expr: up}\n",
        expect![[r#"
            r.yml:6:5: the rule "A" is there twice, first in line 4
              |   - {alert: A, expr: up}
              |     ^"#]],
    );
}

#[test]
fn what_is_no_rule_file_says_so() {
    check_problems(
        "- a",
        expect![[r#"
        r.yml:1:1: a rule file must be a map, this is a list
          | - a
          | ^"#]],
    );
    check_problems(
        "route: {receiver: x}\n",
        expect![[r#"
        r.yml:1:1: unknown field "route" in a rule file; it takes groups
          | route: {receiver: x}
          | ^"#]],
    );
    check_problems("groups: [1, 2", expect!["r.yml:2:1: YAML: while parsing a flow sequence, expected ',' or ']'"]);
    assert_eq!(parse("r.yml", "").unwrap().groups, []);
    assert_eq!(parse("r.yml", "groups:\n").unwrap().groups, []);
}

#[test]
fn ids_stay_while_expressions_change() {
    let a = one_rule("alert: A\nexpr: up == 0\nlabels: {x: y}").unwrap().id;
    assert_eq!(one_rule("alert: A\nexpr: up == 1\nlabels: {x: y}").unwrap().id, a);
    assert_ne!(one_rule("alert: A\nexpr: up == 0\nlabels: {x: z}").unwrap().id, a);
    assert!(!one_rule("alert: a/b;c\nexpr: up").unwrap().id.contains(['/', ';']));
}

#[test]
fn limits_at_the_limit_and_one_past_it() {
    let groups = |n: usize| {
        let groups: String = (0..n).map(|i| format!("- {{name: g{i}}}\n")).collect();
        parse("r.yml", &format!("groups:\n{groups}"))
    };
    assert!(groups(GROUPS_MAX).is_ok());
    assert!(render(&groups(GROUPS_MAX + 1).unwrap_err()).contains("501 groups"));

    let rules = |n: usize| {
        let rules: String = (0..n).map(|i| format!("  - {{alert: A{i}, expr: up}}\n")).collect();
        parse("r.yml", &format!("groups:\n- name: g\n  rules:\n{rules}"))
    };
    assert!(rules(RULES_PER_GROUP_MAX).is_ok());
    assert!(render(&rules(RULES_PER_GROUP_MAX + 1).unwrap_err()).contains("501 rules"));

    let labels = |n: usize| {
        let labels: Vec<String> = (0..n).map(|i| format!("l{i}: x")).collect();
        one_rule(&format!("alert: A\nexpr: up\nlabels: {{{}}}", labels.join(", ")))
    };
    assert!(labels(LABELS_PER_RULE_MAX).is_ok());
    assert!(labels(LABELS_PER_RULE_MAX + 1).unwrap_err().contains("33 labels"));

    let interval = |text: &str| parse("r.yml", &format!("groups:\n- {{name: g, interval: {text}}}\n"));
    assert_eq!(interval("1s").unwrap().groups[0].interval_ms, INTERVAL_MS_MIN);
    assert!(render(&interval("999ms").unwrap_err()).contains("the shortest is 1s"));
}

#[test]
fn the_starter_rules_are_read() {
    let text = crate::STARTER_RULES;
    let file = parse("starter-rules.yml", text).unwrap_or_else(|problems| panic!("{}", render(&problems)));
    let rules: Vec<&Rule> = file.groups.iter().flat_map(|group| &group.rules).collect();
    let direct: Vec<&str> = rules.iter().filter(|r| r.direct.is_some()).map(|r| r.name.as_str()).collect();
    assert_eq!(direct, ["HostDown", "HostClockSkew", "CheckCritical", "CheckWarning", "DaywatchTrip"]);
    for rule in &rules {
        let annotations: Vec<&str> = rule.alert().unwrap().annotations.iter().map(|(n, _)| n.as_str()).collect();
        assert!(annotations.contains(&"summary") && annotations.contains(&"runbook"), "{}", rule.name);
        assert!(rule.labels.iter().any(|(name, _)| name == "severity"), "{}", rule.name);
        let (nothing, options) = (promql::SeriesSet::default(), promql::Options::default());
        let result = promql::instant(&rule.expr, series::Timestamp(0), &nothing, &options);
        assert!(result.is_ok(), "{}: {result:?}", rule.name);
    }
}

#[test]
fn rules_that_people_use_are_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/rules");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        println!("skipped: {} is not there", folder.display());
        return;
    };
    let mut rules = 0;
    for entry in entries {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        match parse(&path.display().to_string(), &text) {
            Ok(file) => rules += file.groups.iter().map(|group| group.rules.len()).sum::<usize>(),
            Err(problems) => panic!("{}", render(&problems)),
        }
    }
    assert!(rules > 30, "{rules} rules");
}
