//! Wake-ups. At-least-once and possibly late; keyed, so that asking twice wakes once.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use series::{TenantId, Timestamp};

use crate::PortError;

/// A wake-up of `evaluate-alerts`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Wake {
    /// When it is due.
    pub at: Timestamp,
    /// For whom.
    pub tenant: TenantId,
    /// What for: a rule group's bucket, a notification group. Equal (tenant, at, what) wake once.
    pub what: String,
}

/// Schedules wake-ups.
#[async_trait]
pub trait Timer: Send + Sync {
    /// Durable when it returns.
    async fn wake(&self, wake: Wake) -> Result<(), PortError>;
}
