//! What every adapter must do, as functions that panic where it does not.
//!
//! An adapter's tests build it, wrap it in the harness traits where a port has another side
//! (reading a stream, being a connection, being woken), and call `run` of each module. No runtime
//! and no clock in here: the adapter's tests bring theirs. Each call uses names of its own, made
//! from `name`, so that a suite may run on a store that is in use.

pub mod blobs;
pub mod push;
pub mod stream;
pub mod table;
pub mod timer;

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;

use series::TenantId;

use crate::{ErrorClass, PortError};

/// The value, or a panic that says what was being done.
#[expect(clippy::panic, reason = "a contract suite speaks by panics")]
fn done<T>(result: Result<T, PortError>, doing: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{doing}: {error}"),
    }
}

/// The value, or a panic that says what is missing.
#[expect(clippy::panic, reason = "a contract suite speaks by panics")]
fn some<T>(option: Option<T>, what: &str) -> T {
    match option {
        Some(value) => value,
        None => panic!("{what} is missing"),
    }
}

/// The call must be refused for good.
fn refused<T: Debug>(result: Result<T, PortError>, what: &str) {
    let class = result.as_ref().map_err(|error| error.class);
    assert_eq!(class.err(), Some(ErrorClass::Permanent), "{what} must be refused for good, but: {result:?}");
}

fn tenant(name: &str) -> TenantId {
    done(TenantId::new(name).map_err(|error| PortError::permanent("contract", error)), "a name for the suite")
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs all of them at once, on the caller's task.
async fn together<T>(futures: Vec<Boxed<'_, T>>) -> Vec<T> {
    let mut slots: Vec<(Option<Boxed<'_, T>>, Option<T>)> =
        futures.into_iter().map(|future| (Some(future), None)).collect();
    std::future::poll_fn(move |context| {
        for (future, output) in &mut slots {
            if let Some(running) = future
                && let Poll::Ready(value) = running.as_mut().poll(context)
            {
                *output = Some(value);
                *future = None;
            }
        }
        if slots.iter().any(|(future, _)| future.is_some()) {
            return Poll::Pending;
        }
        Poll::Ready(slots.iter_mut().filter_map(|(_, output)| output.take()).collect())
    })
    .await
}
