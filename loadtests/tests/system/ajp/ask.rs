//! One request on a connection of its own, with a body of either framing.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use muster_loadtests::testkit::Answer;
use tokio::net::TcpStream;

/// More than any exchange here takes.
const LONG: Duration = Duration::from_secs(60);

/// Pieces of a chunked body, a prime so that they fall in with no packet.
const PIECE: usize = 5003;

/// A request's body.
#[derive(Debug, Clone)]
pub(super) enum Upload {
    None,
    Length(Bytes),
    Chunked(Bytes),
}

/// Asks, and gathers the whole answer.
pub(super) async fn ask(to: SocketAddr, method: Method, path: &str, upload: Upload) -> Answer {
    let exchange = async {
        let response = send(to, method, path, upload).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("the answer is whole").to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    };
    tokio::time::timeout(LONG, exchange).await.expect("an answer comes")
}

/// GET.
pub(super) async fn get(to: SocketAddr, path: &str) -> Answer {
    ask(to, Method::GET, path, Upload::None).await
}

/// Asks, and waits for the head of the answer.
pub(super) async fn send(
    to: SocketAddr,
    method: Method,
    path: &str,
    upload: Upload,
) -> Response<Incoming> {
    let stream = TcpStream::connect(to).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    // It ends with the sender and the answer.
    tokio::spawn(async move { drop(connection.await) });
    let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    sender.send_request(request.body(upload.body()).unwrap()).await.unwrap()
}

/// Bytes that look alike nowhere.
pub(super) fn sequence(length: usize) -> Bytes {
    (0..length).map(|at| ((at * 31) >> 3) as u8).collect()
}

impl Upload {
    fn body(self) -> BoxBody<Bytes, Infallible> {
        match self {
            Upload::None => Empty::new().boxed(),
            Upload::Length(bytes) => Full::new(bytes).boxed(),
            Upload::Chunked(bytes) => {
                let pieces = (0..bytes.len()).step_by(PIECE).map(move |from| {
                    let to = bytes.len().min(from + PIECE);
                    Ok(Frame::data(bytes.slice(from..to)))
                });
                BodyExt::boxed(StreamBody::new(stream::iter(pieces.collect::<Vec<_>>())))
            }
        }
    }
}
