//! A child process with captured output that never outlives its test.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    net::TcpStream,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, kill_process_group, waitpid};
use tokio::sync::watch;

use crate::{logs::Logs, within_patience};

/// How often a port is asked whether it takes connections.
const KNOCK: Duration = Duration::from_millis(5);

/// How a [`Process`] will be started.
#[derive(Debug)]
pub struct Spawn {
    command: Command,
    log_file: Option<PathBuf>,
    guarded: bool,
    group: bool,
}

/// A running child process. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Mutex<Child>,
    pid: Pid,
    group: bool,
    started: Instant,
    output: watch::Receiver<Output>,
    log_file: Option<PathBuf>,
    watchdog: Option<Child>,
}

#[derive(Debug, Default)]
struct Output {
    lines: Vec<String>,
    /// Pipes not yet read to their end; at zero the process is gone.
    open_pipes: usize,
}

/// What a program is called: by its file, or by its folder if it is a function as it is deployed
/// (`…/login/bootstrap`).
pub(crate) fn program_name(path: &Path) -> String {
    let folder = || path.parent()?.file_name();
    let name = path.file_name().filter(|name| *name != "bootstrap");
    let name = name.or_else(folder).unwrap_or_default();
    name.to_string_lossy().into_owned()
}

impl Spawn {
    /// Starts from a command. Its output is captured, its standard input is empty.
    pub fn new(command: Command) -> Self {
        Self {
            command,
            log_file: None,
            guarded: false,
            group: false,
        }
    }

    /// Sends the output to a file instead of through the test process: for measurements, where a
    /// thread that reads along would compete with what is measured.
    #[must_use]
    pub fn log_to(mut self, file: &Path) -> Self {
        self.log_file = Some(file.to_owned());
        self
    }

    /// Makes sure that the process dies even when the test process is killed, or holds it in a
    /// static. Programs that end by themselves when their host goes don't need it.
    #[must_use]
    pub fn guarded(mut self) -> Self {
        self.guarded = true;
        self
    }

    /// Makes the process the leader of a group of its own, which dies with it: for programs that
    /// start others.
    #[must_use]
    pub fn group(mut self) -> Self {
        self.group = true;
        self
    }

    /// Starts it.
    pub fn spawn(mut self) -> Process {
        let name = program_name(Path::new(self.command.get_program()));
        self.command.stdin(Stdio::null());
        self.redirect_output();
        if self.group {
            self.command.process_group(0);
        }
        let started = Instant::now();
        let mut child = self
            .command
            .spawn()
            .unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        let pid = Pid::from_child(&child);
        let output = follow(&mut child);
        let watchdog = self.guarded.then(|| watchdog(pid, self.group));
        Process {
            name,
            child: Mutex::new(child),
            pid,
            group: self.group,
            started,
            output,
            log_file: self.log_file,
            watchdog,
        }
    }

    fn redirect_output(&mut self) {
        if let Some(path) = &self.log_file {
            let file = File::create(path).unwrap();
            self.command.stdout(file.try_clone().unwrap()).stderr(file);
        } else {
            self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        }
    }
}

impl Process {
    /// The moment just before the process was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// What it has written so far, standard output and error together.
    pub fn logs(&self) -> Logs {
        match &self.log_file {
            Some(file) => Logs::new(
                std::fs::read_to_string(file)
                    .unwrap()
                    .lines()
                    .map(str::to_owned)
                    .collect(),
            ),
            None => Logs::new(self.output.borrow().lines.clone()),
        }
    }

    /// Awaits a line with `text` in it and returns that line.
    pub async fn wait_for_line(&self, text: &str) -> String {
        let line = self.line_before_end(text).await;
        line.unwrap_or_else(|| {
            panic!(
                "{} ended without a line with {text:?}:\n{}",
                self.name,
                self.logs()
            )
        })
    }

    /// Like [`Self::wait_for_line`]; `None` when the process ends without such a line.
    pub async fn line_before_end(&self, text: &str) -> Option<String> {
        let found = |output: &Output| {
            output
                .lines
                .iter()
                .find(|line| line.contains(text))
                .cloned()
        };
        let mut output = self.output.clone();
        let wait = output.wait_for(|output| found(output).is_some() || output.open_pipes == 0);
        let output = within_patience(&format!("{}: a line with {text:?}", self.name), wait).await;
        found(&output.expect("the last value stays when the readers are gone"))
    }

    /// Awaits that `port` takes connections, for programs that don't say when they are ready;
    /// `false` when the process ends before.
    pub async fn listens_on(&self, port: u16) -> bool {
        let knocking = async {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                tokio::time::sleep(KNOCK).await;
            }
        };
        let listening = async {
            tokio::select! {
                () = knocking => true,
                () = self.ended() => false,
            }
        };
        within_patience(&format!("{} on port {port}", self.name), listening).await
    }

    /// Resolves when the process has ended (never for one that logs to a file).
    pub async fn ended(&self) {
        if self.log_file.is_some() {
            std::future::pending::<()>().await;
        }
        let _ = self
            .output
            .clone()
            .wait_for(|output| output.open_pipes == 0)
            .await;
    }

    /// Awaits the end of the process and returns how it ended.
    pub async fn wait_exit(&self) -> ExitStatus {
        within_patience(&format!("the end of {}", self.name), self.ended()).await;
        self.child.lock().unwrap().wait().unwrap()
    }

    /// The same for a program that takes longer.
    pub async fn wait_exit_within(&self, limit: Duration) -> ExitStatus {
        let ended = tokio::time::timeout(limit, self.ended()).await;
        ended.unwrap_or_else(|_| panic!("{} goes on after {limit:?}", self.name));
        self.child.lock().unwrap().wait().unwrap()
    }

    /// Sends a signal, e.g. `Signal::INT` for Ctrl-C.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal)
            .unwrap_or_else(|e| panic!("{} can't be signalled: {e}", self.name));
    }

    /// Freezes the process, as Lambda freezes an instance, and returns when it stands still.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        waitpid(Some(self.pid), WaitOptions::UNTRACED).unwrap();
    }

    /// Thaws it.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Resident memory in bytes.
    pub fn rss_bytes(&self) -> u64 {
        let pid = self.pid.as_raw_nonzero().to_string();
        // `ps` knows it on every Unix, in KiB; Linux without `ps` has /proc.
        let kib = match std::fs::read_to_string(format!("/proc/{pid}/status")) {
            Ok(status) => field(&status, "VmRSS:"),
            Err(_) => ps(&pid),
        };
        kib.unwrap_or_else(|| panic!("the memory of {} can't be read", self.name)) * 1024
    }

    /// The time that its threads, those that live, have spent on a processor; `None` where the
    /// system does not say (it does on Linux).
    pub fn cpu_time(&self) -> Option<Duration> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid.as_raw_nonzero())).ok()?;
        let nanoseconds = tasks.filter_map(|task| {
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<u64>().ok()
        });
        Some(Duration::from_nanos(nanoseconds.sum()))
    }

    /// Kills it with a signal it can't catch, and its group if it leads one.
    pub fn kill(&self) {
        if self.group {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The watchdog first: once the child is reaped its number may belong to another process.
        if let Some(watchdog) = &mut self.watchdog {
            let _ = watchdog.kill();
            let _ = watchdog.wait();
        }
        self.kill();
    }
}

/// Reads both pipes on threads of their own, line by line.
fn follow(child: &mut Child) -> watch::Receiver<Output> {
    let (sender, receiver) = watch::channel(Output::default());
    let pipes: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|pipe| Box::new(pipe) as _),
        child.stderr.take().map(|pipe| Box::new(pipe) as _),
    ];
    let sender = std::sync::Arc::new(sender);
    for pipe in pipes.into_iter().flatten() {
        sender.send_modify(|output| output.open_pipes += 1);
        let sender = sender.clone();
        std::thread::spawn(move || read_lines(pipe, &sender));
    }
    receiver
}

fn read_lines(pipe: impl Read, sender: &watch::Sender<Output>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    while pipe
        .read_until(b'\n', &mut line)
        .is_ok_and(|count| count > 0)
    {
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        sender.send_modify(|output| output.lines.push(text));
        line.clear();
    }
    sender.send_modify(|output| output.open_pipes -= 1);
}

/// A shell that waits for the end of its input, which comes when this process is gone for whatever
/// reason, and then kills `pid`.
fn watchdog(pid: Pid, group: bool) -> Child {
    let target = format!("{}{}", if group { "-" } else { "" }, pid.as_raw_nonzero());
    Command::new("sh")
        .args(["-c", &format!("read -r _; kill -9 {target}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0) // Ctrl-C in the terminal ends the test process, and must leave this one to act.
        .spawn()
        .expect("sh starts")
}

fn field(status: &str, name: &str) -> Option<u64> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

fn ps(pid: &str) -> Option<u64> {
    let output = Command::new("ps")
        .args(["-o", "rss=", "-p", pid])
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Spawn::new(command).guarded().spawn()
    }

    #[tokio::test]
    async fn lines_of_both_pipes_are_captured() {
        let process = shell("echo out; echo err >&2; exit 3");
        process.wait_for_line("out").await;
        process.wait_for_line("err").await;
        assert_eq!(process.wait_exit().await.code(), Some(3));
    }

    #[tokio::test]
    async fn a_signal_ends_a_process() {
        let process = shell("echo up; exec sleep 60");
        process.wait_for_line("up").await;
        assert!(process.rss_bytes() > 0);
        process.signal(Signal::TERM);
        assert!(!process.wait_exit().await.success());
    }

    #[tokio::test]
    async fn a_group_dies_as_one() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60 & echo up; wait"]);
        let process = Spawn::new(command).group().spawn();
        process.wait_for_line("up").await;
        process.kill();
        // The pipes close only when the grandchild, which inherited them, is gone too.
        process.wait_exit().await;
    }
}
