//! Whose manifest has changed: the one key text that is read outside of its adapter.
//!
//! A change stream with keys alone (DynamoDB: `KEYS_ONLY`) tells only the partition's text, and who
//! reads it is woken without the adapter. So this text is spelled and read in one place.

use series::TenantId;

const MANIFEST: &str = "manifest#";

/// The partition text of a tenant's manifest.
#[must_use]
pub fn manifest_partition(tenant: &TenantId) -> String {
    format!("{MANIFEST}{}", tenant.as_str())
}

/// The tenant of a manifest's partition text; `None` where it is none.
#[must_use]
pub fn tenant_of_manifest(text: &str) -> Option<TenantId> {
    TenantId::new(text.strip_prefix(MANIFEST)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifests_text_is_read_as_it_is_written() {
        let tenant = TenantId::new("team-a").unwrap();
        assert_eq!(manifest_partition(&tenant), "manifest#team-a");
        assert_eq!(tenant_of_manifest("manifest#team-a"), Some(tenant));
        for other in ["", "manifest#", "manifest", "checks#team-a", "manifest#team/a", "team-a"] {
            assert_eq!(tenant_of_manifest(other), None, "{other}");
        }
    }
}
