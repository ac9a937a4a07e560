//! The figures of one function.

use std::{fmt, fs, path::Path, time::Duration};

use e2e::{
    runtime_api::{Answer, FunctionUnderTest, Reply},
    settings::Settings,
};
use serde_json::Value;

use crate::{requests::Requests, stats::Samples, traffic::USERS};

const COLD_STARTS: usize = 30;
/// Unmeasured invocations first, enough that every user exists when the first start is measured.
const WARM_UP: u64 = 2 * USERS;
const WARM_INVOCATIONS: u32 = 2_000;

/// How many requests one function gets.
pub fn requests() -> usize {
    let warm = WARM_UP + u64::from(WARM_INVOCATIONS);
    COLD_STARTS + 1 + usize::try_from(warm).unwrap()
}

/// How the figures were taken.
pub const LEGEND: &str = "Times are median / p95: of 30 starts of the process, and of 2,000 consecutive \
    invocations of one instance, from handing over the event to having read the response. CPU is the processor time of \
    the process in these, divided by their number. Memory is the resident set afterwards. Redis, DynamoDB (dynoxide) and a simulated WeChat are processes on loopback.";

/// The results of measuring one function.
#[derive(Debug)]
pub struct Figures {
    size: u64,
    first_next: Samples,
    first_answer: Samples,
    warm: Samples,
    /// Of one warm invocation; `None` where the system does not say.
    cpu: Option<Duration>,
    memory: u64,
}

impl Figures {
    /// Measures `binary`.
    pub async fn measure(binary: &Path, settings: &Settings, requests: &mut Requests) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let start =
            || FunctionUnderTest::spawn_logging_to(binary, settings.variables(), log.path());
        let function = start();
        for _ in 0..WARM_UP {
            invoke(&function, requests).await;
        }
        let (first_next, first_answer) = cold(start, requests).await;
        let (warm, cpu) = warm(&function, requests).await;
        let size = fs::metadata(binary).unwrap().len();
        Self {
            size,
            first_next,
            first_answer,
            warm,
            cpu,
            memory: function.rss_bytes(),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, memory) = (mib(self.size), mib(self.memory));
        let (next, answer, warm) = (
            self.first_next.in_ms(),
            self.first_answer.in_ms(),
            self.warm.in_us(),
        );
        let cpu = self
            .cpu
            .map_or_else(|| "–".to_owned(), |cpu| format!("{} µs", cpu.as_micros()));
        write!(f, "{size} | {next} | {answer} | {warm} | {cpu} | {memory}")
    }
}

async fn cold(
    start: impl Fn() -> FunctionUnderTest,
    requests: &mut Requests,
) -> (Samples, Samples) {
    let (mut first_next, mut first_answer) = (Samples::default(), Samples::default());
    // The first start is not counted: it reads the binary from disk, and its request fills the
    // caches.
    for round in 0..=COLD_STARTS {
        let function = start();
        let answer = invoke(&function, requests).await;
        if round > 0 {
            first_next.push(function.time_to_first_next().await);
            first_answer.push(answer.answered - function.started());
        }
    }
    (first_next, first_answer)
}

async fn warm(
    function: &FunctionUnderTest,
    requests: &mut Requests,
) -> (Samples, Option<Duration>) {
    let mut samples = Samples::default();
    let before = function.process().cpu_time();
    for _ in 0..WARM_INVOCATIONS {
        let answer = invoke(function, requests).await;
        samples.push(answer.answered - answer.handed_over);
    }
    let spent = function.process().cpu_time().zip(before);
    let each = spent.map(|(after, before)| after.saturating_sub(before) / WARM_INVOCATIONS);
    (samples, each)
}

/// Sends the next request, which must succeed.
pub async fn invoke(function: &FunctionUnderTest, requests: &mut Requests) -> Answer {
    invoke_and_read(function, requests).await.0
}

/// The same, with the response.
pub async fn invoke_and_read(
    function: &FunctionUnderTest,
    requests: &mut Requests,
) -> (Answer, Value) {
    let answer = function.measure(&requests.event()).await;
    let response = match &answer.reply {
        Reply::Response(body) => serde_json::from_slice(body).expect("an answer in JSON"),
        Reply::Error(body) => panic!("an invocation failed: {}", String::from_utf8_lossy(body)),
    };
    requests.read_response(&response);
    (answer, response)
}

#[expect(clippy::cast_precision_loss, reason = "a size with one decimal")]
fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}
