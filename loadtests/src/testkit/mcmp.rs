//! MCMP spoken by hand, as a node speaks it, without any code of the balancer's.

use std::net::SocketAddr;

use http::{Method, StatusCode};

use super::client::{Answer, Client, Failure};

/// The balancer did not say 200.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No answer at all.
    #[error("{command}: {source}")]
    Failed {
        /// The message.
        command: String,
        /// Why.
        source: Failure,
    },
    /// Another status.
    #[error("{command}: {status}, Type {kind:?}, Mess {message:?}")]
    Status {
        /// The message.
        command: String,
        /// The status.
        status: StatusCode,
        /// `Type`, empty when there is none.
        kind: String,
        /// `Mess`, empty when there is none.
        message: String,
    },
}

/// A line of INFO: a node as the balancer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeLine {
    /// Its route.
    pub name: String,
    /// Its failover group; empty for none.
    pub domain: String,
    /// How often it was chosen.
    pub elected: u64,
    /// 1 to 100, 0 standby, -1 broken, -2 not yet probed.
    pub load: i32,
}

/// Sends one message on a connection of its own and gives back whatever is answered.
pub async fn send(to: SocketAddr, method: &str, uri: &str, form: &str) -> Result<Answer, Failure> {
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|e| Failure::Request { reason: e.to_string() })?;
    let headers = [("user-agent", "ClusterListener/1.0"), ("connection", "Keep-Alive")];
    Client::new(to).send(method, uri, &headers, form.to_owned()).await
}

/// Sends one message that the balancer must accept, and gives back the body.
pub async fn accepted(
    to: SocketAddr,
    method: &str,
    uri: &str,
    form: &str,
) -> Result<String, Refused> {
    let command = format!("{method} {uri} {form}");
    let answer = match send(to, method, uri, form).await {
        Ok(answer) => answer,
        Err(source) => return Err(Refused::Failed { command, source }),
    };
    match answer.status {
        StatusCode::OK => Ok(answer.text()),
        status => Err(Refused::Status {
            command,
            status,
            kind: answer.header("type").unwrap_or_default().to_owned(),
            message: answer.header("mess").unwrap_or_default().to_owned(),
        }),
    }
}

/// The nodes that the balancer knows, by INFO.
pub async fn nodes(of: SocketAddr) -> Result<Vec<NodeLine>, Refused> {
    let info = accepted(of, "INFO", "/", "").await?;
    Ok(info.lines().filter_map(node_line).collect())
}

/// Whether a context of a node is in this state (`ENABLED`, `DISABLED`, `STOPPED`), by INFO.
pub async fn has_context(
    of: SocketAddr,
    route: &str,
    context: &str,
    state: &str,
) -> Result<bool, Refused> {
    let info = accepted(of, "INFO", "/", "").await?;
    let id = info.lines().find_map(|line| {
        let (id, rest) = line.strip_prefix("Node: [")?.split_once(']')?;
        rest.contains(&format!(",Name: {route},")).then_some(id)
    });
    let Some(id) = id else { return Ok(false) };
    let wanted = format!("Context: {context}, Status: {state}");
    Ok(info
        .lines()
        .any(|line| line.starts_with(&format!("Context: [{id}:")) && line.ends_with(&wanted)))
}

fn node_line(line: &str) -> Option<NodeLine> {
    let fields = line.strip_prefix("Node: [")?;
    let field = |name: &str| {
        let (_, rest) = fields.split_once(&format!(",{name}: "))?;
        Some(rest.split(',').next().unwrap_or(rest).to_owned())
    };
    Some(NodeLine {
        name: field("Name")?,
        domain: field("LBGroup")?,
        elected: field("Elected")?.parse().ok()?,
        load: field("Load")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_info_is_a_node() {
        let line = "Node: [2],Name: node2,Balancer: mycluster,LBGroup: dom1,Host: 127.0.0.1,\
                    Port: 17002,Type: http,Flushpackets: Auto,Flushwait: 20,Ping: 5,Smax: 10,\
                    Ttl: 30,Elected: 7,Read: 0,Transfered: 0,Connected: 0,Load: 75";
        let node = NodeLine { name: "node2".into(), domain: "dom1".into(), elected: 7, load: 75 };
        assert_eq!(node_line(line), Some(node));
        assert_eq!(node_line("Vhost: [1:1:-1], Alias: a"), None);
    }
}
