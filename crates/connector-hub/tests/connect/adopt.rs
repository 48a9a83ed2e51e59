//! Credentials that were obtained elsewhere.

use connector_core::clock::Clock;
use connector_core::http::Origin;
use connector_core::{Credential, CredentialKind, ErrorKind, Event};
use secrecy::ExposeSecret;

use crate::provider::Fault;
use crate::rig::{ACME, Rig, SHOP, tenant, user};

fn credential(rig: &Rig, origin: &str, token: &str) -> Credential {
    let origin = Origin::parse(origin).unwrap();
    let now = rig.clock.now();
    Credential::new(CredentialKind::OAuth, origin, token.to_owned(), now)
        .with_refresh_token(format!("refresh-of-{token}"))
        .with_scopes(["read"])
        .with_expiry(now.after(std::time::Duration::from_secs(3600)))
}

const API: &str = "https://api.acme.example";

#[tokio::test]
async fn a_good_credential_becomes_a_connection() {
    let rig = Rig::new();
    let token = rig.provider.token_of("account-1");
    let good = credential(&rig, API, &token);
    let adopted = rig
        .hub
        .adopt(&tenant("t1"), ACME, good.clone())
        .actor(user("ann"))
        .await;
    let adopted = adopted.unwrap();
    assert_eq!(adopted.account.key.as_str(), "account-1");
    assert_eq!(adopted.scopes().missing, ["write"]);
    let handed = rig.other_hub().access_token(adopted.key()).await.unwrap();
    assert_eq!(handed.secret().expose_secret(), token);
    assert_eq!(rig.provider.token_calls(), 0);

    let first = rig.stored(adopted.key()).await.connection;
    // The same credential is the same grant. Another one is the next grant.
    let again = rig
        .hub
        .adopt(&tenant("t1"), ACME, good)
        .actor(user("ann"))
        .await
        .unwrap();
    assert_eq!(again.key(), adopted.key());
    let kept = rig.stored(again.key()).await.connection;
    assert_eq!(kept.grant, first.grant);
    let next = credential(&rig, API, &rig.provider.token_of("account-1"));
    let next = rig.hub.adopt(&tenant("t1"), ACME, next).actor(user("ann"));
    let next = next.reconnect(adopted.key().id).await.unwrap();
    assert_eq!(next.key(), adopted.key());
    let stored = rig.stored(next.key()).await;
    assert_eq!(stored.connection.grant, first.grant.next());
    assert_eq!(stored.claim, None);
    let account = adopted.account.key.clone();
    assert_eq!(rig.events().await[0], Event::Connected { account });
}

#[tokio::test]
async fn a_credential_that_is_not_good_is_not_kept() {
    let rig = Rig::new();
    let known = rig.connect("t1", "account-1").await;
    let events = rig.events().await.len();
    let token = rig.provider.token_of("account-2");
    let good = || credential(&rig, API, &token);
    let adopt = |credential| {
        rig.hub
            .adopt(&tenant("t1"), ACME, credential)
            .actor(user("ann"))
    };
    let cases = [
        (
            "unknown token",
            adopt(credential(&rig, API, "nonsense")),
            ErrorKind::Unauthorized,
        ),
        (
            "nobody asks",
            rig.hub.adopt(&tenant("t1"), ACME, good()),
            ErrorKind::InvalidInput,
        ),
        (
            "another origin",
            adopt(credential(&rig, "https://evil.example", &token)),
            ErrorKind::InvalidInput,
        ),
        (
            "another client",
            adopt(good().with_client_id("client-9")),
            ErrorKind::AppMisconfigured,
        ),
        (
            "missing scopes",
            adopt(good().with_scopes(["write"])),
            ErrorKind::Forbidden,
        ),
        (
            "another account",
            adopt(good()).reconnect(known.key.id),
            ErrorKind::InvalidInput,
        ),
        (
            "another tenant's connection",
            rig.hub
                .adopt(&tenant("t2"), ACME, good())
                .actor(user("a"))
                .reconnect(known.key.id),
            ErrorKind::NotFound,
        ),
        (
            "no host",
            rig.hub
                .adopt(
                    &tenant("t1"),
                    SHOP,
                    credential(&rig, "https://a.shop.example", &token),
                )
                .actor(user("ann")),
            ErrorKind::InvalidInput,
        ),
        (
            "a host of another form",
            rig.hub
                .adopt(
                    &tenant("t1"),
                    SHOP,
                    credential(&rig, "https://evil.example", &token)
                        .with_account_host("evil.example"),
                )
                .actor(user("ann")),
            ErrorKind::InvalidInput,
        ),
    ];
    let count = cases.len();
    for (name, adopt, kind) in cases {
        let error = rig.run(adopt.into_future()).await.expect_err(name);
        assert_eq!(error.kind(), kind, "{name}: {error}");
        assert!(!error.report().contains(&token), "{name}");
    }
    assert_eq!(rig.connections().await.len(), 1);
    assert_eq!(rig.stored(&known.key).await.connection.grant, known.grant);
    assert_eq!(
        rig.events().await.len(),
        events + 2,
        "refusals of what was tested are told"
    );
    let hosts = rig.provider.hosts();
    assert!(!hosts.contains("evil.example"), "{hosts:?}");
    println!("adoptions refused: {count} of {count}");
}

#[tokio::test]
async fn a_provider_that_is_down_is_no_verdict() {
    let rig = Rig::new();
    let good = credential(&rig, API, &rig.provider.token_of("account-1"));
    for _ in 0..3 {
        rig.provider.fail_identity(Fault::Status(503));
    }
    let adopt = rig
        .hub
        .adopt(&tenant("t1"), ACME, good.clone())
        .actor(user("ann"));
    let error = rig.run(adopt.into_future()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ProviderUnavailable);
    assert!(rig.connections().await.is_empty());
    let _ = rig
        .hub
        .adopt(&tenant("t1"), ACME, good)
        .actor(user("ann"))
        .await
        .unwrap();
}

#[tokio::test]
async fn an_account_with_one_grant_is_not_adopted_beside_another_tenants() {
    let rig = Rig::new();
    let shop = |token: &str| {
        credential(&rig, "https://acme.shop.example", token).with_account_host("acme.shop.example")
    };
    let (first, second) = (
        rig.provider.token_of("shop-1"),
        rig.provider.token_of("shop-1"),
    );
    let adopt = rig
        .hub
        .adopt(&tenant("t1"), SHOP, shop(&first))
        .actor(user("ann"));
    let mine = adopt.await.unwrap();
    let adopt = rig
        .hub
        .adopt(&tenant("t2"), SHOP, shop(&second))
        .actor(user("bob"));
    assert_eq!(
        adopt.await.unwrap_err().kind(),
        ErrorKind::ConnectedElsewhere
    );
    assert!(rig.stored(mine.key()).await.connection.is_live());
}
