//! A Redis cluster: each node behind a breaker of its own, so that losing a node affects its own
//! keys only.
//!
//! The `redis` crate's client for clusters retries with pauses of seconds and blocks all requests
//! while it asks an unresponsive node for the topology; here a request waits only for the reply to
//! its own call. The topology is fetched on first use, and again in the background when a node
//! redirects or fails.

mod slots;
mod topology;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use redis::{Cmd, ErrorKind, Pipeline, RedisResult, ServerErrorKind, Value};
use tokio::time::Instant;

use self::{
    slots::{Slots, slot},
    topology::Topology,
};
use super::{
    command::{CommandError, Outcome, pipelined, unavailable},
    node::Node,
    target::{Address, Target, unusable},
};
use crate::{
    clock::Clock,
    config::RedisSettings,
    kv::{Delivery, KvError},
};

/// Redirections that a call follows; a slot that moves even more often is left to the next request.
const REDIRECTIONS: usize = 3;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Cluster(Arc<Inner>);

struct Inner {
    target: Target,
    budget: Duration,
    clock: Clock,
    nodes: Mutex<HashMap<Address, Node>>,
    topology: Mutex<Topology>,
}

/// A command for the node that owns `key`.
pub(super) struct Routed {
    pub(super) key: Vec<u8>,
    pub(super) command: Cmd,
}

/// Where a command goes next, and whether `ASKING` has to precede it.
struct Dispatch {
    at: usize,
    node: Address,
    asking: bool,
}

impl Cluster {
    pub(super) fn new(settings: &RedisSettings, clock: Clock) -> RedisResult<Self> {
        let target = Target::parse(settings)?;
        if target.addresses.is_empty() {
            return Err(unusable());
        }
        Ok(Self(Arc::new(Inner {
            target,
            budget: settings.timeout,
            clock,
            nodes: Mutex::default(),
            topology: Mutex::default(),
        })))
    }

    /// Sends each command to the node that owns its key, all concurrently; follows redirections.
    pub(super) async fn ask(
        &self,
        commands: Vec<Routed>,
        deadline: Instant,
        delivery: Delivery,
    ) -> Result<Vec<Outcome>, KvError> {
        let patient = delivery == Delivery::Required;
        self.topology_known(deadline, patient).await?;
        let mut outcomes: Vec<Outcome> = commands
            .iter()
            .map(|_| Err(CommandError::Unreachable(unowned())))
            .collect();
        let mut dispatches = self.first_dispatches(&commands);
        for _ in 0..=REDIRECTIONS {
            let mut next = Vec::new();
            for (dispatch, outcome) in self.run(&commands, dispatches, deadline, delivery).await {
                next.extend(self.redirected(&dispatch, &outcome));
                outcomes[dispatch.at] = outcome;
            }
            if next.is_empty() {
                break;
            }
            dispatches = next;
        }
        if outcomes
            .iter()
            .any(|outcome| matches!(outcome, Err(CommandError::Unreachable(_))))
        {
            // The node may have been replaced by another one.
            self.refetch_topology();
        }
        Ok(outcomes)
    }

    /// Connects to all primaries; fails when one of them can't be reached.
    pub(super) async fn reach(&self, deadline: Instant) -> Result<(), KvError> {
        self.topology_known(deadline, true).await?;
        let reaching = self
            .primaries()
            .into_iter()
            .map(|node| async move { node.reach(deadline).await });
        join_all(reaching).await.into_iter().collect()
    }

    /// A key for each primary, after all of them were connected to.
    pub(super) async fn probe_keys(&self, deadline: Instant) -> Result<Vec<String>, KvError> {
        self.reach(deadline)
            .await
            .inspect_err(|_| self.refetch_topology())?;
        let topology = self.topology();
        let slots = topology.slots.as_ref().ok_or_else(unowned)?;
        let mut missing = slots.owners();
        let mut keys = Vec::new();
        // One in as many keys as there are primaries belongs to a given one, on average.
        for key in (0..=u16::MAX).map(|number| format!("{{health:{number}}}")) {
            let owner = slots.owner(slot(key.as_bytes()));
            if let Some(at) = missing.iter().position(|it| Some(it) == owner) {
                missing.swap_remove(at);
                keys.push(key);
            }
            if missing.is_empty() {
                break;
            }
        }
        Ok(keys)
    }

    fn first_dispatches(&self, commands: &[Routed]) -> Vec<Dispatch> {
        let topology = self.topology();
        let owner = |key: &[u8]| topology.slots.as_ref()?.owner(slot(key)).cloned();
        let dispatch = |(at, command): (usize, &Routed)| {
            Some(Dispatch {
                at,
                node: owner(&command.key)?,
                asking: false,
            })
        };
        commands.iter().enumerate().filter_map(dispatch).collect()
    }

    /// One round trip to each node involved, all concurrently.
    async fn run(
        &self,
        commands: &[Routed],
        dispatches: Vec<Dispatch>,
        deadline: Instant,
        delivery: Delivery,
    ) -> Vec<(Dispatch, Outcome)> {
        let mut by_node: HashMap<Address, Vec<Dispatch>> = HashMap::new();
        for dispatch in dispatches {
            by_node
                .entry(dispatch.node.clone())
                .or_default()
                .push(dispatch);
        }
        let visits = by_node.into_iter().map(|(address, dispatches)| async move {
            let sent = dispatches.iter().flat_map(|dispatch| {
                let asking = dispatch.asking.then(|| redis::cmd("ASKING"));
                asking
                    .into_iter()
                    .chain([commands[dispatch.at].command.clone()])
            });
            let pipeline = pipelined(sent);
            let outcomes = self.visit(&address, &pipeline, deadline, delivery).await;
            let mut outcomes = outcomes.map(Vec::into_iter);
            let mut outcome = |dispatch: Dispatch| {
                let outcome = match &mut outcomes {
                    Ok(outcomes) => {
                        // Skips the reply to ASKING itself.
                        let outcome = outcomes.nth(usize::from(dispatch.asking));
                        outcome
                            .ok_or_else(|| CommandError::Unreachable(unowned()))
                            .and_then(|it| it.map_err(CommandError::Refused))
                    }
                    Err(error) => Err(CommandError::Unreachable(error.clone())),
                };
                (dispatch, outcome)
            };
            dispatches.into_iter().map(&mut outcome).collect::<Vec<_>>()
        });
        join_all(visits).await.into_iter().flatten().collect()
    }

    async fn visit(
        &self,
        address: &Address,
        pipeline: &Pipeline,
        deadline: Instant,
        delivery: Delivery,
    ) -> Result<Vec<RedisResult<Value>>, KvError> {
        self.node(address)?.ask(pipeline, deadline, delivery).await
    }

    /// The next dispatch of a command that was redirected.
    fn redirected(&self, dispatch: &Dispatch, outcome: &Outcome) -> Option<Dispatch> {
        let Err(CommandError::Refused(error)) = outcome else {
            return None;
        };
        let (address, slot) = error.redirect_node()?;
        let node = Address::parse(address, &dispatch.node)?;
        let asking = error.kind() == ErrorKind::Server(ServerErrorKind::Ask);
        if !asking {
            if let Some(slots) = &mut self.topology().slots {
                slots.learn(slot, node.clone());
            }
            self.refetch_topology();
        }
        Some(Dispatch {
            at: dispatch.at,
            node,
            asking,
        })
    }

    fn primaries(&self) -> Vec<Node> {
        let owners = self
            .topology()
            .slots
            .as_ref()
            .map(Slots::owners)
            .unwrap_or_default();
        owners
            .iter()
            .filter_map(|address| self.node(address).ok())
            .collect()
    }

    fn node(&self, address: &Address) -> Result<Node, KvError> {
        let mut nodes = self.nodes();
        if let Some(node) = nodes.get(address) {
            return Ok(node.clone());
        }
        let server = self.0.target.at(address).map_err(unavailable)?;
        let node = Node::new(server, self.0.clock.clone(), self.0.budget, false);
        nodes.insert(address.clone(), node.clone());
        Ok(node)
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<Address, Node>> {
        self.0.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unowned() -> KvError {
    KvError::Unavailable("no node owns this key".into())
}
