//! The cluster's topology, requested from several nodes at once: on first use, and when something
//! has changed.

use std::{
    sync::{MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, select_ok},
};
use tokio::time::{Instant, timeout_at};

use super::{
    super::{command::pipelined, node::CONNECT, target::Address},
    Cluster,
    slots::Slots,
};
use crate::{
    clock::Moment,
    kv::{Delivery, KvError},
};

/// How many nodes are asked for the topology at once: enough for one to respond, however large the
/// cluster is.
const SOURCES: usize = 4;
/// The shortest time between two fetches of the topology.
const PAUSE: Duration = Duration::from_millis(500);

/// A fetch of the topology in progress.
type Fetching = Shared<BoxFuture<'static, Result<(), KvError>>>;

#[derive(Default)]
pub(super) struct Topology {
    pub(super) slots: Option<Slots>,
    fetching: Option<(Fetching, Moment)>,
    /// The last fetch failed, or took too long for a request: no request waits for the next one.
    given_up: bool,
    /// The number of fetches so far: each asks different nodes.
    round: usize,
}

impl Cluster {
    /// Waits for the topology if none is known yet. After a failed fetch, only `patient` callers
    /// wait.
    pub(super) async fn topology_known(
        &self,
        deadline: Instant,
        patient: bool,
    ) -> Result<(), KvError> {
        let (fetching, waits) = {
            let mut topology = self.topology();
            if topology.slots.is_some() {
                return Ok(());
            }
            (self.fetching(&mut topology), patient || !topology.given_up)
        };
        let outcome = if waits {
            timeout_at(deadline, fetching).await.ok()
        } else {
            None
        };
        if outcome.is_none() {
            self.topology().given_up = true;
        }
        outcome.unwrap_or_else(|| Err(KvError::Unavailable("no cluster topology in time".into())))
    }

    /// Fetches the topology in the background. As with a connection attempt, nothing depends on
    /// that task.
    pub(super) fn refetch_topology(&self) {
        drop(self.fetching(&mut self.topology()));
    }

    /// The fetch that is in progress or was just made; otherwise starts one.
    fn fetching(&self, topology: &mut Topology) -> Fetching {
        let now = Moment::now(&self.0.clock);
        if let Some((fetching, start)) = &topology.fetching {
            let age = now.since(*start);
            // A fetch that takes too long was cut short by a freeze.
            if age < PAUSE || fetching.peek().is_none() && age < CONNECT * 2 {
                return fetching.clone();
            }
        }
        topology.round += 1;
        let (cluster, sources) = (self.clone(), self.sources(topology));
        let fetching = async move {
            let fetched = cluster.fetch_topology(sources).await;
            cluster.store_topology(fetched)
        };
        let fetching = fetching.boxed().shared();
        tokio::spawn(fetching.clone());
        topology.fetching = Some((fetching.clone(), now));
        fetching
    }

    /// Stores what was fetched, and drops the nodes that no longer own slots.
    fn store_topology(&self, fetched: Result<Slots, KvError>) -> Result<(), KvError> {
        let mut topology = self.topology();
        topology.given_up = fetched.is_err();
        let slots = fetched?;
        let needed =
            |address: &Address| slots.has(address) || self.0.target.addresses.contains(address);
        self.nodes().retain(|address, _| needed(address));
        topology.slots = Some(slots);
        Ok(())
    }

    /// The topology according to the first of `sources` that responds.
    async fn fetch_topology(&self, sources: Vec<Address>) -> Result<Slots, KvError> {
        let mut call = redis::cmd("CLUSTER");
        call.arg("SLOTS");
        let call = pipelined([call]);
        let (call, deadline) = (&call, Instant::now() + CONNECT);
        let replies = sources.into_iter().map(|address| {
            let reply = async move {
                let outcomes = self
                    .visit(&address, call, deadline, Delivery::BestEffort)
                    .await?;
                let answer = outcomes.into_iter().find_map(Result::ok);
                answer
                    .and_then(|answer| Slots::parse(&answer, &address))
                    .ok_or_else(|| KvError::Unavailable("no usable reply to CLUSTER SLOTS".into()))
            };
            reply.boxed()
        });
        Ok(select_ok(replies).await?.0)
    }

    /// Nodes to ask for the topology, different ones each time: those of the URL and those that own
    /// slots.
    fn sources(&self, topology: &Topology) -> Vec<Address> {
        let known = topology
            .slots
            .as_ref()
            .map(Slots::owners)
            .unwrap_or_default();
        let seeds = self.0.target.addresses.iter().cloned();
        let mut all: Vec<_> = seeds.chain(known).collect();
        all.sort();
        all.dedup();
        let start = topology.round % all.len();
        all.rotate_left(start);
        all.truncate(SOURCES);
        all
    }

    pub(super) fn topology(&self) -> MutexGuard<'_, Topology> {
        self.0
            .topology
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
