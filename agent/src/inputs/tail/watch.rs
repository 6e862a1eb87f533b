//! Tells when something in the folders of log files changes (inotify). Where that cannot be had,
//! it never tells anything, and files are looked at once an interval.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::ModifyKind;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Folders that are watched.
pub(super) const FOLDERS_MAX: usize = 64;

/// Watches folders.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: HashSet<PathBuf>,
    refused: HashSet<PathBuf>,
    told: Arc<Told>,
}

#[derive(Default)]
struct Told {
    changed: Notify,
    /// Whether files came, went or were renamed, and not only written to.
    structure: AtomicBool,
}

impl Watch {
    pub(super) fn new() -> Self {
        let told = Arc::new(Told::default());
        let teller = Arc::clone(&told);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| tell(&teller, event));
        if let Err(error) = &watcher {
            tracing::warn!(%error, "log files are looked at once an interval only");
        }
        Self { watcher: watcher.ok(), watched: HashSet::new(), refused: HashSet::new(), told }
    }

    /// Watches these folders and no others.
    pub(super) fn folders(&mut self, folders: &HashSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        self.watched.retain(|folder| {
            // One that is gone is not watched any more anyway; when it comes back it is new.
            let stays = folders.contains(folder) && folder.is_dir();
            if !stays {
                watcher.unwatch(folder).ok();
            }
            stays
        });
        for folder in folders {
            if self.watched.len() >= FOLDERS_MAX {
                return;
            }
            if self.watched.contains(folder) || !folder.is_dir() {
                continue;
            }
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(folder.clone());
                }
                Err(error) => {
                    if self.refused.insert(folder.clone()) {
                        tracing::warn!(%error, folder = %folder.display(), "looked at once an interval only");
                    }
                }
            }
        }
    }

    /// Waits for a change. Answers whether files came, went or were renamed.
    pub(super) async fn changed(&self) -> bool {
        self.told.changed.notified().await;
        self.take()
    }

    /// Whether files came, went or were renamed since the last answer.
    pub(super) fn take(&self) -> bool {
        self.told.structure.swap(false, Ordering::Relaxed)
    }
}

fn tell(told: &Told, event: notify::Result<Event>) {
    let structure = match event {
        Ok(event) => match event.kind {
            EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => return,
            EventKind::Modify(ModifyKind::Data(_)) => false,
            _ => true,
        },
        // Events were lost: look at everything.
        Err(_) => true,
    };
    told.structure.fetch_or(structure, Ordering::Relaxed);
    told.changed.notify_one();
}
