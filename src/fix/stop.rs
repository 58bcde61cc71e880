//! Ending a walk early: the first signal ends it in good order. (The second ends the program at once; who
//! listens to signals sees to that.)

use tokio::sync::watch;

/// Whether the walk is to end.
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// `signalled` becomes true with the first signal.
    pub(crate) const fn new(signalled: watch::Receiver<bool>) -> Self {
        Self(signalled)
    }

    /// Whether the first signal has come.
    pub(crate) fn has_come(&self) -> bool {
        *self.0.borrow()
    }

    /// Comes with the first signal.
    pub(crate) async fn first(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
