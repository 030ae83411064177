//! The process among its neighbours: the sockets that it opens or is given, the service manager, and the process
//! that takes its place.
//!
//! An upgrade goes like this. `shapegate upgrade` asks the running process over its upgrade socket ([`control`]).
//! That one starts the new program with a socket pair as its standard input and sends every listening socket over it
//! ([`successor`], [`passing`]). The new one reads its configuration, takes the sockets that it names ([`arrival`],
//! [`sockets`]), and says that it is ready, or why it is not. Only then does the old one stop accepting; the sockets
//! themselves are never closed, so that nobody is refused.

pub mod arrival;
pub mod control;
pub mod manager;
pub mod open_files;
pub mod passing;
pub mod pulse;
pub mod sockets;
pub mod successor;

pub use arrival::Arrival;
pub use pulse::Pulse;
pub use sockets::{ListenError, Socket, Sockets};
