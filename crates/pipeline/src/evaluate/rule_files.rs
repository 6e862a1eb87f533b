//! A tenant's rule files, parsed once for each content.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use alerts::rules::{Group, RuleFile};
use ports::{Ports, TenantId, Timestamp};

use crate::documents::{self, Kind};
use crate::error::Fault;

/// Parsed files that a warm process keeps.
pub const RULE_FILES_CACHED_MAX: usize = 200;

/// Groups of which a warm process remembers that there is nothing to do yet.
const QUIET_GROUPS_MAX: usize = 10_000;

/// Parsed rule files by name and text: one can never be stale.
#[derive(Default)]
pub struct RuleCache {
    files: Mutex<HashMap<(String, u128), Arc<RuleFile>>>,
    quiet: Mutex<HashMap<(TenantId, String), Timestamp>>,
}

impl RuleCache {
    /// All groups of a tenant, in the order of their files.
    pub(crate) async fn groups(&self, ports: &Ports, tenant: &TenantId) -> Result<Vec<Group>, Fault> {
        let mut groups = Vec::new();
        for document in documents::all(ports, tenant, Kind::Rules).await? {
            match self.file(&document.name, &document.text) {
                Ok(file) => groups.extend(file.groups.iter().cloned()),
                // It was checked before it was stored; a newer version may be stricter. The other
                // files' alerts must not fall silent with it.
                Err(fault) => tracing::error!(%tenant, file = document.name, "a stored rule file is refused: {fault}"),
            }
        }
        Ok(groups)
    }

    /// Whether a change of the manifest cannot be about this group: its next bucket has not ended.
    pub(super) fn is_quiet(&self, tenant: &TenantId, group: &Group, now: Timestamp) -> bool {
        let quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        quiet.get(&(tenant.clone(), group.id())).is_some_and(|until| now < *until)
    }

    /// There is nothing to look for before that.
    pub(super) fn quiet_until(&self, tenant: &TenantId, group: &Group, until: Timestamp) {
        let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
        if quiet.len() >= QUIET_GROUPS_MAX {
            quiet.clear();
        }
        quiet.insert((tenant.clone(), group.id()), until);
    }

    fn file(&self, name: &str, text: &str) -> Result<Arc<RuleFile>, Fault> {
        let key = (name.to_owned(), xxhash_rust::xxh3::xxh3_128(text.as_bytes()));
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = files.get(&key) {
            return Ok(known.clone());
        }
        let file = Arc::new(documents::rules_of(name, text)?);
        if files.len() >= RULE_FILES_CACHED_MAX {
            files.clear();
        }
        files.insert(key, file.clone());
        Ok(file)
    }
}
