//! One-time tickets: a browser cannot set headers on a websocket and query strings land in logs,
//! so it trades its key for a ticket that is good once and for 30 s.

use ports::{Condition, Key, Partition, Ports, Timestamp, Write, Written};
use sha2::{Digest, Sha256};

use crate::error::Fault;
use crate::keys::{Caller, random_digits};

/// How long a ticket is good.
pub const TICKET_LIFE_MS: i64 = 30_000;
const TICKET_DIGITS: usize = 43;

/// A ticket and when it ends.
pub async fn issue(ports: &Ports, caller: &Caller) -> Result<(String, Timestamp), Fault> {
    let ticket = random_digits(ports, TICKET_DIGITS);
    let expires = ports.clock.now().plus_ms(TICKET_LIFE_MS);
    let value = serde_json::to_vec(caller).map_err(|e| Fault::Internal(e.to_string()))?;
    let write = Write::Put {
        key: place(&ticket),
        value: value.into(),
        expires_at: Some(expires),
        condition: Condition::Absent,
    };
    match ports.table.write(write).await? {
        Written::Done(_) => Ok((ticket, expires)),
        Written::ConditionFailed(_) => Err(Fault::Internal("a ticket was drawn twice".to_owned())),
    }
}

/// Takes a ticket. Only one of two that try at once gets it.
pub async fn redeem(ports: &Ports, ticket: &str) -> Result<Caller, Fault> {
    const WRONG: Fault = Fault::Unauthorized("this ticket is not valid (any more)");
    let key = place(ticket);
    let item = ports.table.get(&key).await?.ok_or(WRONG)?;
    let caller = serde_json::from_slice(&item.value).map_err(|e| Fault::Internal(e.to_string()))?;
    let write = Write::Delete { key, condition: Condition::Version(item.version) };
    match ports.table.write(write).await? {
        Written::Done(_) => Ok(caller),
        Written::ConditionFailed(_) => Err(WRONG),
    }
}

fn place(ticket: &str) -> Key {
    let hash: String = Sha256::digest(ticket.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    Key::new(Partition::Tickets, hash)
}
