//! Starts the function on Lambda.

fn main() -> std::process::ExitCode {
    shared::runtime::run(token::routes)
}
