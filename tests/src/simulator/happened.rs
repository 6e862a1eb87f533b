//! What happened in a schedule: one in which nothing happened shows nothing.

/// What happened in a schedule, for whoever asks whether anything did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Happened {
    /// Schedules that were run.
    pub schedules: u64,
    /// Invocations of all functions.
    pub invocations: u64,
    /// Of these, killed.
    pub crashes: u64,
    /// Of these, ended with an error.
    pub errors: u64,
    /// Faults that ports showed.
    pub faults: u64,
    /// Times that shards were split or merged.
    pub reshards: u64,
    /// Records that cannot be read.
    pub poison: u64,
    /// Records that killed who read them, for a while.
    pub killers: u64,
    /// Batches that a mapping gave up, and that were joined again.
    pub rejoined: u64,
    /// Batches that were spread over lanes; one that is sent again counts again.
    pub spread: u64,
    /// Samples that were acknowledged.
    pub acknowledged: u64,
    /// Transitions of alerts.
    pub transitions: u64,
    /// Pages that were sent.
    pub pages: u64,
    /// Of these, the same once more, in the named window.
    pub repeated: u64,
}

impl Happened {
    /// The sum of two.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            schedules: self.schedules + other.schedules,
            invocations: self.invocations + other.invocations,
            crashes: self.crashes + other.crashes,
            errors: self.errors + other.errors,
            faults: self.faults + other.faults,
            reshards: self.reshards + other.reshards,
            poison: self.poison + other.poison,
            killers: self.killers + other.killers,
            rejoined: self.rejoined + other.rejoined,
            spread: self.spread + other.spread,
            acknowledged: self.acknowledged + other.acknowledged,
            transitions: self.transitions + other.transitions,
            pages: self.pages + other.pages,
            repeated: self.repeated + other.repeated,
        }
    }
}
