//! The floor: the same bytes over one connection and back, many callers' requests in one write.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};

use super::{Measured, VALUE, WARM, usage};

/// Bytes of the answer to each request.
const ANSWER: usize = 16;

/// Takes requests of `VALUE` bytes, and answers each.
pub(crate) async fn serve() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    Ok(address)
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(128 << 10);
    let mut out = Vec::new();
    loop {
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(());
        }
        let whole = buffer.len() / VALUE;
        buffer.advance(whole * VALUE);
        buffer.reserve(64 << 10);
        out.resize(whole * ANSWER, 0);
        stream.write_all(&out).await?;
    }
}

#[derive(Default)]
struct Gathered {
    bytes: Mutex<Vec<u8>>,
    waiting: Mutex<std::collections::VecDeque<oneshot::Sender<()>>>,
    wake: Notify,
}

/// Callers that share one connection.
pub(crate) async fn measure(
    address: &str,
    other: u32,
    callers: usize,
    time: Duration,
) -> Result<Measured, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (mut read, mut write) = stream.into_split();
    let gathered = Arc::new(Gathered::default());
    let reading = gathered.clone();
    let reader = tokio::spawn(async move {
        let mut buffer = BytesMut::with_capacity(64 << 10);
        while read.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
            while buffer.len() >= ANSWER {
                buffer.advance(ANSWER);
                if let Some(caller) = reading.waiting.lock().pop_front() {
                    let _ = caller.send(());
                }
            }
            buffer.reserve(32 << 10);
        }
    });
    let writing = gathered.clone();
    let writer = tokio::spawn(async move {
        loop {
            writing.wake.notified().await;
            if callers > 1 {
                tokio::task::yield_now().await;
            }
            let bytes = std::mem::take(&mut *writing.bytes.lock());
            if write.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    let put = move || {
        let gathered = gathered.clone();
        async move {
            let (done, answer) = oneshot::channel();
            {
                let mut bytes = gathered.bytes.lock();
                let len = bytes.len();
                bytes.resize(len + VALUE, 7);
                gathered.waiting.lock().push_back(done);
            }
            gathered.wake.notify_one();
            let _ = answer.await;
        }
    };
    let measured = drive("TCP echo", other, callers, time, move |_, _| put()).await;
    reader.abort();
    writer.abort();
    Ok(measured)
}

/// Has callers call one after the other until the time is over.
pub(crate) async fn drive<F, C>(
    what: &str,
    other: u32,
    callers: usize,
    time: Duration,
    call: C,
) -> Measured
where
    C: Fn(usize, u64) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send,
{
    run(callers, WARM, call.clone()).await;
    let (begin, cpu) = (Instant::now(), usage::both(other));
    let histogram = run(callers, time, call).await;
    let (took, cpu) = (begin.elapsed(), usage::both(other).saturating_sub(cpu));
    Measured {
        what: what.to_owned(),
        callers,
        ops: histogram.len(),
        took,
        p50: Duration::from_nanos(histogram.value_at_quantile(0.5)),
        p99: Duration::from_nanos(histogram.value_at_quantile(0.99)),
        cpu,
    }
}

async fn run<F, C>(callers: usize, time: Duration, call: C) -> Histogram<u64>
where
    C: Fn(usize, u64) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send,
{
    let end = Instant::now() + time;
    let mut tasks = Vec::new();
    for caller in 0..callers {
        let call = call.clone();
        tasks.push(tokio::spawn(async move {
            let mut taken: Vec<u64> = Vec::new();
            let mut number = 0;
            let mut before = Instant::now();
            while before < end {
                call(caller, number).await;
                number += 1;
                let after = Instant::now();
                taken.push(u64::try_from((after - before).as_nanos()).unwrap_or(u64::MAX));
                before = after;
            }
            taken
        }));
    }
    let mut all = new_histogram();
    for task in tasks {
        for value in task.await.unwrap_or_default() {
            all.saturating_record(value);
        }
    }
    all
}

fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 10_000_000_000, 3)
        .unwrap_or_else(|_| unreachable!("the bounds are good"))
}
