//! `sensorcast health`: one small HTTP request, for the check of a container that has no curl.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail, ensure};
use serde_json::Value;

/// For everything together; the check of the image has 5 s.
const TIME_LIMIT: Duration = Duration::from_secs(3);

/// The answer fits many times over.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

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
    let answer = ask(address).map_err(|error| match error.kind() {
        // What the system says of a time limit is that something is temporarily unavailable.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            anyhow!("no answer from {address} within {} s", TIME_LIMIT.as_secs())
        }
        _ => anyhow!("no answer from {address}: {error}"),
    })?;
    let status_line = answer.lines().next().unwrap_or_default();
    match (status_line.split(' ').nth(1), reason(&answer)) {
        (Some("200"), _) => Ok(()),
        (_, Some(reason)) => bail!("not ready: {address} says: {reason}"),
        (_, None) => bail!("not ready: {address} answers {status_line:?}"),
    }
}

/// What `/health/ready` names as the trouble of the store.
fn reason(answer: &str) -> Option<String> {
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let document: Value = serde_json::from_str(body).ok()?;
    Some(document["store"].as_str()?.to_owned())
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

/// The whole answer, or what there is of it when the time is over after its first line.
fn ask(address: SocketAddr) -> io::Result<String> {
    let deadline = Instant::now() + TIME_LIMIT;
    let time_left = || {
        deadline
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(1))
    };
    let mut stream = TcpStream::connect_timeout(&address, TIME_LIMIT)?;
    stream.set_write_timeout(Some(time_left()))?;
    stream
        .write_all(format!("GET /health/ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while answer.len() < MAX_ANSWER_BYTES {
        stream.set_read_timeout(Some(time_left()))?;
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&chunk[..length]),
            Err(_) if answer.contains(&b'\n') => break,
            Err(error) => return Err(error),
        }
    }
    if answer.is_empty() {
        return Err(io::Error::other("the connection was closed before that"));
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
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
        let full = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\r\n{\"status\":\"unavailable\",\
                    \"store\":\"the disk that holds the database is full\",\"revision\":1}";
        let error = check(server(full)).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("says: the disk that holds the database is full"),
            "{error}"
        );
        assert!(check(server("nonsense\r\n")).is_err());
        assert!(check(server("")).is_err());
    }

    #[test]
    fn no_answer_in_time_is_told_as_that() {
        // It listens, so that the system takes the connection, and nobody reads.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let error = check(silent.local_addr().unwrap()).unwrap_err().to_string();
        assert!(error.ends_with("within 3 s"), "{error}");
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
