//! New samples and check results to the pages that watch them.
//!
//! At most one message a second a connection; between two messages the newest points are kept,
//! and what is too much is dropped and counted. A page that is gone is forgotten.

use std::collections::BTreeMap;

use ports::{ConnectionId, Delivered, PUSH_BYTES_MAX, Pushed, TenantId, Timestamp};
use promql::{Matcher, all_match, format_value};
use series::{Labels, Sample, is_stale};
use wire::{CheckResult, PageFrame, SeriesColumn, StreamEnvelope, WatchedCheck, WatchedSeries};

use crate::error::Fault;
use crate::{Context, checks, live};

/// A connection gets no more than one message in this time.
pub const MESSAGE_EVERY_MS: i64 = 1_000;
/// Points of one series that wait for the next message.
pub const POINTS_WAITING_MAX: usize = 30;
/// Series of one subscription that are sent; a page that wants more reads over HTTP.
pub const SERIES_PER_MESSAGE_MAX: usize = 500;
/// Older samples (an agent's backlog) are not news.
pub const NEWS_MS: i64 = 90_000;
/// How long a read of the subscriptions is good.
const SUBSCRIPTIONS_FRESH_MS: i64 = 1_000;

/// What a warm process remembers between two batches.
#[derive(Default)]
pub struct Broadcaster {
    watchers: BTreeMap<TenantId, Watchers>,
    pages: BTreeMap<ConnectionId, Page>,
    /// Messages that a slow page did not take.
    pub dropped: u64,
}

#[derive(Default)]
struct Watchers {
    read_at: Timestamp,
    subscriptions: Vec<(ConnectionId, String, Vec<Vec<Matcher>>)>,
}

#[derive(Default)]
struct Page {
    sent_at: Timestamp,
    /// By subscription and series.
    samples: BTreeMap<String, BTreeMap<Labels, Vec<Sample>>>,
    checks: BTreeMap<(String, String), WatchedCheck>,
}

impl Broadcaster {
    /// Takes a batch of the stream and sends what is due.
    pub async fn deliver(&mut self, context: &Context, records: &[Delivered]) -> Result<(), Fault> {
        let now = context.ports.clock.now();
        for record in records {
            // A record that cannot be read is quarantined by `aggregate`; here it is no news.
            let Ok(envelope) = StreamEnvelope::decode(record.data.clone()) else { continue };
            let Some((epoch, seq, bytes)) = envelope.batch() else { continue };
            self.refresh(context, &envelope.tenant, now).await?;
            // Where nobody watches, nobody has to know what it says.
            if self.watchers.get(&envelope.tenant).is_none_or(|watchers| watchers.subscriptions.is_empty()) {
                continue;
            }
            let from = (&envelope.tenant, &envelope.source);
            if let Some(numbered) = context.decoded.shown((epoch, seq), bytes) {
                self.take(from, &numbered.columns(), &[], now);
                continue;
            }
            let decoded = context.decoded.read(&context.series, record, &envelope.tenant, bytes);
            let Ok(decoded) = decoded else { continue };
            self.take(from, &decoded.batch.series, &decoded.batch.checks, now);
        }
        self.flush(context).await
    }

    async fn refresh(&mut self, context: &Context, tenant: &TenantId, now: Timestamp) -> Result<(), Fault> {
        let watchers = self.watchers.entry(tenant.clone()).or_default();
        if watchers.read_at.plus_ms(SUBSCRIPTIONS_FRESH_MS) > now {
            return Ok(());
        }
        watchers.read_at = now;
        watchers.subscriptions.clear();
        for subscription in live::subscriptions(&context.ports, tenant).await? {
            let matchers = subscription.matchers()?;
            watchers.subscriptions.push((subscription.connection, subscription.id, matchers));
        }
        Ok(())
    }

    fn take(
        &mut self,
        (tenant, source): (&TenantId, &series::SourceName),
        series: &[SeriesColumn],
        results: &[CheckResult],
        now: Timestamp,
    ) {
        let Some(watchers) = self.watchers.get(tenant) else { return };
        let oldest = now.plus_ms(-NEWS_MS);
        for (connection, id, selectors) in &watchers.subscriptions {
            if id.is_empty() {
                for result in results.iter().filter(|result| result.at >= oldest) {
                    let page = self.pages.entry(connection.clone()).or_default();
                    let key = (source.as_str().to_owned(), result.check.clone());
                    page.checks.insert(key, checks::shown(source, result));
                }
                continue;
            }
            for column in series {
                if !selectors.iter().any(|matchers| all_match(matchers, &column.labels)) {
                    continue;
                }
                let news = column.samples.iter().filter(|s| s.at >= oldest && !is_stale(s.value));
                let page = self.pages.entry(connection.clone()).or_default();
                let waiting = page.samples.entry(id.clone()).or_default();
                if waiting.len() >= SERIES_PER_MESSAGE_MAX && !waiting.contains_key(&column.labels) {
                    continue;
                }
                let points = waiting.entry(column.labels.clone()).or_default();
                points.extend(news);
                points.sort_by_key(|sample| sample.at);
                points.dedup_by_key(|sample| sample.at);
                let excess = points.len().saturating_sub(POINTS_WAITING_MAX);
                points.drain(..excess);
            }
        }
    }

    /// Sends to every page whose last message is old enough. Answers when the next one is due.
    pub async fn flush(&mut self, context: &Context) -> Result<(), Fault> {
        let now = context.ports.clock.now();
        // Nothing is known of a page whose second has passed and for which nothing waits.
        self.pages.retain(|_, page| page.has_news() || page.sent_at.plus_ms(MESSAGE_EVERY_MS) > now);
        let due: Vec<ConnectionId> = self
            .pages
            .iter()
            .filter(|(_, page)| page.has_news() && page.sent_at.plus_ms(MESSAGE_EVERY_MS) <= now)
            .map(|(connection, _)| connection.clone())
            .collect();
        for connection in due {
            let Some(page) = self.pages.get_mut(&connection) else { continue };
            page.sent_at = now;
            let frames = page.frames();
            if !self.send(context, &connection, frames).await? {
                self.pages.remove(&connection);
            }
        }
        Ok(())
    }

    /// When [`Broadcaster::flush`] has something to do, if nothing else comes.
    #[must_use]
    pub fn next_flush(&self) -> Option<Timestamp> {
        let waiting = self.pages.values().filter(|page| page.has_news());
        waiting.map(|page| page.sent_at.plus_ms(MESSAGE_EVERY_MS)).min()
    }

    /// Answers whether the connection is still there.
    async fn send(
        &mut self,
        context: &Context,
        connection: &ConnectionId,
        frames: Vec<PageFrame>,
    ) -> Result<bool, Fault> {
        for frame in frames.into_iter().flat_map(split) {
            match live::post(&context.ports, connection, &frame).await? {
                Pushed::Sent => {}
                Pushed::Gone => {
                    for tenant in self.watchers.keys() {
                        live::forget(&context.ports, tenant, connection).await?;
                    }
                    return Ok(false);
                }
                Pushed::TooLarge | Pushed::Throttled => self.dropped += 1,
            }
        }
        Ok(true)
    }
}

impl Page {
    fn has_news(&self) -> bool {
        !self.checks.is_empty() || self.samples.values().any(|series| series.values().any(|points| !points.is_empty()))
    }

    fn frames(&mut self) -> Vec<PageFrame> {
        let mut frames = Vec::new();
        for (id, series) in std::mem::take(&mut self.samples) {
            let series: Vec<WatchedSeries> = series
                .into_iter()
                .filter(|(_, points)| !points.is_empty())
                .map(|(labels, points)| WatchedSeries {
                    labels: labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
                    points: points.iter().map(|s| (s.at.ms(), format_value(s.value))).collect(),
                })
                .collect();
            if !series.is_empty() {
                frames.push(PageFrame::Samples { id, series });
            }
        }
        if !self.checks.is_empty() {
            let checks = std::mem::take(&mut self.checks).into_values().collect();
            frames.push(PageFrame::Checks { checks });
        }
        frames
    }
}

/// Halves a frame until each part may be posted.
fn split(frame: PageFrame) -> Vec<PageFrame> {
    let fits = serde_json::to_string(&frame).is_ok_and(|text| text.len() <= PUSH_BYTES_MAX);
    match frame {
        PageFrame::Samples { id, mut series } if !fits && series.len() > 1 => {
            let rest = series.split_off(series.len() / 2);
            let halves = [PageFrame::Samples { id: id.clone(), series }, PageFrame::Samples { id, series: rest }];
            halves.into_iter().flat_map(split).collect()
        }
        PageFrame::Checks { mut checks } if !fits && checks.len() > 1 => {
            let rest = checks.split_off(checks.len() / 2);
            let halves = [PageFrame::Checks { checks }, PageFrame::Checks { checks: rest }];
            halves.into_iter().flat_map(split).collect()
        }
        frame => vec![frame],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_above_the_gateways_limit_is_split_and_loses_nothing() {
        let series = (0..2_000)
            .map(|n| WatchedSeries {
                labels: BTreeMap::from([("__name__".to_owned(), format!("metric_{n:0>100}"))]),
                points: vec![(1, "1".to_owned())],
            })
            .collect();
        let parts = split(PageFrame::Samples { id: "1".to_owned(), series });
        assert!(parts.len() > 1);
        let mut count = 0;
        for part in parts {
            assert!(serde_json::to_string(&part).unwrap().len() <= PUSH_BYTES_MAX);
            let PageFrame::Samples { series, .. } = part else { panic!("another frame") };
            count += series.len();
        }
        assert_eq!(count, 2_000);
    }
}
