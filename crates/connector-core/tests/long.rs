//! Content that is longer than one seal may be.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use connector_core::cipher::{
    CredentialCipher, Keyring, LONGEST_PLAINTEXT, Place, Sealed, SealedKind, open_long, seal_long,
};
use connector_core::{AppKey, ErrorKind, Fence, GrantNumber, ProviderId};
use connector_testkit::leak::canary_key;

static ACME: ProviderId = ProviderId::from_static("acme");

fn place(app: &AppKey) -> Place<'_> {
    Place {
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
async fn content_of_any_length_opens_in_its_place_only() {
    let (cipher, app) = (keyring(), AppKey::default());
    let here = place(&app);
    let lengths = [
        0,
        1,
        LONGEST_PLAINTEXT,
        LONGEST_PLAINTEXT + 1,
        3 * LONGEST_PLAINTEXT,
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
        let elsewhere = Place {
            row: "row-2",
            ..here
        };
        let error = open_long(&cipher, &elsewhere, &sealed).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsealable);
    }
}

#[tokio::test]
async fn parts_that_are_missing_swapped_doubled_or_cut_are_refused() {
    let (cipher, app) = (keyring(), AppKey::default());
    let here = place(&app);
    let content = vec![7; 2 * LONGEST_PLAINTEXT];
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
