//! Starts the function on Lambda.

fn main() -> std::process::ExitCode {
    shared::runtime::run(env!("CARGO_CRATE_NAME"), user_data::routes)
}
