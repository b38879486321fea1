use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port on loopback that nobody uses, and that nobody else is given until it is bound: below those that the system gives
/// to whoever asks for any, in the part of them that belongs to this process.
pub fn free_port() -> u16 {
    const FIRST: u16 = 10_000;
    const PART: u16 = 100;
    const PARTS: u32 = 200;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let part = u16::try_from(std::process::id() % PARTS).expect("less than PARTS");
    let ports = (0..PART).map(|_| FIRST + part * PART + NEXT.fetch_add(1, Ordering::Relaxed) % PART);
    let mut free = ports.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().expect("a free port on loopback")
}
