//! Redis with one replica: `SET` of a value and `WAIT 1`, so that an acknowledged write is in two
//! processes.
//!
//! Callers share connections: the writes of those that share one go out together, with one `WAIT`
//! behind them. How many share one is the caller's to try: Redis counts with what suits it best.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::figure::Latencies;
use super::{KEYS, VALUE};
use crate::testkit::ports::free_address;

/// How long a server may take until it answers, and a replica until it has all.
const START: Duration = Duration::from_secs(30);
/// How long a write waits for the replica, in milliseconds.
const WAIT_MS: u32 = 10_000;

/// A master and its replica. Dropping it ends both.
#[derive(Debug)]
pub struct Redis {
    servers: Vec<Child>,
    master: SocketAddr,
}

impl Redis {
    /// Starts both, without files of theirs, and waits until the replica acknowledges.
    ///
    /// # Errors
    /// When there is no `redis-server`, or it is not ready in time.
    pub fn start(folder: &Path) -> io::Result<Redis> {
        let (master, replica) = (free_address()?, free_address()?);
        let mut redis = Redis { servers: vec![server(folder, master, None)?], master };
        redis.servers.push(server(folder, replica, Some(master))?);
        let began = Instant::now();
        while let Err(error) = redis.probe() {
            if began.elapsed() > START {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(redis)
    }

    /// Starts one alone, without files, and waits until it listens.
    ///
    /// # Errors
    /// When there is no `redis-server`, or it does not listen in time.
    pub fn alone(folder: &Path) -> io::Result<Redis> {
        let master = free_address()?;
        let redis = Redis { servers: vec![server(folder, master, None)?], master };
        let began = Instant::now();
        while let Err(error) = TcpStream::connect(master) {
            if began.elapsed() > START {
                return Err(error);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(redis)
    }

    /// Where the master is.
    pub fn address(&self) -> SocketAddr {
        self.master
    }

    /// The processes.
    pub fn pids(&self) -> Vec<u32> {
        self.servers.iter().map(Child::id).collect()
    }

    /// So many connections, each with so many callers that write together and wait together.
    ///
    /// # Errors
    /// When the server refuses, or the replica does not acknowledge.
    pub fn set(
        &self,
        connections: usize,
        callers_each: usize,
        lasts: Duration,
    ) -> io::Result<Latencies> {
        let run = || Connection::open(self.master)?.run(callers_each, lasts);
        let results: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..connections).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|thread| thread.join()).collect()
        });
        let mut all = Latencies::default();
        for result in results {
            all.merge(&result.map_err(|_| io::Error::other("a caller panicked"))??);
        }
        Ok(all)
    }

    fn probe(&self) -> io::Result<()> {
        let mut connection = Connection::open(self.master)?;
        connection.stream.set_read_timeout(Some(START))?;
        connection.run(1, Duration::ZERO).map(drop)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn server(folder: &Path, at: SocketAddr, of: Option<SocketAddr>) -> io::Result<Child> {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &at.port().to_string(), "--save", ""]);
    command.args(["--appendonly", "no", "--repl-diskless-sync-delay", "0"]).current_dir(folder);
    if let Some(of) = of {
        command.args(["--replicaof", &of.ip().to_string(), &of.port().to_string()]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

struct Connection {
    stream: TcpStream,
    /// What came and is not yet a whole line.
    read: Vec<u8>,
}

impl Connection {
    fn open(server: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, read: Vec::new() })
    }

    /// Batches of so many writes, at least one of them.
    fn run(&mut self, callers: usize, lasts: Duration) -> io::Result<Latencies> {
        let value = vec![b'v'; VALUE];
        let (mut latencies, mut batch, began) = (Latencies::default(), Vec::new(), Instant::now());
        loop {
            batch.clear();
            for _ in 0..callers {
                let key = format!("key:{:08}", rand::random::<u32>() % KEYS);
                command(&mut batch, &[b"SET", key.as_bytes(), &value])?;
            }
            command(&mut batch, &[b"WAIT", b"1", WAIT_MS.to_string().as_bytes()])?;
            let asked = Instant::now();
            self.stream.write_all(&batch)?;
            for _ in 0..callers {
                self.expect("+OK")?;
            }
            self.expect(":1")?;
            latencies.note_all(asked.elapsed(), callers as u64);
            if began.elapsed() >= lasts {
                return Ok(latencies);
            }
        }
    }

    fn expect(&mut self, wanted: &str) -> io::Result<()> {
        let end = loop {
            if let Some(end) = self.read.iter().position(|&byte| byte == b'\n') {
                break end;
            }
            let mut more = [0; 4096];
            let count = self.stream.read(&mut more)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.read.extend_from_slice(&more[..count]);
        };
        let line: Vec<u8> = self.read.drain(..=end).collect();
        let line = String::from_utf8_lossy(&line);
        match line.trim_end() == wanted {
            true => Ok(()),
            false => Err(io::Error::other(format!("redis: {line:?} and not {wanted:?}"))),
        }
    }
}

fn command(batch: &mut Vec<u8>, words: &[&[u8]]) -> io::Result<()> {
    write!(batch, "*{}\r\n", words.len())?;
    for word in words {
        write!(batch, "${}\r\n", word.len())?;
        batch.extend_from_slice(word);
        batch.extend_from_slice(b"\r\n");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_strings() {
        let mut batch = Vec::new();
        command(&mut batch, &[b"WAIT", b"1"]).unwrap();
        assert_eq!(batch, b"*2\r\n$4\r\nWAIT\r\n$1\r\n1\r\n");
    }
}
