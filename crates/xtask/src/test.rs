//! `cargo xtask test`: runs all tests of the workspace, and keeps all their output and files.
//!
//! Every test process gets two environment variables: `CONNECTORS_TEST_ARTEFACTS`, a fresh
//! directory for logs and databases, and `CONNECTORS_TEST_CANARY`, a random prefix for every secret
//! that a test plants. Further variables contain the paths of the installed [`counterparts`] and the
//! addresses of private database [servers](crate::servers).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Instant;

use ring::rand::{SecureRandom, SystemRandom};

use crate::leak::Search;
use crate::process::cargo;
use crate::servers::Servers;
use crate::workspace::Workspace;
use crate::{Result, counterparts};

/// The mode of the long-running tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Soak {
    /// The mode in the environment variable `CONNECTORS_SOAK`.
    Inherited,
    Short,
    Full,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    soak: Soak,
    keep_artefacts: bool,
}

impl Options {
    pub(crate) fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self {
            soak: Soak::Inherited,
            keep_artefacts: false,
        };
        for argument in arguments {
            match *argument {
                "--short" => options.soak = Soak::Short,
                "--full" => options.soak = Soak::Full,
                "--keep" => options.keep_artefacts = true,
                unknown => return Err(format!("unknown option `{unknown}`").into()),
            }
        }
        Ok(options)
    }
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<ExitCode> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the elapsed time is only printed"
    )]
    let started = Instant::now();
    let artefacts = Artefacts::create(workspace)?;
    println!("artefacts: {}", artefacts.directory.display());

    let counterparts = counterparts::install(workspace)?;
    let servers = Servers::start()?;

    let mut tests = cargo(
        workspace.root(),
        // `--show-output`: passing tests print the counts that they check.
        &[
            "test",
            "--workspace",
            "--all-features",
            "--no-fail-fast",
            "--",
            "--show-output",
        ],
    );
    tests
        .env("CONNECTORS_TEST_ARTEFACTS", &artefacts.directory)
        .env("CONNECTORS_TEST_CANARY", &artefacts.canary)
        .envs(counterparts)
        .envs(servers.variables());
    match options.soak {
        Soak::Inherited => {}
        Soak::Short => {
            tests.env_remove("CONNECTORS_SOAK");
        }
        Soak::Full => {
            tests.env("CONNECTORS_SOAK", "full");
        }
    }
    let log = artefacts.directory.join("cargo-test.stdout");
    let progress = artefacts.directory.join("cargo-test.stderr");
    let tests_passed = tee(tests, &log, &progress)?;
    let tally = Tally::read(BufReader::new(File::open(&log)?))?;

    println!();
    for (why, times) in &tally.skipped {
        println!("{why} ({times} times)");
    }
    println!(
        "tests: {} passed, {} failed, {} ignored in {} test programs, {} s",
        tally.passed,
        tally.failed,
        tally.ignored,
        tally.programs,
        started.elapsed().as_secs()
    );
    let progress = String::from_utf8_lossy(&fs::read(&progress)?).into_owned();
    let search = Search::run(&artefacts.canary, &artefacts.directory, &progress)?;
    for hit in &search.hits {
        println!("leak: {hit}");
    }
    println!(
        "leaks: {} hits in {} files, {} bytes; {} secrets planted; {} test programs traced",
        search.hits.len(),
        search.files,
        search.bytes,
        search.planted,
        search.traced
    );

    let mut complaints = search.complaints();
    if !tests_passed {
        complaints.push("cargo test failed".to_owned());
    }
    if tally.passed == 0 {
        complaints.push("no test was run".to_owned());
    }

    if complaints.is_empty() {
        println!("ok: test");
        if !options.keep_artefacts {
            fs::remove_dir_all(&artefacts.directory)?;
        }
        Ok(ExitCode::SUCCESS)
    } else {
        println!(
            "failed: test: {}; see {}",
            complaints.join("; "),
            artefacts.directory.display()
        );
        Ok(ExitCode::FAILURE)
    }
}

/// The directory for the files of one test run, and the prefix of its secrets.
struct Artefacts {
    directory: PathBuf,
    canary: String,
}

impl Artefacts {
    fn create(workspace: &Workspace) -> Result<Self> {
        let random = SystemRandom::new();
        // The name of the directory is printed, so it must not contain the canary.
        let name = format!(
            "{}-{}",
            std::process::id(),
            lowercase_alphanumerics(&random, 8)?
        );
        let directory = workspace
            .target_directory()
            .join("test-artefacts")
            .join(name);
        fs::create_dir_all(&directory)?;
        Ok(Self {
            directory,
            canary: lowercase_alphanumerics(&random, 24)?,
        })
    }
}

fn lowercase_alphanumerics(random: &SystemRandom, length: usize) -> Result<String> {
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::with_capacity(length);
    let mut draw = [0_u8; 32];
    while text.len() < length {
        random
            .fill(&mut draw)
            .map_err(|_| "the system's random source failed")?;
        // 252 is the largest multiple of 36 that fits into a byte. Larger values would make some
        // letters more likely.
        let letters = draw.iter().filter(|byte| **byte < 252);
        let missing = length - text.len();
        text.extend(
            letters
                .map(|byte| char::from(LETTERS[usize::from(byte % 36)]))
                .take(missing),
        );
    }
    Ok(text)
}

/// Runs `command`. Both output streams are printed live and written to a file each.
fn tee(mut command: Command, stdout: &Path, stderr: &Path) -> Result<bool> {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (Some(child_stdout), Some(child_stderr)) = (child.stdout.take(), child.stderr.take())
    else {
        return Err("the child process has no output streams".into());
    };
    let (stdout, stderr) = (File::create(stdout)?, File::create(stderr)?);
    thread::scope(|scope| {
        let copy = scope.spawn(|| copy_to_both(child_stderr, stderr, io::stderr()));
        copy_to_both(child_stdout, stdout, io::stdout())?;
        copy.join()
            .map_err(|_| io::Error::other("copying the error stream panicked"))?
    })?;
    Ok(child.wait()?.success())
}

fn copy_to_both(mut from: impl Read, mut file: File, mut shown: impl Write) -> io::Result<()> {
    let mut buffer = [0_u8; 8192];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        file.write_all(&buffer[..length])?;
        shown.write_all(&buffer[..length])?;
        shown.flush()?;
    }
}

/// The sums of the result lines of all test programs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    programs: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
    /// The messages of skipped tests, with their counts.
    skipped: BTreeMap<String, u64>,
}

impl Tally {
    fn read(output: impl BufRead) -> Result<Self> {
        let mut tally = Self::default();
        for line in output.split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            if let Some(counts) = line.strip_prefix("test result: ") {
                tally.programs += 1;
                tally.passed += count(counts, "passed");
                tally.failed += count(counts, "failed");
                tally.ignored += count(counts, "ignored");
            } else if line.starts_with("skipped: ") {
                *tally.skipped.entry(line.trim_end().to_owned()).or_default() += 1;
            }
        }
        Ok(tally)
    }
}

/// Returns the number before `name` in `ok. 3 passed; 0 failed; …`.
fn count(counts: &str, name: &str) -> u64 {
    counts
        .split(['.', ';'])
        .filter_map(|part| part.trim().strip_suffix(name)?.trim().parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::process::Command;

    use ring::rand::SystemRandom;

    use super::{Options, Soak, Tally, lowercase_alphanumerics, tee};

    #[test]
    fn closing_lines_are_added_up() {
        let output = b"running 2 tests\n\
            test a ... ok\n\
            skipped: no database is named\n\
            test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.12s\n\
            skipped: no database is named\n\
            test result: FAILED. 3 passed; 4 failed; 0 ignored; 0 measured; 5 filtered out; finished in 1.00s\n";
        assert_eq!(
            Tally::read(output.as_slice()).expect("a tally"),
            Tally {
                programs: 2,
                passed: 5,
                failed: 4,
                ignored: 1,
                skipped: BTreeMap::from([("skipped: no database is named".to_owned(), 2)]),
            }
        );
    }

    #[test]
    fn random_names_have_the_asked_length_and_letters_and_differ() {
        let random = SystemRandom::new();
        let names: BTreeSet<String> = (0..1000)
            .map(|_| lowercase_alphanumerics(&random, 24).expect("random bytes"))
            .collect();
        assert_eq!(names.len(), 1000);
        for name in names {
            assert_eq!(name.len(), 24);
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
            );
        }
    }

    #[test]
    fn both_streams_reach_their_files_and_a_failure_is_seen() {
        let directory = tempfile::tempdir().expect("a directory");
        let (out, err) = (directory.path().join("out"), directory.path().join("err"));
        let mut command = Command::new("sh");
        command.args(["-c", "echo to stdout; echo to stderr >&2; exit 3"]);
        assert!(!tee(command, &out, &err).expect("the command runs"));
        assert_eq!(std::fs::read_to_string(out).expect("a file"), "to stdout\n");
        assert_eq!(std::fs::read_to_string(err).expect("a file"), "to stderr\n");
    }

    #[test]
    fn options_are_read_and_unknown_ones_refused() {
        assert_eq!(
            Options::parse(&["--full", "--keep"]).expect("options"),
            Options {
                soak: Soak::Full,
                keep_artefacts: true
            }
        );
        assert_eq!(
            Options::parse(&[]).expect("options"),
            Options {
                soak: Soak::Inherited,
                keep_artefacts: false
            }
        );
        assert!(Options::parse(&["--fast"]).is_err());
    }
}
