//! Tests of the cipher suite: a cipher that breaks one rule fails only the case of this rule.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use connector_core::cipher::{
    CredentialCipher, KeyId, Keyring, MAX_PLAINTEXT, Plaintext, SealContext, Sealed,
};
use connector_core::{Error, ErrorKind, Random, Result};
use connector_testkit::cipher::CASES;

/// The rule that a cipher breaks.
#[derive(Debug, Clone, Copy)]
enum Fault {
    IgnoresFence,
    IgnoresGrant,
    IgnoresKind,
    IgnoresRow,
    IgnoresApp,
    IgnoresProvider,
    IgnoresTenant,
    SealsNothing,
    ShowsPlaintext,
    IgnoresWhatFollows,
    RepeatsItself,
    CutsLongPlaintext,
    RefusesLongPlaintext,
    NamesAnotherKey,
    TellsPlaintext,
}

#[derive(Debug)]
struct Faulty {
    fault: Fault,
    keyring: Keyring,
    seals: AtomicU64,
}

#[derive(Debug)]
struct Constant;

impl Random for Constant {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        bytes.fill(7);
        Ok(())
    }
}

const OTHER_KEY: KeyId = KeyId::from_bytes(*b"otherkey");

impl Faulty {
    fn new(fault: Fault) -> Self {
        let keyring = Keyring::parse(&Keyring::generate().unwrap()).unwrap();
        Self {
            fault,
            keyring: match fault {
                Fault::RepeatsItself => keyring.with_random(Arc::new(Constant)),
                _ => keyring,
            },
            seals: AtomicU64::new(0),
        }
    }

    /// Returns the context without the part that the cipher ignores.
    fn seen<R>(&self, place: &SealContext<'_>, then: impl FnOnce(&SealContext<'_>) -> R) -> R {
        let provider = connector_core::ProviderId::from_static("any");
        let app = connector_core::AppKey::default();
        let mut seen = *place;
        match self.fault {
            Fault::IgnoresFence => seen.fence = connector_core::store::Fence::new(0),
            Fault::IgnoresGrant => seen.grant = connector_core::store::GrantNumber::new(0),
            Fault::IgnoresKind => seen.kind = connector_core::cipher::SealedKind::State,
            Fault::IgnoresRow => seen.row = "",
            Fault::IgnoresApp => seen.app = &app,
            Fault::IgnoresProvider => seen.provider = &provider,
            Fault::IgnoresTenant => seen.tenant = None,
            _ => {}
        }
        then(&seen)
    }

    /// An unauthenticated stream cipher with a counter.
    fn masked(counter: [u8; 8], bytes: &[u8]) -> Vec<u8> {
        let mask = counter.iter().cycle().zip(0_u8..=u8::MAX);
        bytes
            .iter()
            .zip(mask.cycle())
            .map(|(byte, (counter, at))| byte ^ counter ^ at ^ 0xA5)
            .collect()
    }
}

#[async_trait]
impl CredentialCipher for Faulty {
    async fn seal(&self, place: &SealContext<'_>, plaintext: &[u8]) -> Result<Sealed> {
        let whole = plaintext;
        let plaintext = match self.fault {
            Fault::CutsLongPlaintext => &plaintext[..plaintext.len().min(MAX_PLAINTEXT)],
            _ => plaintext,
        };
        if matches!(self.fault, Fault::RefusesLongPlaintext) && plaintext.len() > 1_000 {
            return Err(Error::new(ErrorKind::InvalidInput, "seal", "too long"));
        }
        let sealed = self.seen(place, |seen| self.keyring.seal_now(seen, plaintext));
        if matches!(self.fault, Fault::TellsPlaintext) {
            return sealed.map_err(|error| error.with_source(String::from_utf8_lossy(whole)));
        }
        let sealed = sealed?;
        let key_id = sealed.key_id();
        Ok(match self.fault {
            Fault::SealsNothing => {
                let counter = self.seals.fetch_add(1, Ordering::Relaxed).to_be_bytes();
                let masked = Self::masked(counter, plaintext);
                Sealed::new(key_id, [counter.as_slice(), &masked].concat())
            }
            Fault::ShowsPlaintext => {
                Sealed::new(key_id, [sealed.bytes().as_ref(), plaintext].concat())
            }
            Fault::IgnoresWhatFollows => {
                let length = u32::try_from(sealed.bytes().len()).unwrap().to_be_bytes();
                Sealed::new(key_id, [length.as_slice(), sealed.bytes()].concat())
            }
            Fault::NamesAnotherKey => Sealed::new(OTHER_KEY, sealed.bytes().clone()),
            _ => sealed,
        })
    }

    async fn open(&self, place: &SealContext<'_>, sealed: &Sealed) -> Result<Plaintext> {
        let key_id = self.keyring.sealing_key();
        let refused = || Error::new(ErrorKind::Unsealable, "open", "broken");
        let bytes = sealed.bytes();
        let inner = match self.fault {
            Fault::SealsNothing => {
                let (counter, masked) = bytes.split_first_chunk().ok_or_else(refused)?;
                return Ok(Plaintext::new(Self::masked(*counter, masked)));
            }
            Fault::ShowsPlaintext => {
                // The sealed form is longer than the plaintext by a constant.
                let length = bytes.len().checked_sub(105).ok_or_else(refused)? / 2;
                let (inner, shown) = bytes.split_at(105 + length);
                let inner = Sealed::new(key_id, inner.to_vec());
                let opened = self.keyring.open_now(place, &inner)?;
                return if opened.expose() == shown {
                    Ok(opened)
                } else {
                    Err(refused())
                };
            }
            Fault::IgnoresWhatFollows => {
                let (length, rest) = bytes.split_first_chunk().ok_or_else(refused)?;
                let length = u32::from_be_bytes(*length).try_into().unwrap();
                let inner = rest.get(..length).ok_or_else(refused)?;
                Sealed::new(key_id, inner.to_vec())
            }
            Fault::NamesAnotherKey => Sealed::new(key_id, bytes.clone()),
            _ => sealed.clone(),
        };
        self.seen(place, |seen| self.keyring.open_now(seen, &inner))
    }

    fn sealing_key(&self) -> KeyId {
        self.keyring.sealing_key()
    }
}

/// Returns the cases that a cipher fails, with their messages.
fn failures(cipher: &dyn CredentialCipher) -> Vec<(&'static str, String)> {
    connector_testkit::trace::init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    CASES
        .iter()
        .filter_map(|case| {
            let run = AssertUnwindSafe(|| runtime.block_on((case.run)(cipher)));
            let panic = catch_unwind(run).err()?;
            let message = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some((case.name, message.unwrap()))
        })
        .collect()
}

#[test]
fn every_broken_rule_fails_its_case_and_no_other() {
    const PLACE: &[&str] = &["another_place_is_refused"];
    let table: &[(Fault, &[&str], &str)] = &[
        (Fault::IgnoresFence, PLACE, "another fence"),
        (Fault::IgnoresGrant, PLACE, "another grant"),
        (Fault::IgnoresKind, PLACE, "another kind"),
        (Fault::IgnoresRow, PLACE, "another row"),
        (Fault::IgnoresApp, PLACE, "another app"),
        (Fault::IgnoresProvider, PLACE, "another provider"),
        (Fault::IgnoresTenant, PLACE, "another tenant"),
        (
            Fault::SealsNothing,
            &[
                "another_place_is_refused",
                "changed_bytes_are_refused",
                "truncated_bytes_are_refused",
            ],
            "the record was decrypted",
        ),
        (
            Fault::ShowsPlaintext,
            &["sealed_bytes_hide_the_plaintext"],
            "a part of the plaintext",
        ),
        (
            Fault::IgnoresWhatFollows,
            &["changed_bytes_are_refused"],
            "added at the end",
        ),
        (Fault::RepeatsItself, &["sealing_twice_differs"], "repeats"),
        (
            Fault::CutsLongPlaintext,
            &["too_long_a_plaintext_is_refused"],
            "65537 bytes",
        ),
        (
            Fault::RefusesLongPlaintext,
            &["what_was_sealed_opens_in_its_place"],
            "sealing 1024 bytes failed",
        ),
        (
            Fault::NamesAnotherKey,
            &["sealed_under_the_sealing_key"],
            "assertion",
        ),
        (
            Fault::TellsPlaintext,
            &["errors_do_not_show_the_plaintext"],
            "shows the plaintext",
        ),
    ];
    let mut bitten = BTreeSet::new();
    for (fault, expected, says) in table {
        let failures = failures(&Faulty::new(*fault));
        let names: Vec<&str> = failures.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, *expected, "{fault:?}");
        let (_, message) = &failures[0];
        assert!(message.contains(says), "{fault:?}: {message}");
        bitten.extend(names);
    }
    let all: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(bitten, all, "every case is failed by some cipher");
    eprintln!(
        "faulty ciphers caught: {}; cases that bite: {} of {}",
        table.len(),
        bitten.len(),
        CASES.len()
    );
}

#[test]
fn the_documentation_names_the_cases() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../connector-core/src/cipher/mod.rs"
    );
    let source = std::fs::read_to_string(path).unwrap();
    let (before, _) = source.split_once("pub trait CredentialCipher").unwrap();
    // In the trait's documentation, only the names of rules are code in brackets.
    let documentation: String = before
        .lines()
        .rev()
        .skip_while(|line| !line.starts_with("///"))
        .take_while(|line| line.starts_with("///"))
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    let code = documentation.split('`').skip(1).step_by(2);
    let named: BTreeSet<&str> = code
        .filter(|code| {
            code.contains('_')
                && code
                    .chars()
                    .all(|character| character.is_ascii_lowercase() || character == '_')
        })
        .collect();
    let cases: BTreeSet<&str> = CASES.iter().map(|case| case.name).collect();
    assert_eq!(cases.len(), CASES.len(), "no name stands twice");
    assert_eq!(named, cases);
}
