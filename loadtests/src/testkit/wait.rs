//! Waiting without sleeping blindly: ask again and again, up to a bound.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::Instant;

/// How long [`eventually`] rests between two askings.
pub const PAUSE: Duration = Duration::from_millis(20);

/// What was waited for did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("not within {within:?}: {what}; last seen: {last}")]
pub struct Late {
    /// What was waited for.
    pub what: String,
    /// The bound.
    pub within: Duration,
    /// What the last asking said.
    pub last: String,
}

/// Asks until the answer is `Ok`, at most for `within`; an `Err` says why it is not yet so.
///
/// The first asking is at once. A single asking that hangs counts against the bound.
///
/// ```
/// # use std::time::Duration;
/// # use muster_loadtests::testkit::eventually;
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let mut asked = 0;
/// let third = eventually("the third asking", Duration::from_secs(5), || {
///     asked += 1;
///     let now = asked;
///     async move { if now == 3 { Ok(now) } else { Err("too early") } }
/// });
/// assert_eq!(third.await.unwrap(), 3);
/// # });
/// ```
pub async fn eventually<T, E, F>(
    what: &str,
    within: Duration,
    mut ask: impl FnMut() -> F,
) -> Result<T, Late>
where
    E: Display,
    F: Future<Output = Result<T, E>>,
{
    let deadline = Instant::now() + within;
    let mut last = "nothing".to_owned();
    loop {
        match tokio::time::timeout_at(deadline, ask()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(reason)) => last = reason.to_string(),
            Err(_) => return Err(Late { what: what.to_owned(), within, last }),
        }
        if Instant::now() + PAUSE >= deadline {
            return Err(Late { what: what.to_owned(), within, last });
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_never_comes_is_late_and_says_what_was_seen_last() {
        let late = eventually("rain", Duration::from_secs(1), async || Err::<(), _>("sun"));
        let told = late.await.unwrap_err().to_string();
        assert_eq!(told, "not within 1s: rain; last seen: sun");
    }

    #[tokio::test(start_paused = true)]
    async fn an_asking_that_hangs_is_late_too() {
        let hangs = || async {
            std::future::pending::<()>().await;
            Ok::<(), &str>(())
        };
        assert!(eventually("an answer", Duration::from_secs(1), hangs).await.is_err());
    }
}
