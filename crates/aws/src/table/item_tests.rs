use expect_test::expect;

use super::*;

fn stored(change: impl FnOnce(&mut Attributes)) -> Result<Stored, PortError> {
    let mut attributes = HashMap::from([
        ("sk".to_owned(), AttributeValue::S("/a".to_owned())),
        ("ver".to_owned(), AttributeValue::N("5".to_owned())),
        ("val".to_owned(), AttributeValue::B(Blob::new(vec![0, 255]))),
    ]);
    change(&mut attributes);
    Stored::read(attributes)
}

#[test]
fn an_item_is_read_or_named_as_not_ours() {
    let read = stored(|_| {}).unwrap();
    assert_eq!((read.item.sort.as_str(), &read.item.value[..], read.item.version), ("a", &[0, 255][..], 5));
    assert_eq!((read.item.expires_at, read.written_by), (None, None));
    for name in ["sk", "ver", "val"] {
        let error = stored(|attributes| drop(attributes.remove(name))).unwrap_err();
        assert!(error.what.contains(&format!("no readable attribute {name}")), "{error}");
        assert!(stored(|attributes| drop(attributes.insert(name.to_owned(), AttributeValue::Bool(true)))).is_err());
    }
    assert!(stored(|attributes| drop(attributes.insert("xms".to_owned(), AttributeValue::N("x".to_owned())))).is_err());
}

#[test]
fn an_item_ends_at_its_time() {
    let ends = |ms: i64| stored(|attributes| drop(attributes.insert("xms".to_owned(), number(ms)))).unwrap();
    assert!(ends(11).alive(Timestamp(10)).is_some());
    assert!(ends(10).alive(Timestamp(10)).is_none());
    assert_eq!([0, 1, 999, 1_000, 1_001].map(seconds_up), [0, 1, 1, 1, 2], "never deleted early");
}

#[test]
fn floors_rise_in_a_process_and_with_time() {
    let last = AtomicU64::new(0);
    let mut before = 0;
    for _ in 0..1_000 {
        let floor = next_floor(&last, Timestamp(5_000));
        assert!(floor > before, "at one time too");
        before = floor;
    }
    assert!(next_floor(&last, Timestamp(4_000)) > before, "the clock went back");
    let anywhere = next_floor(&AtomicU64::new(0), Timestamp(5_001));
    assert!(anywhere > (5_000 << RANDOM_BITS) + ((1 << RANDOM_BITS) - 1), "a later process starts above");
    assert!(next_floor(&AtomicU64::new(0), Timestamp(253_402_300_800_000)) < 1 << 63, "until the year 10000");
}

#[test]
fn expressions() {
    let id = WriteId([7; 16]);
    let text = |expression: &Expression| {
        let mut names: Vec<&str> = expression.values.keys().map(String::as_str).collect();
        names.sort_unstable();
        format!("{} | {}\n", expression.text, names.join(" "))
    };
    let mut all = text(&update(&Bytes::new(), None, id, 1));
    all += &text(&update(&Bytes::new(), Some(Timestamp(1_500)), id, 1));
    for one in [Condition::Absent, Condition::Version(3)] {
        all += &text(&condition(one, Timestamp(10)).unwrap());
    }
    assert_eq!(condition(Condition::Always, Timestamp(10)), None);
    expect![[r#"
        SET ver = if_not_exists(ver, :floor) + :one, val = :val, wid = :wid REMOVE xms, #exp | :floor :one :val :wid
        SET ver = if_not_exists(ver, :floor) + :one, val = :val, wid = :wid, xms = :xms, #exp = :exp | :exp :floor :one :val :wid :xms
        attribute_not_exists(pk) OR xms <= :now | :now
        ver = :is AND (attribute_not_exists(xms) OR xms > :now) | :is :now
    "#]]
    .assert_eq(&all);
    assert_eq!(id.token(), "07".repeat(16));
}
