//! The leak probe, which plants known secrets in tests and searches all artefacts of the tests for
//! these secrets.
//!
//! Every secret in a test comes from [`canary`] or [`canary_bytes`]. All secrets of a run start
//! with the same random text, set by the environment variable `CONNECTORS_TEST_CANARY`. After the
//! run, a [`Probe`] searches the artefacts of the test processes (databases, logs, files) for this
//! text in every common encoding.
//!
//! The probe does not find a secret whose prefix is split, for example at the border of two
//! database pages. It also does not find secrets that are compressed, or encoded twice in different
//! encodings. A secret that is written many times is still found.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};

use crate::config;

/// Permitted length of the prefix, in bytes. The prefix must be so long that it does not occur by
/// chance, and so short that a key still contains random bytes.
const PREFIX_BYTES: std::ops::RangeInclusive<usize> = 12..=24;

/// Maximum number of findings per file.
const FINDINGS_PER_FILE: usize = 100;

/// Generates a random prefix for the secrets of a run: 16 letters and digits.
///
/// # Panics
/// Panics if the system's random source fails.
#[must_use]
pub fn random_prefix() -> String {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    hexadecimal(&bytes).to_lowercase()
}

/// Returns a secret for the leak probe to search for. It consists of the prefix of this run, the
/// purpose `what`, and a number that is unique in this process.
///
/// Also counts the planted secrets in the directory `CONNECTORS_TEST_ARTEFACTS`, so that a search
/// can check that secrets were planted. The directory does not contain the secret.
///
/// # Panics
/// Panics if `CONNECTORS_TEST_CANARY` is not 12 to 24 ASCII letters and digits, or if the count
/// cannot be written.
#[must_use]
pub fn canary(what: &str) -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    count_planted();
    let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    format!("{}{what}-{number}", prefix())
}

/// Returns secret bytes to plant, for example a key. They consist of the prefix of this run and
/// random bytes.
///
/// # Panics
/// Panics as [`canary`] does, and if `N` leaves fewer than 8 random bytes.
#[must_use]
pub fn canary_bytes<const N: usize>() -> [u8; N] {
    let prefix = prefix().as_bytes();
    assert!(
        N >= prefix.len() + 8,
        "{N} bytes are too few for the canary prefix and 8 random bytes"
    );
    count_planted();
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes[..prefix.len()].copy_from_slice(prefix);
    bytes
}

/// Returns a key to plant in a [`Keyring`](connector_core::cipher::Keyring), in the format of
/// [`Keyring::parse`](connector_core::cipher::Keyring::parse): the prefix of this run, followed by
/// random bytes.
///
/// # Panics
/// Panics as [`canary`] does.
#[must_use]
pub fn canary_key() -> SecretString {
    SecretString::from(STANDARD.encode(canary_bytes::<32>()))
}

/// Returns the SHA-256 of a secret in hexadecimal. A test may print it to compare secrets.
#[must_use]
pub fn digest(secret: &SecretString) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, secret.expose_secret().as_bytes());
    hex::encode(digest)
}

fn fill(bytes: &mut [u8]) {
    let filled = SystemRandom::new().fill(bytes);
    assert!(filled.is_ok(), "the system's random source failed");
}

/// Returns the prefix of every secret in this run.
pub(crate) fn prefix() -> &'static str {
    static PREFIX: OnceLock<String> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let prefix = config::canary().unwrap_or_else(random_prefix);
        check(&prefix);
        prefix
    })
}

fn check(prefix: &str) {
    // The message does not contain the text, because it may be in use.
    assert!(
        PREFIX_BYTES.contains(&prefix.len()) && prefix.bytes().all(|b| b.is_ascii_alphanumeric()),
        "the canary ({}) must be 12 to 24 ASCII letters and digits",
        config::CANARY
    );
}

/// Adds one line to this process's count.
fn count_planted() {
    if let Some(directory) = config::artefacts() {
        let counted = count_planted_in(&directory);
        assert!(
            counted.is_ok(),
            "the planted secret could not be counted in {}: {counted:?}",
            config::ARTEFACTS
        );
    }
}

fn count_planted_in(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join(format!("{PLANTED}{}", std::process::id())))?
        .write_all(b"1\n")
}

/// Prefix of the names of the count files. A count file contains one line per planted secret.
const PLANTED: &str = "planted-";

/// The encoding in which a secret was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Encoding {
    /// Unchanged.
    Raw,
    /// Base64 with the standard or the URL-safe alphabet, at any alignment.
    Base64,
    /// Hexadecimal digits.
    Hex,
    /// Percent-encoding of every byte: `%` and two hexadecimal digits.
    Percent,
    /// JSON escapes of every character: `\u` and four hexadecimal digits.
    JsonEscape,
    /// A list of numbers, as in `Debug` and JSON output of bytes.
    Numbers,
}

impl Encoding {
    /// Returns the name of the encoding.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Base64 => "base64",
            Self::Hex => "hex",
            Self::Percent => "percent-encoding",
            Self::JsonEscape => "JSON escapes",
            Self::Numbers => "numbers",
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The location of a found secret. Never contains the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The path of the file. If a file name contains the secret, the searched directory. Empty if
    /// no file was searched.
    pub path: PathBuf,
    /// Offset of the secret, in bytes.
    pub offset: u64,
    /// The encoding of the secret.
    pub encoding: Encoding,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            offset,
            encoding,
        } = self;
        write!(
            f,
            "{}: a secret at byte {offset}, {encoding}",
            path.display()
        )
    }
}

/// The result of a search in a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Number of files that were read.
    pub files: u64,
    /// Total size of the files, in bytes.
    pub bytes: u64,
    /// Number of secrets that the test processes planted. If the number is zero, a search without
    /// findings proves nothing.
    pub planted: u64,
    /// The findings, at most 100 per file.
    pub findings: Vec<Finding>,
}

/// Searches for secrets with a given prefix.
pub struct Probe {
    needles: AhoCorasick,
    encodings: Vec<Encoding>,
}

impl Probe {
    /// Creates a probe that searches for `prefix` in every [`Encoding`].
    ///
    /// # Panics
    /// Panics if `prefix` is not 12 to 24 ASCII letters and digits. A shorter prefix would give
    /// false findings, and other characters would hide some encodings.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "the number and length of the encodings are limited"
    )]
    pub fn new(prefix: impl AsRef<str>) -> Self {
        let prefix = prefix.as_ref();
        check(prefix);
        let (encodings, needles): (Vec<_>, Vec<_>) = forms(prefix.as_bytes()).into_iter().unzip();
        let needles = AhoCorasick::new(needles).expect("a few short texts are within the limits");
        Self { needles, encodings }
    }

    /// Searches bytes. The findings have no path.
    #[must_use]
    pub fn scan_bytes(&self, bytes: &[u8]) -> Vec<Finding> {
        self.needles
            .find_iter(bytes)
            .take(FINDINGS_PER_FILE)
            .map(|found| self.finding(&found))
            .collect()
    }

    /// Searches all data from `reader`, in bounded memory. The findings have no path.
    ///
    /// # Errors
    /// The reader's I/O error.
    pub fn scan_reader(&self, reader: impl Read) -> io::Result<Vec<Finding>> {
        let mut findings = Vec::new();
        for found in self.needles.stream_find_iter(reader) {
            let found = found?;
            if findings.len() < FINDINGS_PER_FILE {
                findings.push(self.finding(&found));
            }
        }
        Ok(findings)
    }

    /// Searches every file in a directory and its subdirectories, and the file names. Does not
    /// follow symbolic links. Skips entries that are not files.
    ///
    /// # Errors
    /// An I/O error if any file cannot be read, because the search would be incomplete.
    pub fn scan_directory(&self, path: impl AsRef<Path>) -> io::Result<Report> {
        let root = path.as_ref();
        let mut report = Report::default();
        let mut directories = vec![root.to_owned()];
        while let Some(directory) = directories.pop() {
            let mut entries = fs::read_dir(&directory)?.collect::<io::Result<Vec<_>>>()?;
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                self.scan_entry(&entry, root, &mut report, &mut directories)?;
            }
        }
        Ok(report)
    }

    fn scan_entry(
        &self,
        entry: &fs::DirEntry,
        root: &Path,
        report: &mut Report,
        directories: &mut Vec<PathBuf>,
    ) -> io::Result<()> {
        let path = entry.path();
        let name = entry.file_name();
        let in_name = self.scan_bytes(name.as_encoded_bytes());
        let found_in_name = in_name.into_iter().map(|found| found.in_file(root));
        report.findings.extend(found_in_name);
        let kind = entry.file_type()?;
        if kind.is_dir() {
            directories.push(path);
        } else if kind.is_file() {
            let mut counted = Counting {
                file: File::open(&path)?,
                bytes: 0,
            };
            let inside = path.strip_prefix(root).unwrap_or(&path);
            let names = self.scan_bytes(inside.as_os_str().as_encoded_bytes());
            let shown = if names.is_empty() { &path } else { root };
            let findings = self.scan_reader(&mut counted)?;
            report.files += 1;
            report.bytes += counted.bytes;
            report
                .findings
                .extend(findings.into_iter().map(|found| found.in_file(shown)));
            if name.as_encoded_bytes().starts_with(PLANTED.as_bytes()) {
                report.planted += fs::read_to_string(&path)?.lines().count() as u64;
            }
        }
        Ok(())
    }

    fn finding(&self, found: &aho_corasick::Match) -> Finding {
        Finding {
            path: PathBuf::new(),
            offset: found.start() as u64,
            encoding: self.encodings[found.pattern().as_usize()],
        }
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probe").finish_non_exhaustive()
    }
}

impl Finding {
    fn in_file(mut self, path: &Path) -> Self {
        path.clone_into(&mut self.path);
        self
    }
}

struct Counting {
    file: File,
    bytes: u64,
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

/// Returns every encoded form of `secret`.
fn forms(secret: &[u8]) -> BTreeSet<(Encoding, Vec<u8>)> {
    let mut forms = BTreeSet::from([(Encoding::Raw, secret.to_vec())]);
    let mut add = |encoding, text: String| forms.insert((encoding, text.into_bytes()));
    for alignment in 0..3 {
        add(Encoding::Base64, base64_inside(secret, alignment));
    }
    let digits = hexadecimal(secret);
    for digits in [digits.to_lowercase(), digits] {
        let pairs: Vec<&str> = (0..secret.len())
            .map(|at| &digits[2 * at..2 * at + 2])
            .collect();
        add(Encoding::Percent, format!("%{}", pairs.join("%")));
        add(
            Encoding::JsonEscape,
            format!("\\u00{}", pairs.join("\\u00")),
        );
        add(Encoding::Hex, digits);
    }
    let numbers: Vec<_> = secret.iter().map(u8::to_string).collect();
    add(Encoding::Numbers, numbers.join(","));
    add(Encoding::Numbers, numbers.join(", "));
    forms
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        for half in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(half.into(), 16).map(|d| d.to_ascii_uppercase()));
        }
        text
    })
}

/// Returns the characters of a base64 text that are the same for any data around `secret`.
/// `alignment` is the number of bytes before `secret`, modulo 3. The secrets contain only letters
/// and digits, which never produce `+` or `/` in base64. The result is therefore the same in the
/// standard and the URL-safe alphabet.
fn base64_inside(secret: &[u8], alignment: usize) -> String {
    let mut bytes = vec![0; alignment];
    bytes.extend_from_slice(secret);
    let text = STANDARD_NO_PAD.encode(&bytes);
    let first = (8 * alignment).div_ceil(6);
    let end = 8 * bytes.len() / 6;
    text[first..end].to_owned()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    const PREFIX: &str = "Canary0123456789";

    fn each(text: &str, form: impl Fn(u8) -> String) -> String {
        text.bytes().map(form).collect::<Vec<_>>().concat()
    }

    /// Returns a secret in every encoding, as produced by real encoders, surrounded by other data.
    fn planted() -> Vec<(Encoding, String)> {
        let secret = format!("{PREFIX}refresh-7");
        let mut all = vec![
            (Encoding::Raw, format!("code={secret}&state=x")),
            (Encoding::Raw, serde_like(&secret)),
            (Encoding::Raw, format!("{PREFIX}%20refresh")),
            (Encoding::Hex, each(&secret, |b| format!("{b:02x}"))),
            (Encoding::Hex, each(&secret, |b| format!("{b:02X}"))),
            (Encoding::Percent, each(&secret, |b| format!("%{b:02x}"))),
            (Encoding::Percent, each(&secret, |b| format!("%{b:02X}"))),
            (
                Encoding::JsonEscape,
                each(&secret, |b| format!("\\u{b:04x}")),
            ),
            (
                Encoding::JsonEscape,
                each(&secret, |b| format!("\\u{b:04X}")),
            ),
            (
                Encoding::Numbers,
                format!("{:?}", secret.as_bytes()).replace(' ', ""),
            ),
        ];
        // Bytes that are encoded differently in the two alphabets, before and after the secret.
        for before in 0..6 {
            for after in 0..3 {
                let mut bytes = vec![0xff; before];
                bytes.extend_from_slice(secret.as_bytes());
                bytes.extend(vec![0xfe; after]);
                for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
                    all.push((Encoding::Base64, engine.encode(&bytes)));
                }
                all.push((Encoding::Base64, STANDARD.encode(&bytes)));
            }
        }
        all
    }

    fn serde_like(secret: &str) -> String {
        format!("{{\"refresh_token\":\"{secret}\"}}")
    }

    fn encodings(findings: &[Finding]) -> Vec<Encoding> {
        findings.iter().map(|found| found.encoding).collect()
    }

    /// A reader that returns its data in fixed-size chunks.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(buffer.len());
            buffer[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn a_planted_secret_is_found_in_every_encoding() {
        let probe = Probe::new(PREFIX);
        for (encoding, text) in planted() {
            let text = format!("before {text} after");
            assert_eq!(
                encodings(&probe.scan_bytes(text.as_bytes())),
                [encoding],
                "{text}"
            );
        }
    }

    #[test]
    fn a_secret_is_found_across_every_border_of_what_is_read() {
        let probe = Probe::new(PREFIX);
        for (encoding, text) in planted() {
            for length in [1, 2, 3, 7, 16, 4096] {
                let found = probe.scan_reader(Pieces(text.as_bytes(), length)).unwrap();
                assert_eq!(
                    encodings(&found),
                    [encoding],
                    "{text} in pieces of {length}"
                );
            }
        }
        for border in [4096, 8192, 65_536, 131_072] {
            for before in border - PREFIX.len()..=border {
                let mut bytes = vec![b'.'; before];
                bytes.extend_from_slice(PREFIX.as_bytes());
                bytes.extend(vec![b'.'; 100_000]);
                let found = probe.scan_reader(bytes.as_slice()).unwrap();
                let offsets: Vec<_> = found.iter().map(|found| found.offset).collect();
                assert_eq!(offsets, [before as u64]);
            }
        }
    }

    #[test]
    fn a_clean_file_gives_no_finding() {
        let probe = Probe::new(PREFIX);
        let mut clean = vec![0; 1 << 20];
        fill(&mut clean);
        for part in [&PREFIX[1..], &PREFIX[..15], "canary0123456789"] {
            clean.extend_from_slice(part.as_bytes());
            clean.push(b'\n');
        }
        assert_eq!(probe.scan_bytes(&clean), []);
        assert_eq!(probe.scan_reader(clean.as_slice()).unwrap(), []);
    }

    #[test]
    fn every_file_below_a_directory_is_searched() {
        let root = tempfile::tempdir().unwrap();
        let below = root.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        fs::write(root.path().join("clean"), "nothing here").unwrap();
        fs::write(below.join("store.db-wal"), format!("...{PREFIX}")).unwrap();
        fs::write(
            root.path().join(format!("{PREFIX}.log")),
            format!("{PREFIX}!"),
        )
        .unwrap();
        count_planted_in(root.path()).unwrap();
        count_planted_in(root.path()).unwrap();

        let report = Probe::new(PREFIX).scan_directory(root.path()).unwrap();

        assert_eq!((report.files, report.planted), (4, 2));
        assert_eq!(report.bytes, 12 + 19 + 17 + 4);
        let mut found: Vec<_> = report
            .findings
            .iter()
            .map(|found| (found.path.clone(), found.offset))
            .collect();
        found.sort();
        assert_eq!(
            found,
            [
                (root.path().to_owned(), 0),
                (root.path().to_owned(), 0),
                (below.join("store.db-wal"), 3),
            ]
        );
        let shown = format!("{report:?} {}", report.findings[0]);
        assert!(!shown.contains(PREFIX));
    }

    #[test]
    fn a_directory_that_cannot_be_read_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let missing = root.path().join("missing");
        assert!(Probe::new(PREFIX).scan_directory(missing).is_err());
    }

    #[test]
    fn canaries_differ_and_begin_alike() {
        let (first, second) = (canary("access"), canary("access"));
        assert_ne!(first, second);
        let bytes = canary_bytes::<32>();
        assert_ne!(bytes, canary_bytes::<32>());
        let probe = Probe::new(prefix());
        for planted in [first.as_bytes(), second.as_bytes(), &bytes] {
            assert_eq!(encodings(&probe.scan_bytes(planted)), [Encoding::Raw]);
        }
    }

    #[test]
    fn a_prefix_that_would_find_too_much_or_too_little_is_refused() {
        for bad in [
            "",
            "short",
            "with-a-hyphen-in",
            "longer0than0any0key0allows",
        ] {
            let made = std::panic::catch_unwind(|| Probe::new(bad));
            assert!(made.is_err(), "{bad}");
        }
        let random = random_prefix();
        assert_ne!(random, random_prefix());
        check(&random);
    }
}
