//! The floor: a request of one value to another process and a small answer, over one TCP connection,
//! with as little work on both sides as there can be.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::VALUE;
use super::figure::Latencies;

/// The bytes of an answer.
const ANSWER: usize = 16;
const BUFFER: usize = 64 << 10;

/// Answers whoever connects, for ever, one after the other.
///
/// # Errors
/// When no connection can be taken.
pub fn serve(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        // A client that has gone is no reason to end.
        let _ = answer(stream);
    }
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut begun) = (vec![0; BUFFER], 0);
    let answers = vec![1; (BUFFER / VALUE + 1) * ANSWER];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        begun += count;
        stream.write_all(&answers[..begun / VALUE * ANSWER])?;
        begun %= VALUE;
    }
}

/// So many callers, each of which asks again when it is answered; those that are answered together
/// ask together.
///
/// # Errors
/// When the other side is not there.
pub fn ask(server: SocketAddr, callers: usize, lasts: Duration) -> io::Result<Latencies> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    let (requests, mut answers) = (vec![7; callers * VALUE], vec![0; callers * ANSWER]);
    let (mut latencies, mut begun) = (Latencies::default(), 0);
    let (mut asked, began) = (VecDeque::new(), Instant::now());
    let mut free = callers;
    while began.elapsed() < lasts {
        asked.extend(std::iter::repeat_n(Instant::now(), free));
        stream.write_all(&requests[..free * VALUE])?;
        begun += stream.read(&mut answers)?;
        free = begun / ANSWER;
        begun %= ANSWER;
        let now = Instant::now();
        for at in asked.drain(..free) {
            latencies.note(now - at);
        }
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_is_answered_again_and_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        std::thread::spawn(move || serve(&listener));
        for callers in [1, 32] {
            let latencies = ask(server, callers, Duration::from_millis(50)).unwrap();
            assert!(latencies.count() > callers as u64, "{}", latencies.count());
        }
    }
}
