//! The order of the series of each shard's batches, for the next batch. A memory, not a state: what is not there, or
//! is in use just now, is found by comparing.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use blocks::{Block, ORDERED_SERIES_MAX, Order};
use ports::TenantId;
use wire::SeriesColumn;

/// Series of all orders of a process.
pub const ORDERS_SERIES_MAX: usize = 2 * ORDERED_SERIES_MAX;

/// Orders by tenant and shard: a source's records come by one shard.
#[derive(Debug, Default)]
pub struct Orders(Mutex<HashMap<(TenantId, String), Order>>);

impl Orders {
    /// As [`blocks::join()`].
    pub(crate) fn join(&self, tenant: &TenantId, shard: &str, columns: Vec<SeriesColumn>) -> Block {
        let place = (tenant.clone(), shard.to_owned());
        let mut order = self.kept().remove(&place).unwrap_or_default();
        let block = order.join(columns);
        let mut kept = self.kept();
        if kept.values().map(Order::len).sum::<usize>() + order.len() > ORDERS_SERIES_MAX {
            kept.clear();
        }
        kept.insert(place, order);
        block
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
            let block = orders.join(&tenant, shard, columns(series));
            assert_eq!(block.series(), series as u64);
            orders.kept().values().map(Order::len).sum::<usize>()
        };
        join("0", ORDERED_SERIES_MAX);
        assert_eq!(join("1", ORDERED_SERIES_MAX), ORDERS_SERIES_MAX);
        assert_eq!(join("0", 2), ORDERS_SERIES_MAX, "nothing new of a shard takes no more room");
        assert_eq!(join("2", 2), 2, "the rest is forgotten");
    }
}
