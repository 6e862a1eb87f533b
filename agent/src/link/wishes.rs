//! What the server wishes of the flush: the shortest wish that has not ended counts. Pure.

/// Wishes that are remembered. Of more, the slowest is forgotten; nobody needs so many.
pub const WISHES_MAX: usize = 8;

/// Wishes, each with its end by the agent's clock.
#[derive(Debug, Default)]
pub struct Wishes(Vec<(u64, u64)>);

impl Wishes {
    /// One more. What is slower and ends no later is forgotten.
    pub fn add(&mut self, every_ms: u64, until_ms: u64) {
        self.0.retain(|(every, until)| *every < every_ms || *until > until_ms);
        self.0.push((every_ms, until_ms));
        self.0.sort_unstable();
        self.0.truncate(WISHES_MAX);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Forgets what has ended. Answers whether something has.
    pub fn end(&mut self, now_ms: u64) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, until)| *until > now_ms);
        self.0.len() < before
    }

    /// When the next one ends.
    #[must_use]
    pub fn next_end_ms(&self) -> Option<u64> {
        self.0.iter().map(|(_, until)| *until).min()
    }

    /// The pace that counts.
    #[must_use]
    pub fn shortest_ms(&self) -> Option<u64> {
        self.0.first().map(|(every, _)| *every)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_at_the_limit_and_one_past_it() {
        let mut wishes = Wishes::default();
        for n in 0..WISHES_MAX as u64 {
            wishes.add(1_000 + n, 10 + n);
            assert_eq!(wishes.0.len() as u64, n + 1);
        }
        wishes.add(500, 5);
        assert_eq!((wishes.0.len(), wishes.shortest_ms(), wishes.next_end_ms()), (WISHES_MAX, Some(500), Some(5)));
        assert!(wishes.end(5) && !wishes.end(5));
        assert_eq!(wishes.shortest_ms(), Some(1_000));
        // Shorter and longer: it speaks for all the others.
        wishes.add(1_000, 1_000);
        assert_eq!(wishes.0.len(), 1);
    }
}
