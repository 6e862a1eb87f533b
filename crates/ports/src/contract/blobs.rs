//! Blobs: whole or not there, repeatable puts, listing, names.

use bytes::Bytes;

use super::{Boxed, done, refused, together};
use crate::Blobs;

/// Everything but durability.
pub async fn run(blobs: &dyn Blobs, name: &str) {
    puts_may_be_repeated(blobs, name).await;
    lists_go_by_prefix(blobs, name).await;
    bad_names_are_refused(blobs).await;
    puts_may_meet(blobs, name).await;
    parts_are_parts(blobs, name).await;
}

/// Writes what [`find_what_must_last`] looks for.
pub async fn write_what_must_last(blobs: &dyn Blobs, name: &str) {
    done(blobs.put(&format!("{name}/last/kept"), Bytes::from_static(b"kept")).await, "a put");
    done(blobs.put(&format!("{name}/last/deleted"), Bytes::from_static(b"x")).await, "a put");
    done(blobs.delete(&format!("{name}/last/deleted")).await, "a delete");
}

/// See [`write_what_must_last`].
pub async fn find_what_must_last(blobs: &dyn Blobs, name: &str) {
    let found = done(blobs.list(&format!("{name}/last/")).await, "a list after opening");
    assert_eq!(found, [format!("{name}/last/kept")], "objects must outlast the process");
    let kept = done(blobs.get(&found[0]).await, "a get after opening");
    assert_eq!(kept.as_deref(), Some(&b"kept"[..]));
}

async fn puts_may_be_repeated(blobs: &dyn Blobs, name: &str) {
    let object = format!("{name}/default/10m/0001/b3.block");
    assert_eq!(done(blobs.get(&object).await, "a get of nothing"), None);
    let bytes = Bytes::from((0..=255).cycle().take(300_000).collect::<Vec<u8>>());
    for _ in 0..3 {
        done(blobs.put(&object, bytes.clone()).await, "a put, and the same again");
        assert_eq!(done(blobs.get(&object).await, "a get"), Some(bytes.clone()));
    }
    done(blobs.put(&format!("{name}/empty"), Bytes::new()).await, "a put of nothing");
    assert_eq!(done(blobs.get(&format!("{name}/empty")).await, "a get"), Some(Bytes::new()));
    done(blobs.delete(&object).await, "a delete");
    done(blobs.delete(&object).await, "a delete of what is not there");
    done(blobs.delete(&format!("{name}/never/was/there")).await, "a delete of what never was there");
    assert_eq!(done(blobs.get(&object).await, "a get"), None);
    done(blobs.put(&object, bytes.clone()).await, "a put after a delete");
    assert_eq!(done(blobs.get(&object).await, "a get"), Some(bytes));
}

async fn lists_go_by_prefix(blobs: &dyn Blobs, name: &str) {
    let names: Vec<String> = ["a/1", "a/2/x", "a/2/y", "ab/1", "b"].map(|end| format!("{name}-list/{end}")).into();
    for object in names.iter().rev() {
        done(blobs.put(object, Bytes::from_static(b"x")).await, "a put");
    }
    let list = |prefix: &'static str| async move {
        let found = done(blobs.list(&format!("{name}-list/{prefix}")).await, "a list");
        found.iter().map(|found| found[name.len() + "-list/".len()..].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(list("").await, ["a/1", "a/2/x", "a/2/y", "ab/1", "b"], "sorted");
    assert_eq!(list("a").await, ["a/1", "a/2/x", "a/2/y", "ab/1"], "a prefix ends anywhere");
    assert_eq!(list("a/2/").await, ["a/2/x", "a/2/y"]);
    assert_eq!(list("c").await, [""; 0]);
    assert_eq!(list("c/d").await, [""; 0]);
}

async fn bad_names_are_refused(blobs: &dyn Blobs) {
    let long = "n".repeat(10_000);
    for bad in ["", "/", "/etc/passwd", "a/", "a//b", ".", "..", "a/../b", "../a", "a b", "ü", "a\0", "a\\b", &long] {
        refused(blobs.put(bad, Bytes::from_static(b"x")).await, &format!("a put of {bad:?}"));
        refused(blobs.get(bad).await, &format!("a get of {bad:?}"));
        refused(blobs.delete(bad).await, &format!("a delete of {bad:?}"));
    }
}

async fn puts_may_meet(blobs: &dyn Blobs, name: &str) {
    let object = format!("{name}/meet");
    let bytes = Bytes::from(vec![3; 200_000]);
    let puts = (0..8).map(|_| Box::pin(blobs.put(&object, bytes.clone())) as Boxed<'_, _>).collect();
    for put in together(puts).await {
        done(put, "one of many puts of one object");
    }
    assert_eq!(done(blobs.get(&object).await, "a get"), Some(bytes), "whole, whoever was last");
}

async fn parts_are_parts(blobs: &dyn Blobs, name: &str) {
    let (object, empty) = (format!("{name}/parts/whole"), format!("{name}/parts/empty"));
    assert_eq!(done(blobs.get_range(&object, 0, 1).await, "a part of nothing"), None);
    assert_eq!(done(blobs.get_range(&object, 0, 0).await, "an empty part of nothing"), None);
    assert_eq!(done(blobs.length(&object).await, "the length of nothing"), None);
    let bytes = Bytes::from((0..=250).cycle().take(100_000).collect::<Vec<u8>>());
    done(blobs.put(&object, bytes.clone()).await, "a put");
    done(blobs.put(&empty, Bytes::new()).await, "a put of nothing");
    assert_eq!(done(blobs.length(&object).await, "a length"), Some(100_000));
    assert_eq!(done(blobs.length(&empty).await, "the length of an empty object"), Some(0));
    let spans = [(0, 1), (0, 100_000), (99_999, 1), (4_000, 8_192), (17, 0), (99_990, 100), (100_000, 0)];
    for (offset, length) in spans.into_iter().chain([(100_000, 1), (u64::MAX, 1), (0, u64::MAX), (5, u64::MAX)]) {
        let part = done(blobs.get_range(&object, offset, length).await, "a part");
        assert_eq!(part, Some(crate::part_of(&bytes, offset, length)), "{length} bytes from {offset}");
        let part = done(blobs.get_range(&empty, offset, length).await, "a part of an empty object");
        assert_eq!(part, Some(Bytes::new()), "{length} bytes from {offset} of none");
    }
    refused(blobs.get_range("../a", 0, 1).await, "a part of a bad name");
    refused(blobs.length("../a").await, "the length of a bad name");
}
