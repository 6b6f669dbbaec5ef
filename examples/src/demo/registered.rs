//! Asks a balancer's INFO until it shows nodes that take traffic.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::bail;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const POLL: Duration = Duration::from_millis(100);
const ANSWER_LIMIT: u64 = 1024 * 1024;

/// Returns when all these nodes are registered with a load that takes traffic.
pub(super) async fn wait(mcmp: SocketAddr, names: &[&str], most: Duration) -> anyhow::Result<()> {
    let mut last = String::new();
    let all_there = async {
        loop {
            match timeout(most, info(mcmp)).await {
                Ok(Ok(text)) if names.iter().all(|name| is_usable(&text, name)) => return,
                Ok(Ok(text)) => last = text,
                Ok(Err(error)) => last = error.to_string(),
                Err(_) => last = "no answer".to_owned(),
            }
            sleep(POLL).await;
        }
    };
    if timeout(most, all_there).await.is_err() {
        bail!("{} are not registered at {mcmp} after {most:?}: {last}", names.join(" and "));
    }
    Ok(())
}

async fn info(mcmp: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(mcmp).await?;
    let request = format!("INFO / HTTP/1.1\r\nHost: {mcmp}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_LIMIT).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Whether INFO shows the node with a load of 1 or more.
fn is_usable(info: &str, name: &str) -> bool {
    let name = format!("],Name: {name},");
    let load = |line: &str| line.rsplit_once(",Load: ")?.1.trim().parse::<i32>().ok();
    info.lines().filter(|line| line.contains(&name)).filter_map(load).any(|load| load > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_usable_when_its_load_is_at_least_one() {
        let info = "Node: [1],Name: one,Balancer: mycluster,Load: 50\n\
            Node: [2],Name: two,Balancer: mycluster,Load: -2\n";
        assert!(is_usable(info, "one"));
        assert!(!is_usable(info, "two"));
        assert!(!is_usable(info, "on"));
    }
}
