use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The way from one mirror to the broker, which can be held up and cut.
pub struct Link {
    addr: SocketAddr,
    traffic: watch::Sender<Traffic>,
    task: JoinHandle<()>,
}

/// What happens on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Everything goes through.
    Flows,
    /// The connection stays and nothing goes through: the broker sees a reader that has fallen behind.
    Stalled,
    /// No connection lives.
    Cut,
}

impl Link {
    pub async fn to(broker: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let traffic = watch::Sender::new(Traffic::Flows);
        let state = traffic.subscribe();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, broker, state.clone()));
            }
        });
        Self { addr, traffic, task }
    }

    pub fn url(&self) -> String {
        format!("mqtt://{}", self.addr)
    }

    pub fn set(&self, traffic: Traffic) {
        self.traffic.send_replace(traffic);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(client: TcpStream, broker: SocketAddr, mut traffic: watch::Receiver<Traffic>) {
    if *traffic.borrow() == Traffic::Cut {
        return;
    }
    let Ok(broker) = TcpStream::connect(broker).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    tokio::select! {
        () = pass(from_client, to_broker, traffic.clone()) => (),
        () = pass(from_broker, to_client, traffic.clone()) => (),
        _ = traffic.wait_for(|traffic| *traffic == Traffic::Cut) => (),
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut traffic: watch::Receiver<Traffic>) {
    let mut bytes = vec![0; 4096];
    loop {
        if traffic.wait_for(|traffic| *traffic != Traffic::Stalled).await.is_err() {
            return;
        }
        match from.read(&mut bytes).await {
            Ok(length) if length > 0 => {
                // It may have been read just before the stall began.
                if traffic.wait_for(|traffic| *traffic != Traffic::Stalled).await.is_err()
                    || to.write_all(&bytes[..length]).await.is_err()
                {
                    return;
                }
            }
            _ => return,
        }
    }
}
