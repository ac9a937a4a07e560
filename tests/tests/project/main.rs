//! The repository itself: its documents and its template agree with the code, and its parts are
//! built once.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod architecture;
mod bodies;
mod contributing;
mod cost;
mod deploy_role;
mod docs;
mod features;
mod functions;
mod image;
mod modules;
mod openapi;
mod row_formats;
mod scripts;
mod settings;
mod template;
mod workflows;

use std::path::{Path, PathBuf};

/// The project's root folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}
