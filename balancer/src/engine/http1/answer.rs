//! How an answer of our own is sent, and an end of the connection that loses none.

use std::future::poll_fn;
use std::task::{Poll, ready};
use std::time::Duration;

use super::Worker;
use super::buffer::SMALL;
use super::client::Client;

/// How long a client that is still sending may take to see the answer: so long its bytes are read
/// and dropped. A socket that is closed with bytes unread resets the connection, and the answer is
/// lost with it.
const LINGER: Duration = Duration::from_secs(30);

/// How long it may be silent meanwhile.
const LINGER_SILENCE: Duration = Duration::from_secs(5);

/// Sends all of it; false when the client does not take it in time or is gone.
pub(super) async fn send(client: &mut Client, bytes: &[u8], within: Duration) -> bool {
    let Client { stream, timer, .. } = client;
    timer.client_within(within);
    let mut sent = 0;
    let all = poll_fn(|cx| {
        while sent < bytes.len() {
            match stream.poll_write(cx, &bytes[sent..]) {
                Poll::Ready(Ok(count)) => sent += count,
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                Poll::Pending => return timer.poll_late(cx).map(|_| false),
            }
        }
        match stream.poll_flush(cx) {
            Poll::Ready(flushed) => Poll::Ready(flushed.is_ok()),
            Poll::Pending => timer.poll_late(cx).map(|_| false),
        }
    });
    let all = all.await;
    timer.spare_client();
    all
}

/// Ends the writing side, then, where it `waits`, reads and drops what the client still sends, for
/// [`LINGER`] at most.
pub(super) async fn linger(mut client: Client, worker: &Worker, waits: bool) {
    let Client { stream, buffer, timer, .. } = &mut client;
    timer.clear();
    timer.total_within(LINGER);
    timer.client_within(LINGER_SILENCE);
    let mut is_shut = false;
    poll_fn(|cx| {
        loop {
            if !is_shut {
                match stream.poll_shutdown(cx) {
                    Poll::Ready(Ok(())) => is_shut = true,
                    Poll::Ready(Err(_)) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
            }
            if is_shut && !waits {
                return Poll::Ready(());
            }
            buffer.clear();
            match stream.poll_fill(cx, buffer, &worker.buffers, SMALL) {
                Poll::Ready(Ok(1..)) => timer.client_within(LINGER_SILENCE),
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Pending => {
                    ready!(timer.poll_late(cx));
                    return Poll::Ready(());
                }
            }
        }
    })
    .await;
}
