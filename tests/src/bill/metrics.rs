//! Which metrics of our own each function sends: CloudWatch bills a name for the hours in which it is sent.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

static TOUCHED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

struct Names;

fn touched() -> MutexGuard<'static, BTreeSet<String>> {
    TOUCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes every name from now on; a second call changes nothing.
pub fn note() {
    // The recorder that is set already is this one.
    let _ = metrics::set_global_recorder(Names);
}

/// The names since the last call.
#[must_use]
pub fn take() -> BTreeSet<String> {
    std::mem::take(&mut *touched())
}

impl Recorder for Names {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: String = key.labels().map(|label| format!(" {}", label.value())).collect();
        touched().insert(format!("{}{labels}", key.name()));
        Counter::noop()
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}
