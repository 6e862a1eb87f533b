//! API keys: making, listing, revoking, and who is calling.
//!
//! A key is `dw_<kind>_<id>_<secret>`; the secret has 256 bits in base 62 and is stored as a
//! SHA-256 hash (a slow hash is for passwords that people choose). One key, one tenant: the tenant
//! of everything that a caller does comes from here and never from a payload.

use base64::Engine;
use ports::{Condition, Key, Partition, Ports, TenantId, Timestamp, Write, Written};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::Fault;
use crate::http::Request;

/// Digits of a secret: 43 × log2(62) ≥ 256 bits.
const SECRET_DIGITS: usize = 43;
/// Digits of a key's id.
const ID_DIGITS: usize = 10;
/// Characters of a whole key; longer ones are not looked at.
const KEY_CHARS_MAX: usize = 128;
/// Characters of a key's name.
pub const KEY_NAME_CHARS_MAX: usize = 100;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// Send data.
    Agent,
    /// Look.
    Read,
    /// All of it, configuration and keys included.
    Admin,
}

impl KeyKind {
    /// As it stands in the key.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }
}

impl std::str::FromStr for KeyKind {
    type Err = Fault;
    fn from_str(text: &str) -> Result<Self, Fault> {
        match text {
            "agent" => Ok(Self::Agent),
            "read" => Ok(Self::Read),
            "admin" => Ok(Self::Admin),
            other => Err(Fault::bad(format!("a key's kind is agent, read or admin, not {other:?}"))),
        }
    }
}

/// What is stored of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKey {
    /// Its id, which is part of the key.
    pub id: String,
    /// What it may do.
    pub kind: KeyKind,
    /// Whose it is.
    pub tenant: TenantId,
    /// A name for people; the source's name for data pushed with it.
    pub name: String,
    /// When it was made.
    pub created_at_ms: Timestamp,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at_ms: Option<Timestamp>,
    /// SHA-256 of the secret, hexadecimal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    hash: String,
}

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The key's id.
    pub key_id: String,
    /// What it may do.
    pub kind: KeyKind,
    /// Whose data it is.
    pub tenant: TenantId,
    /// The key's name.
    pub name: String,
}

impl Caller {
    /// Fails unless the caller may look.
    pub fn may_read(&self) -> Result<(), Fault> {
        self.may(&[KeyKind::Read, KeyKind::Admin], "read data")
    }

    /// Fails unless the caller may send data.
    pub fn may_push(&self) -> Result<(), Fault> {
        self.may(&[KeyKind::Agent, KeyKind::Admin], "send data")
    }

    /// Fails unless the caller may change configuration and keys.
    pub fn may_administer(&self) -> Result<(), Fault> {
        self.may(&[KeyKind::Admin], "change configuration or keys")
    }

    fn may(&self, kinds: &[KeyKind], what: &str) -> Result<(), Fault> {
        if kinds.contains(&self.kind) {
            return Ok(());
        }
        Err(Fault::Forbidden(format!("a key of kind {:?} may not {what}", self.kind.as_str())))
    }
}

/// Makes a key and returns its text, which is stored nowhere.
pub async fn create(ports: &Ports, tenant: TenantId, kind: KeyKind, name: &str) -> Result<String, Fault> {
    let (id, secret) = (random_digits(ports, ID_DIGITS), random_digits(ports, SECRET_DIGITS));
    let text = format!("dw_{}_{id}_{secret}", kind.as_str());
    store(ports, tenant, kind, name, &text).await?;
    Ok(text)
}

/// Stores a key whose text was made elsewhere (the first admin key of a deployed stack).
async fn store(ports: &Ports, tenant: TenantId, kind: KeyKind, name: &str, text: &str) -> Result<(), Fault> {
    if name.chars().count() > KEY_NAME_CHARS_MAX {
        return Err(Fault::bad(format!("a key's name has at most {KEY_NAME_CHARS_MAX} characters")));
    }
    let (id, secret) = split(text).ok_or(Fault::Internal("a made key has the wrong form".to_owned()))?;
    let name = if name.is_empty() { format!("{}-{id}", kind.as_str()) } else { name.to_owned() };
    // The name is the source's name of pushed data, so it obeys the same rules.
    let source = series::SourceName::new(&name).map_err(|e| Fault::bad(format!("a key's name: {e}")))?;
    if source.as_str() == crate::ingest::OWN_SOURCE {
        return Err(Fault::bad(format!("a key's name: {name:?} is Daywatch's own")));
    }
    let stored = StoredKey {
        id: id.to_owned(),
        kind,
        tenant: tenant.clone(),
        name,
        created_at_ms: ports.clock.now(),
        revoked_at_ms: None,
        hash: hash(secret),
    };
    let tenants = Write::put(Key::new(Partition::Tenants, tenant.as_str()), Vec::new(), Condition::Always);
    ports.table.write(tenants).await?;
    let key = Key::new(Partition::Keys, id);
    match ports.table.write(Write::put(key, encode(&stored)?, Condition::Absent)).await? {
        Written::Done(_) => Ok(()),
        Written::ConditionFailed(_) => Err(Fault::Conflict("a key of this id exists".to_owned())),
    }
}

/// All keys of a tenant, without their hashes.
pub async fn list(ports: &Ports, tenant: &TenantId) -> Result<Vec<StoredKey>, Fault> {
    let mut keys = Vec::new();
    for item in ports.table.query_all(&Partition::Keys, "", "").await? {
        let mut key = decode(&item.value)?;
        if key.tenant == *tenant {
            key.hash = String::new();
            keys.push(key);
        }
    }
    keys.sort_by(|a, b| (a.created_at_ms, &a.id).cmp(&(b.created_at_ms, &b.id)));
    Ok(keys)
}

/// Revokes a key; answers whether it was valid before.
pub async fn revoke(ports: &Ports, tenant: &TenantId, id: &str) -> Result<bool, Fault> {
    let key = Key::new(Partition::Keys, id);
    loop {
        let item = ports.table.get(&key).await?;
        let stored = item.as_ref().map(|item| decode(&item.value)).transpose()?;
        let (Some(item), Some(mut stored)) = (item, stored.filter(|s| s.tenant == *tenant)) else {
            return Err(Fault::NotFound(format!("there is no key with the id {id:?}")));
        };
        if stored.revoked_at_ms.is_some() {
            return Ok(false);
        }
        stored.revoked_at_ms = Some(ports.clock.now());
        let write = Write::put(key.clone(), encode(&stored)?, Condition::Version(item.version));
        if let Written::Done(_) = ports.table.write(write).await? {
            return Ok(true);
        }
    }
}

/// Who is calling: from `Authorization: Bearer KEY`, or basic auth with the key as password.
pub async fn authenticate(ports: &Ports, request: &Request) -> Result<Caller, Fault> {
    let header = request.header("authorization").ok_or(Fault::Unauthorized(
        "a key is needed: send `Authorization: Bearer KEY`, or basic auth with the key as password",
    ))?;
    authenticate_text(ports, &key_of_header(header).ok_or(WRONG)?).await
}

const WRONG: Fault = Fault::Unauthorized("this key is not valid");
const REVOKED: Fault = Fault::Unauthorized("this key was revoked");

/// Who a key belongs to.
pub async fn authenticate_text(ports: &Ports, text: &str) -> Result<Caller, Fault> {
    let (id, secret) = split(text).ok_or(WRONG)?;
    let item = ports.table.get(&Key::new(Partition::Keys, id)).await?.ok_or(WRONG)?;
    let stored = decode(&item.value)?;
    let matches = bool::from(stored.hash.as_bytes().ct_eq(hash(secret).as_bytes()));
    if !matches || !text.starts_with(&format!("dw_{}_", stored.kind.as_str())) {
        return Err(WRONG);
    }
    if stored.revoked_at_ms.is_some() {
        return Err(REVOKED);
    }
    Ok(Caller { key_id: stored.id, kind: stored.kind, tenant: stored.tenant, name: stored.name })
}

/// Fails where a key was revoked since its caller was authenticated.
pub async fn still_valid(ports: &Ports, id: &str) -> Result<(), Fault> {
    let item = ports.table.get(&Key::new(Partition::Keys, id)).await?.ok_or(WRONG)?;
    match decode(&item.value)?.revoked_at_ms {
        None => Ok(()),
        Some(_) => Err(REVOKED),
    }
}

fn key_of_header(header: &str) -> Option<String> {
    let (scheme, value) = header.trim().split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let bytes = base64::engine::general_purpose::STANDARD.decode(value.trim()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        return text.split_once(':').map(|(_, password)| password.to_owned());
    }
    None
}

/// `dw_<kind>_<id>_<secret>` → (id, secret).
fn split(text: &str) -> Option<(&str, &str)> {
    if text.len() > KEY_CHARS_MAX || !text.is_ascii() {
        return None;
    }
    let mut parts = text.split('_');
    let parts = [parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next().unwrap_or("")];
    let [dw, _kind, id, secret, rest] = parts;
    (dw == "dw" && rest.is_empty() && !id.is_empty() && !secret.is_empty()).then_some((id, secret))
}

/// The id of a key's text, for messages: the secret part never leaves.
#[must_use]
pub fn id_of(text: &str) -> Option<&str> {
    split(text).map(|(id, _)| id)
}

fn hash(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Digits of base 62, each equally likely.
pub(crate) fn random_digits(ports: &Ports, count: usize) -> String {
    let mut digits = String::with_capacity(count);
    let mut pool = [0u8; 64];
    while digits.len() < count {
        ports.entropy.fill(&mut pool);
        // 248 = 4 × 62: larger bytes would make the first digits likelier.
        let fair = pool.iter().filter(|byte| **byte < 248).map(|byte| char::from(ALPHABET[usize::from(byte % 62)]));
        digits.extend(fair.take(count - digits.len()));
    }
    digits
}

fn encode(key: &StoredKey) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(key).map_err(|e| Fault::Internal(format!("a key cannot be written: {e}")))
}

fn decode(bytes: &[u8]) -> Result<StoredKey, Fault> {
    serde_json::from_slice(bytes).map_err(|e| Fault::Internal(format!("a stored key cannot be read: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_split_by_form() {
        assert_eq!(split("dw_agent_abc_secret"), Some(("abc", "secret")));
        for bad in
            ["", "dw", "dw_agent_abc", "dw_agent__x", "xx_agent_abc_secret", "dw_agent_abc_secret_more", "dw_a_b_ü"]
        {
            assert_eq!(split(bad), None, "{bad}");
        }
        assert_eq!(split(&format!("dw_agent_abc_{}", "x".repeat(KEY_CHARS_MAX))), None);
    }

    #[test]
    fn both_schemes_carry_a_key() {
        assert_eq!(key_of_header("Bearer k").as_deref(), Some("k"));
        assert_eq!(key_of_header("bearer  k ").as_deref(), Some("k"));
        let basic = base64::engine::general_purpose::STANDARD.encode("anyone:k:x");
        assert_eq!(key_of_header(&format!("Basic {basic}")).as_deref(), Some("k:x"));
        assert_eq!(key_of_header("Digest k"), None);
        assert_eq!(key_of_header("Basic !!"), None);
    }
}
