//! One client of a member process. What it cannot know is unknown.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::words::{Answer, Ask};

/// A connection to a member, made when there is none.
#[derive(Debug)]
pub struct Asker {
    socket: PathBuf,
    stream: Option<BufReader<UnixStream>>,
}

impl Asker {
    /// Nothing is connected yet.
    pub fn new(socket: &Path) -> Asker {
        Asker { socket: socket.to_owned(), stream: None }
    }

    /// Asks, and waits at most so long. Without a member nothing has happened, which is `fail`; when
    /// the answer does not come, the connection is given up and the outcome is unknown.
    pub async fn ask(&mut self, ask: &Ask, within: Duration) -> Answer {
        let stream = match self.stream.take() {
            Some(stream) => Ok(stream),
            None => UnixStream::connect(&self.socket).await.map(BufReader::new),
        };
        let mut stream = match stream {
            Ok(stream) => stream,
            Err(error) => return Answer::fail(error),
        };
        let mut line = String::new();
        let asking = async {
            stream.write_all(format!("{}\n", json!(ask)).as_bytes()).await?;
            stream.read_line(&mut line).await
        };
        match timeout(within, asking).await {
            Err(_) => Answer::unknown("no answer in time"),
            Ok(Err(error)) => Answer::unknown(error),
            Ok(Ok(_)) if !line.ends_with('\n') => Answer::unknown("the member has gone"),
            Ok(Ok(_)) => {
                self.stream = Some(stream);
                serde_json::from_str(&line).unwrap_or_else(Answer::unknown)
            }
        }
    }
}
