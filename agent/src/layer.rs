//! The tower layer: counts requests in flight and the bytes of bodies, for the load metrics.
//!
//! A request is in flight from its call until the body of its answer has ended or was dropped.
//! An upgraded connection (WebSocket) counts until the answer 101 has left.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::load::Traffic;

/// Counts what passes through the service below it, for the metrics of one
/// [`Agent`](crate::Agent). Put it outermost, so that it sees what the client sees.
#[derive(Debug, Clone)]
pub struct TrafficLayer {
    traffic: Arc<Traffic>,
}

/// The service that [`TrafficLayer`] makes.
#[derive(Debug, Clone)]
pub struct TrafficService<S> {
    inner: S,
    traffic: Arc<Traffic>,
}

/// One request in flight: it ends when this is dropped, however that comes about.
#[derive(Debug)]
struct InFlight {
    traffic: Arc<Traffic>,
}

pin_project! {
    /// A request body whose bytes are counted.
    #[derive(Debug)]
    pub struct ReceivedBody<B> {
        #[pin]
        inner: B,
        traffic: Arc<Traffic>,
    }
}

pin_project! {
    /// A response body whose bytes are counted, and whose end ends the request.
    #[derive(Debug)]
    pub struct SentBody<B> {
        #[pin]
        inner: B,
        in_flight: Option<InFlight>,
    }
}

pin_project! {
    /// The answer to come.
    #[derive(Debug)]
    pub struct Answering<F> {
        #[pin]
        inner: F,
        in_flight: Option<InFlight>,
    }
}

// === impl InFlight ===

impl InFlight {
    fn begin(traffic: &Arc<Traffic>) -> InFlight {
        traffic.request_began();
        InFlight { traffic: Arc::clone(traffic) }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.traffic.request_ended();
    }
}

// === impl TrafficLayer ===

impl TrafficLayer {
    pub(crate) fn new(traffic: Arc<Traffic>) -> TrafficLayer {
        TrafficLayer { traffic }
    }
}

impl<S> Layer<S> for TrafficLayer {
    type Service = TrafficService<S>;

    fn layer(&self, inner: S) -> TrafficService<S> {
        TrafficService { inner, traffic: Arc::clone(&self.traffic) }
    }
}

// === impl TrafficService ===

impl<S, Req, Res> Service<Request<Req>> for TrafficService<S>
where
    S: Service<Request<ReceivedBody<Req>>, Response = Response<Res>>,
{
    type Response = Response<SentBody<Res>>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Req>) -> Self::Future {
        let in_flight = Some(InFlight::begin(&self.traffic));
        let traffic = Arc::clone(&self.traffic);
        let request = request.map(|inner| ReceivedBody { inner, traffic });
        Answering { inner: self.inner.call(request), in_flight }
    }
}

impl<F, Res, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<Res>, E>>,
{
    type Output = Result<Response<SentBody<Res>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(cx));
        let in_flight = this.in_flight.take();
        Poll::Ready(answer.map(|answer| answer.map(|inner| SentBody { inner, in_flight })))
    }
}

// === impl ReceivedBody, SentBody ===

impl<B: Body> Body for ReceivedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        this.traffic.received(data_length(&frame));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Body> Body for SentBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        if let Some(in_flight) = &this.in_flight {
            in_flight.traffic.sent(data_length(&frame));
        }
        if !matches!(frame, Some(Ok(_))) {
            *this.in_flight = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn data_length<D: Buf, E>(frame: &Option<Result<Frame<D>, E>>) -> usize {
    match frame {
        Some(Ok(frame)) => frame.data_ref().map_or(0, Buf::remaining),
        Some(Err(_)) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};
    use std::convert::Infallible;

    /// Answers "hello" after reading the whole request.
    #[derive(Clone)]
    struct Hello;

    impl Service<Request<ReceivedBody<Full<Bytes>>>> for Hello {
        type Response = Response<Full<Bytes>>;
        type Error = Infallible;
        type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<ReceivedBody<Full<Bytes>>>) -> Self::Future {
            Box::pin(async move {
                let _ = request.into_body().collect().await;
                Ok(Response::new(Full::from("hello")))
            })
        }
    }

    fn counted() -> (TrafficService<Hello>, Arc<Traffic>) {
        let traffic = Arc::new(Traffic::default());
        (TrafficLayer::new(Arc::clone(&traffic)).layer(Hello), traffic)
    }

    fn request() -> Request<Full<Bytes>> {
        Request::new(Full::from("ping"))
    }

    #[tokio::test]
    async fn a_request_is_in_flight_until_its_answer_has_left() {
        let (mut service, traffic) = counted();
        let answer = service.call(request()).await.unwrap();
        assert_eq!((traffic.in_flight(), traffic.bytes_received()), (1, 4));
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "hello");
        assert_eq!((traffic.in_flight(), traffic.bytes_sent(), traffic.requests()), (0, 5, 1));
    }

    #[tokio::test]
    async fn a_client_that_goes_away_ends_its_request() {
        let (mut service, traffic) = counted();
        drop(service.call(request()).await.unwrap());
        assert_eq!(traffic.in_flight(), 0, "the answer was dropped");
        drop(service.call(request()));
        assert_eq!((traffic.in_flight(), traffic.requests()), (0, 2), "the call was dropped");
    }
}
