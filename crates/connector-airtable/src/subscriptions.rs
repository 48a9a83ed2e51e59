//! Subscriptions, with one webhook for each watched base or table.
//!
//! See [Airtable docs: Webhooks overview](https://airtable.com/developers/web/api/webhooks-overview)
//! and [List webhook payloads](https://airtable.com/developers/web/api/list-webhook-payloads).
//!
//! Airtable numbers payloads per webhook, so the cursor also contains the webhook. If a webhook
//! expires and is replaced, the cursor contains both webhooks, because the payloads of the expired
//! webhook can be read for seven more days.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use connector_core::Result;
use connector_core::provider::subscription::{
    CatchUp, Channel, ChannelRenewal, CreatedChannel, ListedChannel, NewChannel, RenewOutcome,
    SecretSource, SubscriptionContext, SubscriptionPlan, Subscriptions, Watch,
};

use crate::Airtable;
use crate::endpoints::{
    CreateWebhook, DeleteWebhook, EnableWebhookNotifications, ListWebhookPayloads, ListWebhooks,
    RefreshWebhook,
};
use crate::error::is_absent;
use crate::models::cursor::{Position, START};
use crate::models::{BaseId, TableId, WebhookId};

/// Lifetime of a webhook, and of a payload.
const WEEK: Duration = Duration::from_secs(7 * 86_400);
/// The intervals leave most of the free plan's 1,000 monthly calls to the application: 120 reads,
/// 30 comparisons and about 12 renewals for each webhook.
const CATCH_UP_EVERY: Duration = Duration::from_secs(6 * 3600);
const COMPARE_EVERY: Duration = Duration::from_secs(86_400);
/// Maximum number of webhooks in a cursor. Webhooks beyond this number expired more than a week
/// ago.
const MAX_CHAIN: usize = 4;

/// Parses the resource of a watch: `app…` for a base, `app…/tbl…` for a table.
fn resource(watch: &Watch) -> Result<(BaseId, Option<TableId>)> {
    let (base, table) = match watch.as_str().split_once('/') {
        Some((base, table)) => (base, Some(table)),
        None => (watch.as_str(), None),
    };
    Ok((BaseId::new(base)?, table.map(TableId::new).transpose()?))
}

#[async_trait]
impl Subscriptions for Airtable {
    fn describe(&self, watch: &Watch) -> Result<SubscriptionPlan> {
        resource(watch)?;
        let (renewal, secret) = (ChannelRenewal::Extend, SecretSource::Provider);
        Ok(SubscriptionPlan::channel(Some(WEEK), renewal, secret)
            .with_catch_up_every(Some(CATCH_UP_EVERY))
            .with_compare_every(COMPARE_EVERY))
    }

    async fn create(
        &self,
        cx: &SubscriptionContext<'_>,
        new: &NewChannel<'_>,
    ) -> Result<CreatedChannel> {
        let (base, table) = resource(new.watch)?;
        let specification = self.config.specification.clone().with_scope(table);
        let create =
            CreateWebhook::new(base, specification).with_notification_url(new.url.as_str());
        let created = cx.session.send(&create).await?;
        let mut chain = Position::read(new.cursor.unwrap_or(START))?;
        chain.push(Position {
            webhook: created.id.clone(),
            payload: 1,
            read: created.received,
        });
        chain.drain(..chain.len().saturating_sub(MAX_CHAIN));
        let expires_in = created.expires_in.or(Some(WEEK));
        Ok(CreatedChannel::new(created.id.as_str(), expires_in)
            .with_secret(created.mac_secret)
            .with_cursor(Position::write(&chain)))
    }

    async fn renew(
        &self,
        cx: &SubscriptionContext<'_>,
        channel: &Channel<'_>,
    ) -> Result<RenewOutcome> {
        let (base, _) = resource(channel.watch)?;
        let webhook = WebhookId::new(channel.resource)?;
        let refresh = RefreshWebhook::new(base.clone(), webhook.clone());
        let renewed = match cx.session.send(&refresh).await {
            Ok(renewed) => renewed,
            Err(error) if is_absent(&error) => return Ok(RenewOutcome::Gone),
            Err(error) => return Err(error),
        };
        // After 13 failures, Airtable disables notifications. Only the list of webhooks shows this.
        let enable = EnableWebhookNotifications::new(base, webhook);
        cx.session.send(&enable).await?;
        let expires_in = renewed.expires_in.or(Some(WEEK));
        Ok(RenewOutcome::Renewed { expires_in })
    }

    async fn end(&self, cx: &SubscriptionContext<'_>, channel: &Channel<'_>) -> Result<()> {
        let (base, _) = resource(channel.watch)?;
        let delete = DeleteWebhook::new(base, WebhookId::new(channel.resource)?);
        match cx.session.send(&delete).await {
            Err(error) if !is_absent(&error) => Err(error),
            _ => Ok(()),
        }
    }

    async fn list(
        &self,
        cx: &SubscriptionContext<'_>,
        watches: &[Watch],
    ) -> Result<Option<Vec<ListedChannel>>> {
        let bases: Result<BTreeSet<BaseId>> =
            watches.iter().map(|watch| Ok(resource(watch)?.0)).collect();
        let mut listed = Vec::new();
        for base in bases? {
            let webhooks = match cx.session.send(&ListWebhooks::new(base.clone())).await {
                Ok(webhooks) => webhooks,
                // The user removed the base from the grant, so this connector has no webhook left
                // there.
                Err(error) if is_absent(&error) => continue,
                Err(error) => return Err(error),
            };
            for webhook in webhooks {
                let watch = match webhook.specification.scope() {
                    Some(scope) => format!("{base}/{scope}"),
                    None => base.to_string(),
                };
                let mut channel = ListedChannel::new(Watch::new(watch)?, webhook.id.as_str())
                    .with_enabled(webhook.are_notifications_enabled && webhook.is_hook_enabled);
                channel.url = webhook.notification_url;
                channel.expires_in = webhook.expires_in;
                listed.push(channel);
            }
        }
        Ok(Some(listed))
    }

    async fn catch_up(
        &self,
        cx: &SubscriptionContext<'_>,
        watch: &Watch,
        cursor: Option<&str>,
    ) -> Result<CatchUp> {
        let (base, _) = resource(watch)?;
        let mut chain = Position::read(cursor.unwrap_or(START))?;
        let Some(at) = chain.first_mut() else {
            return Ok(CatchUp::new(Vec::new(), START));
        };
        let read = ListWebhookPayloads::new(base, at.webhook.clone()).from_payload(at.payload);
        let page = match cx.session.send(&read).await {
            Ok(page) => page,
            Err(error) if is_absent(&error) && chain.len() > 1 => {
                chain.remove(0);
                let caught = CatchUp::new(Vec::new(), Position::write(&chain));
                return Ok(caught.with_more(true).with_missed(true));
            }
            Err(error) => return Err(error),
        };
        // Airtable keeps payloads for a week.
        let mut missed = page.received.since(at.read) > WEEK;
        let mut events = Vec::with_capacity(page.payloads.len());
        for payload in &page.payloads {
            missed |= payload.is_error();
            events.push(payload.to_event(at, &cx.account.key)?);
            at.payload += 1;
        }
        at.payload = page.cursor;
        at.read = page.received;
        let mut more = page.might_have_more && !page.payloads.is_empty();
        if !more && chain.len() > 1 {
            // No payload was recorded between the expiry of this webhook and the creation of the
            // next one.
            chain.remove(0);
            (more, missed) = (true, true);
        }
        let caught = CatchUp::new(events, Position::write(&chain));
        Ok(caught.with_more(more).with_missed(missed))
    }
}
