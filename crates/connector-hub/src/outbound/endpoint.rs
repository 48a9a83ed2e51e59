//! Registration of endpoints.

use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::outbound::{EventType, SignatureAlgorithm, SigningSecret};
use connector_core::store::{
    ChangeEndpointOutcome, Cursor, Endpoint, EndpointChange, EndpointFilter, EndpointHealth,
    EndpointId, EndpointKey, EndpointState, NewEndpoint, Page, PutEndpointOutcome,
};
use connector_core::{
    AppKey, AuditEntry, Error, ErrorKind, Event, ProviderId, RequestContext, Result,
};
use secrecy::SecretString;

use super::target::{LiveSecret, Target, check_headers, invalid, normalized};
use super::{OPERATION, Outbound};
use crate::audit;

/// Maximum number of event types of an endpoint.
const MAX_TYPES: usize = 200;
/// Maximum number of secrets that sign at the same time.
const MAX_SECRETS: usize = 5;
/// Maximum number of attempts to change an endpoint that another caller also changes.
const ATTEMPTS: usize = 5;

/// An endpoint to add.
///
/// `Debug` does not show the URL, the secret or the headers.
#[derive(Debug, Clone)]
#[must_use]
pub struct NewTarget {
    url: SecretString,
    event_types: Vec<EventType>,
    is_ordered: bool,
    headers: Vec<(String, SecretString)>,
    algorithm: SignatureAlgorithm,
    secret: Option<SecretString>,
    pub(super) alias: Option<String>,
    pub(super) label: Option<String>,
}

impl NewTarget {
    /// Creates an endpoint that receives all event types.
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            event_types: Vec::new(),
            is_ordered: false,
            headers: Vec::new(),
            algorithm: SignatureAlgorithm::HmacSha256,
            secret: None,
            alias: None,
            label: None,
        }
    }

    /// Sets the event types that the endpoint receives, at most 200. Default: all types.
    pub fn with_event_types(mut self, types: impl IntoIterator<Item = EventType>) -> Self {
        self.event_types = types.into_iter().collect();
        self
    }

    /// Sends the messages of one [resource](connector_core::outbound::Message::resource) in order: a
    /// message waits until the previous one has been delivered or given up. Other resources are not
    /// delayed. Default: no order.
    pub fn with_order_per_resource(mut self) -> Self {
        self.is_ordered = true;
        self
    }

    /// Adds a header that is sent with each message, for example the receiver's API key. At most 16
    /// headers can be added. Names that the hub itself sets are refused.
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Sets the algorithm of the generated secret. Default: HMAC-SHA256.
    pub const fn with_algorithm(mut self, algorithm: SignatureAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Sets the signing secret, `whsec_…` or `whsk_…`, for example of a receiver that moves from
    /// another sender. Default: a generated secret.
    pub fn with_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.secret = Some(secret.into());
        self
    }
}

/// Changes of an endpoint. Settings that are not set are not changed.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct EndpointUpdate {
    url: Option<SecretString>,
    event_types: Option<Vec<EventType>>,
    is_ordered: Option<bool>,
    headers: Option<Vec<(String, SecretString)>>,
}

impl EndpointUpdate {
    /// Creates an update that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the URL.
    pub fn with_url(mut self, url: impl Into<SecretString>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Sets the event types. An empty list selects all types.
    pub fn with_event_types(mut self, types: impl IntoIterator<Item = EventType>) -> Self {
        self.event_types = Some(types.into_iter().collect());
        self
    }

    /// Sets whether the messages of one resource are sent in order. Applies to later messages.
    pub const fn with_order_per_resource(mut self, is_ordered: bool) -> Self {
        self.is_ordered = Some(is_ordered);
        self
    }

    /// Replaces all custom headers.
    pub fn with_headers(mut self, headers: Vec<(String, SecretString)>) -> Self {
        self.headers = Some(headers);
        self
    }
}

/// An endpoint, without its URL and secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointInfo {
    /// The id.
    pub id: EndpointId,
    /// The provider that the endpoint belongs to.
    pub provider: ProviderId,
    /// A label for display, usually the host.
    pub label: String,
    /// The event types that the endpoint receives. Empty for all types.
    pub event_types: Vec<EventType>,
    /// True if the messages of one resource are sent in order.
    pub is_ordered: bool,
    /// The state.
    pub state: EndpointState,
    /// The recent results. Failures on this side are not included.
    pub health: EndpointHealth,
    /// The time of creation.
    pub created_at: Timestamp,
}

impl EndpointInfo {
    pub(super) fn of(endpoint: Endpoint) -> Self {
        Self {
            id: endpoint.key.id,
            provider: endpoint.provider,
            label: endpoint.label,
            event_types: endpoint.event_types,
            is_ordered: endpoint.is_ordered,
            state: endpoint.state,
            health: endpoint.health,
            created_at: endpoint.created_at,
        }
    }
}

/// An added endpoint with its secret.
#[derive(Debug, Clone)]
pub struct AddedEndpoint {
    id: EndpointId,
    secret: SigningSecret,
}

impl AddedEndpoint {
    /// Returns the id of the endpoint.
    #[must_use]
    pub const fn id(&self) -> EndpointId {
        self.id
    }

    /// Returns what the receiver needs to verify messages: `whsec_…` or the public key `whpk_…`. Show
    /// it to the endpoint's owner once.
    #[must_use]
    pub fn verification_key(&self) -> SecretString {
        self.secret.verification_key()
    }
}

impl Outbound {
    pub(super) fn key(&self, id: EndpointId) -> EndpointKey {
        EndpointKey::new(self.tenant.clone(), id)
    }

    pub(super) fn entry(&self, context: &RequestContext, event: Event) -> AuditEntry {
        let app = AppKey::default();
        let target = audit::Target::endpoint(&self.tenant, &self.provider, &app);
        audit::entry(target, context, event)
    }

    /// Adds an endpoint. Sends no request to it; use [`Outbound::test`] for that.
    ///
    /// # Errors
    /// * [`ErrorKind::AddressRefused`] if the host of the URL is not public.
    /// * [`ErrorKind::InvalidInput`] if the URL is not https, if another setting is invalid, or if the
    ///   tenant has the maximum number of endpoints.
    /// * [`ErrorKind::StoreUnavailable`]: list the endpoints before a retry.
    pub async fn add(&self, target: NewTarget, context: RequestContext) -> Result<AddedEndpoint> {
        let (new, secret) = self.new_endpoint(target).await?;
        let id = new.key.id;
        match self.put(new, &context).await? {
            PutEndpointOutcome::Stored => Ok(AddedEndpoint { id, secret }),
            PutEndpointOutcome::Exists(_) => Err(invalid("the endpoint exists already")),
            PutEndpointOutcome::TooMany => Err(invalid(
                "the tenant has the maximum number of endpoints; remove one first",
            )),
        }
    }

    pub(super) async fn new_endpoint(
        &self,
        target: NewTarget,
    ) -> Result<(NewEndpoint, SigningSecret)> {
        let inner = &self.hub.inner;
        inner.accepting(OPERATION)?;
        check_types(&target.event_types)?;
        let host = inner.check_url(&target.url).await?;
        let secret = match &target.secret {
            Some(secret) => SigningSecret::parse(secret)?,
            None => SigningSecret::generate(target.algorithm, &*inner.random)?,
        };
        let key = self.key(EndpointId::generate(&*inner.random)?);
        let kept = Target {
            url: normalized(&target.url),
            secrets: vec![LiveSecret {
                secret: secret.clone(),
                until: None,
            }],
            headers: check_headers(target.headers)?,
        };
        let new = NewEndpoint {
            sealed: inner.seal_target(&key, &self.provider, &kept).await?,
            key,
            provider: self.provider.clone(),
            label: target.label.unwrap_or(host),
            alias: target.alias,
            event_types: target.event_types,
            is_ordered: target.is_ordered,
            limit: inner.outbound_policy.max_endpoints,
        };
        Ok((new, secret))
    }

    pub(super) async fn put(
        &self,
        new: NewEndpoint,
        context: &RequestContext,
    ) -> Result<PutEndpointOutcome> {
        let added = Event::EndpointAdded {
            endpoint: new.key.id.to_string(),
            label: new.label.clone(),
        };
        let entry = self.entry(context, added);
        let outcome = self.hub.inner.store.put_endpoint(new, vec![entry]).await?;
        if outcome == PutEndpointOutcome::Stored
            && let Err(error) = self.prune_gone(context).await
        {
            tracing::warn!(
                operation = OPERATION,
                error = %error,
                "old gone endpoints could not be removed"
            );
        }
        Ok(outcome)
    }

    /// Removes the oldest gone endpoints, so that at most the maximum number of endpoints remains.
    /// They do not count towards the maximum number of endpoints.
    async fn prune_gone(&self, context: &RequestContext) -> Result<()> {
        let most = u16::try_from(self.hub.inner.outbound_policy.max_endpoints).unwrap_or(u16::MAX);
        let n = most.saturating_add(1);
        let gone = self
            .list_in(Some(EndpointState::Gone), None, n)
            .await?
            .items;
        let extra = gone.len().saturating_sub(most.into());
        for endpoint in gone.iter().take(extra) {
            self.remove_because(endpoint.id, "gone", context).await?;
        }
        Ok(())
    }

    /// Checks that a gone endpoint can be enabled again.
    async fn check_room(&self) -> Result<()> {
        let most = usize::try_from(self.hub.inner.outbound_policy.max_endpoints);
        let (mut live, mut after) = (0, None);
        loop {
            let page = self.list_in(None, after.as_ref(), 200).await?;
            let is_live = |it: &&EndpointInfo| it.state != EndpointState::Gone;
            live += page.items.iter().filter(is_live).count();
            if most.is_ok_and(|most| live >= most) {
                return Err(invalid(
                    "the tenant has the maximum number of endpoints; remove one first",
                ));
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Lists at most `n` endpoints, starting after the cursor `after`.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry the call.
    pub async fn list(&self, after: Option<&Cursor>, n: u16) -> Result<Page<EndpointInfo>> {
        self.list_in(None, after, n).await
    }

    pub(super) async fn list_in(
        &self,
        state: Option<EndpointState>,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<EndpointInfo>> {
        let mut filter = EndpointFilter::default();
        filter.tenant = Some(self.tenant.clone());
        filter.provider = Some(self.provider.clone());
        filter.state = state;
        let page = self.hub.inner.store.endpoints(&filter, after, n).await?;
        Ok(Page {
            items: page.items.into_iter().map(EndpointInfo::of).collect(),
            next: page.next,
        })
    }

    /// Returns an endpoint.
    ///
    /// # Errors
    /// * [`ErrorKind::NotFound`] if the tenant has no such endpoint of this provider.
    /// * [`ErrorKind::StoreUnavailable`]: retry the call.
    pub async fn get(&self, id: EndpointId) -> Result<EndpointInfo> {
        self.load(id).await.map(EndpointInfo::of)
    }

    pub(super) async fn load(&self, id: EndpointId) -> Result<Endpoint> {
        let found = self.hub.inner.store.endpoint(&self.key(id)).await?;
        found
            .filter(|it| it.provider == self.provider)
            .ok_or_else(|| {
                let message = "the tenant has no such endpoint; list its endpoints";
                Error::new(ErrorKind::NotFound, OPERATION, message)
            })
    }

    /// Applies a change to the current version of an endpoint.
    async fn change(
        &self,
        id: EndpointId,
        event: Event,
        context: &RequestContext,
        mut change: impl AsyncFnMut(&Endpoint) -> Result<EndpointChange>,
    ) -> Result<EndpointInfo> {
        let store = &self.hub.inner.store;
        let mut kept = self.load(id).await?;
        for _ in 0..ATTEMPTS {
            let audit = vec![self.entry(context, event.clone())];
            let change = change(&kept).await?;
            let at = kept.version;
            match store.change_endpoint(&kept.key, at, change, audit).await? {
                ChangeEndpointOutcome::Changed(changed) => return Ok(EndpointInfo::of(*changed)),
                ChangeEndpointOutcome::Moved(newer) => kept = *newer,
                ChangeEndpointOutcome::Missing => break,
            }
        }
        // Removed, or changed again and again.
        self.load(id).await?;
        let message = "other callers change the endpoint at the same time; retry later";
        Err(Error::new(ErrorKind::Conflict, OPERATION, message))
    }

    /// Changes an endpoint.
    ///
    /// # Errors
    /// * As for [`Outbound::add`] and [`Outbound::get`].
    /// * [`ErrorKind::Conflict`] if other callers change the endpoint at the same time.
    pub async fn update(
        &self,
        id: EndpointId,
        update: EndpointUpdate,
        context: RequestContext,
    ) -> Result<EndpointInfo> {
        let inner = &self.hub.inner;
        let label = match &update.url {
            Some(url) => Some(inner.check_url(url).await?),
            None => None,
        };
        if let Some(types) = &update.event_types {
            check_types(types)?;
        }
        let headers = update.headers.map(check_headers).transpose()?;
        let event = changed(id, "updated");
        self.change(id, event, &context, async |kept| {
            let mut sealed = None;
            if update.url.is_some() || headers.is_some() {
                let mut target = inner
                    .open_target(&kept.key, &kept.provider, &kept.sealed)
                    .await?;
                if let Some(url) = &update.url {
                    target.url = normalized(url);
                }
                if let Some(headers) = &headers {
                    target.headers.clone_from(headers);
                }
                sealed = Some(
                    inner
                        .seal_target(&kept.key, &kept.provider, &target)
                        .await?,
                );
            }
            Ok(EndpointChange {
                label: label.clone(),
                event_types: update.event_types.clone(),
                is_ordered: update.is_ordered,
                sealed,
                state: None,
            })
        })
        .await
    }

    /// Adds a new signing secret with the same algorithm. Until `overlap` has passed, messages are
    /// signed with the previous secrets, too, so that the receiver can change its secret at any
    /// moment of this time. Returns what the receiver needs to verify messages with the new secret.
    ///
    /// # Errors
    /// * [`ErrorKind::InvalidInput`] if five secrets are still in use.
    /// * As for [`Outbound::update`].
    pub async fn rotate_secret(
        &self,
        id: EndpointId,
        overlap: Duration,
        context: RequestContext,
    ) -> Result<SecretString> {
        let inner = &self.hub.inner;
        let mut fresh = None;
        let event = changed(id, "secret_rotated");
        self.change(id, event, &context, async |kept| {
            let mut target = inner
                .open_target(&kept.key, &kept.provider, &kept.sealed)
                .await?;
            let now = inner.clock.now();
            target
                .secrets
                .retain(|it| it.until.is_none_or(|until| until > now));
            if target.secrets.len() >= MAX_SECRETS {
                return Err(invalid("five secrets are in use; wait until one expires"));
            }
            let end = now.after(overlap);
            for secret in &mut target.secrets {
                secret.until = Some(secret.until.map_or(end, |it| it.min(end)));
            }
            let algorithm = target.secrets.first().map(|it| it.secret.algorithm());
            let secret = SigningSecret::generate(algorithm.unwrap_or_default(), &*inner.random)?;
            fresh = Some(secret.verification_key());
            let live = LiveSecret {
                secret,
                until: None,
            };
            target.secrets.insert(0, live);
            Ok(EndpointChange {
                sealed: Some(
                    inner
                        .seal_target(&kept.key, &kept.provider, &target)
                        .await?,
                ),
                ..EndpointChange::default()
            })
        })
        .await?;
        fresh.ok_or_else(|| Error::new(ErrorKind::Bug, OPERATION, "no secret was generated"))
    }

    /// Enables an endpoint again, and forgets its failures. Skipped messages are not sent; use
    /// [`Outbound::replay_between`].
    ///
    /// # Errors
    /// As for [`Outbound::update`].
    pub async fn enable(&self, id: EndpointId, context: RequestContext) -> Result<EndpointInfo> {
        let event = changed(id, "enabled");
        self.set_state(id, EndpointState::Enabled, event, &context)
            .await
    }

    /// Disables an endpoint. Pending and later messages are kept as skipped, and can be replayed after
    /// the endpoint is enabled.
    ///
    /// # Errors
    /// As for [`Outbound::update`].
    pub async fn disable(&self, id: EndpointId, context: RequestContext) -> Result<EndpointInfo> {
        let event = Event::EndpointDisabled {
            endpoint: id.to_string(),
            label: self.load(id).await?.label,
            reason: "disabled".to_owned(),
        };
        self.set_state(id, EndpointState::Disabled, event, &context)
            .await
    }

    pub(super) async fn set_state(
        &self,
        id: EndpointId,
        state: EndpointState,
        event: Event,
        context: &RequestContext,
    ) -> Result<EndpointInfo> {
        let change = EndpointChange {
            state: Some(state),
            ..EndpointChange::default()
        };
        self.change(id, event, context, async |kept| {
            if kept.state == EndpointState::Gone && state == EndpointState::Enabled {
                self.check_room().await?;
            }
            Ok(change.clone())
        })
        .await
    }

    /// Removes an endpoint with its deliveries and its delivery log. Returns false if the tenant has
    /// no such endpoint.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry the call.
    pub async fn remove(&self, id: EndpointId, context: RequestContext) -> Result<bool> {
        self.remove_because(id, "removed", &context).await
    }

    pub(super) async fn remove_because(
        &self,
        id: EndpointId,
        reason: &str,
        context: &RequestContext,
    ) -> Result<bool> {
        let label = match self.load(id).await {
            Ok(endpoint) => endpoint.label,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            // An unreadable endpoint can be removed.
            Err(error) if error.kind() == ErrorKind::StoreIncompatible => "unreadable".to_owned(),
            Err(error) => return Err(error),
        };
        let event = Event::EndpointRemoved {
            endpoint: id.to_string(),
            label,
            reason: reason.to_owned(),
        };
        let audit = vec![self.entry(context, event)];
        let store = &self.hub.inner.store;
        store.remove_endpoint(&self.key(id), audit).await
    }
}

pub(super) fn changed(id: EndpointId, change: &str) -> Event {
    Event::EndpointChanged {
        endpoint: id.to_string(),
        change: change.to_owned(),
    }
}

fn check_types(types: &[EventType]) -> Result<()> {
    if types.len() > MAX_TYPES {
        return Err(invalid("an endpoint can have at most 200 event types"));
    }
    Ok(())
}
