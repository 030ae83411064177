//! Whether the threads that serve requests still get anything done.

use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;

/// The runtime on which connections are served, known from the first one on. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<OnceLock<Handle>>);

impl Pulse {
    /// Connections are served here. Outside a runtime there is nothing to know.
    pub fn is_here(&self) {
        if self.0.get().is_none()
            && let Ok(handle) = Handle::try_current()
        {
            _ = self.0.set(handle);
        }
    }

    /// Resolves once one of that runtime's threads had time for something else than what it does now. While all of
    /// them stand still it does not.
    pub async fn beat(&self) {
        if let Some(handle) = self.0.get() {
            // One that is shutting down refuses, which is progress enough.
            _ = handle.spawn(std::future::ready(())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::mpsc::{Sender, channel};

    use futures_util::poll;
    use tokio::runtime::{Builder, Runtime};

    use super::*;

    const THREADS: usize = 2;

    fn runtime() -> Runtime {
        Builder::new_multi_thread()
            .worker_threads(THREADS)
            .build()
            .unwrap()
    }

    /// Keeps a thread of a runtime busy until what is given is dropped.
    fn occupy(runtime: &Runtime) -> Sender<()> {
        let (release, wait) = channel::<()>();
        let (began, begins) = channel();
        runtime.spawn(async move {
            began.send(()).unwrap();
            _ = wait.recv();
        });
        begins.recv().unwrap();
        release
    }

    #[tokio::test]
    async fn there_is_a_beat_before_anything_is_served() {
        Pulse::default().beat().await;
    }

    #[tokio::test]
    async fn there_is_none_while_every_thread_stands_still_and_one_as_soon_as_one_goes_on() {
        let (runtime, pulse) = (runtime(), Pulse::default());
        {
            let _here = runtime.enter();
            pulse.is_here();
        }
        pulse.beat().await;
        let first = occupy(&runtime);
        pulse.beat().await;
        let second = occupy(&runtime);
        let mut beat = pin!(pulse.beat());
        for _ in 0..1_000 {
            assert!(poll!(&mut beat).is_pending());
            tokio::task::yield_now().await;
        }
        drop(second);
        beat.await;
        drop(first);
        runtime.shutdown_background();
    }
}
