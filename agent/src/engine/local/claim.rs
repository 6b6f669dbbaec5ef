//! An answer that is given back when nobody waits for it any more: whoever stops waiting between
//! the gift and its arrival must not keep what was given.

use tokio::sync::oneshot;

/// A gift on its way. What arrived and was not taken goes to `give_back`.
pub(super) struct Claim<T, F: FnMut(T)> {
    gift: oneshot::Receiver<T>,
    is_taken: bool,
    give_back: F,
}

// === impl Claim ===

impl<T, F: FnMut(T)> Claim<T, F> {
    pub(super) fn new(gift: oneshot::Receiver<T>, give_back: F) -> Self {
        Self { gift, is_taken: false, give_back }
    }

    /// Waits for it; none when it never comes.
    pub(super) async fn take(&mut self) -> Option<T> {
        let gift = (&mut self.gift).await;
        self.is_taken = true;
        gift.ok()
    }

    /// Takes it if it is there by now; afterwards it never comes.
    pub(super) fn last_call(&mut self) -> Option<T> {
        self.is_taken = true;
        self.gift.close();
        self.gift.try_recv().ok()
    }
}

impl<T, F: FnMut(T)> Drop for Claim<T, F> {
    fn drop(&mut self) {
        if !self.is_taken
            && let Some(gift) = self.last_call()
        {
            (self.give_back)(gift);
        }
    }
}
