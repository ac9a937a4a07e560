//! `DATA_DIR`: the folder of the embedded DynamoDB's file, used by one process at a time.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
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
}

impl DataDir {
    /// Makes the folder if there is none, and locks it.
    ///
    /// # Errors
    /// [`DataDirError`].
    pub fn lock(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |error| DataDirError::Unusable(path.to_owned(), error);
        fs::create_dir_all(path).map_err(unusable)?;
        let mut options = File::options();
        let lock = options.create(true).truncate(false).write(true);
        let lock = lock.open(path.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataDirError::InUse(path.to_owned())),
            // Some network file systems have no locks.
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, folder = %path.display(), "DATA_DIR can't be locked");
            }
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
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
        let file = self.path.join(ENDPOINT);
        fs::write(file, endpoint).map_err(|error| DataDirError::Unusable(self.path.clone(), error))
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
        tracing::error!(
            folder = %self.path.display(),
            "DATA_DIR was deleted while in use: what is stored from now on will be lost; start again"
        );
    }
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
    fn a_folder_that_cannot_be_made_is_named() {
        let parent = tempfile::tempdir().unwrap();
        let file = parent.path().join("file");
        fs::write(&file, "").unwrap();
        let path = file.join("data");
        let error = DataDir::lock(&path).err().unwrap().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}
