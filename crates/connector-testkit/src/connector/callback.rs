//! Checks of callbacks before the code exchange.

use connector_core::provider::oauth::{Callback, CallbackProblem};
use secrecy::SecretString;

use super::fixture::Consent;
use super::say;
use super::world::{World, expect, query};

type Pairs = Vec<(String, String)>;

fn owned(callback: &Callback) -> Pairs {
    let pairs = callback.pairs();
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Checks a callback with the given query pairs. A query that cannot be parsed counts as refused.
fn check(world: &World, pairs: &[(String, String)]) -> Result<(), Option<CallbackProblem>> {
    let query = query(pairs.iter().map(|(name, value)| (&**name, &**value)));
    let callback =
        Callback::parse_with(&query, world.description().code_parameter()).map_err(|_| None)?;
    world.check(&callback).map_err(Some)
}

fn without(pairs: &Pairs, name: &str) -> Pairs {
    let kept = pairs.iter().filter(|(its_name, _)| its_name != name);
    kept.cloned().collect()
}

fn sent_nothing(world: &World) {
    assert_eq!(
        world.wire.count(),
        0,
        "the check of a callback sent a request"
    );
}

pub(super) async fn a_right_callback_passes(world: &World) {
    let (callback, _) = world.granted().await;
    assert_eq!(world.check(&callback), Ok(()));
    sent_nothing(world);
}

pub(super) async fn a_changed_callback_is_refused(world: &World) {
    let (callback, _) = world.granted().await;
    let names = world.fixture.signed_parameters();
    let signed = |callback: &Callback| -> Pairs {
        let all = owned(callback).into_iter();
        all.filter(|(name, _)| names.contains(&name.as_str()))
            .collect()
    };
    let right = signed(&callback);
    let raw = callback.raw().as_bytes();
    let mut refused = 0;
    for at in 0..raw.len() {
        for bit in 0..7 {
            let mut bytes = raw.to_vec();
            bytes[at] ^= 1 << bit;
            let Ok(changed) = String::from_utf8(bytes) else {
                continue;
            };
            let Ok(changed) = Callback::parse_with(&changed, world.description().code_parameter())
            else {
                continue;
            };
            // Two encodings of the same pairs are equal.
            if signed(&changed) == right {
                continue;
            }
            refused += 1;
            assert!(
                world.check(&changed).is_err(),
                "a callback is accepted with bit {bit} of byte {at} changed"
            );
        }
    }
    sent_nothing(world);
    assert!(refused > 0, "nothing was changed");
    say(&format!("changed callbacks refused: {refused}"));
}

pub(super) async fn a_missing_or_doubled_parameter_is_refused(world: &World) {
    let (callback, _) = world.granted().await;
    let right = owned(&callback);
    let mut refused = 0;
    for name in world.fixture.signed_parameters() {
        let Some(value) = callback.get(name) else {
            panic!("the callback has no {name}, which is signed according to the fixture");
        };
        let mut bad = vec![("without", without(&right, name))];
        for value in [value, "other", ""] {
            let pair = ((*name).to_owned(), value.to_owned());
            let mut behind = right.clone();
            behind.push(pair.clone());
            let mut before = right.clone();
            before.insert(0, pair);
            bad.extend([("doubled", behind), ("doubled", before)]);
        }
        for (what, pairs) in bad {
            refused += 1;
            assert!(
                check(world, &pairs).is_err(),
                "a callback {what} {name} passes"
            );
        }
    }
    sent_nothing(world);
    say(&format!("broken callbacks refused: {refused}"));
}

pub(super) async fn a_callback_of_another_account_is_refused(world: &World) {
    let (callback, _) = world.granted().await;
    let rule = world.description().account_host.as_ref();
    let Some(other) = rule.map(|rule| expect(rule.accept("another-account"), "another account"))
    else {
        panic!("the case needs an account host");
    };
    for host in [Some(other.as_str()), None] {
        assert_eq!(
            world
                .connector()
                .check_callback(&world.cx(), host, &callback),
            Err(CallbackProblem::OtherAccount),
            "in a flow for {host:?}"
        );
    }
    sent_nothing(world);
}

pub(super) async fn a_callback_under_an_old_secret_passes_while_it_is_configured(world: &World) {
    let (callback, _) = world.granted().await;
    let Some(signing) = world.app.client_secret().cloned() else {
        panic!("callbacks are signed: the fixture's app needs a client secret");
    };
    let newer = SecretString::from("a-newer-secret");
    let check = |secrets: &[SecretString]| {
        let app = world.app_with(secrets);
        let cx = world.cx_of(&app);
        world
            .connector()
            .check_callback(&cx, world.host.as_deref(), &callback)
    };
    assert_eq!(check(&[newer.clone(), signing.clone()]), Ok(()));
    assert_eq!(check(&[signing, newer.clone()]), Ok(()));
    assert_eq!(check(&[newer]), Err(CallbackProblem::SignatureMismatch));
    assert!(
        check(&[]).is_err(),
        "a callback is accepted without a secret"
    );
    sent_nothing(world);
}

pub(super) async fn a_callback_of_another_issuer_is_refused(world: &World) {
    let (callback, _) = world.granted().await;
    let mut other = without(&owned(&callback), "iss");
    other.push(("iss".to_owned(), "https://issuer.evil.example".to_owned()));
    let mut denied = without(&other, world.description().code_parameter());
    denied.push(("error".to_owned(), "access_denied".to_owned()));
    for pairs in [&other, &denied] {
        assert_eq!(
            check(world, pairs),
            Err(Some(CallbackProblem::IssuerMismatch))
        );
    }
    let authorization = world.description().authorization.as_ref();
    if authorization.is_some_and(|it| it.issuer_required) {
        assert_eq!(
            check(world, &without(&other, "iss")),
            Err(Some(CallbackProblem::IssuerMissing))
        );
    }
    sent_nothing(world);
}

pub(super) async fn a_denied_consent_is_told_as_such(world: &World) {
    let Some((callback, _)) = world.callback(&Consent::Deny).await else {
        panic!("the fixture's provider redirects the browser only sometimes");
    };
    assert_eq!(world.check(&callback), Err(CallbackProblem::ConsentDenied));
    sent_nothing(world);
}

pub(super) async fn an_error_leads_to_no_exchange(world: &World) {
    let (callback, _) = world.granted().await;
    let right = owned(&callback);
    let error = ("error".to_owned(), "server_error".to_owned());
    let mut both = right.clone();
    both.push(error.clone());
    let neither = without(&right, world.description().code_parameter());
    let mut only = neither.clone();
    only.push(error);
    for (what, pairs) in [
        ("an error", only),
        ("an error and a code", both),
        ("neither", neither),
    ] {
        assert!(
            check(world, &pairs).is_err(),
            "a callback with {what} is accepted"
        );
    }
    sent_nothing(world);
}
