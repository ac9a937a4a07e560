//! Starts the function on Lambda.

use shared::runtime::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> std::process::ExitCode {
    shared::runtime::run_events(env!("CARGO_CRATE_NAME"), messages::handler)
}
