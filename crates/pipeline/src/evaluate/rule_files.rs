//! A tenant's rule files, parsed once for each content.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use alerts::rules::{Group, RuleFile};
use ports::{Ports, TenantId};

use crate::documents::{self, Kind};
use crate::error::Fault;

/// Parsed files that a warm process keeps.
pub const RULE_FILES_CACHED_MAX: usize = 200;

/// Parsed rule files by name and text: one can never be stale.
#[derive(Default)]
pub struct RuleCache(Mutex<HashMap<(String, u128), Arc<RuleFile>>>);

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

    fn file(&self, name: &str, text: &str) -> Result<Arc<RuleFile>, Fault> {
        let key = (name.to_owned(), xxhash_rust::xxh3::xxh3_128(text.as_bytes()));
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
