//! The file of the database, and whether its path still leads to it.

use std::io::{Error, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::StoreError;

/// Which file it is, by whatever name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file that the path leads to.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

/// The file that the store was opened with. SQLite goes on with it whatever becomes of its name: what is committed after that is lost with
/// a file that is deleted, and is in another one than the next start opens when it is moved.
#[derive(Debug, Clone)]
pub(super) struct OpenedFile {
    path: Arc<Path>,
    id: FileId,
}

impl OpenedFile {
    /// The file that the path leads to now.
    pub(super) fn at(path: &Path) -> std::io::Result<Self> {
        Ok(Self {
            // As whoever looks for it needs it.
            path: std::path::absolute(path)?.into(),
            id: FileId::of(path)?,
        })
    }

    /// Whether the path still leads to it; about 1 us.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match FileId::of(&self.path) {
            Ok(id) if id == self.id => Ok(()),
            Ok(_) => Err(self.misplaced()),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Err(self.misplaced())
            }
            Err(error) => Err(Error::new(error.kind(), format!("{}: {error}", self.path.display())).into()),
        }
    }

    fn misplaced(&self) -> StoreError {
        StoreError::Misplaced(Arc::clone(&self.path))
    }
}
