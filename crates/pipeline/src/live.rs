//! What is sent to open pages, and what pages watch.
//!
//! Lossy by design: a page that is gone is forgotten, one that cannot keep up misses messages and
//! reads again over HTTP. Nothing here is an error for the data's own path.

use ports::{Condition, ConnectionId, Key, Partition, Ports, Pushed, TenantId, Write};
use promql::Matcher;
use serde::{Deserialize, Serialize};
use wire::{BrowserFrame, PageFrame};

use crate::connect::{Connection, parse};
use crate::error::Fault;
use crate::wishes;

/// A subscription ends unless the page renews it (it does each 30 s).
pub const SUBSCRIPTION_LIFE_MS: i64 = 90_000;
/// Selectors of one subscription.
pub const SELECTORS_MAX: usize = 20;
/// Subscriptions of one connection.
pub const SUBSCRIPTIONS_PER_PAGE_MAX: usize = 20;
/// Characters of a subscription's id.
pub const SUBSCRIPTION_ID_CHARS_MAX: usize = 64;
/// A page's own item outlives a lost disconnect by this much.
const PAGE_LIFE_MS: i64 = 3 * 3_600_000;

/// What one page watches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// Whose.
    pub connection: ConnectionId,
    /// The page's own name for it; empty for the page itself.
    pub id: String,
    /// Selectors in PromQL.
    pub selectors: Vec<String>,
}

impl Subscription {
    /// The selectors, compiled. They were validated when they came.
    pub fn matchers(&self) -> Result<Vec<Vec<Matcher>>, Fault> {
        self.selectors.iter().map(|text| selector(text)).collect()
    }
}

/// A page's frame.
pub async fn frame(ports: &Ports, connection: &Connection, frame: BrowserFrame) -> Result<(), Fault> {
    let tenant = &connection.caller.tenant;
    match frame {
        BrowserFrame::Subscribe { id, selectors } => match check(ports, connection, &id, &selectors).await {
            Ok(()) => {
                let subscription = Subscription { connection: connection.id.clone(), id, selectors };
                save(ports, tenant, &subscription, SUBSCRIPTION_LIFE_MS).await?;
                wishes::for_watcher(ports, tenant, &subscription).await
            }
            Err(fault) if fault.status() < 500 => {
                post(ports, &connection.id, &PageFrame::Error { id, text: fault.to_string() }).await.map(drop)
            }
            Err(fault) => Err(fault),
        },
        BrowserFrame::Unsubscribe { id } => {
            let key = place(tenant, &connection.id, &id);
            ports.table.write(Write::Delete { key, condition: Condition::Always }).await?;
            Ok(())
        }
        BrowserFrame::Ping {} | BrowserFrame::Unknown => Ok(()),
    }
}

async fn check(ports: &Ports, connection: &Connection, id: &str, selectors: &[String]) -> Result<(), Fault> {
    if id.is_empty() || id.chars().count() > SUBSCRIPTION_ID_CHARS_MAX || id.contains('/') {
        return Err(Fault::bad(format!(
            "subscribe.id: 1 to {SUBSCRIPTION_ID_CHARS_MAX} characters without `/` are needed"
        )));
    }
    if selectors.len() > SELECTORS_MAX {
        return Err(Fault::bad(format!("subscribe.match: at most {SELECTORS_MAX} selectors, not {}", selectors.len())));
    }
    for text in selectors {
        selector(text)?;
    }
    let partition = Partition::Subscriptions(connection.caller.tenant.clone());
    let others = ports.table.query_prefix(&partition, &format!("{}/", connection.id)).await?;
    let mine = format!("{}/{id}", connection.id);
    if others.iter().filter(|item| item.sort != mine).count() > SUBSCRIPTIONS_PER_PAGE_MAX {
        return Err(Fault::bad(format!("at most {SUBSCRIPTIONS_PER_PAGE_MAX} subscriptions a connection")));
    }
    Ok(())
}

fn selector(text: &str) -> Result<Vec<Matcher>, Fault> {
    promql::parse_selector(text).map_err(|e| Fault::bad(format!("match {text:?}: {e}")))
}

/// A page has connected.
pub(crate) async fn page_opened(ports: &Ports, connection: &Connection) -> Result<(), Fault> {
    let page = Subscription { connection: connection.id.clone(), id: String::new(), selectors: Vec::new() };
    save(ports, &connection.caller.tenant, &page, PAGE_LIFE_MS).await
}

/// A page has gone.
pub(crate) async fn page_closed(ports: &Ports, connection: &Connection) -> Result<(), Fault> {
    forget(ports, &connection.caller.tenant, &connection.id).await
}

/// Removes whatever a connection watched.
pub(crate) async fn forget(ports: &Ports, tenant: &TenantId, id: &ConnectionId) -> Result<(), Fault> {
    let partition = Partition::Subscriptions(tenant.clone());
    for item in ports.table.query_prefix(&partition, &format!("{id}/")).await? {
        let key = Key::new(partition.clone(), item.sort);
        ports.table.write(Write::Delete { key, condition: Condition::Always }).await?;
    }
    Ok(())
}

/// All that pages of a tenant watch, the pages themselves included.
pub async fn subscriptions(ports: &Ports, tenant: &TenantId) -> Result<Vec<Subscription>, Fault> {
    let items = ports.table.query_all(&Partition::Subscriptions(tenant.clone()), "", "").await?;
    items.iter().map(|item| parse(&item.value, "subscription")).collect()
}

/// Sends a frame to every open page of a tenant.
pub async fn post_to_pages(ports: &Ports, tenant: &TenantId, frame: &PageFrame) -> Result<(), Fault> {
    for page in subscriptions(ports, tenant).await?.iter().filter(|s| s.id.is_empty()) {
        if post(ports, &page.connection, frame).await? == Pushed::Gone {
            forget(ports, tenant, &page.connection).await?;
        }
    }
    Ok(())
}

/// Sends any frame to a connection.
pub(crate) async fn post(ports: &Ports, to: &ConnectionId, frame: &impl Serialize) -> Result<Pushed, Fault> {
    let text = serde_json::to_string(frame).map_err(|e| Fault::Internal(e.to_string()))?;
    Ok(ports.push.post(to, text).await?)
}

/// Sends one frame each to many connections, some at a time. Who is gone or throttled misses it.
pub(crate) async fn post_all(
    ports: &Ports,
    frames: Vec<(ConnectionId, wire::ServerFrame)>,
    at_once: usize,
) -> Result<(), Fault> {
    for part in frames.chunks(at_once) {
        let posted = part.iter().map(|(connection, frame)| post(ports, connection, frame));
        for sent in futures_util::future::join_all(posted).await {
            sent?;
        }
    }
    Ok(())
}

async fn save(ports: &Ports, tenant: &TenantId, subscription: &Subscription, life_ms: i64) -> Result<(), Fault> {
    let write = Write::Put {
        key: place(tenant, &subscription.connection, &subscription.id),
        value: serde_json::to_vec(subscription).map_err(|e| Fault::Internal(e.to_string()))?.into(),
        expires_at: Some(ports.clock.now().plus_ms(life_ms)),
        condition: Condition::Always,
    };
    ports.table.write(write).await?;
    Ok(())
}

fn place(tenant: &TenantId, connection: &ConnectionId, id: &str) -> Key {
    Key::new(Partition::Subscriptions(tenant.clone()), format!("{connection}/{id}"))
}
