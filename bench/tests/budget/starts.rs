//! How long a function's release binary takes to start, over the Runtime API.

use std::{path::Path, time::Duration};

use e2e::runtime_api::FunctionUnderTest;

use super::surroundings::Surroundings;

/// How many starts are measured, after one that reads the binary from disk.
const STARTS: usize = 10;

/// The median time from the start of the process until it asks for its first event.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
pub async fn measure(binary: &Path) -> Duration {
    let surroundings = Surroundings::start().await;
    let mut times = Vec::new();
    for start in 0..=STARTS {
        let function = FunctionUnderTest::spawn(binary, surroundings.direct.variables());
        let time = function.time_to_first_next().await;
        if start > 0 {
            times.push(time);
        }
    }
    times.sort_unstable();
    times[STARTS / 2]
}
