use super::*;

fn index() -> (Index, Vec<Labels>) {
    let mut index = Index::default();
    let mut all = Vec::new();
    for number in 0..60 {
        let (host, job) = (format!("web-{}", number % 7), ["node", "check", ""][number % 3]);
        let name = format!("m{}", number % 5);
        let pairs = [("__name__", name.as_str()), ("host", &host), ("job", job), ("n", &number.to_string())];
        all.push(Labels::from_pairs(pairs).unwrap());
        index.add(&all[number]);
    }
    (index, all)
}

#[test]
fn it_finds_what_matching_each_series_finds() {
    let (index, all) = index();
    let of = |text: &str| promql::parse_selector(text).unwrap();
    for text in [
        "m1",
        "m1{host=\"web-3\"}",
        "m1{host=\"web-3\",n=\"31\"}",
        "m1{host!=\"web-3\"}",
        "m1{host=~\"web-[12]\"}",
        "m1{host!~\"web-[12]\"}",
        "m1{job=\"\"}",
        "m1{job!=\"\"}",
        "m1{job=~\"node|\"}",
        "m1{job!~\"node|\"}",
        "m1{nothing=\"\"}",
        "m1{nothing!=\"\"}",
        "m1{nothing=~\".*\"}",
        "m1{nothing!=\"x\"}",
        "{__name__=~\"m.\",job=\"check\"}",
        "{__name__!=\"m1\",host=\"web-0\"}",
        "{n=~\"1.\",job!=\"node\",host=~\"web-.*\"}",
        "m9",
    ] {
        let matchers = of(text);
        let expected: Vec<u32> =
            (0..60).filter(|number| promql::all_match(&matchers, &all[*number as usize])).collect();
        assert_eq!(index.select(&matchers), expected, "{text}");
    }
    assert_eq!(index.select(&[]).len(), 60);
}

#[test]
fn lists_of_any_lengths_have_in_common_what_both_have() {
    let many: Vec<u32> = (0..1_000).step_by(3).collect();
    for few in [vec![], vec![0], vec![1], vec![3, 4, 999], (0..100).collect(), (500..2_000).collect()] {
        let expected: Vec<u32> = few.iter().copied().filter(|number| many.contains(number)).collect();
        assert_eq!(common(&few, &many), expected);
        let (short, long) = if few.len() < many.len() { (&few, &many) } else { (&many, &few) };
        assert_eq!(common(short, long), expected);
    }
}
