//! Ctrl-C: the first ends the walk in good order, the second ends the program at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::exit;
use crate::exit::Error;

/// Whether the walk is to end.
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens from now on: to Ctrl-C, to the end of the terminal, and to being told to end.
    pub(super) fn listen() -> Result<Self, Error> {
        let cannot = |error: std::io::Error| Error::CannotRun(format!("cannot listen to signals: {error}"));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(cannot)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = hangup.recv() => {}
                    _ = terminate.recv() => {}
                }
                if sender.send_replace(true) {
                    std::process::exit(i32::from(exit::INTERRUPTED));
                }
            }
        });
        Ok(Self(receiver))
    }

    /// Whether the first signal has come.
    pub(super) fn has_come(&self) -> bool {
        *self.0.borrow()
    }

    /// Comes with the first signal.
    pub(super) async fn first(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
