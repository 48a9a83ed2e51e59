//! Slots for requests to providers' token endpoints. They limit the number of concurrent and of
//! queued requests.
//!
//! A slow provider must not use the slots of other providers. If accounts have their own hosts, a
//! slow host must not use the slots of other hosts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use connector_core::ProviderId;
use connector_core::provider::Description;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lock;

#[derive(Debug)]
pub(super) struct Slots {
    /// Maximum number of concurrent requests to one endpoint.
    width: usize,
    /// Maximum number of running and queued jobs of one provider.
    share: usize,
    providers: Mutex<HashMap<ProviderId, Endpoints>>,
}

/// The token endpoints of one provider that have running or queued jobs.
#[derive(Debug, Default)]
struct Endpoints {
    /// Keyed by the account's host. There is one entry if all accounts share an endpoint.
    hosts: HashMap<Option<String>, Endpoint>,
    jobs: usize,
}

#[derive(Debug)]
struct Endpoint {
    running: Arc<Semaphore>,
    jobs: usize,
}

impl Slots {
    /// Creates slots with `width` concurrent requests per endpoint. The job limit `room` is split
    /// equally among the `providers`.
    pub(super) fn new(width: usize, room: usize, providers: usize) -> Self {
        let width = width.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            width,
            share: (room / providers.max(1)).max(width),
            providers: Mutex::default(),
        }
    }

    /// Waits for a slot. The slot is free again when the returned value is dropped. Returns `None`
    /// if too many jobs of this provider or host are queued.
    pub(super) async fn take(&self, provider: &ProviderId, host: Option<&str>) -> Option<Slot<'_>> {
        let (waiting, running) = self.enter(provider, host)?;
        let permit = running.acquire_owned().await.ok()?;
        Some(Slot {
            _permit: permit,
            _job: waiting,
        })
    }

    fn enter(
        &self,
        provider: &ProviderId,
        host: Option<&str>,
    ) -> Option<(Job<'_>, Arc<Semaphore>)> {
        let host = host.map(str::to_owned);
        let mut providers = lock(&self.providers);
        let endpoints = providers.entry(provider.clone()).or_default();
        let known = endpoints.hosts.contains_key(&host);
        // The provider's share is divided among the hosts with running or queued jobs.
        let active = endpoints.hosts.len() + usize::from(!known);
        let most = match &host {
            Some(_) => (self.share / (active + 1)).max(self.width),
            None => self.share,
        };
        let queued = endpoints.hosts.get(&host).map_or(0, |it| it.jobs);
        if endpoints.jobs >= self.share || queued >= most {
            return None;
        }
        endpoints.jobs += 1;
        let width = self.width;
        let endpoint = endpoints
            .hosts
            .entry(host.clone())
            .or_insert_with(|| Endpoint {
                running: Arc::new(Semaphore::new(width)),
                jobs: 0,
            });
        endpoint.jobs += 1;
        let running = Arc::clone(&endpoint.running);
        let job = Job {
            slots: self,
            provider: provider.clone(),
            host,
        };
        Some((job, running))
    }
}

/// Returns the account's host, if the host has its own token endpoint.
pub(super) fn slot_host<'a>(description: &Description, host: Option<&'a str>) -> Option<&'a str> {
    host.filter(|_| description.account_host.is_some())
}

/// A permit to send requests to an endpoint.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    _permit: OwnedSemaphorePermit,
    _job: Job<'a>,
}

/// A running or queued job.
#[derive(Debug)]
struct Job<'a> {
    slots: &'a Slots,
    provider: ProviderId,
    host: Option<String>,
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        let mut providers = lock(&self.slots.providers);
        let Some(endpoints) = providers.get_mut(&self.provider) else {
            return;
        };
        endpoints.jobs = endpoints.jobs.saturating_sub(1);
        if let Some(endpoint) = endpoints.hosts.get_mut(&self.host) {
            endpoint.jobs = endpoint.jobs.saturating_sub(1);
            if endpoint.jobs == 0 {
                endpoints.hosts.remove(&self.host);
            }
        }
        if endpoints.jobs == 0 {
            providers.remove(&self.provider);
        }
    }
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "the test prints the counts")]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const A: ProviderId = ProviderId::from_static("a");
    const B: ProviderId = ProviderId::from_static("b");

    #[test]
    fn a_provider_or_a_host_that_hangs_leaves_room_for_others() {
        let cases = [
            // Columns: total job limit, number of providers, hosts of the first provider, expected
            // number of its admitted jobs.
            (512, 2, 0, 256),
            (512, 4, 0, 128),
            (16, 4, 0, 8),
            (512, 2, 1, 128),
            (512, 2, 4, 204),
        ];
        for (room, providers, hosts, most) in cases {
            let slots = Slots::new(8, room, providers);
            let (mut running, mut waiting) = (Vec::new(), Vec::new());
            for job in 0..1000 {
                let host = (hosts > 0).then(|| format!("h{}", job % hosts.max(1)));
                if let Some((job, permits)) = slots.enter(&A, host.as_deref()) {
                    match permits.try_acquire_owned() {
                        Ok(permit) => running.push((job, permit)),
                        Err(_) => waiting.push(job),
                    }
                }
            }
            assert_eq!(
                running.len(),
                8 * hosts.max(1),
                "{room} {providers} {hosts}"
            );
            let jobs = running.len() + waiting.len();
            assert_eq!(jobs, most, "{room} {providers} {hosts}");
            let other = slots.take(&B, None).now_or_never();
            assert!(matches!(other, Some(Some(_))), "another provider");
            if hosts > 0 {
                let other = slots.take(&A, Some("calm")).now_or_never();
                assert!(matches!(other, Some(Some(_))), "another host");
            }
            drop((running, waiting));
            assert!(
                lock(&slots.providers).len() <= 1,
                "no job is counted after all slots are dropped"
            );
        }
        println!("{} cases", cases.len());
    }
}
