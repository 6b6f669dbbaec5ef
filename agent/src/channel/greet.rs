//! The exchange of first words, on either side.

use std::io;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::hello::{self, BadHello, Greeting, Hello, PREFACE, Refused, Verdict};

/// Why there is no link.
#[derive(Debug, Error)]
pub(crate) enum NoLink {
    /// The connection did not come about, or broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The other side did not speak in time.
    #[error("no answer in time")]
    Late,
    /// It speaks something else.
    #[error(transparent)]
    BadHello(#[from] BadHello),
    /// This side refuses.
    #[error("{0}")]
    Refuse(Refused),
    /// The other side refuses.
    #[error("refused by the other side: {0}")]
    Refused(Refused),
    /// This process itself.
    #[error("that is this process itself")]
    Oneself,
    /// Another process has this node's id, and it stays.
    #[error("{0}")]
    WeAreTheCopy(Refused),
}

/// Whether the other side's proof holds: a function of its words.
pub(crate) type Proves<'a> = &'a (dyn Fn(&Hello) -> bool + Sync);

/// Reads the other side's first words.
async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> Result<Hello, NoLink> {
    let mut head = [0; PREFACE];
    stream.read_exact(&mut head).await?;
    let (versions, len) = hello::preface(&head)?;
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await?;
    // A refusal is understood whatever the versions are.
    match hello::read(&body) {
        Ok(Greeting::Refused(why)) => Err(NoLink::Refused(why)),
        read => {
            hello::version(versions).map_err(NoLink::Refuse)?;
            match read? {
                Greeting::Hello(hello) => Ok(hello),
                Greeting::Refused(why) => Err(NoLink::Refused(why)),
            }
        }
    }
}

fn decide(ours: &Hello, theirs: Hello, proves: Proves<'_>) -> Result<Hello, NoLink> {
    if !proves(&theirs) {
        return Err(NoLink::Refuse(Refused::Secret));
    }
    match hello::judge(ours, &theirs) {
        Verdict::Welcome => Ok(theirs),
        Verdict::Oneself => Err(NoLink::Oneself),
        Verdict::Refuse(why) => Err(NoLink::Refuse(why)),
        Verdict::WeAreTheCopy(why) => Err(NoLink::WeAreTheCopy(why)),
    }
}

/// The dialler's side.
///
/// # Errors
/// See [`NoLink`].
pub(crate) async fn dialler<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    ours: &Hello,
    proves: Proves<'_>,
) -> Result<Hello, NoLink> {
    stream.write_all(&hello::write(&Greeting::Hello(ours.clone()))).await?;
    stream.flush().await?;
    let theirs = hear(stream).await?;
    decide(ours, theirs, proves)
}

/// The acceptor's side, first half: what the dialler says.
///
/// # Errors
/// See [`NoLink`]; the dialler has been told, where that helps.
pub(crate) async fn acceptor<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    ours: &Hello,
    proves: Proves<'_>,
) -> Result<Hello, NoLink> {
    let decided = match hear(stream).await {
        Ok(theirs) => decide(ours, theirs, proves),
        Err(error) => Err(error),
    };
    if let Err(NoLink::Refuse(why)) = &decided {
        refuse(stream, why.clone()).await?;
    }
    if let Err(NoLink::WeAreTheCopy(_) | NoLink::Oneself) = &decided {
        // The dialler comes to its own verdict, from the same words.
        welcome(stream, ours).await?;
    }
    decided
}

/// The acceptor's side, second half.
///
/// # Errors
/// When the connection broke.
pub(crate) async fn welcome<S: AsyncWrite + Unpin>(
    stream: &mut S,
    ours: &Hello,
) -> Result<(), NoLink> {
    stream.write_all(&hello::write(&Greeting::Hello(ours.clone()))).await?;
    Ok(stream.flush().await?)
}

/// The acceptor's side, second half, when it has a reason against it.
///
/// # Errors
/// When the connection broke.
pub(crate) async fn refuse<S: AsyncWrite + Unpin>(
    stream: &mut S,
    why: Refused,
) -> Result<(), NoLink> {
    stream.write_all(&hello::write(&Greeting::Refused(why))).await?;
    stream.flush().await?;
    Ok(stream.shutdown().await?)
}
