//! The clock and the randomness of the agent. Only this file and `main` touch them; everything
//! else is given one of these.

use series::Timestamp;

/// What is outside of the agent and not its own doing.
#[derive(Clone, Copy)]
pub struct Surroundings {
    /// Wall time.
    pub clock: fn() -> Timestamp,
    /// A random number.
    pub random: fn() -> u64,
}

impl Surroundings {
    /// The host's.
    #[must_use]
    pub fn real() -> Self {
        Self { clock: wall_clock, random: random_number }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the adapter through which the agent reads the clock")]
fn wall_clock() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp(since.map_or(0, |since| since.as_millis() as i64))
}

#[expect(clippy::disallowed_methods, reason = "this is the adapter through which the agent gets randomness")]
fn random_number() -> u64 {
    let mut bytes = [0; 8];
    // Without the kernel's randomness the clock must do: an epoch that repeats is worse than one
    // that can be guessed.
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => wall_clock().ms() as u64 ^ u64::from(std::process::id()) << 44,
    }
}
