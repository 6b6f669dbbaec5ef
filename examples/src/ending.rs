//! How a process learns that it should end: SIGTERM, Ctrl-C, or, for a child of the demo, the end
//! of its standard input, which comes even when the demo is killed.

use std::io::Read;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

/// From its making on, signals no longer end the process: [`asked`](Ending::asked) tells of them.
#[derive(Debug)]
pub struct Ending {
    terminate: Signal,
    interrupt: Signal,
    stdin: Option<oneshot::Receiver<()>>,
}

// === impl Ending ===

impl Ending {
    /// With `with_stdin` the end of standard input counts too. The thread that reads it ends with
    /// the process.
    pub fn new(with_stdin: bool) -> std::io::Result<Ending> {
        let (ended, stdin) = oneshot::channel();
        if with_stdin {
            std::thread::spawn(|| {
                wait_for_end_of_stdin();
                drop(ended);
            });
        }
        Ok(Ending {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            stdin: with_stdin.then_some(stdin),
        })
    }

    /// Returns when the process should end, and says why.
    pub async fn asked(&mut self) -> &'static str {
        let stdin_ended = async {
            match &mut self.stdin {
                Some(stdin) => drop(stdin.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "Ctrl-C",
            () = stdin_ended => "the end of standard input",
        }
    }
}

/// Blocks until nobody can write to standard input any more.
pub fn wait_for_end_of_stdin() {
    let mut stdin = std::io::stdin().lock();
    let mut buffer = [0; 256];
    while stdin.read(&mut buffer).is_ok_and(|read| read > 0) {}
}
