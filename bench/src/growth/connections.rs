//! Connections of `local`'s server, each with one request in flight.

use super::{Latency, Scale, panel};
use crate::{
    load,
    plot::{Panel, Plot},
    server::{self, Server},
    services::Services,
};

const STEPS: [usize; 7] = [1, 4, 16, 64, 256, 512, 1_024];
/// Their readers take turns.
const USERS: usize = 64;

/// Reads of the profile, over more and more connections.
pub async fn measure(scale: Scale) -> Plot {
    let services = Services::start().await;
    let local = Server::local(&services).await;
    let logins = local.log_in(USERS).await;
    let (mut latency, mut rate) = (Latency::default(), Vec::new());
    let (mut memory, mut closed, mut unavailable) = (Vec::new(), Vec::new(), Vec::new());
    for connections in STEPS {
        let readers = logins.iter().cycle().take(connections).cloned();
        let readers: Vec<_> = readers.collect();
        let outcome = load::run(local.address, server::info(&readers), scale.timing).await;
        rate.push(outcome.rate(scale.timing));
        latency.push(&outcome.samples);
        memory.push(super::mib(local.process.rss_bytes()));
        let [closed_now, unavailable_now] = outcome.refusals(scale.timing);
        closed.push(closed_now);
        unavailable.push(unavailable_now);
    }
    Plot {
        along: "connections",
        steps: STEPS.map(|connections| connections.to_string()).to_vec(),
        panels: vec![
            panel("requests a second", rate),
            latency.panel("GET /api/v1/user/info, ms"),
            panel("memory of local, MiB", memory),
            Panel {
                title: "refused by local, a second",
                series: vec![("connections closed", closed), ("answers 503", unavailable)],
            },
        ],
    }
}
