//! How the hub and its connections are doing, for operators.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use connector_core::store::Filter;
use connector_core::{AppKey, Event, ProviderId, RequestContext, Result};

use crate::audit::{self, Target};
use crate::breaker::Registration;
use crate::hub::{Hub, Inner};

/// Connections read at a time.
const PAGE: u16 = 500;
/// Connections that are counted at most: an operator's question must not read a store of millions.
const COUNTED: usize = 20_000;
/// Tenants of a registration that are told apart at most.
const TENANTS: usize = 16;

/// How the hub is doing, as this process sees it.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Health {
    /// Every registration that has connections or was used by this process.
    pub apps: Vec<AppHealth>,
    /// False if there are more connections than were counted (20,000).
    pub counted_all: bool,
    /// Connections with a token in this process's memory.
    pub cached: usize,
    /// Refreshes and connects under way in this process.
    pub under_way: usize,
    /// How long the work that a worker of this process took last had been due; it grows when the
    /// workers cannot keep up.
    pub late_by: Duration,
}

/// How one registration is doing.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct AppHealth {
    /// Counted connections by [`Status::as_str`](connector_core::Status::as_str).
    pub connections: BTreeMap<&'static str, u64>,
    /// True while the provider refuses the registration: check its client id and secret. It is
    /// probed again by itself.
    pub is_refused: bool,
    /// True while no grant is marked as dead, after a wave of grants that the provider refused as
    /// dead. Other connections are refreshed meanwhile, and any success ends it. Look at the
    /// provider, then call [`Hub::confirm_dead_grants`].
    pub is_braked: bool,
    provider: Option<ProviderId>,
    app: AppKey,
}

impl AppHealth {
    /// The provider.
    #[must_use]
    pub fn provider(&self) -> &str {
        self.provider.as_ref().map_or("", ProviderId::as_str)
    }

    /// The registration.
    #[must_use]
    pub const fn app(&self) -> &AppKey {
        &self.app
    }
}

impl Hub {
    /// How the hub and its connections are doing. Reads at most 20,000 connections' records.
    ///
    /// # Errors
    /// [`StoreUnavailable`](connector_core::ErrorKind::StoreUnavailable): the store is not doing
    /// well.
    pub async fn health(&self) -> Result<Health> {
        let inner = &self.inner;
        let (counts, counted_all) = inner.count(&Filter::everyone()).await?;
        let mut apps: BTreeMap<_, _> = counts;
        for app in inner.breakers.known() {
            apps.entry(app).or_default();
        }
        let apps = apps
            .into_iter()
            .map(|((provider, app), connections)| {
                let (is_refused, is_braked) = inner.breakers.state(&provider, &app);
                AppHealth {
                    connections,
                    is_refused,
                    is_braked,
                    provider: Some(provider),
                    app,
                }
            })
            .collect();
        Ok(Health {
            apps,
            counted_all,
            cached: inner.cache.len(),
            under_way: inner.flights.under_way(),
            late_by: Duration::from_millis(inner.late_by.load(Ordering::Relaxed)),
        })
    }

    /// Confirms that the grants of an app that were refused as dead in a wave are dead: for an hour
    /// dead grants are marked, however many there are. Returns the number of grants that were held
    /// back; zero if there was no wave in this process.
    ///
    /// Each process brakes by what it has seen; [`Health`] of each says whether it did.
    ///
    /// # Errors
    /// [`StoreUnavailable`](connector_core::ErrorKind::StoreUnavailable) if not every confirmation
    /// could be recorded; it holds all the same.
    pub async fn confirm_dead_grants(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        context: RequestContext,
    ) -> Result<usize> {
        let inner = &self.inner;
        let wave = inner.breakers.confirm(provider, app, &*inner.clock);
        for key in &wave {
            let target = Target {
                tenant: &key.tenant,
                provider,
                app,
                connection: Some(key.id),
            };
            let entry = audit::entry(target, &context, Event::DeadGrantConfirmed);
            inner.store.append(entry).await?;
        }
        Ok(wave.len())
    }
}

type Counts = BTreeMap<(ProviderId, AppKey), BTreeMap<&'static str, u64>>;

impl Inner {
    /// Counts connections by their state, and says whether all of them were counted.
    async fn count(&self, filter: &Filter) -> Result<(Counts, bool)> {
        let mut counts = Counts::new();
        let (mut counted, mut after) = (0, None);
        loop {
            let slice = self.store.list(filter, after.as_ref(), PAGE).await?;
            counted += slice.items.len();
            for connection in slice.items {
                let app = (connection.provider, connection.app);
                let of_app = counts.entry(app).or_default();
                *of_app.entry(connection.status.as_str()).or_default() += 1;
            }
            after = slice.next;
            if after.is_none() {
                return Ok((counts, true));
            }
            if counted >= COUNTED {
                return Ok((counts, false));
            }
        }
    }

    /// Counts the accounts and the tenants of a registration, unless that was done a while ago: what
    /// the provider refuses is measured against them. Reads at most 20,000 records.
    pub(crate) async fn count_once(&self, registration: &Registration, app: &AppKey) {
        let clock = &*self.clock;
        if !self.breakers.wants_count(registration, app, clock) {
            return;
        }
        let mut filter = Filter::everyone()
            .with_provider(registration.provider.clone())
            .with_app(app.clone());
        filter.tenant.clone_from(&registration.tenant);
        let (mut accounts, mut after) = (0, None);
        let mut tenants = BTreeSet::new();
        loop {
            let slice = match self.store.list(&filter, after.as_ref(), PAGE).await {
                Ok(slice) => slice,
                Err(error) => {
                    tracing::warn!(operation = "hub.count", error = %error, "accounts not counted");
                    return;
                }
            };
            for connection in slice.items {
                if connection.is_live() {
                    accounts += 1;
                    // More are not told apart.
                    if tenants.len() < TENANTS {
                        tenants.insert(connection.key.tenant);
                    }
                }
            }
            after = slice.next;
            if after.is_none() || accounts >= COUNTED {
                break;
            }
        }
        self.breakers
            .counted(registration, accounts, tenants.len(), clock);
    }
}
