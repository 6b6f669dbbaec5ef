//! The exchange of first words, on either side.

use std::io;
use std::pin::Pin;

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

/// The other side's words, and the version in which both write from now on.
pub(crate) type Agreed = (Hello, u8);

/// What speaks against the other side, found out by asking others.
pub(crate) type Objection<'a> =
    &'a (dyn Fn(Hello) -> Pin<Box<dyn Future<Output = Option<Refused>> + Send>> + Sync);

/// Reads the other side's first words.
async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> Result<Agreed, NoLink> {
    let mut head = [0; PREFACE];
    stream.read_exact(&mut head).await?;
    let (versions, len) = hello::preface(&head)?;
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await?;
    // A refusal is understood whatever the versions are.
    match hello::read(&body) {
        Ok(Greeting::Refused(why)) => Err(NoLink::Refused(why)),
        read => {
            let version = hello::version(versions).map_err(NoLink::Refuse)?;
            match read? {
                Greeting::Hello(hello) => Ok((hello, version)),
                Greeting::Refused(why) => Err(NoLink::Refused(why)),
            }
        }
    }
}

fn decide(ours: &Hello, said: Agreed, proves: Proves<'_>) -> Result<Agreed, NoLink> {
    let (theirs, version) = said;
    if !proves(&theirs) {
        return Err(NoLink::Refuse(Refused::Secret));
    }
    match hello::judge(ours, &theirs) {
        Verdict::Welcome => Ok((theirs, version)),
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
) -> Result<Agreed, NoLink> {
    say(stream, &Greeting::Hello(ours.clone())).await?;
    let theirs = hear(stream).await?;
    decide(ours, theirs, proves)
}

/// The acceptor's side. `objection` finds what speaks against a dialler whose words are good.
///
/// # Errors
/// See [`NoLink`]; the dialler has been told, where that helps.
pub(crate) async fn acceptor<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    ours: &Hello,
    proves: Proves<'_>,
    objection: Objection<'_>,
) -> Result<Agreed, NoLink> {
    let mut decided = match hear(stream).await {
        Ok(theirs) => decide(ours, theirs, proves),
        Err(error) => Err(error),
    };
    if let Ok((theirs, _)) = &decided
        && let Some(why) = objection(theirs.clone()).await
    {
        decided = Err(NoLink::Refuse(why));
    }
    match &decided {
        // The dialler comes to its own verdict, from the same words.
        Ok(_) | Err(NoLink::WeAreTheCopy(_) | NoLink::Oneself) => {
            say(stream, &Greeting::Hello(ours.clone())).await?;
        }
        Err(NoLink::Refuse(why)) => {
            say(stream, &Greeting::Refused(why.clone())).await?;
            stream.shutdown().await?;
        }
        Err(NoLink::Io(_) | NoLink::Late | NoLink::BadHello(_) | NoLink::Refused(_)) => {}
    }
    decided
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), words: &Greeting) -> Result<(), NoLink> {
    stream.write_all(&hello::write(words)).await?;
    Ok(stream.flush().await?)
}
