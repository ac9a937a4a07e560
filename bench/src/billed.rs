//! What Lambda would bill for requests: each function's binary with the share of a core that its
//! memory gives it, and with stores and WeChat as far away as in a region.
//!
//! Memory, distances and what is assumed besides stand in docs/cost/prices.toml; the result goes to
//! docs/cost/measured.toml, from which the tables of docs/cost.md are computed.

mod distance;
mod report;
mod share;

use std::{fs, path::Path, process::Command, time::Duration};

use e2e::{
    binaries::{self, workspace},
    runtime_api::FunctionUnderTest,
    settings::Settings,
};
use toml_edit::DocumentMut;

use crate::{
    functions::invoke_and_read, machine, requests::Requests, responses, services::Services,
    stats::Samples,
};
use distance::{Distances, FarServices};
use report::Figures;
use share::CpuShare;

/// The functions, and the requests of docs/cost.md.
const FUNCTIONS: [(&str, &str); 3] = [
    ("login", "POST /api/v1/user/login"),
    ("user-info", "GET /api/v1/user/info"),
    ("token", "POST /api/v1/user/refresh"),
];
/// Few, so that an instance soon knows all of them.
const USERS: u64 = 10;
/// Unmeasured invocations first: after them an instance remembers what it can remember.
const WARM_UP: u64 = 3 * USERS;
const WARM_INVOCATIONS: u32 = 200;
/// To compare the log of another `METRICS`.
const LOGGED_INVOCATIONS: usize = 50;
const COLD_STARTS: usize = 10;

/// Measures the functions, prints what was measured and writes it to docs/cost/measured.toml.
///
/// # Panics
/// Where the system does not let this process limit others to a share of a core.
pub async fn run() {
    let folder = workspace().join("docs/cost");
    let assumed: DocumentMut = fs::read_to_string(folder.join("prices.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let assumed = |name: &str| {
        let value = assumed["assumptions"][name].as_integer();
        u32::try_from(value.expect("a whole number")).unwrap()
    };
    let (memory_mb, vcpu_mb) = (assumed("memory-mb"), assumed("vcpu-mb"));
    let share = CpuShare::of(memory_mb, vcpu_mb)
        .expect("a control group of this program's own: Linux, as root");
    let away = |name| Duration::from_millis(u64::from(assumed(name)));
    let distances = Distances {
        redis: away("redis-ms"),
        dynamodb: away("dynamodb-ms"),
        wechat: away("wechat-ms"),
    };
    let services = Services::start().await;
    let far = FarServices::start(&services, distances).await;
    let mut figures = Vec::new();
    for (function, request) in FUNCTIONS {
        let measuring = Measuring {
            binary: &binaries::function(function),
            settings: &far.settings,
            share: &share,
        };
        let login = binaries::function("login");
        let mut requests = Requests::of(function, &login, &services.settings, USERS).await;
        let mut measured = measuring.run(&mut requests).await;
        let with_emf = services.settings.clone().with("METRICS", "emf");
        measured.emf_log_bytes = log_bytes(&measuring.start_with(&with_emf), &mut requests).await;
        figures.push((request, measured));
    }
    let text = report::toml(&machine::heading(), memory_mb, &figures);
    println!("{text}");
    fs::write(folder.join("measured.toml"), text).unwrap();
}

/// A function under these circumstances.
struct Measuring<'a> {
    binary: &'a Path,
    settings: &'a Settings,
    share: &'a CpuShare,
}

impl Measuring<'_> {
    fn start(&self) -> FunctionUnderTest {
        self.start_with(self.settings)
    }

    fn start_with(&self, settings: &Settings) -> FunctionUnderTest {
        FunctionUnderTest::spawn_under(self.program(), self.binary, settings.variables())
    }

    /// Enters the group before it becomes the function.
    fn program(&self) -> Command {
        let mut program = Command::new("/bin/sh");
        let enter = "echo $$ > \"$0\" && exec \"$1\"";
        program.args(["-c", enter]).arg(self.share.members());
        program
    }

    async fn run(&self, requests: &mut Requests) -> Figures {
        let function = self.start();
        for _ in 0..WARM_UP {
            invoke_and_read(&function, requests).await;
        }
        let (mut billed, mut bytes) = (Samples::default(), 0);
        let before = function.process().cpu_time();
        for _ in 0..WARM_INVOCATIONS {
            let (answer, response) = invoke_and_read(&function, requests).await;
            billed.push(answer.answered - answer.handed_over);
            bytes += responses::bytes(&response);
        }
        let spent = function.process().cpu_time().zip(before);
        drop(function);
        let (mut init, mut first) = (Samples::default(), Samples::default());
        for _ in 0..COLD_STARTS {
            let function = self.start();
            init.push(function.time_to_first_next().await);
            let (answer, _) = invoke_and_read(&function, requests).await;
            first.push(answer.answered - answer.handed_over);
        }
        Figures {
            billed,
            cpu: spent
                .map(|(after, before)| after.saturating_sub(before) / WARM_INVOCATIONS)
                .unwrap_or_default(),
            response_bytes: bytes / usize::try_from(WARM_INVOCATIONS).unwrap(),
            init,
            first,
            emf_log_bytes: 0,
        }
    }
}

/// What a warm invocation logs, in bytes.
async fn log_bytes(function: &FunctionUnderTest, requests: &mut Requests) -> usize {
    for _ in 0..WARM_UP {
        invoke_and_read(function, requests).await;
    }
    for _ in 0..LOGGED_INVOCATIONS {
        invoke_and_read(function, requests).await;
    }
    let logs = function.logs();
    // Those of the warm-up and perhaps the very last one are left out.
    let lines = logs
        .lines()
        .iter()
        .rev()
        .skip(1)
        .take(LOGGED_INVOCATIONS - 1);
    let bytes: usize = lines.map(|line| line.len() + 1).sum();
    bytes / (LOGGED_INVOCATIONS - 1)
}
