//! Notices to owners: one per problem, with a link for the tenant's users, until the connection
//! works again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector_axum::{Notice, NoticeKind, NoticeSender, OwnerNotices, Permission};
use connector_core::Result;
use connector_core::store::{AuditFilter, AuditLog as _};
use connector_hub::ChangeHandler as _;
use connector_sim::Consent;
use secrecy::SecretString;
use serde_json::json;

use crate::rig::{ALL, Rig, SITE, config, signing_key};

#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<Notice>>>);

impl Sent {
    fn take(&self) -> Vec<Notice> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

#[async_trait]
impl NoticeSender for Sent {
    async fn send(&self, notice: &Notice) -> Result<()> {
        self.0.lock().unwrap().push(notice.clone());
        Ok(())
    }
}

impl Rig {
    /// Passes all changes to the handler, as the worker does.
    async fn notices(&self, key: &SecretString) -> Vec<Notice> {
        let sent = Sent::default();
        let site = SITE.parse().unwrap();
        let notices = OwnerNotices::new(&site, key, sent.clone()).unwrap();
        let log = self
            .store
            .audit(&AuditFilter::default(), None, 1000)
            .await
            .unwrap();
        for change in log.items.iter().filter(|it| it.entry.notify) {
            notices.handle(change).await.unwrap();
        }
        sent.take()
    }
}

#[tokio::test]
async fn an_owner_reconnects_with_one_click_and_the_notice_is_resolved() {
    let key = signing_key();
    let rig = Rig::with(|_| config(key.clone())).await;
    let id = rig.connect(&rig.ann, "1").await;
    assert!(rig.notices(&key).await.is_empty());
    rig.sim.end_grants();
    let path = format!("/v1/connections/{id}/refresh");
    assert_eq!(rig.post(&path, &rig.ann, &json!({})).await.status, 409);
    let notices = rig.notices(&key).await;
    let [notice] = &notices[..] else {
        panic!("{notices:?}");
    };
    assert_eq!(notice.kind, NoticeKind::ReauthorizationNeeded);
    assert_eq!(notice.reason, "grant_revoked");
    assert!(!notice.text.is_empty() && !notice.action.is_empty());
    let link = notice.link.clone().unwrap();
    assert!(!format!("{notice:?}").contains(link.as_str()));

    // The link is for users of the tenant who may connect.
    let bob = rig.keys.add("t2", "bob", ALL);
    let reader = rig.keys.add("t1", "eve", ALL.without(Permission::Connect));
    let bea = rig.keys.add("t1", "bea", ALL);
    let mut refused = 0;
    for (key, code) in [
        (&bob, "ticket_invalid"),
        (&reader, "permission_missing"),
        (&String::new(), "unauthenticated"),
    ] {
        assert_eq!(rig.load(&link, key, "").await.code(), code);
        refused += 1;
    }
    // Another account does not resolve it.
    rig.sim.sign_in("2").unwrap();
    let opened = rig.load(&link, &bea, "").await;
    let callback = rig.sim.visit(&opened.location(), &Consent::Grant).unwrap();
    let answer = rig.load(&callback, &bea, &opened.cookie()).await;
    assert_eq!(answer.result()["reason"], "other_account");
    rig.sim.sign_in("1").unwrap();
    let opened = rig.load(&link, &bea, "").await;
    let callback = rig.sim.visit(&opened.location(), &Consent::Grant).unwrap();
    let answer = rig.load(&callback, &bea, &opened.cookie()).await;
    assert_eq!(answer.result()["connection"], id.to_string());
    let kinds: Vec<&str> = rig
        .notices(&key)
        .await
        .iter()
        .map(|it| it.kind.as_str())
        .collect();
    assert_eq!(
        kinds,
        ["reauthorization_needed", "connect_failed", "resolved"]
    );
    rig.clock.advance(Duration::from_secs(8 * 86_400));
    assert_eq!(rig.load(&link, &bea, "").await.code(), "ticket_invalid");
    println!("links refused: {refused}");
}

#[tokio::test]
async fn a_failed_connect_sends_a_notice_without_a_link() {
    let key = signing_key();
    let rig = Rig::with(|_| config(key.clone())).await;
    let (url, cookie) = rig.begin(&rig.ann, &json!({})).await;
    let denied = rig.sim.visit(&url, &Consent::Deny).unwrap();
    rig.load(&denied, &rig.ann, &cookie).await;
    let notices = rig.notices(&key).await;
    assert_eq!(notices.len(), 1);
    assert_eq!(notices[0].kind, NoticeKind::ConnectFailed);
    assert_eq!(notices[0].reason, "consent_denied");
    assert!(notices[0].link.is_none() && notices[0].connection.is_none());
}
