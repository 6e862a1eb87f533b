//! The one redb file behind the table, the change log, the timers and the checkpoints.
//!
//! Writes of all of them meet here and share commits: each is a closure over the open
//! transaction, and answers only after its commit is on disk. An I/O error fails the whole group
//! as transient, and the file is opened afresh before the next use, because redb refuses to go on
//! after one. It must not know what an item means.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ports::{Clock, PortError, Timestamp};
use redb::{Database, ReadTransaction, ReadableDatabase, StorageBackend, TableDefinition, WriteTransaction};
use tokio::sync::oneshot;

use crate::disk::{Disk, DiskFile, parent_of};
use crate::group::GroupCommit;

/// Writes of one commit.
const WRITES_PER_COMMIT_MAX: usize = 1_000;
/// Memory for pages of the store.
const CACHE_BYTES: usize = 64 * 1024 * 1024;
const PORT: &str = "table";

/// Items by spelled key: version, expiry, value (`table.rs`).
pub(crate) const ITEMS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("items");
/// Time of expiry followed by the spelled key, so that what has expired stands in front.
pub(crate) const EXPIRY: TableDefinition<'_, &[u8], ()> = TableDefinition::new("expiry");
/// The manifest's changes by number (`changes.rs`).
pub(crate) const CHANGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("changes");
/// Wake-ups by time (`timer.rs`).
pub(crate) const TIMERS: TableDefinition<'_, &[u8], u64> = TableDefinition::new("timers");
/// Counters and checkpoints by name.
pub(crate) const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");

/// The open tables of a write transaction.
pub(crate) struct Tables<'t> {
    pub(crate) items: redb::Table<'t, &'static [u8], &'static [u8]>,
    pub(crate) expiry: redb::Table<'t, &'static [u8], ()>,
    pub(crate) changes: redb::Table<'t, u64, &'static [u8]>,
    pub(crate) timers: redb::Table<'t, &'static [u8], u64>,
    pub(crate) numbers: redb::Table<'t, &'static str, u64>,
    /// When the group began to run.
    pub(crate) now: Timestamp,
    /// Set by whoever changes anything; a group that changes nothing costs no commit.
    pub(crate) changed: bool,
}

impl<'t> Tables<'t> {
    fn open(transaction: &'t WriteTransaction, now: Timestamp) -> Result<Self, redb::Error> {
        Ok(Self {
            items: transaction.open_table(ITEMS)?,
            expiry: transaction.open_table(EXPIRY)?,
            changes: transaction.open_table(CHANGES)?,
            timers: transaction.open_table(TIMERS)?,
            numbers: transaction.open_table(NUMBERS)?,
            now,
            changed: false,
        })
    }

    /// The next number of a counter that never goes back.
    pub(crate) fn next_number(&mut self, name: &str) -> Result<u64, redb::Error> {
        use redb::ReadableTable as _;
        let next = self.numbers.get(name)?.map_or(0, |guard| guard.value()) + 1;
        self.numbers.insert(name, next)?;
        self.changed = true;
        Ok(next)
    }
}

type Answer = Box<dyn FnOnce(Result<(), PortError>) + Send>;
type Apply = Box<dyn FnOnce(&mut Tables<'_>) -> Result<Answer, redb::Error> + Send>;

/// One write: applied within a commit, answered after it.
struct Job {
    apply: Apply,
    // Answers if the job never came to be applied.
    refuse: Box<dyn FnOnce(PortError) + Send>,
}

/// The store. Clones are the same store.
#[derive(Clone)]
pub(crate) struct Store(Arc<Shared>);

struct Shared {
    disk: Arc<dyn Disk>,
    path: String,
    clock: Arc<dyn Clock>,
    open: Mutex<Open>,
    writes: Arc<GroupCommit<Job>>,
}

#[derive(Default)]
struct Open {
    database: Option<Arc<Database>>,
    // Tells the open database's file that it is no longer ours.
    abandoned: Arc<AtomicBool>,
    closed: bool,
}

impl Store {
    /// Opens, creating the file and all tables where missing.
    pub(crate) fn open(disk: Arc<dyn Disk>, path: &str, clock: Arc<dyn Clock>) -> Result<Self, PortError> {
        let writes = GroupCommit::new(WRITES_PER_COMMIT_MAX);
        let store = Self(Arc::new(Shared { disk, path: path.to_owned(), clock, open: Mutex::default(), writes }));
        store.database()?;
        Ok(store)
    }

    /// Runs `apply` in a transaction of its own or shared with others; answers when it is durable.
    /// `apply` must not change anything and then fail: an error undoes the neighbours as well.
    pub(crate) async fn write<T, F>(&self, apply: F) -> Result<T, PortError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tables<'_>) -> Result<T, redb::Error> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel::<Result<T, PortError>>();
        let sender = Arc::new(Mutex::new(Some(sender)));
        let also = Arc::clone(&sender);
        let job = Job {
            apply: Box::new(move |tables| {
                let value = apply(tables)?;
                Ok(Box::new(move |committed: Result<(), PortError>| reply(&sender, committed.map(|()| value))))
            }),
            refuse: Box::new(move |error| reply(&also, Err(error))),
        };
        let store = self.clone();
        self.0.writes.submit(job, || move |jobs| store.run(jobs));
        receiver.await.unwrap_or_else(|_| Err(PortError::transient(PORT, "the store is shutting down")))
    }

    /// [`Store::write`] on this thread, for opening.
    pub(crate) fn write_now<T>(
        &self,
        apply: impl FnOnce(&mut Tables<'_>) -> Result<T, redb::Error>,
    ) -> Result<T, PortError> {
        let database = self.database()?;
        self.commit(&database, apply).map_err(|error| self.failed(&database, &error))
    }

    /// Runs `read` on a snapshot, off the async threads.
    pub(crate) async fn read<T, F>(&self, read: F) -> Result<T, PortError>
    where
        T: Send + 'static,
        F: FnOnce(&ReadTransaction) -> Result<T, redb::Error> + Send + 'static,
    {
        let store = self.clone();
        let done = tokio::task::spawn_blocking(move || store.read_now(read)).await;
        done.unwrap_or_else(|_| Err(PortError::transient(PORT, "the store is shutting down")))
    }

    /// [`Store::read`] on this thread.
    pub(crate) fn read_now<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, PortError> {
        let database = self.database()?;
        let result = database.begin_read().map_err(redb::Error::from).and_then(|transaction| read(&transaction));
        result.map_err(|error| self.failed(&database, &error))
    }

    /// Waits for running writes and gives the file back; everything later is refused.
    pub(crate) async fn close(&self) {
        self.0.writes.settled().await;
        let database = {
            let mut open = self.opened();
            open.closed = true;
            open.database.take()
        };
        // Dropping writes the file's clean end.
        let dropped = tokio::task::spawn_blocking(move || drop(database)).await;
        if let Err(error) = dropped {
            tracing::warn!(%error, "the store did not close cleanly; it is repaired at the next start");
        }
    }

    fn opened(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn database(&self) -> Result<Arc<Database>, PortError> {
        let mut open = self.opened();
        if open.closed {
            return Err(PortError::transient(PORT, "the store is closed"));
        }
        if let Some(database) = &open.database {
            return Ok(Arc::clone(database));
        }
        let abandoned = Arc::new(AtomicBool::new(false));
        let database = open_database(&*self.0.disk, &self.0.path, &abandoned)
            .map_err(|error| PortError::transient(PORT, format!("cannot open the store: {error}")))?;
        let database = Arc::new(database);
        *open = Open { database: Some(Arc::clone(&database)), abandoned, closed: false };
        Ok(database)
    }

    /// Names the error, and gives a file up that redb will not touch again.
    fn failed(&self, database: &Arc<Database>, error: &redb::Error) -> PortError {
        if matches!(error, redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::Corrupted(_)) {
            let mut open = self.opened();
            if open.database.as_ref().is_some_and(|current| Arc::ptr_eq(current, database)) {
                tracing::error!(%error, "the store failed; it is opened afresh");
                open.abandoned.store(true, Ordering::SeqCst);
                open.database = None;
            }
        }
        PortError::transient(PORT, error)
    }

    fn run(&self, jobs: Vec<Job>) {
        let database = match self.database() {
            Ok(database) => database,
            Err(error) => return jobs.into_iter().for_each(|job| (job.refuse)(error.clone())),
        };
        let mut answers = Vec::with_capacity(jobs.len());
        let mut refusals = Vec::new();
        let mut failure = None;
        let result = self.commit(&database, |tables| {
            for job in jobs {
                if failure.is_some() {
                    refusals.push(job.refuse);
                    continue;
                }
                match (job.apply)(tables) {
                    Ok(answer) => answers.push(answer),
                    Err(error) => {
                        failure = Some(error);
                        refusals.push(job.refuse);
                    }
                }
            }
            failure.take().map_or(Ok(()), Err)
        });
        let result = result.map_err(|error| self.failed(&database, &error));
        if let Err(error) = &result {
            refusals.into_iter().for_each(|refuse| refuse(error.clone()));
        }
        answers.into_iter().for_each(|answer| answer(result.clone()));
    }

    fn commit<T>(
        &self,
        database: &Database,
        apply: impl FnOnce(&mut Tables<'_>) -> Result<T, redb::Error>,
    ) -> Result<T, redb::Error> {
        let transaction = database.begin_write()?;
        let (value, changed) = {
            let mut tables = Tables::open(&transaction, self.0.clock.now())?;
            let value = apply(&mut tables)?;
            if tables.changed {
                crate::table::purge_expired(&mut tables)?;
            }
            (value, tables.changed)
        };
        if changed {
            transaction.commit()?;
        } else {
            transaction.abort()?;
        }
        Ok(value)
    }
}

fn reply<T>(sender: &Mutex<Option<oneshot::Sender<Result<T, PortError>>>>, result: Result<T, PortError>) {
    if let Some(sender) = sender.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // A caller that stopped waiting has nobody to tell.
        let _ = sender.send(result);
    }
}

/// Opens the file, or makes it under another name and renames it: a power cut while redb makes a
/// file would leave one that it does not open.
fn open_database(disk: &dyn Disk, path: &str, abandoned: &Arc<AtomicBool>) -> Result<Database, redb::Error> {
    if !disk.exists(path).map_err(redb::Error::Io)? {
        let unfinished = format!("{path}.new");
        disk.remove(&unfinished).map_err(redb::Error::Io)?;
        let database = open_file(disk, &unfinished, &Arc::default())?;
        let transaction = database.begin_write()?;
        Tables::open(&transaction, Timestamp(0))?;
        transaction.commit()?;
        drop(database);
        disk.open(&unfinished).and_then(|file| file.sync()).map_err(redb::Error::Io)?;
        disk.rename(&unfinished, path).map_err(redb::Error::Io)?;
    }
    disk.sync_dir(parent_of(path)).map_err(redb::Error::Io)?;
    open_file(disk, path, abandoned)
}

fn open_file(disk: &dyn Disk, path: &str, abandoned: &Arc<AtomicBool>) -> Result<Database, redb::Error> {
    let file = disk.open(path).map_err(redb::Error::Io)?;
    let backend = RedbFile { file, abandoned: Arc::clone(abandoned) };
    Ok(Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend)?)
}

/// redb's view of a file on a [`Disk`].
struct RedbFile {
    file: Arc<dyn DiskFile>,
    abandoned: Arc<AtomicBool>,
}

impl RedbFile {
    fn file(&self) -> io::Result<&dyn DiskFile> {
        // A given-up database may still be alive in some reader, and must not write behind the
        // back of its successor.
        if self.abandoned.load(Ordering::SeqCst) {
            return Err(io::Error::other("given up after an earlier error"));
        }
        Ok(&*self.file)
    }
}

impl fmt::Debug for RedbFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedbFile")
    }
}

impl StorageBackend for RedbFile {
    fn len(&self) -> io::Result<u64> {
        self.file()?.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file()?.read_at(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file()?.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file()?.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file()?.write_at(offset, data)
    }
}
