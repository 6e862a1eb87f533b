//! The use cases on the embedded ports in memory, with a clock that stands. An index:
//!
//! - `bench`: a Daywatch in memory, with the hands that tests need
//! - `storing`: push, aggregate, read: each sample once, whatever the stream repeats
//! - `connecting`: keys, tickets, hello, two agents of one name, leases
//! - `faulty`: partial puts, a store that fails, records that cannot be read
//! - `compacting`: windows that close, and what is deleted when
//! - `handed`: what `ingest` hands over in one process is what its readers would read
//! - `hot`: what the hot two hours in memory show is what blocks show
//! - `long`: hours and days from Parquet by ranges, and rollups where they say the same
//! - `crashes`: compaction that is cut off at any port call, and two at the same time
//! - `telling`: acks once a window is compacted, and how soon rules need samples
//! - `spread`: an agent that sends very much, over many lanes: each sample once, each ack when all is stored
//! - `silent`: whose silence it is: the hosts', the pipeline's or the server's

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "only tests use this")]

#[path = "flow/bench.rs"]
mod bench;
#[path = "flow/compacting.rs"]
mod compacting;
#[path = "flow/connecting.rs"]
mod connecting;
#[path = "flow/crashes.rs"]
mod crashes;
#[path = "flow/faulty.rs"]
mod faulty;
#[path = "flow/handed.rs"]
mod handed;
#[path = "flow/hot.rs"]
mod hot;
#[path = "flow/long.rs"]
mod long;
#[path = "flow/silent.rs"]
mod silent;
#[path = "flow/spread.rs"]
mod spread;
#[path = "flow/storing.rs"]
mod storing;
#[path = "flow/telling.rs"]
mod telling;
