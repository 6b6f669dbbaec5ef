//! The load factor and what it means.

use serde::Serialize;

/// A load factor with its meaning, so that no reader has to know the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Load {
    number: i32,
    meaning: &'static str,
}

// === impl Load ===

impl Load {
    /// The load factor for a number of the wire; a number that the wire does not know is shown
    /// as it is, and said to be unknown.
    ///
    /// ```
    /// use muster_web_ui::page::Load;
    /// assert_eq!(Load::new(0).meaning(), "standby: used only when no other node is");
    /// ```
    pub fn new(number: i32) -> Load {
        let meaning = match number {
            100 => "free",
            67..=99 => "lightly loaded",
            34..=66 => "half loaded",
            11..=33 => "heavily loaded",
            2..=10 => "almost overloaded",
            1 => "overloaded",
            0 => "standby: used only when no other node is",
            -1 => "in an error state",
            -2 => "being probed",
            _ => "unknown",
        };
        Load { number, meaning }
    }

    /// 1 (overloaded) to 100 (free), 0 standby, -1 broken, -2 being probed.
    pub fn number(self) -> i32 {
        self.number
    }

    /// What the number says.
    pub fn meaning(self) -> &'static str {
        self.meaning
    }

    /// The part of the node that is free, in percent; 0 for all that is not 1 to 100.
    pub fn percent_free(self) -> i32 {
        if (1..=100).contains(&self.number) { self.number } else { 0 }
    }
}
