use proptest::prelude::*;

use super::*;

/// Records of `text`, each as its number of lines.
fn records(text: &str) -> Vec<Record> {
    let mut joiner = Joiner::default();
    let mut start = 0;
    let mut records = Vec::new();
    for line in text.lines() {
        records.extend(joiner.push(line, start));
        start += line.len() as u64 + 1;
    }
    records.extend(joiner.flush());
    records
}

/// `expected` is the number of lines of each record.
fn check(text: &str, expected: &[u32]) {
    let found = records(text);
    let lines: Vec<u32> = found.iter().map(|record| record.lines).collect();
    assert_eq!(lines, expected, "{found:#?}");
}

#[test]
fn plain_lines_stay_apart_and_empty_ones_are_none() {
    check("one\ntwo\n\n\nthree\n", &[1, 1, 1]);
    check("", &[]);
    check("\n \n", &[]);
    check("  begins with white space\nother", &[1, 1]);
}

#[test]
fn java() {
    check(
        "12:00 ERROR [main] App - failed\n\
         java.lang.IllegalStateException: boom\n\
         \tat com.example.App.run(App.java:10)\n\
         \tat com.example.App.main(App.java:5)\n\
         Caused by: java.io.IOException: disk\n\
         \tat com.example.Disk.write(Disk.java:1)\n\
         \t... 2 more\n\
         12:01 INFO  [main] App - on\n",
        &[7, 1],
    );
    check("Exception in thread \"main\" java.lang.Error: x\n\tat A.b(A.java:1)\nnext", &[2, 1]);
    check("12:00 INFO [main] fine\njava.lang.Error: x\n\tat A.b(A.java:1)\n", &[1, 2]);
    check("12:00 ERROR a\n12:01 ERROR b\n", &[1, 1]);
}

#[test]
fn python() {
    let traceback =
        "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    f()\nValueError: bad";
    check(&format!("{traceback}\nINFO:root:next\n"), &[4, 1]);
    check(&format!("ERROR:root:failed\n{traceback}\nINFO:root:next\n"), &[5, 1]);
    check(&format!("INFO:root:fine\n{traceback}\n"), &[1, 4]);
    check(
        &format!(
            "{traceback}\n\nDuring handling of the above exception, another exception occurred:\n\n{traceback}\nnext line\n"
        ),
        &[11, 1],
    );
    check("Traceback (most recent call last):\n  File \"a.py\"\n2024-01-01 INFO next\n", &[2, 1]);
    check("Traceback (most recent call last):\n  File \"a.py\"\nKeyboardInterrupt\nnext one\n", &[3, 1]);
}

#[test]
fn rust() {
    check(
        "thread 'main' panicked at src/main.rs:2:5:\nindex out of bounds: the len is 3\n\
         note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\nnext\n",
        &[3, 1],
    );
    check(
        "thread 'worker' (17) panicked at src/main.rs:2:5:\nboom\nstack backtrace:\n   0: rust_begin_unwind\n\
         \x20            at /rustc/x/library/std/src/panicking.rs:665:5\nnote: Some details are omitted\nnext\n",
        &[6, 1],
    );
    check("thread 'main' panicked at 'boom', src/main.rs:2:5\nnext\n", &[1, 1]);
}

#[test]
fn go() {
    check(
        "panic: runtime error: index out of range [5] with length 3\n\n\
         goroutine 1 [running]:\nmain.main()\n\t/tmp/x.go:8 +0x1d\n\
         main.(*Server).handle(0xc000012345, {0x1, 0x2})\n\t/tmp/y.go:9 +0x2e\n\
         created by main.start in goroutine 1\n\t/tmp/z.go:3 +0x1\nexit status 2\n\
         2024/01/01 12:00:00 next\n",
        &[10, 1],
    );
    check(
        "2024/01/01 12:00:00 http: panic serving 127.0.0.1:1: boom\ngoroutine 34 [running]:\nnet/http.(*conn).serve.func1()\n\t/usr/x.go:1\n2024 next\n",
        &[4, 1],
    );
}

#[test]
fn node() {
    check(
        "/srv/app.js:10\n    throw new Error('boom');\n    ^\n\nError: boom\n    at run (/srv/app.js:10:11)\n\n\
         Node.js v20.1.0\nnext line here\n",
        &[8, 1],
    );
    check("TypeError: x is not a function\n    at f (/srv/a.js:1:2)\n    at g (/srv/a.js:3:4)\nlistening\n", &[3, 1]);
    check("/srv/app.js:3\nthrow x\n^\nplain\n", &[2, 1, 1]);
}

#[test]
fn lines_at_the_limit_and_one_past_it() {
    let text = |frames: u32| format!("head\n{}", "\tat x\n".repeat(frames as usize));
    check(&text(RECORD_LINES_MAX - 1), &[RECORD_LINES_MAX]);
    check(&text(RECORD_LINES_MAX), &[RECORD_LINES_MAX, 1]);
}

#[test]
fn bytes_at_the_limit_and_one_past_it() {
    for (bytes, kept) in [(RECORD_BYTES_MAX, RECORD_BYTES_MAX), (RECORD_BYTES_MAX + 1, RECORD_BYTES_MAX)] {
        assert_eq!(records(&"x".repeat(bytes))[0].text.len(), kept);
        let two = format!("{}\n {}", "x".repeat(10), "y".repeat(bytes - 12));
        let found = &records(&two)[0];
        assert_eq!((found.text.len(), found.lines), (kept, 2));
    }
    let many = format!("é\n{}", " é\n".repeat(900));
    assert_eq!(records(&many)[0].lines, 901);
}

#[test]
fn the_place_of_what_waits() {
    let mut joiner = Joiner::default();
    assert_eq!(joiner.pending_start(), None);
    joiner.push("a", 5);
    joiner.push("\tb", 7);
    assert_eq!(joiner.pending_start(), Some(5));
    assert!(joiner.push("c", 10).is_some());
    assert_eq!(joiner.pending_start(), Some(10));
}

fn any_line() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,30}",
        "[ \t]{1,4}at [a-z.]{1,9}",
        Just(String::new()),
        Just("Traceback (most recent call last):".to_owned()),
        Just("During handling of the above exception, another exception occurred:".to_owned()),
        Just("ValueError: x".to_owned()),
        Just("java.lang.Exception: x".to_owned()),
        Just("Caused by: x".to_owned()),
        Just("thread 'main' panicked at src/main.rs:2:5:".to_owned()),
        Just("panic: x".to_owned()),
        Just("goroutine 1 [running]:".to_owned()),
        Just("/srv/app.js:10".to_owned()),
        Just("12:00 ERROR x".to_owned()),
        Just("12:00 INFO x".to_owned()),
    ]
}

proptest! {
    /// Every line that is not empty is in exactly one record, in order.
    #[test]
    fn no_line_is_lost_or_doubled(lines in proptest::collection::vec(any_line(), 0..60)) {
        let text = lines.join("\n");
        let joined: Vec<String> = records(&text)
            .iter()
            .flat_map(|record| record.text.split('\n').map(str::to_owned).collect::<Vec<_>>())
            .filter(|line| !line.trim().is_empty())
            .collect();
        let plain: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
        prop_assert_eq!(joined, plain);
    }

    /// Starting again where the record that waits begins gives the same records: what a
    /// checkpoint relies on.
    #[test]
    fn a_restart_at_the_pending_record_changes_nothing(lines in proptest::collection::vec(any_line(), 1..40), cut in 0usize..40) {
        let cut = cut % lines.len();
        let mut joiner = Joiner::default();
        let mut found = Vec::new();
        for (at, line) in lines[..cut].iter().enumerate() {
            found.extend(joiner.push(line, at as u64));
        }
        let resume = joiner.pending_start().map_or(cut, |start| start as usize);
        let mut again = Joiner::default();
        for (at, line) in lines.iter().enumerate().skip(resume) {
            found.extend(again.push(line, at as u64));
        }
        found.extend(again.flush());
        let mut whole = Joiner::default();
        let mut expected: Vec<Record> = lines.iter().enumerate().filter_map(|(at, line)| whole.push(line, at as u64)).collect();
        expected.extend(whole.flush());
        prop_assert_eq!(found, expected);
    }
}
