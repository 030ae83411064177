//! Addresses for programs that cannot tell which port they got.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that systems give to outgoing connections, of which tests make thousands.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// Free at the moment, and given to no other test of this process.
pub fn free_address() -> SocketAddr {
    let ports = u32::from(PORTS.end - PORTS.start);
    // Test programs run after one another, and leave connections behind that still hold their ports.
    let start = std::process::id().wrapping_mul(131) % ports;
    for _ in 0..ports {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let offset = u16::try_from((start + step) % ports).expect("a port");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, PORTS.start + offset));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free");
}
