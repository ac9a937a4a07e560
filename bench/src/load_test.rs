//! `make load`: a realistic mix of requests that arrive when they arrive, however slow the server
//! is, and a report.
//!
//! A closed loop waits for an answer before it sends the next request, so a server that stalls is
//! asked less, and its stall is one sample. Here every request has its time of arrival from the
//! start, and its latency counts from that time on.

mod arrivals;
mod calls;
mod codes;
mod documents;
mod driver;
mod functions;
mod memory;
mod page;
mod people;
mod plots;
mod record;
mod server;

use std::{fs, path::PathBuf};

use crate::{
    burst::{self, Burst, Course},
    machine,
    server::Server,
    services::Services,
};
use arrivals::Mix;
use codes::Codes;
use functions::Functions;
use record::Run;
use server::Remote;

/// How `bench load` was called.
#[derive(Debug)]
pub struct Options {
    mix: Mix,
    burst: Burst,
    /// A running server, in place of those that are started here.
    url: Option<String>,
    folder: PathBuf,
    /// Whether docs/ gets the figures: those of all of it, and of the release build.
    updates_documents: bool,
}

impl Options {
    /// Reads `[short] [--url URL] [--folder FOLDER]`; `None` when they are something else.
    #[must_use]
    pub fn parse(words: &[&str]) -> Option<Self> {
        let mut options = Self {
            mix: Mix::FULL,
            burst: Burst::FULL,
            url: None,
            folder: e2e::binaries::workspace().join("target/load"),
            updates_documents: !cfg!(debug_assertions),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "short" => {
                    (options.mix, options.burst) = (Mix::SHORT, Burst::SHORT);
                    options.updates_documents = false;
                }
                "--url" => options.url = Some((*words.next()?).trim_end_matches('/').to_owned()),
                "--folder" => options.folder = words.next()?.into(),
                _ => return None,
            }
        }
        Some(options)
    }
}

/// Sends the load and writes `index.html` and `report.json`.
///
/// # Panics
/// When a server can't be started or reached, or the people can't log in.
pub async fn run(options: Options) {
    let (runs, burst) = match &options.url {
        Some(url) => (vec![remote(&options.mix, url).await], None),
        None => (
            everything_here(&options.mix).await,
            Some(burst::run(options.burst).await),
        ),
    };
    fs::create_dir_all(&options.folder).unwrap();
    let page = page::html(&machine::heading(), &options.mix, &runs, burst.as_ref());
    fs::write(options.folder.join("index.html"), page).unwrap();
    let mut figures = record::json(&machine::heading(), &options.mix, &runs);
    figures["burst"] = burst.as_ref().map(Course::json).into();
    fs::write(options.folder.join("report.json"), figures.to_string()).unwrap();
    for run in &runs {
        run.print(&options.mix);
    }
    if let Some(burst) = burst {
        burst.print();
        if options.updates_documents {
            let workspace = e2e::binaries::workspace();
            documents::update(workspace, &machine::heading(), &options.mix, &runs, &burst);
        }
    }
    println!("{}", options.folder.join("index.html").display());
}

async fn remote(mix: &Mix, url: &str) -> Run {
    let codes = Codes::of(url).await;
    driver::drive(url, Remote::new(url), codes, mix).await
}

/// `server`, then the functions over the Runtime API, each with stores of its own.
async fn everything_here(mix: &Mix) -> Vec<Run> {
    let services = Services::start().await;
    let server = Server::server(&services).await;
    let remote = Remote::new(&format!("http://{}", server.address));
    let mut by_server = driver::drive("server", remote, Codes::made_up(), mix).await;
    by_server.memory = memory::of_keys(&services).await;
    drop((server, services));

    let services = Services::start().await;
    let functions = Functions::new(&services.settings);
    let by_functions = driver::drive("functions", functions, Codes::made_up(), mix).await;
    vec![by_server, by_functions]
}
