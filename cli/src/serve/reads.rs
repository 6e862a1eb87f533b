//! Reads of samples take turns, apart from everything else: one may hold many samples and a core for
//! seconds, and neither agents nor websockets may wait for it. On AWS each has a process of its own.

use std::sync::Arc;
use std::time::Duration;

use pipeline::http::Encoding;
use pipeline::{Fault, Request, Response};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::House;

/// Reads at the same time; each may load `loaded_samples_max` samples of 16 bytes.
pub(super) const READS_MAX: usize = 4;
/// A read that gets no turn in this time is told to come again.
const TURN: Duration = Duration::from_secs(10);

/// The turns.
pub(super) struct Reads(Arc<Semaphore>);

impl Default for Reads {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(READS_MAX)))
    }
}

impl Reads {
    async fn turn(&self, patience: Duration) -> Result<OwnedSemaphorePermit, Fault> {
        match timeout(patience, self.0.clone().acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => {
                Err(Fault::TooMany(format!("{READS_MAX} reads are under way (reads_max): try again")))
            }
        }
    }
}

/// Whether a request reads samples.
fn is_read(path: &str) -> bool {
    let path = path.trim_matches('/');
    let paths = ["api/v1/query", "api/v1/query_range", "api/v1/series", "api/v1/labels", "api/v1/status/tsdb"];
    paths.contains(&path) || path.starts_with("api/v1/label/")
}

/// Answers a request, in its turn where it is a read, compressed as its caller takes it.
pub(super) async fn answer(house: Arc<House>, request: Request) -> Response {
    let encoding = Encoding::accepted(&request);
    if !is_read(&request.path) {
        return house.request(&request).await.encoded(encoding);
    }
    let turn = match house.reads.turn(TURN).await {
        Ok(turn) => turn,
        Err(fault) => return Response::of(&fault),
    };
    let runtime = Handle::current();
    let read = tokio::task::spawn_blocking(move || {
        // Kept to the end, even where nobody waits for the answer any more.
        let _turn = turn;
        runtime.block_on(house.request(&request)).encoded(encoding)
    });
    read.await.unwrap_or_else(|error| Response::of(&Fault::Internal(format!("the read ended: {error}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reads_at_the_limit_and_one_past_it() {
        let reads = Reads::default();
        let mut turns = Vec::new();
        for _ in 0..READS_MAX {
            turns.push(reads.turn(TURN).await.unwrap());
        }
        let refused = reads.turn(Duration::from_millis(1)).await.unwrap_err();
        assert_eq!((refused.status(), refused.retry_after_seconds()), (429, Some(5)));
        turns.pop();
        assert!(reads.turn(TURN).await.is_ok());
    }

    #[test]
    fn what_reads_samples() {
        for path in ["/api/v1/query", "/api/v1/query_range", "/api/v1/label/job/values", "//api/v1/series/"] {
            assert!(is_read(path), "{path}");
        }
        for path in ["/", "/api/v1/sources", "/api/v1/ticket", "/graphite", "/api/v1/queryx"] {
            assert!(!is_read(path), "{path}");
        }
    }
}
