//! Cables between the members of one process: a test cuts them, and what was on its way waits until
//! they are mended, as it does in a real network.
//!
//! Each member is known to the others by the address of a proxy. Who dials there says its name in
//! its first words, so the proxy knows whose cable that is.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Bytes of first words at most.
const MOST_WORDS: usize = 4096;

/// Who is on the other side of a cut than the rest.
type Side = BTreeSet<usize>;

/// The cables of so many members. They are gone when this is dropped.
pub(crate) struct Cables {
    ends: Vec<End>,
    cut_off: watch::Sender<Side>,
    _tasks: JoinSet<()>,
}

/// Where one member is.
#[derive(Clone)]
pub(crate) struct End {
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) member: SocketAddr,
    /// Where the others reach it.
    pub(crate) proxy: SocketAddr,
}

// === impl Cables ===

impl Cables {
    pub(crate) async fn between(members: usize) -> Cables {
        let (mut ends, mut listeners) = (Vec::new(), Vec::new());
        for number in 0..members {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let proxy = listener.local_addr().unwrap();
            // The same port of another address of this machine: nobody else has it.
            let host = Ipv4Addr::new(127, 0, 0, u8::try_from(number + 2).unwrap());
            let member = SocketAddr::from((host, proxy.port()));
            ends.push(End { name: format!("member-{number}"), member, proxy });
            listeners.push(listener);
        }
        let cut_off = watch::Sender::new(Side::new());
        let names: Arc<[String]> = ends.iter().map(|end| end.name.clone()).collect();
        let mut tasks = JoinSet::new();
        for (number, listener) in listeners.into_iter().enumerate() {
            let (target, cut_off) = (ends[number].member, cut_off.subscribe());
            tasks.spawn(accept(listener, target, number, names.clone(), cut_off));
        }
        Cables { ends, cut_off, _tasks: tasks }
    }

    pub(crate) fn ends(&self) -> &[End] {
        &self.ends
    }

    /// These do not hear the others any more, nor the others them.
    pub(crate) fn cut_off(&self, side: impl IntoIterator<Item = usize>) {
        self.cut_off.send_replace(side.into_iter().collect());
    }

    /// Everybody hears everybody, also what was said meanwhile.
    pub(crate) fn mend(&self) {
        self.cut_off.send_replace(Side::new());
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    to: usize,
    names: Arc<[String]>,
    cut_off: watch::Receiver<Side>,
) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        connections.spawn(connect(near, target, to, names.clone(), cut_off.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// One connection, from its first words to its end.
async fn connect(
    mut near: TcpStream,
    target: SocketAddr,
    to: usize,
    names: Arc<[String]>,
    mut cut_off: watch::Receiver<Side>,
) {
    let mut words = Vec::new();
    let from = loop {
        let said = |name: &String| words.windows(name.len()).any(|part| part == name.as_bytes());
        if let Some(from) = names.iter().position(said) {
            break from;
        }
        if words.len() > MOST_WORDS || !matches!(near.read_buf(&mut words).await, Ok(1..)) {
            return;
        }
    };
    if !passes(&mut cut_off, from, to).await {
        return;
    }
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    if far.write_all(&words).await.is_err() {
        return;
    }
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    let back = cut_off.clone();
    // A connection that ends on one side ends on the other.
    tokio::select! {
        () = carry(near_read, far_write, cut_off, from, to) => {}
        () = carry(far_read, near_write, back, from, to) => {}
    }
}

async fn carry(
    mut source: OwnedReadHalf,
    mut sink: OwnedWriteHalf,
    mut cut_off: watch::Receiver<Side>,
    from: usize,
    to: usize,
) {
    let mut bytes = vec![0; 64 << 10];
    while let Ok(read @ 1..) = source.read(&mut bytes).await {
        if !passes(&mut cut_off, from, to).await || sink.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
    // An end is news too, and does not get through a cut.
    passes(&mut cut_off, from, to).await;
}

/// Returns when these two hear each other; false when the test is over.
async fn passes(cut_off: &mut watch::Receiver<Side>, from: usize, to: usize) -> bool {
    cut_off.wait_for(|side| side.contains(&from) == side.contains(&to)).await.is_ok()
}
