//! docs/cost/measured.toml.

use std::{fmt::Write, time::Duration};

use crate::stats::Samples;

/// What was measured of one function.
#[derive(Debug)]
pub struct Figures {
    /// Of warm invocations, from handing over the event to having read the response.
    pub billed: Samples,
    /// Of one of them.
    pub cpu: Duration,
    /// Of one response.
    pub response_bytes: usize,
    /// From the start of the process until it asks for its first event.
    pub init: Samples,
    /// Of first invocations.
    pub first: Samples,
    /// What a warm one logs with `METRICS=emf`.
    pub emf_log_bytes: usize,
}

/// The file.
pub fn toml(heading: &str, memory_mb: u32, figures: &[(&str, Figures)]) -> String {
    let mut text = format!(
        "# Written by `make bench ARGS=billed`; docs/cost.md says how it is measured.\n\
         measured = \"{heading}\"\nbuild = \"{}\"\nmemory-mb = {memory_mb}\n",
        if cfg!(debug_assertions) {
            "debug"
        } else {
            "release"
        }
    );
    for (request, figures) in figures {
        let ms = |samples: &Samples, percent| samples.percentile(percent).as_secs_f64() * 1e3;
        write!(
            text,
            "\n[\"{request}\"]\nbilled-ms = {:.1}\nbilled-p99-ms = {:.1}\ncpu-us = {}\nresponse-bytes = {}\n\
             init-ms = {:.1}\nfirst-ms = {:.1}\nemf-log-bytes = {}\n",
            ms(&figures.billed, 50),
            ms(&figures.billed, 99),
            figures.cpu.as_micros(),
            figures.response_bytes,
            ms(&figures.init, 50),
            ms(&figures.first, 50),
            figures.emf_log_bytes,
        )
        .unwrap();
    }
    text
}
