//! A Redis cluster: each node behind a gate of its own, so that one that is lost costs its own keys
//! only.
//!
//! Redis' own client for clusters retries with pauses of seconds and keeps all requests waiting
//! while it asks a silent node for the topology; here nobody waits for anything but the answer to a
//! question. What a node says about the topology is asked for once at first use, and again beside
//! the requests when a node redirects or fails.

mod slots;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, join_all, select_ok},
};
use redis::{Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisResult, ServerErrorKind, Value};
use tokio::time::{Instant, timeout_at};

use self::slots::{Slots, slot};
use super::{
    Fault, Outcome,
    node::{CONNECT, Node},
    pipelined,
    target::{self, Address, unusable},
};
use crate::{
    clock::{Clock, Moment},
    config::RedisSettings,
    kv::KvError,
};

/// How many nodes are asked for the topology at once: enough that one answers, however many there
/// are.
const WITNESSES: usize = 4;
/// The topology is not asked for more often than this.
const PAUSE: Duration = Duration::from_millis(500);
/// A slot that moves again while it is followed is left to the next request.
const REDIRECTIONS: usize = 3;

/// The topology on its way.
type Learning = Shared<BoxFuture<'static, Result<(), KvError>>>;

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Cluster(Arc<Inner>);

struct Inner {
    base: ConnectionInfo,
    seeds: Vec<Address>,
    budget: Duration,
    clock: Clock,
    nodes: Mutex<HashMap<Address, Node>>,
    topology: Mutex<Topology>,
}

#[derive(Default)]
struct Topology {
    slots: Option<Slots>,
    learning: Option<(Learning, Moment)>,
    /// The last attempt to learn it failed, or took too long for somebody: nobody waits for another
    /// one.
    given_up: bool,
    /// How often it was asked for: others are asked each time.
    round: usize,
}

/// A command for the node that has `key`.
pub(super) struct Routed {
    pub(super) key: Vec<u8>,
    pub(super) command: Cmd,
}

/// Where a command goes next, and whether the node has to be told that it was sent there
/// (`ASKING`).
struct Errand {
    at: usize,
    node: Address,
    asking: bool,
}

impl Cluster {
    pub(super) fn new(settings: &RedisSettings, clock: Clock) -> RedisResult<Self> {
        let (base, seeds) = target::parse(settings)?;
        if seeds.is_empty() {
            return Err(unusable());
        }
        Ok(Self(Arc::new(Inner {
            base,
            seeds,
            budget: settings.timeout,
            clock,
            nodes: Mutex::default(),
            topology: Mutex::default(),
        })))
    }

    /// Sends each command to the node that has its key, all at the same time; follows redirections.
    pub(super) async fn ask(
        &self,
        commands: Vec<Routed>,
        deadline: Instant,
    ) -> Result<Vec<Outcome>, KvError> {
        self.topology_known(deadline, false).await?;
        let mut outcomes: Vec<Outcome> = commands
            .iter()
            .map(|_| Err(Fault::Node(unowned())))
            .collect();
        let mut errands = self.first_errands(&commands);
        for _ in 0..=REDIRECTIONS {
            let mut next = Vec::new();
            for (errand, outcome) in self.run(&commands, errands, deadline).await {
                next.extend(self.redirected(&errand, &outcome));
                outcomes[errand.at] = outcome;
            }
            if next.is_empty() {
                break;
            }
            errands = next;
        }
        if outcomes
            .iter()
            .any(|outcome| matches!(outcome, Err(Fault::Node(_))))
        {
            // The node may have been replaced by another one.
            self.learn_again();
        }
        Ok(outcomes)
    }

    /// Connects to all primaries and returns when that has succeeded, or failed for one of them.
    pub(super) async fn reach(&self, deadline: Instant) -> Result<(), KvError> {
        self.topology_known(deadline, true).await?;
        let reaching = self
            .primaries()
            .into_iter()
            .map(|node| async move { node.reach(deadline).await });
        join_all(reaching).await.into_iter().collect()
    }

    /// Whether all primaries answer right now.
    pub(super) async fn ping(&self, deadline: Instant) -> Result<(), KvError> {
        self.reach(deadline)
            .await
            .inspect_err(|_| self.learn_again())?;
        let ping = pipelined([redis::cmd("PING")]);
        let (ping, asked) = (&ping, self.primaries());
        let asking = asked
            .iter()
            .map(|node| async move { node.ask(ping, deadline).await.map(drop) });
        join_all(asking).await.into_iter().collect()
    }

    fn first_errands(&self, commands: &[Routed]) -> Vec<Errand> {
        let topology = self.topology();
        let owner = |key: &[u8]| topology.slots.as_ref()?.owner(slot(key)).cloned();
        let errand = |(at, command): (usize, &Routed)| {
            Some(Errand {
                at,
                node: owner(&command.key)?,
                asking: false,
            })
        };
        commands.iter().enumerate().filter_map(errand).collect()
    }

    /// One round trip to each node concerned.
    async fn run(
        &self,
        commands: &[Routed],
        errands: Vec<Errand>,
        deadline: Instant,
    ) -> Vec<(Errand, Outcome)> {
        let mut by_node: HashMap<Address, Vec<Errand>> = HashMap::new();
        for errand in errands {
            by_node.entry(errand.node.clone()).or_default().push(errand);
        }
        let visits = by_node.into_iter().map(|(address, errands)| async move {
            let sent = errands.iter().flat_map(|errand| {
                let asking = errand.asking.then(|| redis::cmd("ASKING"));
                asking
                    .into_iter()
                    .chain([commands[errand.at].command.clone()])
            });
            let outcomes = self.visit(&address, &pipelined(sent), deadline).await;
            let mut outcomes = outcomes.map(Vec::into_iter);
            let mut outcome = |errand: Errand| {
                let outcome = match &mut outcomes {
                    Ok(outcomes) => {
                        // The answer to ASKING itself says nothing.
                        let outcome = outcomes.nth(usize::from(errand.asking));
                        outcome
                            .ok_or_else(|| Fault::Node(unowned()))
                            .and_then(|it| it.map_err(Fault::Command))
                    }
                    Err(error) => Err(Fault::Node(error.clone())),
                };
                (errand, outcome)
            };
            errands.into_iter().map(&mut outcome).collect::<Vec<_>>()
        });
        join_all(visits).await.into_iter().flatten().collect()
    }

    async fn visit(
        &self,
        address: &Address,
        pipeline: &Pipeline,
        deadline: Instant,
    ) -> Result<Vec<RedisResult<Value>>, KvError> {
        self.node(address)?.ask(pipeline, deadline).await
    }

    /// Where a command goes that was sent to the wrong node.
    fn redirected(&self, errand: &Errand, outcome: &Outcome) -> Option<Errand> {
        let Err(Fault::Command(error)) = outcome else {
            return None;
        };
        let (address, slot) = error.redirect_node()?;
        let node = Address::parse(address, &errand.node)?;
        let asking = error.kind() == ErrorKind::Server(ServerErrorKind::Ask);
        if !asking {
            if let Some(slots) = &mut self.topology().slots {
                slots.learn(slot, node.clone());
            }
            self.learn_again();
        }
        Some(Errand {
            at: errand.at,
            node,
            asking,
        })
    }

    /// Waits for the topology where nothing is known of it yet: the first requests do, and whoever
    /// is `patient`.
    async fn topology_known(&self, deadline: Instant, patient: bool) -> Result<(), KvError> {
        let (learning, waits) = {
            let mut topology = self.topology();
            if topology.slots.is_some() {
                return Ok(());
            }
            (self.learning(&mut topology), patient || !topology.given_up)
        };
        let outcome = if waits {
            timeout_at(deadline, learning).await.ok()
        } else {
            None
        };
        if outcome.is_none() {
            self.topology().given_up = true;
        }
        outcome.unwrap_or_else(|| Err(KvError("no topology in time".into())))
    }

    /// Asks for the topology beside the requests. Like a connection's attempt, nothing depends on
    /// that task.
    fn learn_again(&self) {
        drop(self.learning(&mut self.topology()));
    }

    /// The one attempt to learn the topology that is under way, or has just been made.
    fn learning(&self, topology: &mut Topology) -> Learning {
        let now = Moment::now(&self.0.clock);
        if let Some((learning, start)) = &topology.learning {
            let age = now.since(*start);
            // One that takes longer than it may was cut short by a freeze.
            if age < PAUSE || learning.peek().is_none() && age < CONNECT * 2 {
                return learning.clone();
            }
        }
        topology.round += 1;
        let (cluster, witnesses) = (self.clone(), self.witnesses(topology));
        let learning = async move {
            let learned = cluster.learn(witnesses).await;
            cluster.learned(learned)
        };
        let learning = learning.boxed().shared();
        tokio::spawn(learning.clone());
        topology.learning = Some((learning.clone(), now));
        learning
    }

    /// Takes note of what was learned, and forgets the nodes that have no keys any more.
    fn learned(&self, learned: Result<Slots, KvError>) -> Result<(), KvError> {
        let mut topology = self.topology();
        topology.given_up = learned.is_err();
        let slots = learned?;
        let needed = |address: &Address| slots.has(address) || self.0.seeds.contains(address);
        self.nodes().retain(|address, _| needed(address));
        topology.slots = Some(slots);
        Ok(())
    }

    /// What the first of `witnesses` says that answers.
    async fn learn(&self, witnesses: Vec<Address>) -> Result<Slots, KvError> {
        let mut question = redis::cmd("CLUSTER");
        question.arg("SLOTS");
        let question = pipelined([question]);
        let (question, deadline) = (&question, Instant::now() + CONNECT);
        let testimonies = witnesses.into_iter().map(|address| {
            let testimony = async move {
                let outcomes = self.visit(&address, question, deadline).await?;
                let answer = outcomes.into_iter().find_map(Result::ok);
                answer
                    .and_then(|answer| Slots::parse(&answer, &address))
                    .ok_or_else(|| KvError("no cluster".into()))
            };
            testimony.boxed()
        });
        Ok(select_ok(testimonies).await?.0)
    }

    /// Nodes to ask for the topology, others each time: those of the URL and those that have keys.
    fn witnesses(&self, topology: &Topology) -> Vec<Address> {
        let known = topology
            .slots
            .as_ref()
            .map(Slots::owners)
            .unwrap_or_default();
        let mut all: Vec<_> = self.0.seeds.iter().cloned().chain(known).collect();
        all.sort();
        all.dedup();
        let start = topology.round % all.len();
        all.rotate_left(start);
        all.truncate(WITNESSES);
        all
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
        let client = address.client(&self.0.base).map_err(super::unavailable)?;
        let node = Node::new(client, self.0.clock.clone(), self.0.budget, false);
        nodes.insert(address.clone(), node.clone());
        Ok(node)
    }

    fn nodes(&self) -> MutexGuard<'_, HashMap<Address, Node>> {
        self.0.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn topology(&self) -> MutexGuard<'_, Topology> {
        self.0
            .topology
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn unowned() -> KvError {
    KvError("no node has this key".into())
}
