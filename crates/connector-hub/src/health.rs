//! Health of the hub and its connections, for operators.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use connector_core::store::Filter;
use connector_core::{AppKey, Event, ProviderId, RequestContext, Result};

use crate::audit::{self, Target};
use crate::breaker::Registration;
use crate::hub::{Hub, Inner};

/// Page size for reading connections.
const PAGE: u16 = 500;
/// Maximum number of connections to count, so that a health check never reads millions of rows.
const COUNTED: usize = 20_000;
/// Maximum number of tenants of a registration to count.
const TENANTS: usize = 16;

/// The health of the hub, as seen by this process.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Health {
    /// All registrations that have connections or were used by this process.
    pub apps: Vec<AppHealth>,
    /// False if the store has more connections than the maximum count (20,000).
    pub counted_all: bool,
    /// Number of connections with a token in this process's cache.
    pub cached: usize,
    /// Number of in-flight refreshes and connect flows in this process.
    pub under_way: usize,
    /// Worker lag: the time from the due time of a job to its lease. Measured for the last job that
    /// a worker of this process leased. The lag grows if the workers cannot keep up.
    pub late_by: Duration,
}

/// The health of one registration.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct AppHealth {
    /// Number of counted connections by [`Status::as_str`](connector_core::Status::as_str).
    pub connections: BTreeMap<&'static str, u64>,
    /// True while the provider refuses the registration. Check the client id and the secret. The
    /// hub probes the registration again automatically.
    pub is_refused: bool,
    /// True while the hub marks no grants as ended, because the provider refused unusually many
    /// grants within a short time. Other connections are still refreshed, and the first success
    /// ends this state. Check the provider, then call [`Hub::confirm_dead_grants`].
    pub is_braked: bool,
    provider: Option<ProviderId>,
    app: AppKey,
}

impl AppHealth {
    /// Returns the provider.
    #[must_use]
    pub fn provider(&self) -> &str {
        self.provider.as_ref().map_or("", ProviderId::as_str)
    }

    /// Returns the registration.
    #[must_use]
    pub const fn app(&self) -> &AppKey {
        &self.app
    }
}

impl Hub {
    /// Returns the health of the hub and its connections. Reads at most 20,000 connection records.
    ///
    /// # Errors
    /// [`StoreUnavailable`](connector_core::ErrorKind::StoreUnavailable) if the store cannot be
    /// read.
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

    /// Confirms that an app's grants have ended, if the provider refused many of them within a
    /// short time (a wave). For one hour, the hub marks every refused grant as ended immediately.
    /// Returns the number of refused grants that were not marked before, or zero if this process
    /// detected no wave.
    ///
    /// Each process has its own brake. Check the [`Health`] of each process.
    ///
    /// # Errors
    /// [`StoreUnavailable`](connector_core::ErrorKind::StoreUnavailable) if some confirmations
    /// could not be recorded. The confirmation is still in effect.
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
    /// Counts connections by status. Also returns whether all connections were counted.
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

    /// Counts the accounts and the tenants of a registration, unless a recent count exists. The
    /// breaker compares the provider's refusals with these numbers. Reads at most 20,000 records.
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
                    tracing::warn!(
                        operation = "hub.count",
                        error = %error,
                        "the accounts of a registration could not be counted"
                    );
                    return;
                }
            };
            for connection in slice.items {
                if connection.is_live() {
                    accounts += 1;
                    // Further tenants are not distinguished.
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
