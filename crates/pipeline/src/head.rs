//! The hot two hours in memory, where a process lives long enough to have some (`serve`; on AWS there
//! is none, and everything is read from blocks).
//!
//! It shows what is stored and nothing else: a block's samples come in after its manifest item is
//! durably put. From [`Head::complete_from`] on, it holds whatever the manifest holds; older samples
//! are read from blocks. Where a put's outcome is unknown the head is in doubt, is not read, and
//! is filled again from the manifest. Being a set join, filling it twice changes nothing.
//!
//! It must not know who writes blocks, nor where they lie.

mod chunk;
mod column;
mod index;
mod tenant;

use std::collections::{BTreeSet, HashMap};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::task::{Poll, Waker};

use ports::{TenantId, Timestamp};
use promql::Selection;
use series::{HOUR_MS, Labels, Sample};
use tenant::TenantHead;
use wire::SeriesColumn;
use wire::columns::ColumnError;

use crate::error::Fault;
use crate::{Context, documents, read};

/// How far back it reaches.
pub const HEAD_SPAN_MS: i64 = 2 * HOUR_MS;
/// Bytes that all tenants' heads may take together. What does not fit is read from blocks: first the
/// oldest ten minutes go.
pub const HEAD_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Columns that are joined under one lock, so that no query waits for a whole block.
const COLUMNS_PER_LOCK_MAX: usize = 2_000;

/// Every tenant's hot samples.
#[derive(Debug)]
pub struct Head {
    bytes_max: usize,
    tenants: RwLock<HashMap<TenantId, Arc<RwLock<TenantHead>>>>,
    puts: Mutex<Puts>,
}

/// Puts whose samples are not in memory yet.
#[derive(Debug, Default)]
struct Puts {
    begun: u64,
    running: BTreeSet<u64>,
    waiting: Vec<Waker>,
}

/// Fills the head, where there is one, from the manifest, and forgets what is old: at the start, and
/// once a minute.
pub async fn refresh(context: &Context) -> Result<(), Fault> {
    match &context.head {
        Some(head) => head.refresh(context).await,
        None => Ok(()),
    }
}

impl Default for Head {
    fn default() -> Self {
        Self::with_bytes_max(HEAD_BYTES_MAX)
    }
}

impl Head {
    /// An empty one of at most so many bytes.
    #[must_use]
    pub fn with_bytes_max(bytes_max: usize) -> Self {
        Self { bytes_max, tenants: RwLock::default(), puts: Mutex::default() }
    }

    /// From when on it holds everything of a tenant; `None`: it is not to be read.
    #[must_use]
    pub fn complete_from(&self, tenant: &TenantId) -> Option<Timestamp> {
        read_lock(self.known(tenant)?.as_ref()).complete_from()
    }

    /// Series and bytes that it holds.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let sizes = self.all().into_iter().map(|(_, tenant)| {
            let tenant = read_lock(&tenant);
            (tenant.series(), tenant.heap_bytes())
        });
        sizes.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    }

    /// Visits the selected series with their samples from the answered time on; what is older is to be
    /// read from blocks, afterwards. `None`: so is everything.
    pub(crate) fn read(
        &self,
        tenant: &TenantId,
        selections: &[Selection],
        mut visit: impl FnMut(&Labels, Vec<Sample>) -> Result<(), Fault>,
    ) -> Result<Option<Timestamp>, Fault> {
        let Some(tenant) = self.known(tenant) else { return Ok(None) };
        let tenant = read_lock(&tenant);
        let Some(from) = tenant.complete_from() else { return Ok(None) };
        match tenant.read(selections, |labels, samples| visit(labels, samples).map_err(End::Visit)) {
            Ok(()) => Ok(Some(from)),
            Err(End::Column(error)) => Err(unreadable(&error)),
            Err(End::Visit(fault)) => Err(fault),
        }
    }

    /// As [`Head::read`], without the samples.
    pub(crate) fn labels(
        &self,
        tenant: &TenantId,
        selections: &[Selection],
    ) -> Result<Option<(Timestamp, Vec<Labels>)>, Fault> {
        let Some(tenant) = self.known(tenant) else { return Ok(None) };
        let tenant = read_lock(&tenant);
        let Some(from) = tenant.complete_from() else { return Ok(None) };
        Ok(Some((from, tenant.labels(selections).map_err(|error| unreadable(&error))?)))
    }

    /// Announces a put: what it makes visible in the manifest is not in memory before it is
    /// [`Put::stored`].
    pub(crate) fn put<'a>(&'a self, tenant: &'a TenantId) -> Put<'a> {
        let mut puts = self.puts();
        puts.begun += 1;
        let number = puts.begun;
        puts.running.insert(number);
        Put { head: self, tenant, number, certain: false }
    }

    /// Waits until the puts that were under way have come to an end: whoever was told of a manifest
    /// item finds its samples after this.
    pub(crate) async fn settled(&self) {
        let until = self.puts().begun;
        poll_fn(|context| {
            let mut puts = self.puts();
            if puts.running.first().is_none_or(|first| *first > until) {
                return Poll::Ready(());
            }
            puts.waiting.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Fills what is not known to be complete from the manifest, and forgets what is old. One tenant's
    /// failure does not stop the others.
    pub(crate) async fn refresh(&self, context: &Context) -> Result<(), Fault> {
        let mut outcome = Ok(());
        let oldest = context.ports.clock.now().plus_ms(-HEAD_SPAN_MS);
        for tenant in documents::tenants(&context.ports).await? {
            let head = self.entry(&tenant);
            if !read_lock(&head).complete {
                outcome = outcome.and(self.fill(context, &tenant, &head, oldest).await);
            }
        }
        for (_, tenant) in self.all() {
            write_lock(&tenant).forget_before(oldest);
        }
        outcome
    }

    async fn fill(
        &self,
        context: &Context,
        tenant: &TenantId,
        head: &RwLock<TenantHead>,
        oldest: Timestamp,
    ) -> Result<(), Fault> {
        let doubts = {
            let mut head = write_lock(head);
            head.forget_before(oldest);
            head.doubts
        };
        read::for_each_column(context, tenant, (oldest, Timestamp(i64::MAX)), |columns| {
            self.join(head, columns, oldest).map_err(|error| unreadable(&error))
        })
        .await?;
        let mut head = write_lock(head);
        // What may have been missed meanwhile comes with the next refresh.
        head.complete = head.doubts == doubts;
        Ok(())
    }

    fn join(&self, head: &RwLock<TenantHead>, columns: &[SeriesColumn], oldest: Timestamp) -> Result<(), ColumnError> {
        for columns in columns.chunks(COLUMNS_PER_LOCK_MAX) {
            write_lock(head).join(columns, oldest)?;
        }
        self.shrink(head);
        Ok(())
    }

    /// Keeps the limit at the cost of the tenant that grew.
    fn shrink(&self, grown: &RwLock<TenantHead>) {
        while self.bytes() > self.bytes_max && write_lock(grown).forget_some() {}
    }

    fn bytes(&self) -> usize {
        self.all().iter().map(|(_, tenant)| read_lock(tenant).bytes).sum()
    }

    fn known(&self, tenant: &TenantId) -> Option<Arc<RwLock<TenantHead>>> {
        read_lock(&self.tenants).get(tenant).cloned()
    }

    fn entry(&self, tenant: &TenantId) -> Arc<RwLock<TenantHead>> {
        if let Some(known) = self.known(tenant) {
            return known;
        }
        write_lock(&self.tenants).entry(tenant.clone()).or_default().clone()
    }

    fn all(&self) -> Vec<(TenantId, Arc<RwLock<TenantHead>>)> {
        read_lock(&self.tenants).iter().map(|(name, tenant)| (name.clone(), tenant.clone())).collect()
    }

    fn puts(&self) -> MutexGuard<'_, Puts> {
        self.puts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a visit ended early.
enum End {
    Column(ColumnError),
    Visit(Fault),
}

impl From<ColumnError> for End {
    fn from(error: ColumnError) -> Self {
        Self::Column(error)
    }
}

fn unreadable(error: &ColumnError) -> Fault {
    Fault::Internal(format!("samples in memory: {error}"))
}

/// A put under way. Dropped without a word, its outcome is unknown.
pub(crate) struct Put<'a> {
    head: &'a Head,
    tenant: &'a TenantId,
    number: u64,
    certain: bool,
}

impl Put<'_> {
    /// It is durable: these samples may be shown.
    pub(crate) fn stored(mut self, columns: &[SeriesColumn], now: Timestamp) {
        let head = self.head.entry(self.tenant);
        match self.head.join(&head, columns, now.plus_ms(-HEAD_SPAN_MS)) {
            Ok(()) => self.certain = true,
            Err(error) => tracing::error!(tenant = %self.tenant, "the head is filled again: {error}"),
        }
    }
}

impl Drop for Put<'_> {
    fn drop(&mut self) {
        if !self.certain {
            let head = self.head.entry(self.tenant);
            let mut head = write_lock(&head);
            head.doubts += 1;
            head.complete = false;
        }
        let mut puts = self.head.puts();
        puts.running.remove(&self.number);
        puts.waiting.drain(..).for_each(Waker::wake);
    }
}

// A panic while a head was written leaves it as it is in between two columns, which is a state like any
// other: what the panic kept from coming in is in doubt by `Put`'s drop.
fn read_lock<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write_lock<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
