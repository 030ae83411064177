//! Sockets passed from one process to another (`SCM_RIGHTS`, unix(7)).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// Sockets in one message: the kernel's own limit is 253.
const SOCKETS_MAX: usize = 64;
/// What goes along with the sockets, and tells a program of another age.
const GREETING: &[u8] = b"shapegate sockets 1\n";

/// Sends `sockets`.
///
/// # Errors
/// When there are more than can be sent, or the other side is gone.
pub fn send(stream: &UnixStream, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if sockets.len() > SOCKETS_MAX
        || (!sockets.is_empty() && !control.push(SendAncillaryMessage::ScmRights(sockets)))
    {
        return Err(io::Error::other(format!(
            "more than {SOCKETS_MAX} sockets cannot be handed over"
        )));
    }
    let sent = sendmsg(
        stream,
        &[IoSlice::new(GREETING)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    // So few bytes fit into an empty buffer whole.
    (sent == GREETING.len())
        .then_some(())
        .ok_or_else(|| io::ErrorKind::WriteZero.into())
}

/// Receives what [`send`] sent.
///
/// # Errors
/// When the other side is gone, or is not of this program.
pub fn receive(stream: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut greeting = [0; GREETING.len()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [IoSliceMut::new(&mut greeting)];
    let received = recvmsg(stream, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let sockets = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
            _ => None,
        })
        .flatten()
        .collect();
    if received.bytes != GREETING.len() || greeting != GREETING {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "what hands sockets over is not this program, or of another age",
        ));
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    #[test]
    fn sockets_arrive_in_order_and_still_listen() {
        let listeners: Vec<_> = (0..3)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let (here, there) = UnixStream::pair().unwrap();
        let borrowed: Vec<_> = listeners.iter().map(AsFd::as_fd).collect();
        send(&here, &borrowed).unwrap();
        let received: Vec<TcpListener> = receive(&there).unwrap().into_iter().map(Into::into).collect();
        let addresses =
            |list: &[TcpListener]| -> Vec<_> { list.iter().map(|one| one.local_addr().unwrap()).collect() };
        let before = addresses(&listeners);
        assert_eq!(addresses(&received), before);
        drop(listeners);
        for address in before {
            std::net::TcpStream::connect(address).expect("it is the same socket");
        }
    }

    #[test]
    fn none_and_too_many_sockets_are_told_apart() {
        let (here, there) = UnixStream::pair().unwrap();
        send(&here, &[]).unwrap();
        assert!(receive(&there).unwrap().is_empty());
        let many = vec![here.as_fd(); SOCKETS_MAX + 1];
        assert!(send(&here, &many).is_err());
    }

    #[test]
    fn whoever_does_not_greet_is_not_believed() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(b"something else entirely").unwrap();
        assert_eq!(receive(&there).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let (here, there) = UnixStream::pair().unwrap();
        drop(here);
        assert!(receive(&there).is_err());
    }
}
