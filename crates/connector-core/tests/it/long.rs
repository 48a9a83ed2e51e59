//! Sealing of content that exceeds the maximum length of one sealed record.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use connector_core::cipher::{
    CredentialCipher, KeyId, Keyring, MAX_PLAINTEXT, Plaintext, SealContext, Sealed, SealedKind,
    open_long, seal_long,
};
use connector_core::store::{Fence, GrantNumber};
use connector_core::{AppKey, ErrorKind, ProviderId, Result};
use connector_testkit::leak::canary_key;
use secrecy::{ExposeSecret, SecretString};

static ACME: ProviderId = ProviderId::from_static("acme");

fn place(app: &AppKey) -> SealContext<'_> {
    SealContext {
        tenant: None,
        provider: &ACME,
        app,
        row: "row-1",
        kind: SealedKind::Delivery,
        grant: GrantNumber::default(),
        fence: Fence::default(),
    }
}

fn keyring() -> Keyring {
    connector_testkit::trace::init();
    Keyring::parse(&canary_key()).unwrap()
}

#[tokio::test]
async fn content_of_any_length_opens_only_in_its_context() {
    let (cipher, app) = (keyring(), AppKey::default());
    let here = place(&app);
    let lengths = [
        0,
        1,
        MAX_PLAINTEXT,
        MAX_PLAINTEXT + 1,
        3 * MAX_PLAINTEXT,
        1_048_576 + 77,
    ];
    for length in lengths {
        let content: Vec<u8> = (0..length)
            .map(|it| u8::try_from(it % 251).unwrap())
            .collect();
        let sealed = seal_long(&cipher, &here, &content).await.unwrap();
        assert_eq!(sealed.key_id(), cipher.sealing_key());
        let opened = open_long(&cipher, &here, &sealed).await.unwrap();
        assert!(opened.expose() == content, "{length}");
        let elsewhere = SealContext {
            row: "row-2",
            ..here
        };
        let error = open_long(&cipher, &elsewhere, &sealed).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsealable);
    }
}

#[tokio::test]
async fn missing_swapped_duplicate_or_truncated_parts_are_rejected() {
    let (cipher, app) = (keyring(), AppKey::default());
    let here = place(&app);
    let content = vec![7; 2 * MAX_PLAINTEXT];
    let sealed = seal_long(&cipher, &here, &content).await.unwrap();
    let bytes = sealed.bytes();
    assert_eq!(bytes.len() % 2, 0);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let mut wrong = vec![
        Vec::new(),
        first.to_vec(),
        second.to_vec(),
        [second, first].concat(),
        [first, first].concat(),
        [first, second, second].concat(),
        [first, second, &[0, 0, 0, 0]].concat(),
        [first, second, &[0xff, 0xff, 0xff, 0xff]].concat(),
    ];
    for cut in (1..bytes.len()).step_by(4099) {
        wrong.push(bytes[..cut].to_vec());
    }
    let other = seal_long(&cipher, &here, b"short").await.unwrap();
    wrong.push([first, other.bytes()].concat());
    for bytes in wrong {
        let wrong = Sealed::new(sealed.key_id(), bytes);
        let error = open_long(&cipher, &here, &wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsealable);
    }
}

/// A cipher whose sealing key changes while content is sealed: 0 is the old key, 1 the new key.
#[derive(Debug)]
struct Replaced {
    rings: [Keyring; 2],
    /// The key of each seal, repeated.
    seals: &'static [usize],
    sealed: AtomicUsize,
}

#[async_trait]
impl CredentialCipher for Replaced {
    fn sealing_key(&self) -> KeyId {
        self.rings[1].sealing_key()
    }

    async fn seal(&self, place: &SealContext<'_>, plaintext: &[u8]) -> Result<Sealed> {
        let number = self.sealed.fetch_add(1, Ordering::Relaxed);
        let ring = self.seals[number % self.seals.len()];
        self.rings[ring].seal(place, plaintext).await
    }

    async fn open(&self, place: &SealContext<'_>, sealed: &Sealed) -> Result<Plaintext> {
        self.rings[1].open(place, sealed).await
    }
}

#[tokio::test]
async fn content_is_sealed_under_one_key_despite_a_concurrent_key_change() {
    let app = AppKey::default();
    let here = place(&app);
    let (old, new) = (canary_key(), canary_key());
    let both = SecretString::from([new.expose_secret(), old.expose_secret()].join(","));
    let content = vec![7; 3 * MAX_PLAINTEXT];
    // The key of each seal; the total number of seals; the final key of all parts.
    let replacements: [(&[usize], usize, Option<usize>); 7] = [
        (&[0, 0, 0], 3, Some(0)),
        (&[1, 1, 1], 3, Some(1)),
        (&[0, 1, 1, 1, 1], 5, Some(1)),
        (&[0, 0, 1, 1, 1, 1], 6, Some(1)),
        // A service with several servers that learn of a new key one after the other.
        (&[0, 1, 0, 0, 1, 1, 1, 1], 8, Some(1)),
        (&[0, 1, 1, 1, 0, 0, 0, 0], 8, Some(0)),
        (&[0, 1], 6, None),
    ];
    for (seals, count, under) in replacements {
        let cipher = Replaced {
            rings: [&old, &both].map(|keys| Keyring::parse(keys).unwrap()),
            seals,
            sealed: AtomicUsize::new(0),
        };
        let outcome = seal_long(&cipher, &here, &content).await;
        assert_eq!(cipher.sealed.load(Ordering::Relaxed), count, "{seals:?}");
        match (outcome, under) {
            (Ok(sealed), Some(ring)) => {
                let key = cipher.rings[ring].sealing_key();
                assert_eq!(sealed.key_id(), key, "{seals:?}");
                let opened = open_long(&cipher, &here, &sealed).await.unwrap();
                assert!(opened.expose() == content, "{seals:?}");
            }
            (outcome, under) => {
                assert_eq!(under, None, "{seals:?}");
                let error = outcome.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
            }
        }
    }
}
