//! Ctrl-C and SIGTERM: the first ends a command early, the second ends the program at once.
//!
//! They are listened to by a thread of its own, so that they are heard whatever the rest of the program is busy with. The
//! first is passed on; a command that does not take it up within [`PATIENCE`] is ended as if a second had come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::base::error::Error;
use crate::base::exit::Exit;
use crate::progress::Progress;

/// How long a command that changes nothing may take until it hears of the first signal.
const PATIENCE: Duration = Duration::from_millis(900);

/// What a command has to be given when it is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// It changes nothing and holds nothing: it may be ended anywhere. The end of its terminal ends it, as usual.
    AnyTime,
    /// It has to leave in good order: only the second signal ends it anywhere. The end of its terminal is a signal.
    InGoodOrder,
}

/// What signals have come.
#[derive(Clone, Debug)]
pub(super) struct Signals {
    came: watch::Receiver<bool>,
    taken_up: Arc<AtomicBool>,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen(manner: Manner) -> Result<Self, Error> {
        let (sender, came) = watch::channel(false);
        let taken_up = Arc::<AtomicBool>::default();
        let signals = Self { came, taken_up: Arc::clone(&taken_up) };
        let (ready, listening) = mpsc::channel();
        let listen = move || match Listener::new(manner) {
            Ok((runtime, mut listener)) => {
                let _ = ready.send(Ok(()));
                runtime.block_on(listener.run(manner, &sender, &taken_up));
            }
            Err(error) => drop(ready.send(Err(error))),
        };
        let cannot = |error| Error::bug("cannot listen to signals").because(error);
        std::thread::Builder::new().name("signals".to_owned()).spawn(listen).map_err(cannot)?;
        listening.recv().map_err(|error| Error::bug("cannot listen to signals").because(error))?.map_err(cannot)?;
        Ok(signals)
    }

    /// Whether the first signal has come.
    pub(super) fn has_come(&self) -> bool {
        *self.came.borrow()
    }

    /// Becomes true with the first signal.
    pub(super) fn came(&self) -> watch::Receiver<bool> {
        self.came.clone()
    }

    /// Comes with the first signal.
    pub(super) async fn first(&self) {
        // An error would mean that the listener is gone, which it is only with the program.
        if self.came.clone().wait_for(|came| *came).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for `work`; the first signal ends it with nothing.
    pub(super) async fn or_interrupted<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            biased;
            () = self.first() => Err(Error::interrupted()),
            done = work => done,
        }
    }

    /// Waits for `work`; the first signal makes it end early, with what it has, where it has anything. `says` is what is
    /// done then.
    pub(super) async fn or_partial<T>(
        &self,
        progress: &Progress,
        says: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            () = self.first() => {}
            done = &mut work => return done,
        }
        if !progress.has_begun() {
            return Err(Error::interrupted());
        }
        progress.say(&format!("{says}; press Ctrl-C again to quit."));
        progress.stop();
        self.taken_up.store(true, Ordering::Relaxed);
        work.await
    }
}

struct Listener {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Listener {
    fn new(manner: Manner) -> std::io::Result<(tokio::runtime::Runtime, Self)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let listener = Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            // Elsewhere `nohup` has to keep its meaning.
            hangup: if manner == Manner::InGoodOrder { Some(signal(SignalKind::hangup())?) } else { None },
        };
        drop(entered);
        Ok((runtime, listener))
    }

    async fn run(&mut self, manner: Manner, sender: &watch::Sender<bool>, taken_up: &AtomicBool) {
        self.next().await;
        sender.send_replace(true);
        if manner == Manner::AnyTime {
            tokio::select! {
                () = self.next() => {}
                () = sleep(PATIENCE) => {
                    if taken_up.load(Ordering::Relaxed) {
                        self.next().await;
                    }
                }
            }
        } else {
            self.next().await;
        }
        std::process::exit(i32::from(Exit::Interrupted.code()));
    }

    async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = hangup => {}
        }
    }
}
