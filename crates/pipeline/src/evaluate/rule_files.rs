//! A tenant's rule files, read once for each revision and parsed once for each content.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alerts::rules::{Group, RuleFile};
use bytes::Bytes;
use ports::{Ports, TenantId, Timestamp};
use series::Labels;

use crate::documents::{self, Kind};
use crate::error::Fault;

/// Parsed files that a warm process keeps.
pub const RULE_FILES_CACHED_MAX: usize = 200;

/// Groups of which a warm process remembers that there is nothing to do yet, or who was missing.
const QUIET_GROUPS_MAX: usize = 10_000;

/// Tenants whose groups a warm process keeps.
pub const TENANTS_CACHED_MAX: usize = 1_000;
/// Sets of selected series that a warm process keeps, up to 48 KB each.
pub const SETS_CACHED_MAX: usize = 200;
/// After this, groups are read again whatever their revision says: a process of an earlier version of the
/// program may have written rules without one.
const GROUPS_KNOWN_MS: i64 = 10 * 60_000;

/// A tenant's groups as of a revision of its rules.
struct KnownGroups {
    revision: Option<u64>,
    read_at: Timestamp,
    groups: Arc<[Group]>,
}

/// What a warm process knows of rules. Parsed files by name and text, groups by the revision of all
/// rule files, sets of series by their hash: none of it can be stale.
#[derive(Default)]
pub struct RuleCache {
    files: Mutex<HashMap<(String, u128), Arc<RuleFile>>>,
    groups: Mutex<HashMap<TenantId, KnownGroups>>,
    sets: Mutex<HashMap<String, Bytes>>,
    quiet: Mutex<HashMap<(TenantId, String), Timestamp>>,
    witnesses: Mutex<HashMap<(TenantId, String), Labels>>,
}

impl RuleCache {
    /// All groups of a tenant, in the order of their files. One small consistent read, where none has changed.
    pub(crate) async fn groups(&self, ports: &Ports, tenant: &TenantId) -> Result<Arc<[Group]>, Fault> {
        // Before the files: what is read after it is at least as new, and never kept under a newer revision.
        let revision = documents::rules_revision(ports, tenant).await?;
        let read_at = ports.clock.now();
        let is_fresh =
            |known: &&KnownGroups| known.revision == revision && read_at < known.read_at.plus_ms(GROUPS_KNOWN_MS);
        if let Some(known) = lock(&self.groups).get(tenant).filter(is_fresh) {
            return Ok(Arc::clone(&known.groups));
        }
        let mut groups = Vec::new();
        for document in documents::all(ports, tenant, Kind::Rules).await? {
            match self.file(&document.name, &document.text) {
                Ok(file) => groups.extend(file.groups.iter().cloned()),
                // It was checked before it was stored; a newer version may be stricter. The other
                // files' alerts must not fall silent with it.
                Err(fault) => tracing::error!(%tenant, file = document.name, "a stored rule file is refused: {fault}"),
            }
        }
        let groups: Arc<[Group]> = groups.into();
        let known = KnownGroups { revision, read_at, groups: Arc::clone(&groups) };
        keep(&mut lock(&self.groups), TENANTS_CACHED_MAX, tenant.clone(), known);
        Ok(groups)
    }

    /// The set of series of that hash.
    pub(super) fn set(&self, hash: &str) -> Option<Bytes> {
        lock(&self.sets).get(hash).cloned()
    }

    pub(super) fn remember_set(&self, hash: &str, set: Bytes) {
        keep(&mut lock(&self.sets), SETS_CACHED_MAX, hash.to_owned(), set);
    }

    /// Whether a change of the manifest cannot be about this group: its next bucket has not ended.
    pub(super) fn is_quiet(&self, tenant: &TenantId, group: &Group, now: Timestamp) -> bool {
        let quiet = lock(&self.quiet);
        quiet.get(&(tenant.clone(), group.id())).is_some_and(|until| now < *until)
    }

    /// There is nothing to look for before that.
    pub(super) fn quiet_until(&self, tenant: &TenantId, group: &Group, until: Timestamp) {
        keep(&mut lock(&self.quiet), QUIET_GROUPS_MAX, (tenant.clone(), group.id()), until);
    }

    /// The series that was missing when the group was looked at last.
    pub(super) fn witness(&self, tenant: &TenantId, group: &Group) -> Option<Labels> {
        lock(&self.witnesses).get(&(tenant.clone(), group.id())).cloned()
    }

    pub(super) fn keep_witness(&self, tenant: &TenantId, group: &Group, missing: Labels) {
        keep(&mut lock(&self.witnesses), QUIET_GROUPS_MAX, (tenant.clone(), group.id()), missing);
    }

    fn file(&self, name: &str, text: &str) -> Result<Arc<RuleFile>, Fault> {
        let key = (name.to_owned(), xxhash_rust::xxh3::xxh3_128(text.as_bytes()));
        if let Some(known) = lock(&self.files).get(&key) {
            return Ok(known.clone());
        }
        let file = Arc::new(documents::rules_of(name, text)?);
        keep(&mut lock(&self.files), RULE_FILES_CACHED_MAX, key, file.clone());
        Ok(file)
    }
}

/// Whatever a panic left is at worst found out again.
fn lock<T>(known: &Mutex<T>) -> MutexGuard<'_, T> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Remembers; where that would be too many, all others are forgotten and found out again.
fn keep<K: Eq + Hash, V>(known: &mut HashMap<K, V>, max: usize, key: K, value: V) {
    if known.len() >= max && !known.contains_key(&key) {
        known.clear();
    }
    known.insert(key, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_at_the_limit_and_one_past_it() {
        let mut known = HashMap::new();
        (0..3).for_each(|n| keep(&mut known, 3, n, ()));
        assert_eq!(known.len(), 3);
        keep(&mut known, 3, 2, ());
        assert_eq!(known.len(), 3, "known already");
        keep(&mut known, 3, 3, ());
        assert_eq!(known.len(), 1);
    }

    #[tokio::test]
    async fn a_change_of_rules_is_seen_at_once_and_by_every_process() {
        let ports = embedded::Embedded::memory(1).unwrap().embedded.ports();
        let (tenant, first, second) = (TenantId::default(), RuleCache::default(), RuleCache::default());
        let rules = |name: &str| format!("groups: [{{name: {name}, rules: [{{alert: A, expr: m > 5}}]}}]");
        let put = |file: &str, name: &str| (Kind::Rules, file.to_owned(), rules(name));
        let check = async |expected: &[&str]| {
            for cache in [&first, &second, &first] {
                let groups = cache.groups(&ports, &tenant).await.unwrap();
                let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
                assert_eq!(names, expected);
            }
        };
        check(&[]).await;
        documents::put_all(&ports, &tenant, &[put("f", "g")]).await.unwrap();
        check(&["g"]).await;
        documents::put_all(&ports, &tenant, &[put("f", "h"), put("e", "i")]).await.unwrap();
        check(&["i", "h"]).await;
        documents::delete(&ports, &tenant, Kind::Rules, "e").await.unwrap();
        check(&["h"]).await;
    }
}
