//! Configuration documents: rule files, routing. What `daywatch apply` puts and the evaluators
//! read. Validated before they are stored, all or nothing.

use std::collections::BTreeSet;

use ports::{
    Condition, ITEM_BYTES_MAX, Key, Partition, Ports, TenantId, Timestamp, WRITE_ALL_BYTES_MAX, WRITES_AT_ONCE_MAX,
    Wake, Write, WrittenAll,
};
use serde::{Deserialize, Serialize};

use crate::connect::parse;
use crate::error::Fault;

/// Bytes of one document.
pub const DOCUMENT_BYTES_MAX: usize = 256 * 1024;
/// Characters of a document's name.
pub const DOCUMENT_NAME_CHARS_MAX: usize = 100;

/// The wake-up that `evaluate` gets when rule files have changed: nobody waits for the next tick.
pub(crate) const WAKE_RULES: &str = "rules";

/// Documents of one call: their writes, and the revision's.
pub const DOCUMENTS_AT_ONCE_MAX: usize = WRITES_AT_ONCE_MAX - 1;
/// The item that is written with each change of rule files: its version is their revision. Not below `rules/`.
const RULES_REVISION: &str = "rules-revision";

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A rule file, Prometheus's format.
    Rules,
    /// A routing file, Alertmanager's format. There is one, named `default`.
    Alertmanager,
}

impl Kind {
    /// As it stands in paths.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Alertmanager => "alertmanager",
        }
    }

    /// From a path.
    pub fn from_path(text: &str) -> Result<Self, Fault> {
        match text {
            "rules" => Ok(Self::Rules),
            "alertmanager" => Ok(Self::Alertmanager),
            other => {
                Err(Fault::NotFound(format!("there is no configuration of kind {other:?}, but rules and alertmanager")))
            }
        }
    }
}

/// A stored document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// What it is.
    pub kind: Kind,
    /// Its name within its kind.
    pub name: String,
    /// Its text as it was given.
    pub text: String,
    /// When it was stored.
    pub stored_at_ms: Timestamp,
}

/// Checks a document's text; the error is for a person, with file, line and caret.
pub fn check(kind: Kind, name: &str, text: &str) -> Result<(), Fault> {
    if name.is_empty()
        || name.chars().count() > DOCUMENT_NAME_CHARS_MAX
        || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    {
        return Err(Fault::bad(format!(
            "a document's name has 1 to {DOCUMENT_NAME_CHARS_MAX} letters, digits, `-`, `_` or `.`, not {name:?}"
        )));
    }
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(Fault::TooLarge { bytes: text.len(), max: DOCUMENT_BYTES_MAX, limit: "document_bytes_max" });
    }
    match kind {
        Kind::Rules => rules_of(name, text).map(drop),
        Kind::Alertmanager if name != "default" => {
            Err(Fault::bad(format!("the routing file is named \"default\", not {name:?}")))
        }
        Kind::Alertmanager => routing_of(name, text).map(drop),
    }
}

/// A rule file's text, read.
pub fn rules_of(name: &str, text: &str) -> Result<alerts::rules::RuleFile, Fault> {
    alerts::rules::parse(name, text).map_err(|problems| listed(&problems))
}

/// A routing file's text, read.
pub fn routing_of(name: &str, text: &str) -> Result<alerts::routing::Routing, Fault> {
    alerts::routing::parse(name, text).map_err(|problems| listed(&problems))
}

fn listed(problems: &[alerts::problem::Problem]) -> Fault {
    Fault::Bad(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// Stores documents, all or none.
pub async fn put_all(ports: &Ports, tenant: &TenantId, documents: &[(Kind, String, String)]) -> Result<(), Fault> {
    if documents.len() > DOCUMENTS_AT_ONCE_MAX {
        return Err(Fault::bad(format!("at most {DOCUMENTS_AT_ONCE_MAX} documents at once, not {}", documents.len())));
    }
    let now = ports.clock.now();
    let mut writes = Vec::with_capacity(documents.len());
    let mut places: BTreeSet<(Kind, &str)> = BTreeSet::new();
    let mut bytes = 0;
    for (kind, name, text) in documents {
        check(*kind, name, text)?;
        if !places.insert((*kind, name)) {
            return Err(Fault::bad(format!("two documents are named {}/{name}", kind.as_str())));
        }
        let document = Document { kind: *kind, name: name.clone(), text: text.clone(), stored_at_ms: now };
        let value = serde_json::to_vec(&document).map_err(|e| Fault::Internal(e.to_string()))?;
        if value.len() > ITEM_BYTES_MAX {
            return Err(Fault::TooLarge { bytes: value.len(), max: ITEM_BYTES_MAX, limit: "item_bytes_max" });
        }
        bytes += value.len();
        writes.push(Write::put(place(tenant, *kind, name), value, Condition::Always));
    }
    if bytes > WRITE_ALL_BYTES_MAX {
        return Err(Fault::TooLarge { bytes, max: WRITE_ALL_BYTES_MAX, limit: "write_all_bytes_max" });
    }
    let has_rules = documents.iter().any(|(kind, ..)| *kind == Kind::Rules);
    if has_rules {
        writes.push(revise(tenant));
    }
    match ports.table.write_all(writes).await? {
        WrittenAll::Done if has_rules => rules_changed(ports, tenant).await,
        WrittenAll::Done => Ok(()),
        WrittenAll::ConditionFailed { .. } => Err(Fault::Conflict("the documents changed meanwhile".to_owned())),
    }
}

fn revise(tenant: &TenantId) -> Write {
    Write::put(revision_key(tenant), Vec::new(), Condition::Always)
}

fn revision_key(tenant: &TenantId) -> Key {
    Key::new(Partition::Config(tenant.clone()), RULES_REVISION)
}

/// Another one after each change of a tenant's rule files; `None` where there never were any.
pub(crate) async fn rules_revision(ports: &Ports, tenant: &TenantId) -> Result<Option<u64>, Fault> {
    Ok(ports.table.get(&revision_key(tenant)).await?.map(|item| item.version))
}

async fn rules_changed(ports: &Ports, tenant: &TenantId) -> Result<(), Fault> {
    let wake = Wake { at: ports.clock.now(), tenant: tenant.clone(), what: WAKE_RULES.to_owned() };
    Ok(ports.timer.wake(wake).await?)
}

/// One document.
pub async fn get(ports: &Ports, tenant: &TenantId, kind: Kind, name: &str) -> Result<Option<Document>, Fault> {
    let item = ports.table.get(&place(tenant, kind, name)).await?;
    item.map(|item| parse(&item.value, "document")).transpose()
}

/// All documents of a kind, by name.
pub async fn all(ports: &Ports, tenant: &TenantId, kind: Kind) -> Result<Vec<Document>, Fault> {
    let prefix = format!("{}/", kind.as_str());
    let items = ports.table.query_prefix(&Partition::Config(tenant.clone()), &prefix).await?;
    items.iter().map(|item| parse(&item.value, "document")).collect()
}

/// Removes a document; answers whether it was there.
pub async fn delete(ports: &Ports, tenant: &TenantId, kind: Kind, name: &str) -> Result<bool, Fault> {
    let key = place(tenant, kind, name);
    let there = ports.table.get(&key).await?.is_some();
    let delete = Write::Delete { key, condition: Condition::Always };
    if kind == Kind::Rules {
        ports.table.write_all(vec![delete, revise(tenant)]).await?;
        rules_changed(ports, tenant).await?;
    } else {
        ports.table.write(delete).await?;
    }
    Ok(there)
}

/// Every tenant that has a key.
pub async fn tenants(ports: &Ports) -> Result<Vec<TenantId>, Fault> {
    let items = ports.table.query_all(&Partition::Tenants, "", "").await?;
    items.iter().map(|item| TenantId::new(&item.sort).map_err(|e| Fault::Internal(e.to_string()))).collect()
}

fn place(tenant: &TenantId, kind: Kind, name: &str) -> Key {
    Key::new(Partition::Config(tenant.clone()), format!("{}/{name}", kind.as_str()))
}
