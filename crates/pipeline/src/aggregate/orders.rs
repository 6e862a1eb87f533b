//! The order of the series of each shard's batches, for the next batch. A memory, not a state: what is not there, or
//! is in use just now, is found by comparing.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use blocks::{ORDERED_SERIES_MAX, Order};
use ports::TenantId;

/// Series of all orders of a process.
pub const ORDERS_SERIES_MAX: usize = 2 * ORDERED_SERIES_MAX;

/// Orders by tenant and shard: a source's records come by one shard.
#[derive(Debug, Default)]
pub struct Orders(Mutex<HashMap<(TenantId, String), Order>>);

/// An order in use. Dropped, it is remembered again.
pub(crate) struct InUse<'a> {
    orders: &'a Orders,
    place: (TenantId, String),
    order: Order,
}

impl Deref for InUse<'_> {
    type Target = Order;

    fn deref(&self) -> &Order {
        &self.order
    }
}

impl DerefMut for InUse<'_> {
    fn deref_mut(&mut self) -> &mut Order {
        &mut self.order
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        let (place, order) = (std::mem::take(&mut self.place), std::mem::take(&mut self.order));
        let mut kept = self.orders.kept();
        if kept.values().map(Order::len).sum::<usize>() + order.len() > ORDERS_SERIES_MAX {
            kept.clear();
        }
        kept.insert(place, order);
    }
}

impl Orders {
    /// The order of a tenant's shard, an empty one where it is not known or in use.
    pub(crate) fn of(&self, tenant: &TenantId, shard: &str) -> InUse<'_> {
        let place = (tenant.clone(), shard.to_owned());
        let order = self.kept().remove(&place).unwrap_or_default();
        InUse { orders: self, place, order }
    }

    // A panic of somebody who held the lock leaves an order more or less, which is found again.
    fn kept(&self) -> MutexGuard<'_, HashMap<(TenantId, String), Order>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ports::Timestamp;
    use series::{Labels, Sample};
    use wire::SeriesColumn;

    use super::*;

    fn columns(series: usize) -> Vec<SeriesColumn> {
        let one = |number: usize| {
            let labels = Labels::from_pairs([("__name__", format!("m{number:06}"))]).unwrap();
            SeriesColumn { labels, samples: vec![Sample { at: Timestamp(1), value: 1.0 }] }
        };
        (0..series).rev().map(one).collect()
    }

    #[test]
    fn series_at_the_limit_and_one_past_it() {
        let (orders, tenant) = (Orders::default(), TenantId::default());
        let join = |shard: &str, series: usize| {
            let block = orders.of(&tenant, shard).join(columns(series));
            assert_eq!(block.series(), series as u64);
            orders.kept().values().map(Order::len).sum::<usize>()
        };
        join("0", ORDERED_SERIES_MAX);
        assert_eq!(join("1", ORDERED_SERIES_MAX), ORDERS_SERIES_MAX);
        assert_eq!(join("0", 2), ORDERS_SERIES_MAX, "nothing new of a shard takes no more room");
        assert_eq!(join("2", 2), 2, "the rest is forgotten");
    }
}
