//! The search for planted secrets in what a test run left behind.

use std::path::Path;

use connector_testkit::leak::Probe;

use crate::Result;

/// What the search saw.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Secrets that tests reported to have planted.
    pub(crate) planted: u64,
    /// Where a planted secret was found, one line each.
    pub(crate) hits: Vec<String>,
}

impl Search {
    /// Searches every file below `directory` for secrets that carry `canary`.
    pub(crate) fn run(canary: &str, directory: &Path) -> Result<Self> {
        let report = Probe::new(canary).scan_directory(directory)?;
        Ok(Self {
            files: report.files,
            bytes: report.bytes,
            planted: report.planted,
            hits: report.findings.iter().map(ToString::to_string).collect(),
        })
    }

    /// Why the run does not pass. A search that had nothing to find proves nothing.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if self.files == 0 {
            complaints.push("the search for secrets saw no file".to_owned());
        }
        if self.planted == 0 {
            complaints.push("no test planted a secret".to_owned());
        }
        if !self.hits.is_empty() {
            complaints.push(format!(
                "planted secrets were found in {} places",
                self.hits.len()
            ));
        }
        complaints
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Search;

    fn search(files: u64, planted: u64, hits: &[&str]) -> Search {
        let hits = hits.iter().map(ToString::to_string).collect();
        Search {
            files,
            bytes: files * 10,
            planted,
            hits,
        }
    }

    #[test]
    fn a_search_that_could_find_something_and_found_nothing_passes() {
        assert!(search(3, 2, &[]).complaints().is_empty());
    }

    #[test]
    fn an_empty_search_and_a_hit_fail() {
        assert_eq!(search(0, 2, &[]).complaints().len(), 1);
        assert_eq!(search(3, 0, &[]).complaints().len(), 1);
        assert_eq!(search(3, 2, &["log:1"]).complaints().len(), 1);
        assert_eq!(search(0, 0, &["log:1"]).complaints().len(), 3);
    }

    #[test]
    fn a_planted_leak_is_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let canary = "k3v9x0q2m8d1z7p4w6t5r0s2";
        fs::write(directory.path().join("clean"), "nothing here").expect("a file");
        let clean = Search::run(canary, directory.path()).expect("a search");
        assert_eq!((clean.files, clean.hits.len()), (1, 0));
        fs::write(
            directory.path().join("log"),
            format!("token={canary}-access"),
        )
        .expect("a file");
        let leaked = Search::run(canary, directory.path()).expect("a search");
        assert_eq!(leaked.files, 2);
        assert!(!leaked.hits.is_empty());
        assert!(
            leaked.hits.iter().all(|hit| !hit.contains(canary)),
            "a hit repeats the secret"
        );
    }
}
