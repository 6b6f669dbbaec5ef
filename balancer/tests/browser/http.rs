//! One HTTP/1.1 exchange on a connection of its own: enough for MCMP, WebDriver and a node.
//! Blocking, so that a `Drop` can still close a browser.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

/// What a node answers with.
const PAGE: &[u8] = &[b'x'; 4_321];

/// Sends a request and gives status and body. Panics where the other side is broken.
pub(crate) fn exchange(
    to: &str,
    method: &str,
    target: &str,
    fields: &str,
    body: &str,
) -> (u16, String) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} {target} HTTP/1.1\r\nHost: {to}\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    read_answer(&mut BufReader::new(stream))
}

fn read_answer(stream: &mut BufReader<TcpStream>) -> (u16, String) {
    let mut line = String::new();
    stream.read_line(&mut line).unwrap();
    let status = line.split_whitespace().nth(1).and_then(|code| code.parse().ok());
    let length = read_head(stream);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (status.expect("a status"), String::from_utf8(body).unwrap())
}

/// Reads field lines up to the empty one; gives the Content-Length.
fn read_head(stream: &mut BufReader<TcpStream>) -> usize {
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        match line.trim_end().split_once(':') {
            None => return length,
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().unwrap();
            }
            Some(_) => {}
        }
    }
}

/// A node that answers everything with a page; gives its port. It ends with the test's process.
pub(crate) fn node() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer_all(stream));
        }
    });
    port
}

/// Answers each request with what its path leads to, as JSON; gives the port.
pub(crate) fn serve(answer: impl Fn(&str) -> String + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            let mut line = String::new();
            // Whoever connects and says nothing gets nothing.
            if !reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                continue;
            }
            let mut sent = vec![0; read_head(&mut reader)];
            if reader.read_exact(&mut sent).is_err() {
                continue;
            }
            let body = answer(line.split(' ').nth(1).unwrap_or_default());
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 Connection: close\r\n\r\n",
                body.len()
            );
            let _ = reader.get_mut().write_all((head + &body).as_bytes());
        }
    });
    port
}

fn answer_all(stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
        let length = read_head(&mut reader);
        let mut body = vec![0; length];
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", PAGE.len());
        let answered = reader.read_exact(&mut body).is_ok()
            && reader.get_mut().write_all(&[head.as_bytes(), PAGE].concat()).is_ok();
        if !answered {
            return;
        }
        line.clear();
    }
}
