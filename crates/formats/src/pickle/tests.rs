//! Pickles of CPython in all protocols, carbon's own tests, and the laws.

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_732_877_464_906);

/// `[('foo.bar',(1700000000,1.5)), ('a;k=v',(1700000001.9,-3)), ('big',(1700000000,2**70)),
/// ('neg',(1700000000,-2**40)), ('t',(1700000000,True)), ('foo.bar',(-1,7))]` by protocol.
const DUMPED: [(u8, &[u8]); 5] = [
    (0, b"(lp0\x0a(Vfoo.bar\x0ap1\x0a(I1700000000\x0aF1.5\x0atp2\x0atp3\x0aa(Va;k=v\x0ap4\x0a(F1700000001.9\x0aI-3\x0atp5\x0atp6\x0aa(Vbig\x0ap7\x0a(I1700000000\x0aL1180591620717411303424L\x0atp8\x0atp9\x0aa(Vneg\x0ap10\x0a(I1700000000\x0aL-1099511627776L\x0atp11\x0atp12\x0aa(Vt\x0ap13\x0a(I1700000000\x0aI01\x0atp14\x0atp15\x0aa(g1\x0a(I-1\x0aI7\x0atp16\x0atp17\x0aa."),
    (1, b"]q\x00((X\x07\x00\x00\x00foo.barq\x01(J\x00\xf1SeG?\xf8\x00\x00\x00\x00\x00\x00tq\x02tq\x03(X\x05\x00\x00\x00a;k=vq\x04(GA\xd9T\xfc@y\x99\x9aJ\xfd\xff\xff\xfftq\x05tq\x06(X\x03\x00\x00\x00bigq\x07(J\x00\xf1SeL1180591620717411303424L\x0atq\x08tq\x09(X\x03\x00\x00\x00negq\x0a(J\x00\xf1SeL-1099511627776L\x0atq\x0btq\x0c(X\x01\x00\x00\x00tq\x0d(J\x00\xf1SeI01\x0atq\x0etq\x0f(h\x01(J\xff\xff\xff\xffK\x07tq\x10tq\x11e."),
    (2, b"\x80\x02]q\x00(X\x07\x00\x00\x00foo.barq\x01J\x00\xf1SeG?\xf8\x00\x00\x00\x00\x00\x00\x86q\x02\x86q\x03X\x05\x00\x00\x00a;k=vq\x04GA\xd9T\xfc@y\x99\x9aJ\xfd\xff\xff\xff\x86q\x05\x86q\x06X\x03\x00\x00\x00bigq\x07J\x00\xf1Se\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00@\x86q\x08\x86q\x09X\x03\x00\x00\x00negq\x0aJ\x00\xf1Se\x8a\x06\x00\x00\x00\x00\x00\xff\x86q\x0b\x86q\x0cX\x01\x00\x00\x00tq\x0dJ\x00\xf1Se\x88\x86q\x0e\x86q\x0fh\x01J\xff\xff\xff\xffK\x07\x86q\x10\x86q\x11e."),
    (3, b"\x80\x03]q\x00(X\x07\x00\x00\x00foo.barq\x01J\x00\xf1SeG?\xf8\x00\x00\x00\x00\x00\x00\x86q\x02\x86q\x03X\x05\x00\x00\x00a;k=vq\x04GA\xd9T\xfc@y\x99\x9aJ\xfd\xff\xff\xff\x86q\x05\x86q\x06X\x03\x00\x00\x00bigq\x07J\x00\xf1Se\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00@\x86q\x08\x86q\x09X\x03\x00\x00\x00negq\x0aJ\x00\xf1Se\x8a\x06\x00\x00\x00\x00\x00\xff\x86q\x0b\x86q\x0cX\x01\x00\x00\x00tq\x0dJ\x00\xf1Se\x88\x86q\x0e\x86q\x0fh\x01J\xff\xff\xff\xffK\x07\x86q\x10\x86q\x11e."),
    (4, b"\x80\x04\x95\x87\x00\x00\x00\x00\x00\x00\x00]\x94(\x8c\x07foo.bar\x94J\x00\xf1SeG?\xf8\x00\x00\x00\x00\x00\x00\x86\x94\x86\x94\x8c\x05a;k=v\x94GA\xd9T\xfc@y\x99\x9aJ\xfd\xff\xff\xff\x86\x94\x86\x94\x8c\x03big\x94J\x00\xf1Se\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00@\x86\x94\x86\x94\x8c\x03neg\x94J\x00\xf1Se\x8a\x06\x00\x00\x00\x00\x00\xff\x86\x94\x86\x94\x8c\x01t\x94J\x00\xf1Se\x88\x86\x94\x86\x94h\x01J\xff\xff\xff\xffK\x07\x86\x94\x86\x94e."),];

fn check(pickle: &[u8], expected: &[&str]) {
    let parsed = parse(pickle, NOW);
    let samples = parsed.samples.iter().map(|(labels, s)| format!("{labels} {} {}", s.value, s.at));
    let rejects = parsed.rejected.iter().map(|r| format!("{}:{} {} {}", r.line, r.column, r.reason, r.text));
    let shown: Vec<String> = samples.chain(rejects).map(|line| line.trim_end().to_owned()).collect();
    assert_eq!(shown, expected, "{:?}", String::from_utf8_lossy(pickle));
}

#[test]
fn what_python_dumps_in_every_protocol() {
    for (protocol, pickle) in DUMPED {
        eprintln!("protocol {protocol}");
        check(
            pickle,
            &[
                r#"{__name__="foo.bar"} 1.5 1700000000000"#,
                r#"a{k="v"} -3 1700000001000"#,
                "big 1180591620717411300000 1700000000000",
                "neg -1099511627776 1700000000000",
                "t 1 1700000000000",
                r#"{__name__="foo.bar"} 7 1732877464906"#,
            ],
        );
    }
}

#[test]
fn what_carbon_refuses() {
    check(b"1", &["1:1 pickle_malformed"]);
    check(b"i", &["1:1 pickle_opcode"]);
    check(b"iii", &["1:1 pickle_opcode"]);
    check(b"", &["1:1 pickle_cut_off"]);
    check(b"\x80\x02]q\x00X\x07\x00\x00\x00foo.barq\x01K\x01\x86q\x02a.", &["1:1 pickle_item_malformed foo.bar"]);
    check(
        b"\x80\x02]q\x00(X\x07\x00\x00\x00foo.barq\x01X\x01\x00\x00\x00aq\x02X\x01\x00\x00\x00bq\x03\x86q\x04\x86q\x05\
          X\x01\x00\x00\x00nq\x06K\x01G\x7f\xf8\x00\x00\x00\x00\x00\x00\x86q\x07\x86q\x08X\x01\x00\x00\x00sq\x09K\x01X\x03\x00\x00\x001.5q\x0a\x86q\x0b\x86q\x0cX\x02\x00\x00\x00okq\x0dK\x01K\x02\x86q\x0e\x86q\x0fe.",
        &[
            "ok 2 1000",
            "1:1 timestamp_not_a_number foo.bar",
            "2:1 value_nan n",
            "3:1 value_not_a_number s",
        ],
    );
}

#[test]
fn nothing_is_called() {
    check(b"\x80\x02c__builtin__\x0aprint\x0aq\x00.", &["1:3 pickle_opcode"]);
    check(b"cos\nsystem\n(S'true'\ntR.", &["1:1 pickle_opcode"]);
    check(b"\x80\x02}.", &["1:3 pickle_opcode"]);
    check(b"K\x01.", &["1:1 pickle_not_a_list"]);
    check(b"(K\x01.", &["1:1 pickle_not_a_list"]);
    check(b"h\x01.", &["1:1 pickle_malformed"]);
    check(b"]K\x01\x87.", &["1:4 pickle_malformed"]);
    check(b"X\xff\xff\xff\xff.", &["1:1 pickle_cut_off"]);
    check(b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", &["1:1 pickle_cut_off"]);
}

#[test]
fn bytes_as_a_path_and_lists_in_place_of_tuples() {
    check(b"\x80\x03]q\x00C\x03fooq\x01K\x01K\x02\x86q\x02\x86q\x03a.", &["foo 2 1000"]);
    check(b"(lp0\n(lp1\nS'foo'\np2\na(lp3\nI1\naF2.5\naaa.", &["foo 2.5 1000"]);
    check(b"]C\x02\xff\xffK\x01K\x02\x86\x86a.", &["1:1 not_utf8 \u{fffd}\u{fffd}"]);
    // A list that holds itself is walked no further than a point needs.
    check(b"]q\x00h\x00a.", &["1:1 pickle_item_malformed"]);
}

#[test]
fn frames_however_they_were_cut() {
    let mut stream = Vec::new();
    for (_, pickle) in DUMPED {
        stream.extend((pickle.len() as u32).to_be_bytes());
        stream.extend(pickle);
    }
    stream.extend([0, 0, 0, 0]);
    for size in [1, 3, 7, 100, stream.len()] {
        let (mut frames, mut seen) = (Frames::new(), Vec::new());
        for chunk in stream.chunks(size) {
            frames.push(chunk, |pickle| seen.push(pickle.to_vec())).unwrap();
        }
        assert_eq!(seen.len(), 6, "chunks of {size}");
        assert!(seen.iter().zip(DUMPED).all(|(seen, (_, pickle))| seen == pickle) && !frames.is_within());
    }
}

#[test]
fn a_pickle_at_the_limit_and_one_byte_past_it() {
    let announced = |bytes: u32| {
        let mut frames = Frames::new();
        let pushed = frames.push(&bytes.to_be_bytes(), |_| {});
        (pushed.err().map(|error| error.bytes), frames.held.capacity() < 64)
    };
    assert_eq!(announced(PICKLE_BYTES_MAX as u32), (None, true));
    assert_eq!(announced(PICKLE_BYTES_MAX as u32 + 1), (Some(PICKLE_BYTES_MAX as u32 + 1), true));
    assert_eq!(announced(u32::MAX), (Some(u32::MAX), true));
}

proptest! {
    #[test]
    fn bytes_never_panic(pickle: Vec<u8>) {
        let _ = parse(&pickle, NOW);
    }

    /// Bytes that are mostly opcodes reach deeper.
    #[test]
    fn opcodes_never_panic(pickle in proptest::collection::vec(
        proptest::sample::select(&b".()]aetlNKMJGSUVpqgh01\x80\x85\x86\x87\x88\x8a\x8c\x94\x95\n'\x00\x01\x02\xffIF5"[..]), 0..60)
    ) {
        let _ = parse(&pickle, NOW);
    }

    #[test]
    fn cut_or_changed_pickles_never_panic(which in 0..DUMPED.len(), at in 0usize..200, byte: u8) {
        let mut pickle = DUMPED[which].1.to_vec();
        let at = at.min(pickle.len() - 1);
        let _ = parse(&pickle[..at], NOW);
        pickle[at] = byte;
        let _ = parse(&pickle, NOW);
    }
}
