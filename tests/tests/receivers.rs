//! Receivers of our webhooks in Node, Python and PHP: the official libraries, and the examples that
//! `docs/sending-webhooks.md` gives to customers.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print their counts"
)]

use std::collections::BTreeMap;

use connector_core::clock::{Clock as _, SystemClock, Timestamp};
use connector_core::outbound::{
    MessageId, SignatureAlgorithm, SigningSecret, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP,
    sign,
};
use connector_core::{Random as _, SystemRandom};
use connector_tests::receivers::{Language, Receiver};
use connector_tests::repetitions;
use secrecy::SecretString;

const PAGE: &str = include_str!("../../docs/sending-webhooks.md");

/// Returns the first code block of a language on the page.
fn example(language: &str) -> &'static str {
    let (_, after) = PAGE.split_once(&format!("```{language}\n")).unwrap();
    after.split_once("```").unwrap().0
}

/// A signed message.
#[derive(Clone)]
struct Sent {
    key: SecretString,
    headers: BTreeMap<&'static str, String>,
    body: Vec<u8>,
}

/// Returns a message with two live secrets, as the hub sends it. The libraries compare the time with
/// the clock of the machine.
fn message(number: usize, now: Timestamp) -> Sent {
    let random = SystemRandom::new();
    let secret = || SigningSecret::generate(SignatureAlgorithm::HmacSha256, &random).unwrap();
    let (old, new) = (secret(), secret());
    let mut bytes = vec![0; number % 700];
    random.fill(&mut bytes).unwrap();
    let body: String = bytes.iter().map(|it| char::from(*it)).collect();
    let body = serde_json::json!({ "number": number, "text": body }).to_string();
    let id = MessageId::generate(&random).unwrap();
    let key = if number.is_multiple_of(2) { &old } else { &new };
    let key = key.verification_key();
    let signature = sign(&[old, new], &id, now, body.as_bytes()).unwrap();
    let headers = BTreeMap::from([
        (WEBHOOK_ID, id.as_str().to_owned()),
        (WEBHOOK_TIMESTAMP, now.as_unix_seconds().to_string()),
        (WEBHOOK_SIGNATURE, signature),
    ]);
    Sent {
        key,
        headers,
        body: body.into_bytes(),
    }
}

/// Returns the names of the verifiers that accept a message.
fn accepting(receiver: &mut Receiver, sent: &Sent) -> Vec<String> {
    let verdicts = receiver.verify(&sent.key, &sent.headers, &sent.body);
    let verdicts = verdicts.unwrap().into_iter();
    verdicts
        .filter_map(|(name, is_accepted)| is_accepted.then_some(name))
        .collect()
}

fn check(language: Language, name: &str, verifiers: &[&str]) {
    let Some(mut receiver) = Receiver::start(language, example(name)).unwrap() else {
        return;
    };
    let clock = SystemClock::new();
    let (mut ours, mut theirs, mut refused) = (0, 0, 0);
    for number in 0..repetitions(1_000) {
        let sent = message(number, clock.now());
        assert_eq!(accepting(&mut receiver, &sent), verifiers);
        ours += verifiers.len();
        // The same text, signed by the libraries: signatures are deterministic.
        if language != Language::Php {
            let id = &sent.headers[WEBHOOK_ID];
            let seconds = sent.headers[WEBHOOK_TIMESTAMP].parse().unwrap();
            let signed = receiver.sign(&sent.key, id, seconds, &sent.body).unwrap();
            for signature in signed.values() {
                let given = &sent.headers[WEBHOOK_SIGNATURE];
                assert!(given.split(' ').any(|it| it == signature), "{signature}");
                theirs += 1;
            }
        }
    }
    // The example refuses every changed bit. The libraries ignore unused bits of the base64 text.
    let sent = message(40, clock.now());
    for part in [WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE, ""] {
        let mut sent = sent.clone();
        if part == WEBHOOK_SIGNATURE {
            // Only the signature that the key verifies.
            let only = sent.headers[part].split(' ').find(|it| {
                let mut one = sent.clone();
                one.headers.insert(part, (*it).to_owned());
                !accepting(&mut receiver, &one).is_empty()
            });
            let only = only.unwrap().to_owned();
            sent.headers.insert(part, only);
        }
        let whole = match part {
            "" => sent.body.clone(),
            header => sent.headers[header].clone().into_bytes(),
        };
        for bit in 0..whole.len() * 8 {
            let mut changed = whole.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let mut wrong = sent.clone();
            match (part, String::from_utf8(changed.clone())) {
                ("", _) => wrong.body = changed,
                (header, Ok(text)) => {
                    wrong.headers.insert(header, text);
                }
                // A header is text.
                (_, Err(_)) => continue,
            }
            let accepted = accepting(&mut receiver, &wrong);
            assert!(
                !accepted.iter().any(|it| it == "example"),
                "{part}, bit {bit}"
            );
            refused += 1;
        }
    }
    // A replayed message, and a message from the future.
    for seconds in [-301, 3_600] {
        let then = Timestamp::from_unix_seconds(clock.now().as_unix_seconds() + seconds);
        assert!(accepting(&mut receiver, &message(1, then)).is_empty());
        refused += 1;
    }
    for header in [WEBHOOK_ID, WEBHOOK_TIMESTAMP, WEBHOOK_SIGNATURE] {
        let mut without = message(1, clock.now());
        without.headers.remove(header);
        assert!(accepting(&mut receiver, &without).is_empty(), "{header}");
        refused += 1;
    }
    println!(
        "{language:?}: verified {ours} times, {theirs} equal signatures, {refused} changed messages \
         refused"
    );
    assert!(ours > 0 && refused > 1_000);
}

#[test]
fn receivers_in_node_verify_our_messages() {
    check(
        Language::Node,
        "js",
        &["example", "standardwebhooks", "svix"],
    );
}

#[test]
fn receivers_in_python_verify_our_messages() {
    check(Language::Python, "python", &["example", "standardwebhooks"]);
}

#[test]
fn receivers_in_php_verify_our_messages() {
    check(Language::Php, "php", &["example"]);
}
