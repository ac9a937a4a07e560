//! A real Redis cluster: three primaries, with a replica each if wanted.

use std::time::Duration;

use redis::Value;

use crate::{free_port, redis_server::RedisServer, within_patience};

/// The number of primaries.
const PRIMARIES: usize = 3;
const SLOTS: usize = 16_384;
/// How long a node may be silent before the others replace it.
const NODE_TIMEOUT_MS: &str = "500";
/// The interval at which the nodes' state is polled.
const LOOK: Duration = Duration::from_millis(20);

/// A cluster. Dropping it kills it.
#[derive(Debug)]
pub struct RedisCluster {
    /// The primaries, then the replicas.
    nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts three primaries and returns when they serve all keys.
    pub async fn start() -> Self {
        Self::form(PRIMARIES).await
    }

    /// The same with a replica for each.
    pub async fn start_with_replicas() -> Self {
        let cluster = Self::form(2 * PRIMARIES).await;
        for at in 0..PRIMARIES {
            let primary = cluster.id(at).await;
            cluster.nodes[PRIMARIES + at]
                .command(&["CLUSTER", "REPLICATE", &primary])
                .await;
        }
        for at in 0..PRIMARIES {
            cluster
                .wait_for_info(PRIMARIES + at, "REPLICATION", "master_link_status:up")
                .await;
            // The other primaries must know the replicas, or they would not vote.
            cluster
                .wait_for_text(&["CLUSTER", "NODES"], |nodes| {
                    nodes.matches("slave").count() == PRIMARIES
                })
                .await;
        }
        cluster
    }

    /// The URL for `REDIS_URL`: all primaries.
    pub fn url(&self) -> String {
        self.nodes[..PRIMARIES]
            .iter()
            .map(RedisServer::url)
            .collect::<Vec<_>>()
            .join(",")
    }

    /// A node: 0 to 2 are the primaries, 3 to 5 their replicas.
    pub fn node(&mut self, at: usize) -> &mut RedisServer {
        &mut self.nodes[at]
    }

    /// Which primary had this key's slot at the start.
    pub async fn home(&self, key: &str) -> usize {
        self.slot(key).await * PRIMARIES / SLOTS
    }

    /// Moves the slot of `key`, which must be empty, to another node, and informs only the two
    /// nodes.
    pub async fn move_slot(&self, key: &str, to: usize) {
        let (slot, from, id) = (
            self.slot(key).await.to_string(),
            self.home(key).await,
            self.id(to).await,
        );
        for node in [to, from] {
            self.nodes[node]
                .command(&["CLUSTER", "SETSLOT", &slot, "NODE", &id])
                .await;
        }
    }

    /// Starts to migrate the slot of `key`: absent keys are redirected to the other node from now
    /// on.
    pub async fn start_moving_slot(&self, key: &str, to: usize) {
        let (slot, from) = (self.slot(key).await.to_string(), self.home(key).await);
        let (old, new) = (self.id(from).await, self.id(to).await);
        self.nodes[to]
            .command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &old])
            .await;
        self.nodes[from]
            .command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &new])
            .await;
    }

    /// Waits until the replica of this primary has taken its place.
    pub async fn replaced(&self, primary: usize) {
        self.wait_for_info(PRIMARIES + primary, "REPLICATION", "role:master")
            .await;
    }

    async fn form(count: usize) -> Self {
        let mut nodes = Vec::new();
        for epoch in 1..=count {
            let arguments = [
                "--cluster-enabled",
                "yes",
                "--cluster-node-timeout",
                NODE_TIMEOUT_MS,
            ];
            let builder = RedisServer::builder()
                .with(&arguments)
                .with(&["--cluster-require-full-coverage", "no"]);
            let node = builder
                .with(&["--cluster-port", &free_port().to_string()])
                .start()
                .await;
            node.command(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch.to_string()])
                .await;
            nodes.push(node);
        }
        let cluster = Self { nodes };
        for at in 0..PRIMARIES {
            let [first, last] = [at, at + 1].map(|at| (at * SLOTS).div_ceil(PRIMARIES));
            let range = [
                "CLUSTER",
                "ADDSLOTSRANGE",
                &first.to_string(),
                &(last - 1).to_string(),
            ];
            cluster.nodes[at].command(&range).await;
        }
        for node in &cluster.nodes[1..] {
            let (port, bus) = (node.port().to_string(), cluster.bus_port(node).await);
            cluster.nodes[0]
                .command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])
                .await;
        }
        for at in 0..count {
            cluster
                .wait_for_info(at, "CLUSTER", "cluster_state:ok")
                .await;
            cluster
                .wait_for_info(at, "CLUSTER", &format!("cluster_known_nodes:{count}"))
                .await;
        }
        cluster
    }

    async fn bus_port(&self, node: &RedisServer) -> String {
        let Value::Array(pair) = node.command(&["CONFIG", "GET", "cluster-port"]).await else {
            panic!("CONFIG GET answers a pair")
        };
        text(&pair[1])
    }

    async fn slot(&self, key: &str) -> usize {
        match self.nodes[0].command(&["CLUSTER", "KEYSLOT", key]).await {
            Value::Int(slot) => usize::try_from(slot).unwrap(),
            other => panic!("a slot is a number: {other:?}"),
        }
    }

    async fn id(&self, at: usize) -> String {
        text(&self.nodes[at].command(&["CLUSTER", "MYID"]).await)
    }

    async fn wait_for_info(&self, at: usize, section: &str, line: &str) {
        let question: &[&str] = if section == "CLUSTER" {
            &["CLUSTER", "INFO"]
        } else {
            &["INFO", section]
        };
        within_patience(&format!("node {at}: {line}"), async {
            while !text(&self.nodes[at].command(question).await)
                .lines()
                .any(|it| it == line)
            {
                tokio::time::sleep(LOOK).await;
            }
        })
        .await;
    }

    /// Waits until all running nodes answer like this.
    async fn wait_for_text(&self, question: &[&str], fits: impl Fn(&str) -> bool) {
        for node in &self.nodes {
            within_patience(&format!("{question:?}"), async {
                while !fits(&text(&node.command(question).await)) {
                    tokio::time::sleep(LOOK).await;
                }
            })
            .await;
        }
    }
}

fn text(value: &Value) -> String {
    redis::from_redis_value(value.clone())
        .unwrap_or_else(|error| panic!("{value:?} is not text: {error}"))
}
