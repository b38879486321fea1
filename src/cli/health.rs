//! `sensorcast health`: one small HTTP request, for the check of a container that has no curl.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

/// For the connection, and for each read and write; a container's check has 30 s by default.
const TIME_LIMIT: Duration = Duration::from_secs(3);

/// The status line fits many times over; what comes after it is not needed.
const MAX_ANSWER_BYTES: usize = 4096;

/// Asks the service that listens at `bind` on this machine whether it is ready.
///
/// # Errors
///
/// When there is no answer within a few seconds, or another one than 200, or when `bind` has port 0.
pub fn check(bind: SocketAddr) -> anyhow::Result<()> {
    ensure!(
        bind.port() != 0,
        "HTTP_BIND has port 0: the port that the system chose is not known here"
    );
    let address = reachable(bind);
    let status_line = ask(address).with_context(|| format!("no answer from {address}"))?;
    match status_line.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => bail!("not ready: {address} answers {status_line:?}"),
    }
}

/// A wildcard address is no destination everywhere: loopback stands for it.
fn reachable(bind: SocketAddr) -> SocketAddr {
    let ip = match bind.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, bind.port())
}

fn ask(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIME_LIMIT)?;
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    stream.set_write_timeout(Some(TIME_LIMIT))?;
    stream
        .write_all(format!("GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 512];
    while !answer.contains(&b'\n') && answer.len() < MAX_ANSWER_BYTES {
        let length = stream.read(&mut chunk)?;
        ensure!(length > 0, "the connection was closed before an answer");
        answer.extend_from_slice(&chunk[..length]);
    }
    Ok(String::from_utf8_lossy(&answer)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that answers one connection with `answer`.
    fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"GET /health/ready HTTP/1.1\r\nHost: 127.0.0.1:"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn ready_is_200_and_nothing_else() {
        assert!(check(server("HTTP/1.1 200 OK\r\n\r\n")).is_ok());
        let error = check(server("HTTP/1.1 503 Service Unavailable\r\n\r\n")).unwrap_err();
        assert!(error.to_string().contains("503"), "{error}");
        assert!(check(server("nonsense\r\n")).is_err());
        assert!(check(server("")).is_err());
    }

    #[test]
    fn nobody_there_is_an_error() {
        // No port that the system gives to another test meanwhile.
        let nobody = "127.0.0.1:1".parse().unwrap();
        assert!(check(nobody).unwrap_err().to_string().contains("no answer"));
        assert!(check("127.0.0.1:0".parse().unwrap()).is_err());
    }

    #[test]
    fn a_wildcard_is_asked_over_loopback() {
        let asked = |bind: &str| reachable(bind.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:8000"), "127.0.0.1:8000");
        assert_eq!(asked("[::]:8000"), "[::1]:8000");
        assert_eq!(asked("192.0.2.1:8000"), "192.0.2.1:8000");
    }
}
