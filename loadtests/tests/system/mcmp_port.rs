//! What strangers may say on which port.

use http::Method;
use muster_loadtests::testkit::{Farm, mcmp};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::{SOON, node};

#[tokio::test(flavor = "multi_thread")]
async fn mcmp_on_the_public_port_never_reaches_the_registry() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let node = node(&balancer, "a", 100).await;
    let config = "JVMRoute=evil&Host=127.0.0.1&Port=9&Type=http&Context=%2Fevil&Alias=localhost";
    mcmp::send(balancer.http, "CONFIG", "/", config).await.unwrap();
    mcmp::send(balancer.http, "REMOVE-APP", "/*", "JVMRoute=a").await.unwrap();
    mcmp::send(balancer.http, "STATUS", "/", "JVMRoute=a&Load=-1").await.unwrap();
    let nodes = mcmp::nodes(balancer.mcmp).await.unwrap();
    assert_eq!(nodes.len(), 1, "{nodes:?}");
    assert_eq!((nodes[0].name.as_str(), nodes[0].load), ("a", 100));
    let mut client = balancer.client();
    let answer = client.send(Method::GET, "/", &[], "").await.unwrap();
    assert_eq!(answer.node().as_deref(), Some(node.route()));
}

/// Bytes that look random and are the same in each run.
fn garbage(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(next).flatten().take(length).collect()
}

/// Says it and reads whatever comes back until the other end closes or is silent.
async fn blurt(to: std::net::SocketAddr, what: &[u8]) {
    let mut stream = TcpStream::connect(to).await.unwrap();
    // The other end may close before it has taken everything.
    let _ = stream.write_all(what).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let _ = tokio::time::timeout(std::time::Duration::from_secs(5), read).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_of_100_kb_on_any_port_leaves_everything_alive() {
    let farm = Farm::new().unwrap();
    let mut balancer = farm.balancer("").await.unwrap();
    let _node = node(&balancer, "a", 100).await;
    let noise = garbage(100 << 10);
    let long_line = [b"CONFIG /".as_slice(), &vec![b'a'; 100 << 10]].concat();
    let long_header =
        [b"CONFIG / HTTP/1.1\r\nX: ".as_slice(), &vec![b'a'; 100 << 10], b"\r\n\r\n"].concat();
    let half = b"CONFIG / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nJVMRoute=".to_vec();
    for port in [balancer.mcmp, balancer.http, balancer.manager] {
        for what in [&noise, &long_line, &long_header, &half] {
            blurt(port, what).await;
        }
    }
    let form = format!("JVMRoute=a&{}", "x=y&".repeat(25 << 10));
    let answer = mcmp::send(balancer.mcmp, "CONFIG", "/", &form).await.unwrap();
    assert!(answer.status.is_client_error() || answer.status.is_server_error(), "{answer:?}");
    assert_eq!(balancer.process.ended().unwrap(), None);
    balancer.await_usable(&["a"], SOON).await.unwrap();
    balancer.await_served("/", SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_message_is_a_syntax_error_and_changes_nothing() {
    let farm = Farm::new().unwrap();
    let balancer = farm.balancer("").await.unwrap();
    let _node = node(&balancer, "a", 100).await;
    for (method, form) in [
        ("CONFIG", "JVMRoute"),
        ("CONFIG", ""),
        ("CONFIG", "Host=127.0.0.1&Port=1&Type=http"),
        ("ENABLE-APP", ""),
        ("ENABLE-APP", "JVMRoute=a&Context=%2Fb"),
        ("STATUS", "JVMRoute=a&Surprise=1"),
    ] {
        let answer = mcmp::send(balancer.mcmp, method, "/", form).await.unwrap();
        assert_eq!(answer.status, 500, "{method} {form}");
        assert_eq!(answer.header("type"), Some("SYNTAX"), "{method} {form}");
    }
    let unknown = mcmp::send(balancer.mcmp, "FROBNICATE", "/", "JVMRoute=a").await.unwrap();
    assert_eq!(unknown.status, 501);
    assert_eq!(mcmp::nodes(balancer.mcmp).await.unwrap().len(), 1);
}
