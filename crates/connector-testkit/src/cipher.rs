//! Conformance cases for [`CredentialCipher`] implementations: one case per rule.
//!
//! ```ignore
//! connector_testkit::cipher_suite!(Fixture);
//! ```
//!
//! expands to one `#[test]` per rule, named as in the trait's documentation.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connector_core::cipher::{
    CredentialCipher, MAX_PLAINTEXT, Plaintext, SealContext, Sealed, SealedKind,
};
use connector_core::store::{Fence, GrantNumber};
use connector_core::{AppKey, Error, ErrorKind, ProviderId, TenantId};

/// A source of ciphers for the suite.
#[async_trait]
pub trait CipherFixture: 'static {
    /// The cipher.
    type Cipher: CredentialCipher;

    /// Returns a cipher that is ready for use. Panics on failure, so that the case fails.
    async fn create() -> Self::Cipher;
}

/// One case of the suite, with the name of a rule and a test of the rule.
#[derive(Clone, Copy)]
pub struct Case {
    /// The name of the rule, as in the trait's documentation.
    pub name: &'static str,
    /// Tests a cipher. Panics if the cipher violates the rule.
    pub run: Run,
}

/// The test function of a rule.
pub type Run =
    for<'a> fn(&'a dyn CredentialCipher) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case").field(&self.name).finish()
    }
}

/// All cases, in the order of the trait's documentation.
pub const CASES: &[Case] = crate::cipher_suite!(@list table);

/// Runs the case `name` with a new cipher.
///
/// # Panics
/// Panics if the cipher breaks the rule, or if there is no such case.
#[expect(
    clippy::panic,
    clippy::expect_used,
    reason = "a case fails by panicking, and runs only in tests"
)]
pub fn run<F: CipherFixture>(name: &str) {
    let Some(case) = CASES.iter().find(|case| case.name == name) else {
        panic!("the cipher suite has no case {name}");
    };
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the runtime starts")
        .block_on(async { (case.run)(&F::create().await).await });
}

/// Generates one `#[test]` per rule of
/// [`CredentialCipher`](connector_core::cipher::CredentialCipher) for the cipher of a
/// [`CipherFixture`](crate::cipher::CipherFixture).
#[macro_export]
macro_rules! cipher_suite {
    (@list $what:ident $($fixture:ty)?) => {
        $crate::cipher_suite! { @$what [$($fixture)?]
            what_was_sealed_opens_in_its_place
            another_place_is_refused
            changed_bytes_are_refused
            truncated_bytes_are_refused
            sealing_twice_differs
            sealed_bytes_hide_the_plaintext
            too_long_a_plaintext_is_refused
            sealed_under_the_sealing_key
            errors_do_not_show_the_plaintext
        }
    };
    (@table [] $($name:ident)+) => {
        &[$(Case { name: stringify!($name), run: |cipher| Box::pin($name(cipher)) }),+]
    };
    (@tests [$fixture:ty] $($name:ident)+) => {
        $(
            #[test]
            fn $name() {
                $crate::cipher::run::<$fixture>(stringify!($name));
            }
        )+
    };
    ($fixture:ty) => {
        $crate::cipher_suite!(@list tests $fixture);
    };
}

/// An owned seal context, so that cases can change single fields.
#[derive(Debug, Clone, PartialEq)]
struct Spot {
    tenant: Option<TenantId>,
    provider: ProviderId,
    app: AppKey,
    row: String,
    kind: SealedKind,
    grant: GrantNumber,
    fence: Fence,
}

impl Spot {
    fn new() -> Self {
        Self {
            tenant: Some(name("t1")),
            provider: ProviderId::from_static("shopify"),
            app: AppKey::default(),
            row: "0192f0c1-0000-7000-8000-000000000001".to_owned(),
            kind: SealedKind::Credential,
            grant: GrantNumber::new(1),
            fence: Fence::new(7),
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
            grant: self.grant,
            fence: self.fence,
        }
    }
}

const KINDS: [SealedKind; 7] = [
    SealedKind::Credential,
    SealedKind::Quarantine,
    SealedKind::Revocation,
    SealedKind::State,
    SealedKind::Delivery,
    SealedKind::WebhookSecret,
    SealedKind::AppSecret,
];

/// The secret is so long that even an eighth of it does not occur by chance in random bytes.
const CANARY: &str = "canary-5b1f0c6e9d2a4f7783aa6210c4be95d1-do-not-show-this-to-anybody";

#[expect(clippy::expect_used, reason = "the names are constants in the cases")]
fn name<T: std::str::FromStr<Err: fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a valid name")
}

#[expect(clippy::panic, reason = "a case fails by panicking")]
async fn sealed(cipher: &dyn CredentialCipher, spot: &Spot, plaintext: &[u8]) -> Sealed {
    match cipher.seal(&spot.place(), plaintext).await {
        Ok(sealed) => sealed,
        Err(error) => panic!(
            "sealing {} bytes failed: {}",
            plaintext.len(),
            error.report()
        ),
    }
}

#[expect(clippy::panic, reason = "a case fails by panicking")]
async fn opened(cipher: &dyn CredentialCipher, spot: &Spot, sealed: &Sealed) -> Plaintext {
    match cipher.open(&spot.place(), sealed).await {
        Ok(plaintext) => plaintext,
        Err(error) => panic!("opening {sealed:?} failed: {}", error.report()),
    }
}

#[expect(clippy::panic, reason = "a case fails by panicking")]
async fn refused(cipher: &dyn CredentialCipher, spot: &Spot, sealed: &Sealed, what: &str) -> Error {
    match cipher.open(&spot.place(), sealed).await {
        Ok(_) => panic!("{what}: the record was decrypted"),
        Err(error) => error,
    }
}

async fn what_was_sealed_opens_in_its_place(cipher: &dyn CredentialCipher) {
    for length in [0, 1, 15, 16, 17, 1_024, MAX_PLAINTEXT - 1, MAX_PLAINTEXT] {
        let spot = Spot::new();
        let plaintext: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
        let sealed = sealed(cipher, &spot, &plaintext).await;
        let opened = opened(cipher, &spot, &sealed).await;
        assert!(
            opened.expose() == plaintext,
            "{length} bytes were not decrypted to the original content"
        );
    }
    let longest = "n".repeat(255);
    let mut spots: Vec<Spot> = KINDS
        .into_iter()
        .map(|kind| Spot::with(|spot| spot.kind = kind))
        .collect();
    spots.push(Spot::with(|spot| spot.tenant = None));
    spots.push(Spot::with(|spot| {
        spot.tenant = Some(name(&longest));
        spot.provider = name(&"p".repeat(64));
        spot.app = name(&longest);
        spot.row.clone_from(&longest);
        spot.grant = GrantNumber::new(u64::MAX);
        spot.fence = Fence::new(u64::MAX);
    }));
    for spot in spots {
        let sealed = sealed(cipher, &spot, CANARY.as_bytes()).await;
        let opened = opened(cipher, &spot, &sealed).await;
        assert!(
            opened.expose() == CANARY.as_bytes(),
            "the content was not decrypted to the original in {spot:?}"
        );
    }
}

async fn another_place_is_refused(cipher: &dyn CredentialCipher) {
    let home = Spot::new();
    let mut others = vec![
        ("tenant", Spot::with(|spot| spot.tenant = Some(name("t2")))),
        ("tenant", Spot::with(|spot| spot.tenant = None)),
        (
            "provider",
            Spot::with(|spot| spot.provider = ProviderId::from_static("shopifz")),
        ),
        ("app", Spot::with(|spot| spot.app = name("staging"))),
        ("row", Spot::with(|spot| spot.row.replace_range(35.., "2"))),
        ("row", Spot::with(|spot| spot.row.clear())),
        ("grant", Spot::with(|spot| spot.grant = GrantNumber::new(2))),
        ("grant", Spot::with(|spot| spot.grant = GrantNumber::new(0))),
        ("fence", Spot::with(|spot| spot.fence = Fence::new(8))),
        ("fence", Spot::with(|spot| spot.fence = Fence::new(0))),
        (
            "grant and fence, swapped",
            Spot::with(|spot| {
                spot.grant = GrantNumber::new(7);
                spot.fence = Fence::new(1);
            }),
        ),
        (
            "border between provider and app",
            Spot::with(|spot| {
                spot.provider = ProviderId::from_static("shopifyd");
                spot.app = name("efault");
            }),
        ),
        (
            "border between app and row",
            Spot::with(|spot| {
                spot.app = name("default0");
                spot.row.remove(0);
            }),
        ),
        (
            "border between tenant and provider",
            Spot::with(|spot| {
                spot.tenant = Some(name("t1s"));
                spot.provider = ProviderId::from_static("hopify");
            }),
        ),
    ];
    others.extend(
        KINDS
            .into_iter()
            .filter(|kind| *kind != home.kind)
            .map(|kind| ("kind", Spot::with(|spot| spot.kind = kind))),
    );
    for (what, other) in others {
        for (from, to) in [(&home, &other), (&other, &home)] {
            let sealed = sealed(cipher, from, CANARY.as_bytes()).await;
            let error = refused(cipher, to, &sealed, &format!("another {what}")).await;
            assert_eq!(
                error.kind(),
                ErrorKind::Unsealable,
                "another {what}: {error}"
            );
        }
    }
}

async fn changed_bytes_are_refused(cipher: &dyn CredentialCipher) {
    let spot = Spot::new();
    let sealed = sealed(cipher, &spot, b"hello").await;
    for bit in 0..sealed.bytes().len() * 8 {
        let mut bytes = sealed.bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let changed = Sealed::new(sealed.key_id(), bytes);
        let what = format!("bit {} of byte {} changed", bit % 8, bit / 8);
        of_the_record(&refused(cipher, &spot, &changed, &what).await);
    }
    for byte in 0..=u8::MAX {
        let mut bytes = sealed.bytes().to_vec();
        bytes.push(byte);
        let changed = Sealed::new(sealed.key_id(), bytes);
        let what = format!("byte {byte} added at the end");
        of_the_record(&refused(cipher, &spot, &changed, &what).await);

        let mut bytes = sealed.bytes().to_vec();
        bytes.insert(0, byte);
        let changed = Sealed::new(sealed.key_id(), bytes);
        let what = format!("byte {byte} added at the start");
        of_the_record(&refused(cipher, &spot, &changed, &what).await);
    }
}

async fn truncated_bytes_are_refused(cipher: &dyn CredentialCipher) {
    let spot = Spot::new();
    let sealed = sealed(cipher, &spot, CANARY.as_bytes()).await;
    for kept in 0..sealed.bytes().len() {
        let start = Sealed::new(sealed.key_id(), sealed.bytes().slice(..kept));
        let what = format!("only the first {kept} bytes");
        of_the_record(&refused(cipher, &spot, &start, &what).await);

        let dropped = sealed.bytes().len() - kept;
        let end = Sealed::new(sealed.key_id(), sealed.bytes().slice(dropped..));
        let what = format!("without the first {dropped} bytes");
        of_the_record(&refused(cipher, &spot, &end, &what).await);
    }
}

async fn sealing_twice_differs(cipher: &dyn CredentialCipher) {
    let spot = Spot::new();
    let mut seen = std::collections::BTreeSet::new();
    for round in 0..64 {
        let sealed = sealed(cipher, &spot, b"hello").await;
        assert!(
            seen.insert(sealed.bytes().to_vec()),
            "seal number {round} repeats an earlier one"
        );
    }
}

async fn sealed_bytes_hide_the_plaintext(cipher: &dyn CredentialCipher) {
    let sealed = sealed(cipher, &Spot::new(), CANARY.as_bytes()).await;
    for part in CANARY.as_bytes().windows(8) {
        assert!(
            !sealed.bytes().windows(8).any(|bytes| bytes == part),
            "the sealed bytes contain a part of the plaintext"
        );
    }
    for shown in encodings(CANARY.as_bytes()) {
        assert!(
            !String::from_utf8_lossy(sealed.bytes()).contains(&shown),
            "the sealed bytes contain the plaintext in another encoding"
        );
    }
}

async fn too_long_a_plaintext_is_refused(cipher: &dyn CredentialCipher) {
    for length in [MAX_PLAINTEXT + 1, 2 * MAX_PLAINTEXT] {
        let outcome = cipher.seal(&Spot::new().place(), &vec![0; length]).await;
        assert_eq!(
            outcome.map_err(|error| error.kind()),
            Err(ErrorKind::InvalidInput),
            "{length} bytes"
        );
    }
}

async fn sealed_under_the_sealing_key(cipher: &dyn CredentialCipher) {
    let sealed = sealed(cipher, &Spot::new(), b"hello").await;
    assert_eq!(sealed.key_id(), cipher.sealing_key());
}

async fn errors_do_not_show_the_plaintext(cipher: &dyn CredentialCipher) {
    let spot = Spot::new();
    let sealed = sealed(cipher, &spot, CANARY.as_bytes()).await;
    let mut shown = vec![
        format!("{sealed:?}"),
        format!("{:?}", opened(cipher, &spot, &sealed).await),
        format!("{cipher:?}"),
    ];
    let mut errors = Vec::new();
    let other = Spot::with(|spot| spot.fence = Fence::new(8));
    errors.extend(cipher.open(&other.place(), &sealed).await.err());
    let last = sealed.bytes().len().saturating_sub(1);
    for at in [0, last / 2, last] {
        let mut bytes = sealed.bytes().to_vec();
        bytes[at] ^= 1;
        let changed = Sealed::new(sealed.key_id(), bytes);
        errors.extend(cipher.open(&spot.place(), &changed).await.err());
    }
    let long = CANARY.repeat(MAX_PLAINTEXT / CANARY.len() + 1);
    errors.extend(cipher.seal(&spot.place(), long.as_bytes()).await.err());
    assert!(!errors.is_empty(), "nothing was refused");
    for error in errors {
        shown.push(format!("{error:?} {error} {}", error.report()));
    }
    for encoding in encodings(CANARY.as_bytes()) {
        assert!(
            !shown.iter().any(|text| text.contains(&encoding)),
            "an error or a Debug output shows the plaintext"
        );
    }
}

/// Returns parts of `secret`, each at least an eighth of it, in the encodings of text output.
fn encodings(secret: &[u8]) -> Vec<String> {
    let part = &secret[..12];
    vec![
        String::from_utf8_lossy(part).into_owned(),
        STANDARD.encode(part),
        format!("{part:02x?}").replace(['[', ']', ',', ' '], ""),
        format!("{part:?}").trim_matches(['[', ']']).to_owned(),
    ]
}

#[track_caller]
fn of_the_record(error: &Error) {
    assert!(
        matches!(error.kind(), ErrorKind::Unsealable | ErrorKind::KeyUnknown),
        "a damaged record is reported as {}: {error}",
        error.kind()
    );
}
