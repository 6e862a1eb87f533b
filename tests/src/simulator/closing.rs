//! The end of a schedule: windows close, late data comes, and compactions are killed and run at the same time.

use ports::Clock;
use series::{HOUR_MS, MINUTE_MS};

use super::process::{Call, Function};
use super::world::{FLIGHT_MS, World, job};

/// Times that compactions run while things go wrong.
const COMPACTIONS: u64 = 5;

impl World {
    /// Windows close while what senders kept for hours comes late, and compactions run at the same time and are
    /// killed; then hours and the day are joined in peace.
    pub(super) async fn compact(&mut self) -> Result<(), String> {
        self.chaos(true);
        for _ in 0..COMPACTIONS {
            self.clock.advance_ms(MINUTE_MS * (15 + self.random.below(60) as i64));
            for agent in &mut self.agents {
                let age_ms = MINUTE_MS * (1 + self.random.below(180) as i64);
                agent.collect(self.clock.now().plus_ms(-age_ms), 0, &mut self.random);
            }
            self.send().await;
            self.clock.advance_ms(FLIGHT_MS);
            self.round().await?;
            self.work(vec![job(Function::Aggregate, Call::Tick), job(Function::Aggregate, Call::Tick)]).await;
            self.keep_given_up().await?;
        }
        self.chaos(false);
        self.settle().await?;
        for hours in [2, 26, 2, 2] {
            self.clock.advance_ms(hours * HOUR_MS);
            aggregate::schedule(&self.context).await.map_err(|fault| fault.to_string())?;
        }
        Ok(())
    }
}
