//! A connection on which no answer is larger than expected.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes that come after something was asked and before something else is.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a connection is made of.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Duplex for S {}

/// A connection that fails once more comes than anybody asked for.
pub struct Bounded {
    inner: Box<dyn Duplex>,
    /// Bytes that came since something was asked.
    came: usize,
}

impl Bounded {
    pub fn new(inner: impl Duplex + 'static) -> Self {
        Self {
            inner: Box::new(inner),
            came: 0,
        }
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        self.came = self
            .came
            .saturating_add(buffer.filled().len().saturating_sub(before));
        if self.came > ANSWER_BYTES_MAX {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        polled
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.came = 0;
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn an_answer_that_never_ends_is_broken_off() {
        let (here, mut there) = tokio::io::duplex(1024 * 1024);
        let flood = tokio::spawn(async move { while there.write_all(&[b'x'; 65_536]).await.is_ok() {} });
        let mut bounded = Bounded::new(here);
        let mut buffer = vec![0; 65_536];
        let mut read = 0;
        let error = loop {
            match bounded.read(&mut buffer).await {
                Ok(bytes) => read += bytes,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(read <= ANSWER_BYTES_MAX, "{read}");
        drop(bounded);
        flood.await.unwrap();
    }
}
