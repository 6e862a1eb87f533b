//! What must hold within a schedule and in its end.

use blocks::parquet::encode_rollups;
use blocks::{Ledger, Level, ManifestItem, SourceNote, block_name, join, rollup, split_by_window};
use series::{DAY_MS, HOUR_MS, TEN_MINUTES_MS, Window, rollup_width};
use wire::{Counters, SeriesColumn};

use super::{ALL_TIME, Batch, EPOCH, Sender, World, Wrong, bits};

impl World {
    /// Nothing goes wrong any more.
    pub(super) fn end(&mut self, senders: &[Sender]) -> Result<(), String> {
        self.processes.clear();
        while !self.waiting.is_empty() {
            let batches: Vec<Batch> = self.waiting.clone();
            self.work(&batches, false);
        }
        for wait_ms in [26 * HOUR_MS, 2 * HOUR_MS, 2 * HOUR_MS, 2 * HOUR_MS, 2 * HOUR_MS] {
            self.now = self.now.plus_ms(wait_ms);
            self.begin_compaction()?;
            self.begin_sweep()?;
            while !self.processes.is_empty() {
                let mut process = self.processes.remove(0);
                process.steps.drain(..).for_each(|step| self.put(step));
            }
        }
        self.readers_find_all()?;
        self.days_are_the_set()?;
        self.ledger_balances(senders)
    }

    /// One item a day, its block and its rollups byte for byte those of everything that was made.
    fn days_are_the_set(&mut self) -> Result<(), String> {
        let mut days = split_by_window(join(self.made.clone()).into_columns(), DAY_MS);
        self.happened.days = days.len() as u64;
        for item in self.items.values() {
            let columns = days.remove(&item.window).filter(|_| item.level == Level::Day);
            let block =
                join(columns.ok_or_else(|| format!("a {:?} item of {} is left", item.level, item.window.start))?);
            let content = |name: &str| name.split('-').next().unwrap_or_default().to_owned();
            let bytes = blocks::encode(Level::Day, &block).map_err(|error| error.to_string())?;
            if item.name.as_deref().map(content) != Some(block_name(&bytes)) {
                return Err(format!("the day {} has other bytes than its set", item.window.start));
            }
            for width_ms in rollup_width::ALL {
                let bytes = encode_rollups(&rollup(&block, width_ms), width_ms).map_err(|error| error.to_string())?;
                let listed = item.rollups.iter().find(|rollup| rollup.width_ms == width_ms);
                if listed.map(|rollup| content(&rollup.name)) != Some(block_name(&bytes)) {
                    return Err(format!("the day {} has other rollups than its set", item.window.start));
                }
            }
        }
        if days.is_empty() { Ok(()) } else { Err("a day is missing".to_owned()) }
    }

    /// Whatever was done is there: joining it in again changes nothing. All of it, and an hour or so of it.
    pub(super) fn readers_find_all(&mut self) -> Result<(), String> {
        let from = self.now.plus_ms(-(self.random.below(DAY_MS as u64) as i64));
        let to = from.plus_ms(self.random.below(2 * HOUR_MS as u64) as i64);
        for asked in [ALL_TIME, (from, to)] {
            let within = |mut column: SeriesColumn| {
                column.samples.retain(|sample| (asked.0..=asked.1).contains(&sample.at));
                Some(column).filter(|column| !column.samples.is_empty())
            };
            let found = self.read(&self.snapshot(), asked)?;
            let found = join(found.into_columns().into_iter().filter_map(within));
            let stored = self.stored.iter().cloned().filter_map(within);
            if bits(&join(found.columns().iter().cloned().chain(stored))) != bits(&found) {
                return Err("what was stored is not found".to_owned());
            }
        }
        Ok(())
    }

    fn ledger_balances(&self, senders: &[Sender]) -> Result<(), String> {
        let mut items: Vec<ManifestItem> = self.items.values().map(|item| (**item).clone()).collect();
        let told = senders.iter().map(|sender| {
            let mut note = SourceNote::new(sender.name.clone(), self.now);
            note.counters = [(EPOCH, Counters { generated: sender.generated, ..Counters::default() })].into();
            note
        });
        let window = Window::of_block(self.now, TEN_MINUTES_MS);
        items.push(ManifestItem::notes_only(window, told.collect(), self.now));
        let ledger = Ledger::join(&items);
        let set = join(self.made.clone());
        let mut received = 0;
        for sender in senders {
            let found = ledger.sources.get(&sender.name).ok_or("a source is missing")?;
            let own = set.columns().iter().filter(|column| column.labels.get("source") == Some(sender.name.as_str()));
            let distinct: u64 = own.map(|column| column.samples.len() as u64).sum();
            if !found.is_conserved() || (found.generated, found.stored) != (sender.generated, distinct) {
                return Err(format!(
                    "{} made {} samples, {distinct} of them distinct: {found:?}",
                    sender.name, sender.generated
                ));
            }
            received += found.stored + found.superseded;
        }
        if self.wrong == Some(Wrong::Increment) && self.counted != received {
            return Err(format!("{received} samples came in, {} were counted", self.counted));
        }
        Ok(())
    }
}
