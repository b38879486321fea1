use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// The way from one client to the broker, which can be held up and cut.
pub struct Link {
    addr: SocketAddr,
    traffic: watch::Sender<Traffic>,
    has_spent: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

/// What happens on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    /// Everything goes through.
    Flows,
    /// The connection stays and nothing goes through: the broker sees a reader that has fallen behind.
    Stalled,
    /// Everything goes through, a little of it each time that this is over.
    Slow(Duration),
    /// No connection lives.
    Cut,
}

/// How many bytes a connection carries from either side before it is cut.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    pub from_client: usize,
    pub from_broker: usize,
}

impl Budget {
    pub const UNLIMITED: Self = Self {
        from_client: usize::MAX,
        from_broker: usize::MAX,
    };
}

impl Link {
    pub async fn to(broker: SocketAddr) -> Self {
        Self::with_budget(broker, Budget::UNLIMITED).await
    }

    /// The first connection carries so many bytes, the others all there are.
    pub async fn with_budget(broker: SocketAddr, first: Budget) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let traffic = watch::Sender::new(Traffic::Flows);
        let state = traffic.subscribe();
        let has_spent = Arc::new(AtomicBool::new(false));
        let spent = Arc::clone(&has_spent);
        let task = tokio::spawn(async move {
            let mut budget = first;
            while let Ok((client, _)) = listener.accept().await {
                let (state, spent) = (state.clone(), Arc::clone(&spent));
                tokio::spawn(async move {
                    if carry(client, broker, budget, state).await {
                        spent.store(true, Ordering::Relaxed);
                    }
                });
                budget = Budget::UNLIMITED;
            }
        });
        Self {
            addr,
            traffic,
            has_spent,
            task,
        }
    }

    /// Whether the budget was spent.
    pub fn has_spent(&self) -> bool {
        self.has_spent.load(Ordering::Relaxed)
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

/// Carries until the connection ends; gives whether that was because the budget was spent.
async fn carry(client: TcpStream, broker: SocketAddr, budget: Budget, mut traffic: watch::Receiver<Traffic>) -> bool {
    if *traffic.borrow() == Traffic::Cut {
        return false;
    }
    let Ok(broker) = TcpStream::connect(broker).await else {
        return false;
    };
    let (from_client, to_client) = client.into_split();
    let (from_broker, to_broker) = broker.into_split();
    tokio::select! {
        is_spent = pass(from_client, to_broker, budget.from_client, traffic.clone()) => is_spent,
        is_spent = pass(from_broker, to_client, budget.from_broker, traffic.clone()) => is_spent,
        _ = traffic.wait_for(|traffic| *traffic == Traffic::Cut) => false,
    }
}

async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut budget: usize,
    mut traffic: watch::Receiver<Traffic>,
) -> bool {
    let mut bytes = vec![0; 4096];
    loop {
        if traffic.wait_for(|traffic| *traffic != Traffic::Stalled).await.is_err() {
            return false;
        }
        let now = *traffic.borrow();
        if let Traffic::Slow(pause) = now {
            sleep(pause).await;
        }
        let length = match from.read(&mut bytes).await {
            Ok(length) if length > 0 => length.min(budget),
            _ => return false,
        };
        // It may have been read just before the stall began.
        if traffic.wait_for(|traffic| *traffic != Traffic::Stalled).await.is_err()
            || to.write_all(&bytes[..length]).await.is_err()
        {
            return false;
        }
        budget -= length;
        if budget == 0 {
            return true;
        }
    }
}
