//! A future that goes on in the background when whoever waited for it has left.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::runtime::Handle;

/// Polled in place, at no cost of a task; dropped before its end it becomes one.
pub(super) struct ToTheEnd<T: 'static>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

// === impl ToTheEnd ===

impl<T> ToTheEnd<T> {
    pub(super) fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Some(Box::pin(future)))
    }
}

impl<T> Future for ToTheEnd<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(future) = &mut self.0 else { return Poll::Pending };
        let done = ready!(future.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(done)
    }
}

impl<T> Drop for ToTheEnd<T> {
    fn drop(&mut self) {
        // Without a runtime nothing goes on anyway.
        if let (Some(future), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(async move { drop(future.await) });
        }
    }
}

impl<T> fmt::Debug for ToTheEnd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ToTheEnd").field("is_over", &self.0.is_none()).finish()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_dropped_in_the_middle_goes_on_and_what_has_ended_does_not() {
        let (begin, begun) = oneshot::channel::<()>();
        let (end, ended) = oneshot::channel();
        let mut future = ToTheEnd::new(async move {
            begun.await.unwrap();
            end.send("the end").unwrap();
        });
        assert!(futures_poll(&mut future).is_pending());
        drop(future);
        begin.send(()).unwrap();
        assert_eq!(ended.await, Ok("the end"));
        assert_eq!(ToTheEnd::new(async { 7 }).await, 7);
    }

    fn futures_poll<T>(future: &mut ToTheEnd<T>) -> Poll<T> {
        Pin::new(future).poll(&mut Context::from_waker(std::task::Waker::noop()))
    }
}
