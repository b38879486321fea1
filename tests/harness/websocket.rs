use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::PATIENCE;

/// An independent WebSocket client.
pub struct WebSocket(WebSocketStream<TcpStream>);

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Text(String),
    Ping(String),
    Pong(String),
    /// Code and reason.
    Close(u16, String),
    /// The connection, without a word.
    End,
}

impl WebSocket {
    /// Connects to a path such as `/events`.
    pub async fn open(addr: SocketAddr, path: &str) -> Self {
        Self::open_from(addr, path, None).await.expect("a handshake")
    }

    /// The same as a browser does it for a page of `origin`, or the status of the refusal.
    pub async fn open_from(addr: SocketAddr, path: &str, origin: Option<&str>) -> Result<Self, u16> {
        let mut request = format!("ws://{addr}{path}").into_client_request().expect("a request");
        if let Some(origin) = origin {
            let origin = origin.parse().expect("a header");
            request.headers_mut().insert("origin", origin);
        }
        let stream = TcpStream::connect(addr).await.expect("a connection");
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    /// The next frame of any kind; fails after 10 s.
    pub async fn next_frame(&mut self) -> Frame {
        let message = timeout(PATIENCE, self.0.next()).await.expect("a frame in 10 s");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        match message {
            Some(Ok(Message::Text(data))) => Frame::Text(data.to_string()),
            Some(Ok(Message::Ping(data))) => Frame::Ping(text(&data)),
            Some(Ok(Message::Pong(data))) => Frame::Pong(text(&data)),
            Some(Ok(Message::Close(Some(close)))) => Frame::Close(close.code.into(), close.reason.to_string()),
            Some(Ok(other)) => panic!("{other:?}"),
            Some(Err(_)) | None => Frame::End,
        }
    }

    /// The next text message; pings are passed over.
    pub async fn next(&mut self) -> String {
        loop {
            match self.next_frame().await {
                Frame::Text(text) => return text,
                Frame::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Code and reason with which the server closes; what comes before is passed over.
    pub async fn close_reason(&mut self) -> (u16, String) {
        loop {
            match self.next_frame().await {
                Frame::Close(code, reason) => return (code, reason),
                Frame::End => panic!("closed without a word"),
                _ => {}
            }
        }
    }

    pub async fn send(&mut self, message: Message) {
        self.0.send(message).await.expect("a connection");
    }

    /// Bytes that need not be a frame.
    pub async fn send_raw(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).await.expect("a connection");
    }
}
