//! A TCP proxy that counts commands and round trips, and breaks on request.

mod meter;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use meter::Meter;
pub use meter::Wire;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::AbortHandle,
};

use crate::{background, within_patience};

/// What passed through since [`WireProxy::take_traffic`] was last called.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Traffic {
    /// The clients' commands by name, in the order of their arrival: `GET`, `EVALSHA`; for HTTP the
    /// DynamoDB operation, else method and path.
    pub commands: Vec<String>,
    /// How often a client sent something while no answer was awaited, on any connection: commands
    /// sent together count once.
    pub round_trips: usize,
    /// Connections that were opened.
    pub connections: usize,
}

/// How the proxy treats traffic until this is changed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Forwards everything.
    #[default]
    None,
    /// Refuses new connections; open ones stay open.
    Refuse,
    /// Swallows everything in both directions; connections stay open.
    BlackHole,
    /// Forwards what clients send and swallows what the server answers: the ambiguous time-out.
    LoseReplies,
    /// Forwards what clients send this much later.
    Latency(Duration),
}

/// How open connections end.
#[derive(Debug, Clone, Copy)]
enum Ending {
    Close,
    Reset,
}

/// A proxy on an ephemeral loopback port. Dropping it closes the port and all connections.
#[derive(Debug)]
pub struct WireProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    wire: Wire,
    traffic: Mutex<Traffic>,
    /// The connections on which an answer is awaited.
    waiting: Mutex<usize>,
    fault: watch::Sender<Fault>,
    /// Each change ends all connections that were open before it.
    ending: watch::Sender<Ending>,
    listening: watch::Sender<bool>,
}

impl WireProxy {
    /// Stands in front of a Redis.
    pub async fn redis(port: u16) -> Self {
        Self::start(Wire::Resp, port).await
    }

    /// Stands in front of an HTTP server, e.g. DynamoDB.
    pub async fn http(port: u16) -> Self {
        Self::start(Wire::Http, port).await
    }

    async fn start(wire: Wire, port: u16) -> Self {
        let listener = background()
            .spawn(TcpListener::bind(("127.0.0.1", 0)))
            .await
            .unwrap()
            .unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            target: ([127, 0, 0, 1], port).into(),
            wire,
            traffic: Mutex::default(),
            waiting: Mutex::default(),
            fault: watch::Sender::default(),
            ending: watch::Sender::new(Ending::Close),
            listening: watch::Sender::new(true),
        });
        let accepting = background()
            .spawn(accept(listener, address, shared.clone()))
            .abort_handle();
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `http://127.0.0.1:<port>`.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What passed through since this was last called.
    pub fn take_traffic(&self) -> Traffic {
        std::mem::take(&mut self.shared.traffic.lock().unwrap())
    }

    /// Treats everything this way from now on.
    pub async fn set(&self, fault: Fault) {
        self.shared.fault.send_replace(fault);
        let mut listening = self.shared.listening.subscribe();
        let wanted = fault != Fault::Refuse;
        let settled = listening.wait_for(|listening| *listening == wanted);
        within_patience("the proxy's listener", settled)
            .await
            .unwrap();
    }

    /// Forwards everything again.
    pub async fn heal(&self) {
        self.set(Fault::None).await;
    }

    /// Closes all open connections gracefully; new ones are accepted.
    pub fn cut(&self) {
        self.shared.ending.send_replace(Ending::Close);
    }

    /// Like [`Self::cut`], and returns when all are closed: for clients that don't open new ones in
    /// the meantime.
    pub async fn cut_and_wait(&self) {
        self.cut();
        within_patience("the end of all connections", self.shared.ending.closed()).await;
    }

    /// Resets all open connections; new ones are accepted.
    pub fn reset(&self) {
        self.shared.ending.send_replace(Ending::Reset);
    }
}

impl Drop for WireProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(mut listener: TcpListener, address: SocketAddr, shared: Arc<Shared>) {
    let mut fault = shared.fault.subscribe();
    loop {
        tokio::select! {
            () = serve(&listener, &shared) => {}
            _ = fault.wait_for(|fault| *fault == Fault::Refuse) => {}
        }
        close(listener);
        shared.listening.send_replace(false);
        if fault
            .wait_for(|fault| *fault != Fault::Refuse)
            .await
            .is_err()
        {
            return;
        }
        listener = TcpListener::bind(address)
            .await
            .expect("the proxy's port is still free");
        shared.listening.send_replace(true);
    }
}

/// Stops listening immediately. Closing alone is not enough: a child that another test is spawning
/// holds a copy of every socket until its `exec`. (macOS knows only closing.)
fn close(listener: TcpListener) {
    let _ = rustix::net::shutdown(&listener, rustix::net::Shutdown::Both);
    drop(listener);
}

async fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        shared.traffic.lock().unwrap().connections += 1;
        // Before the task runs, so that an ending from now on reaches this connection.
        let ending = shared.ending.subscribe();
        tokio::spawn(connect(ending, client, shared.clone()));
    }
}

/// `ending` is dropped last, so that a connection without a receiver is a closed one.
async fn connect(
    mut ending: watch::Receiver<Ending>,
    mut client: TcpStream,
    shared: Arc<Shared>,
) -> io::Result<()> {
    let mut server = TcpStream::connect(shared.target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let meter = Mutex::new(Meter::new(shared.wire));
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::select! {
        _ = forward(from_client, to_server, &shared, &meter) => {}
        _ = back(from_server, to_client, &shared, &meter) => {}
        changed = ending.changed() => {
            if changed.is_ok() && matches!(*ending.borrow(), Ending::Reset) {
                client.set_zero_linger()?;
            }
        }
    }
    let mut meter = meter.into_inner().unwrap();
    meter.server_sent(&mut shared.waiting.lock().unwrap());
    Ok(())
}

/// From the client to the server.
async fn forward(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    shared: &Shared,
    meter: &Mutex<Meter>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        meter.lock().unwrap().client_sent(
            &buffer[..count],
            &mut shared.traffic.lock().unwrap(),
            &mut shared.waiting.lock().unwrap(),
        );
        let fault = *shared.fault.borrow();
        match fault {
            Fault::BlackHole => continue,
            Fault::Latency(delay) => tokio::time::sleep(delay).await,
            Fault::None | Fault::Refuse | Fault::LoseReplies => {}
        }
        to.write_all(&buffer[..count]).await?;
    }
}

/// From the server to the client.
async fn back(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    shared: &Shared,
    meter: &Mutex<Meter>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        meter
            .lock()
            .unwrap()
            .server_sent(&mut shared.waiting.lock().unwrap());
        let fault = *shared.fault.borrow();
        if !matches!(fault, Fault::BlackHole | Fault::LoseReplies) {
            to.write_all(&buffer[..count]).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use redis::AsyncCommands;

    use super::*;
    use crate::{dynamodb::DynamoDb, redis_server::RedisServer};

    async fn connection(
        server: &RedisServer,
        proxy: &WireProxy,
    ) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(server.url_via(proxy.port())).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        proxy.take_traffic();
        connection
    }

    fn traffic(commands: &[&str], round_trips: usize) -> Traffic {
        Traffic {
            commands: commands.iter().map(|&name| name.to_owned()).collect(),
            round_trips,
            connections: 0,
        }
    }

    #[tokio::test]
    async fn commands_sent_together_are_one_round_trip() {
        let server = RedisServer::start().await;
        let proxy = WireProxy::redis(server.port()).await;
        let mut connection = connection(&server, &proxy).await;
        let mut together = redis::pipe();
        together
            .set("a", 1)
            .ignore()
            .get("a")
            .exec_async(&mut connection)
            .await
            .unwrap();
        assert_eq!(proxy.take_traffic(), traffic(&["SET", "GET"], 1));
    }

    #[tokio::test]
    async fn commands_sent_one_after_the_other_are_one_round_trip_each() {
        let server = RedisServer::start().await;
        let proxy = WireProxy::redis(server.port()).await;
        let mut connection = connection(&server, &proxy).await;
        connection.set::<_, _, ()>("a", 1).await.unwrap();
        connection.get::<_, i32>("a").await.unwrap();
        assert_eq!(proxy.take_traffic(), traffic(&["SET", "GET"], 2));
    }

    #[tokio::test]
    async fn operations_of_dynamodb_are_counted_by_name() {
        let database = DynamoDb::start().await;
        let proxy = WireProxy::http(database.port()).await;
        let client = local::database_client(&proxy.http_url());
        client.list_tables().send().await.unwrap();
        assert_eq!(proxy.take_traffic().commands, ["ListTables"]);
    }

    #[tokio::test]
    async fn a_refusing_proxy_takes_connections_again_when_healed() {
        let server = RedisServer::start().await;
        let proxy = WireProxy::redis(server.port()).await;
        proxy.set(Fault::Refuse).await;
        let refused = TcpStream::connect(proxy.address).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        proxy.heal().await;
        connection(&server, &proxy)
            .await
            .get::<_, Option<i32>>("a")
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_lost_reply_leaves_the_command_done() {
        let server = RedisServer::start().await;
        let proxy = WireProxy::redis(server.port()).await;
        let mut through = connection(&server, &proxy).await;
        proxy.set(Fault::LoseReplies).await;
        let mut direct = server.connection().await;
        // The replies never come; the other connection shows that the command was executed.
        tokio::select! {
            _ = through.lpush::<_, _, ()>("list", "x") => panic!("a reply came through"),
            _ = direct.blpop::<_, (String, String)>("list", 10.0) => {}
        }
    }

    #[tokio::test]
    async fn a_reset_connection_breaks_and_a_new_one_works() {
        let server = RedisServer::start().await;
        let proxy = WireProxy::redis(server.port()).await;
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(b"*1\r\n$4\r\nPING\r\n").await.unwrap();
        stream.read_exact(&mut [0; 7]).await.unwrap();
        proxy.reset();
        let broken = stream.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::ConnectionReset);
        connection(&server, &proxy)
            .await
            .get::<_, Option<i32>>("a")
            .await
            .unwrap();
    }
}
