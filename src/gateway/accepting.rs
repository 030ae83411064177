//! A listening service of Pingora's on sockets that exist already, and that stops accepting when told to.
//!
//! Pingora can be given sockets only by its own upgrade, and stops accepting only when the whole server ends. Both
//! are arguments of a service's start, which this replaces.

use async_trait::async_trait;
use pingora_core::server::{ListenFds, RuntimeOpts, ShutdownWatch};
use pingora_core::services::Service;

use crate::process::Socket;

/// `S` on sockets of ours.
pub struct Accepting<S> {
    inner: S,
    sockets: Vec<(String, Socket)>,
    stop: ShutdownWatch,
}

impl<S> Accepting<S> {
    /// `inner`, whose listeners have the names of `sockets`, until `stop` turns true.
    pub fn new(inner: S, sockets: Vec<(String, Socket)>, stop: ShutdownWatch) -> Self {
        Self { inner, sockets, stop }
    }
}

#[async_trait]
impl<S: Service> Service for Accepting<S> {
    async fn start_service(
        &mut self,
        descriptors: Option<ListenFds>,
        _shutdown: ShutdownWatch,
        listeners_per_fd: usize,
    ) {
        if let Some(table) = &descriptors {
            let mut table = table.lock();
            for (name, socket) in self.sockets.drain(..) {
                table.add(name, socket.into_raw_fd());
            }
        }
        self.inner
            .start_service(descriptors, self.stop.clone(), listeners_per_fd)
            .await;
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn threads(&self) -> Option<usize> {
        self.inner.threads()
    }

    fn runtime_opts_override(&self, global: &RuntimeOpts) -> Option<RuntimeOpts> {
        self.inner.runtime_opts_override(global)
    }
}
