//! Artefacts of test processes for the leak probe: databases, logs, files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use crate::config;

/// A fresh directory for one test.
///
/// If the environment variable `CONNECTORS_TEST_ARTEFACTS` is set, the directory is created there
/// and kept. Otherwise, the directory is removed on drop.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Removes the directory when it is dropped.
    _temporary: Option<TempDir>,
}

impl Directory {
    /// Returns the path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl AsRef<Path> for Directory {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// Creates a fresh, empty directory whose name starts with `what`.
///
/// # Errors
/// An I/O error if the directory cannot be created.
pub fn directory(what: &str) -> io::Result<Directory> {
    directory_in(config::artefacts(), what)
}

fn directory_in(kept: Option<PathBuf>, what: &str) -> io::Result<Directory> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let Some(kept) = kept else {
        let temporary = tempfile::Builder::new().prefix(what).tempdir()?;
        return Ok(Directory {
            path: temporary.path().to_owned(),
            _temporary: Some(temporary),
        });
    };
    std::fs::create_dir_all(&kept)?;
    loop {
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let path = kept.join(format!("{what}-{}-{number}", std::process::id()));
        match std::fs::create_dir(&path) {
            // An earlier process with the same process id created the directory.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                return made.map(|()| Directory {
                    path,
                    _temporary: None,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_directory_is_fresh_and_stays() {
        let root = tempfile::tempdir().unwrap();
        let kept = Some(root.path().to_owned());
        let first = directory_in(kept.clone(), "case").unwrap();
        let second = directory_in(kept, "case").unwrap();
        assert_ne!(first.path(), second.path());
        let path = first.path().to_owned();
        drop(first);
        assert!(path.is_dir());
    }

    #[test]
    fn another_directory_is_removed() {
        let directory = directory_in(None, "case").unwrap();
        let path = directory.path().to_owned();
        std::fs::write(path.join("file"), "content").unwrap();
        drop(directory);
        assert!(!path.exists());
    }
}
