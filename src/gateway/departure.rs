//! When the process goes away, and how: SIGTERM, SIGINT, or another process that takes its place.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use shapegate_core::time::Monotonic;
use tokio::net::{UnixListener, UnixStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::connection::ConnectionBook;
use super::state::State;
use crate::config::Leaving;
use crate::process::control::{self, Outcome};
use crate::process::manager;
use crate::process::sockets::Socket;
use crate::process::successor::{Program, Successor};

/// How often a process that goes away looks whether it has finished.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Waits end over this part of the grace period, as its divisor.
const SPREAD_PART: u32 = 4;
/// They end over no longer than this, as they do with whatever else ends them.
const SPREAD_MAX: Duration = Duration::from_secs(1);
/// How long a successor may take to serve.
const SUCCESSOR_TIMEOUT: Duration = Duration::from_secs(60);
/// How long whoever asks for an upgrade may take to say so.
const ASKING_TIMEOUT: Duration = Duration::from_secs(5);
/// How long connections may outlive the last request on them.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(1);

/// Why the process goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// It was told to.
    Terminated,
    /// Another one serves.
    Replaced,
}

impl Why {
    /// The least time between the end of accepting and the end: for handshakes, and for answers to probes, which
    /// nobody counts.
    fn settling(self) -> Duration {
        match self {
            Self::Terminated => Duration::from_millis(250),
            Self::Replaced => Duration::from_secs(1),
        }
    }

    /// How long a connection may be idle before it is closed. Where another process serves there is no hurry, and
    /// a request may be on its way.
    fn lingering(self) -> Duration {
        match self {
            Self::Terminated => Duration::from_secs(1),
            Self::Replaced => Duration::from_secs(5),
        }
    }
}

/// Ends the server.
pub struct Departure {
    /// What is told, and where requests in flight are counted.
    pub state: Arc<State>,
    /// Where connections are counted.
    pub book: Arc<ConnectionBook>,
    /// How long everything takes.
    pub leaving: Leaving,
    /// Ends accepting clients.
    pub stop: watch::Sender<bool>,
    /// Ends accepting operators and probes, who want to see how a process goes away.
    pub stop_operators: watch::Sender<bool>,
    /// Every listening socket once more, for a successor.
    pub spares: Mutex<Vec<Socket>>,
    /// Where an upgrade is asked for.
    pub upgrade: Mutex<Option<Socket>>,
    /// Turns true once signals are listened for: before, one would end the process at once.
    pub ready: watch::Sender<bool>,
    /// What a successor is started as.
    pub program: Program,
}

impl Departure {
    fn now(&self) -> Monotonic {
        self.state.clock.now().monotonic
    }

    async fn sleep(&self, duration: Duration) {
        let until = Monotonic(self.now().0 + duration);
        self.state.clock.sleep_until(until).await;
    }

    /// Not ready, then no new connections, then waits in turns, then whatever else has begun.
    async fn finish(&self, why: Why) {
        let drain = &self.state.drain;
        drain.leave();
        if why == Why::Terminated {
            manager::stopping();
            self.sleep(self.leaving.shutdown_delay).await;
            drain.refuse();
        }
        self.stop_accepting(why);
        let spread = (self.leaving.grace_period / SPREAD_PART).min(SPREAD_MAX);
        drain.end_waits(self.now(), spread);
        self.finish_what_has_begun(why, spread).await;
    }

    fn stop_accepting(&self, why: Why) {
        self.stop.send_replace(true);
        self.stop_operators.send_replace(why == Why::Replaced);
        let mut spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
        spares.clear();
    }

    async fn finish_what_has_begun(&self, why: Why, spread: Duration) {
        let started = self.now().0;
        let idle_over = started + why.lingering().max(spread);
        let mut idle = false;
        while self.now().0 < started + self.leaving.grace_period {
            self.sleep(LOOK_INTERVAL).await;
            let now = self.now().0;
            if !idle && now >= idle_over {
                self.state.drain.close_idle();
                idle = true;
            }
            let unasked = self.state.metrics.in_flight.get() == 0;
            let closed = self.book.open() == 0 || now >= idle_over + CLOSING_TIMEOUT;
            if unasked && closed && now >= started + why.settling() {
                return;
            }
        }
        log::warn!(
            "the grace period of {:?} is over: {} requests and {} connections are cut off",
            self.leaving.grace_period,
            self.state.metrics.in_flight.get(),
            self.book.open()
        );
    }

    /// Resolves once another process serves.
    async fn replaced(&self) {
        let Some(listener) = self.upgrade_listener() else {
            return std::future::pending().await;
        };
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    if self.upgrade(stream).await {
                        return;
                    }
                }
                Err(error) => {
                    log::warn!("the upgrade socket: {error}");
                    self.sleep(LOOK_INTERVAL).await;
                }
            }
        }
    }

    fn upgrade_listener(&self) -> Option<UnixListener> {
        let socket = self.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Socket::Unix(listener)) = socket else {
            return None;
        };
        UnixListener::from_std(listener)
            .map_err(|error| log::error!("the upgrade socket: {error}"))
            .ok()
    }

    /// Does what is asked for on the upgrade socket; whether another process serves now.
    async fn upgrade(&self, mut stream: UnixStream) -> bool {
        let replaced = self.start_successor(&mut stream).await;
        let outcome = match &replaced {
            Ok(id) => {
                manager::main_process_is(*id);
                self.make_way().await;
                log::info!("process {id} serves from now on; this one finishes what it has begun");
                Outcome::ServedBy(*id)
            }
            Err(why) => {
                log::error!("the upgrade failed, nothing has changed: {why}");
                Outcome::Unchanged(why.clone())
            }
        };
        tokio::select! {
            () = control::tell(&mut stream, &outcome) => {}
            () = self.sleep(ASKING_TIMEOUT) => {}
        }
        replaced.is_ok()
    }

    /// Leaves new connections to the successor, and returns when that is so.
    async fn make_way(&self) {
        self.state.drain.leave();
        self.stop_accepting(Why::Replaced);
        tokio::select! {
            () = self.state.drain.accepting_over() => {}
            () = self.sleep(CLOSING_TIMEOUT) => log::warn!("the listeners are slow to end"),
        }
    }

    async fn start_successor(&self, stream: &mut UnixStream) -> Result<u32, String> {
        let asked = tokio::select! {
            asked = control::asked(stream) => asked?,
            () = self.sleep(ASKING_TIMEOUT) => return Err("nothing was asked for".to_owned()),
        };
        if std::process::id() == 1 {
            return Err(
                "this is process 1 of a container, which ends with it: replace the container".to_owned(),
            );
        }
        let started = {
            let spares = self.spares.lock().unwrap_or_else(PoisonError::into_inner);
            Successor::start(&self.program, asked.binary.as_deref(), &spares)
        };
        let mut successor = started?;
        tokio::select! {
            ready = successor.ready() => ready?,
            () = self.sleep(SUCCESSOR_TIMEOUT) => {
                return Err(format!("the new process was not ready within {SUCCESSOR_TIMEOUT:?}"));
            }
        }
        successor
            .release()
            .ok_or_else(|| "the new process has ended".to_owned())
    }
}

/// The signals that end the process.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[async_trait]
impl ShutdownSignalWatch for Departure {
    async fn recv(&self) -> ShutdownSignal {
        let Ok(mut signals) = Signals::listen() else {
            log::error!("signals cannot be received; the process ends only when killed");
            return std::future::pending().await;
        };
        self.ready.send_replace(true);
        let why = tokio::select! {
            biased;
            _ = signals.terminate.recv() => Some(Why::Terminated),
            _ = signals.interrupt.recv() => None,
            () = self.replaced() => Some(Why::Replaced),
        };
        if let Some(why) = why {
            tokio::select! {
                () = self.finish(why) => {}
                () = signals.any() => log::warn!("told once more to end: what is left is cut off"),
            }
        }
        // Pingora's graceful way sleeps its whole grace period; everything is answered by now.
        ShutdownSignal::FastShutdown
    }
}
