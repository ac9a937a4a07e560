//! The folder of the embedded DynamoDB's file (`DATA_DIR` of `make run`, `EMBEDDED_DATA` of the server),
//! used by one process at a time.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use thiserror::Error;
use tokio::time::interval;

/// How often the folder is looked at while it is in use.
const WATCH: Duration = Duration::from_secs(1);
/// The database, in the folder.
const FILE: &str = "dynamodb.sqlite";
/// The URL of the process that serves it.
const ENDPOINT: &str = "endpoint";

/// Why the folder can't be used.
#[derive(Debug, Error)]
pub enum DataDirError {
    /// It can't be made or written to.
    #[error("DATA_DIR: {path} can't be used: {source}", path = .0.display(), source = .1)]
    Unusable(PathBuf, #[source] io::Error),
    /// Another process uses it: two would overwrite each other's data.
    #[error("DATA_DIR: {path} is in use by another weapp-serverless; stop that one, or choose another folder: DATA_DIR={path}.2 make run", path = .0.display())]
    InUse(PathBuf),
}

/// A folder that is locked until this is dropped.
pub struct DataDir {
    path: PathBuf,
    _lock: File,
    is_locked: bool,
    is_lost: AtomicBool,
}

impl DataDir {
    /// Makes the folder if there is none, and locks it. What is made here is for this user alone, the
    /// folder and the files.
    ///
    /// # Errors
    /// [`DataDirError`].
    pub fn lock(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |error| DataDirError::Unusable(path.to_owned(), error);
        let mut folder = DirBuilder::new();
        folder.recursive(true).mode(0o700);
        folder.create(path).map_err(unusable)?;
        let lock = private_file(&path.join("lock")).map_err(unusable)?;
        let is_locked = match lock.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => return Err(DataDirError::InUse(path.to_owned())),
            // Some network file systems have no locks.
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, folder = %path.display(), "the folder can't be locked");
                false
            }
        };
        // SQLite gives its other files the permissions of this one.
        private_file(&path.join(FILE)).map_err(unusable)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
            is_locked,
            is_lost: AtomicBool::new(false),
        })
    }

    /// Whether other processes are kept out. Some network file systems have no locks.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }

    /// Whether the database's file was deleted or replaced while in use.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    /// The database's file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.path.join(FILE)
    }

    /// Whether the folder at `path` holds a database.
    #[must_use]
    pub fn has_database(path: &Path) -> bool {
        path.join(FILE).exists()
    }

    /// Writes down where the database is served, for other commands of this machine.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`].
    pub fn publish(&self, endpoint: &str) -> Result<(), DataDirError> {
        let written = private_file(&self.path.join(ENDPOINT)).and_then(|mut file| {
            file.set_len(0)?;
            file.write_all(endpoint.as_bytes())
        });
        written.map_err(|error| DataDirError::Unusable(self.path.clone(), error))
    }

    /// Where the process that uses the folder at `path` serves the database.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`].
    pub fn endpoint(path: &Path) -> Result<String, DataDirError> {
        fs::read_to_string(path.join(ENDPOINT))
            .map_err(|error| DataDirError::Unusable(path.to_owned(), error))
    }

    /// Completes when the database's file was deleted or replaced: what is stored from then on is
    /// lost when the process ends.
    pub async fn deleted(&self) {
        let file = self.file();
        let identity = || {
            fs::metadata(&file)
                .map(|file| (file.dev(), file.ino()))
                .ok()
        };
        let opened = identity();
        let mut ticks = interval(WATCH);
        while identity() == opened {
            ticks.tick().await;
        }
        self.is_lost.store(true, Ordering::Relaxed);
        tracing::error!(
            folder = %self.path.display(),
            "the data was deleted while in use: what is stored from now on will be lost; start again"
        );
    }
}

/// The file, made for this user alone if there is none.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_used_by_one_process_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("new/data");
        let first = DataDir::lock(&path).unwrap();
        let second = DataDir::lock(&path).err().unwrap().to_string();
        assert!(
            second.contains(&format!("{} is in use", path.display())),
            "{second}"
        );
        drop(first);
        DataDir::lock(&path).unwrap();
    }

    #[test]
    fn other_users_of_the_machine_cannot_read_what_is_made() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        let folder = DataDir::lock(&path).unwrap();
        folder.publish("http://127.0.0.1:1").unwrap();
        folder.publish("http://127.0.0.1").unwrap();
        assert_eq!(DataDir::endpoint(&path).unwrap(), "http://127.0.0.1");
        let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!(mode(path.clone()), 0o700);
        for file in ["lock", FILE, ENDPOINT] {
            assert_eq!(mode(path.join(file)), 0o600, "{file}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        let path = file.join("data");
        let error = DataDir::lock(&path).err().unwrap().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}
