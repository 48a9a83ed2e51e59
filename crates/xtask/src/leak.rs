//! The search for planted secrets in the output and files of a test run.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use connector_testkit::leak::Probe;

use crate::Result;

/// The result of a search.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Number of secrets that tests reported as planted.
    pub(crate) planted: u64,
    /// Locations of found secrets, one line each.
    pub(crate) hits: Vec<String>,
    /// Number of test programs whose log events were recorded.
    pub(crate) traced: usize,
    /// Test programs that ran without recording log events, so that their logs are not searched.
    pub(crate) untraced: Vec<String>,
}

impl Search {
    /// Searches every file below `directory` for secrets that start with `canary`. `progress` is
    /// cargo's output, which lists the test programs.
    pub(crate) fn run(canary: &str, directory: &Path, progress: &str) -> Result<Self> {
        let report = Probe::new(canary).scan_directory(directory)?;
        let programs = integration_tests(progress);
        let mut recorded = BTreeSet::new();
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let program = name
                .strip_prefix("trace-")
                .and_then(|rest| rest.rsplit_once('-'));
            recorded.extend(program.map(|(program, _)| program.to_owned()));
        }
        let (traced, untraced): (Vec<String>, Vec<String>) = programs
            .into_iter()
            .partition(|program| recorded.contains(program));
        Ok(Self {
            files: report.files,
            bytes: report.bytes,
            planted: report.planted,
            hits: report.findings.iter().map(ToString::to_string).collect(),
            traced: traced.len(),
            untraced,
        })
    }

    /// Returns the reasons why the run fails. A search without planted secrets proves nothing, so
    /// it also fails.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        if self.files == 0 {
            complaints.push("the search for secrets found no file to search".to_owned());
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
        if !self.untraced.is_empty() {
            complaints.push(format!(
                "these test programs record no log events; they must call \
                 connector_testkit::trace::init: {}",
                self.untraced.join(", ")
            ));
        }
        complaints
    }
}

/// Returns the names of the integration tests in lines such as
/// `Running tests/api.rs (target/debug/deps/api-0a1b)`. Unit tests (`Running unittests …`) plant no
/// secrets.
fn integration_tests(progress: &str) -> BTreeSet<String> {
    progress
        .lines()
        .filter_map(|line| {
            let line = line.trim().strip_prefix("Running ")?;
            let (source, program) = line.strip_suffix(')')?.split_once(" (")?;
            let name = Path::new(program).file_name()?.to_str()?;
            (!source.starts_with("unittests ")).then(|| name.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Search, integration_tests};

    fn search(files: u64, planted: u64, hits: &[&str]) -> Search {
        let hits = hits.iter().map(ToString::to_string).collect();
        Search {
            files,
            bytes: files * 10,
            planted,
            hits,
            traced: 1,
            untraced: Vec::new(),
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
    fn a_test_program_that_records_nothing_is_named() {
        let progress = "   Compiling connector-core v0.1.0\n     \
            Running unittests src/lib.rs (target/debug/deps/connector_core-0a)\n     \
            Running tests/api.rs (target/debug/deps/api-0b)\n     \
            Running tests/openid/main.rs (target/debug/deps/openid-0c)\n   \
            Doc-tests connector_core\n";
        assert_eq!(
            integration_tests(progress).into_iter().collect::<Vec<_>>(),
            ["api-0b", "openid-0c"]
        );
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("trace-api-0b-17.log"), "").expect("a file");
        let search = Search::run("k3v9x0q2m8d1z7p4", directory.path(), progress).expect("a search");
        assert_eq!(
            (search.traced, &search.untraced[..]),
            (1, &["openid-0c".to_owned()][..])
        );
        assert!(
            search
                .complaints()
                .iter()
                .any(|it| it.contains("openid-0c"))
        );
    }

    #[test]
    fn a_planted_leak_is_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let canary = "k3v9x0q2m8d1z7p4w6t5r0s2";
        fs::write(directory.path().join("clean"), "nothing here").expect("a file");
        let clean = Search::run(canary, directory.path(), "").expect("a search");
        assert_eq!((clean.files, clean.hits.len()), (1, 0));
        fs::write(
            directory.path().join("log"),
            format!("token={canary}-access"),
        )
        .expect("a file");
        let leaked = Search::run(canary, directory.path(), "").expect("a search");
        assert_eq!(leaked.files, 2);
        assert!(!leaked.hits.is_empty());
        assert!(
            leaked.hits.iter().all(|hit| !hit.contains(canary)),
            "a finding contains the secret"
        );
    }
}
