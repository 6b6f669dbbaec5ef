//! The trace that a request is part of, as W3C Trace Context says it: a pure function of what the
//! client says, of a ratio and of chance.
//!
//! <https://www.w3.org/TR/trace-context/>: a valid `traceparent` is continued, its sampled flag
//! kept; an invalid one, or several, are as none, and what `tracestate` says with them counts for
//! nothing.

use std::fmt;

/// Bytes of a `traceparent` of the version that is written here.
const LENGTH: usize = 55;

/// The flag that says that the trace is recorded.
const SAMPLED: u8 = 1;

/// The flags that are told on: besides, whether the trace's id is random.
const KNOWN: u8 = SAMPLED | 2;

/// The id of a trace; not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub [u8; 16]);

/// The id of a span; not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(pub [u8; 8]);

/// What a `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace: TraceId,
    /// Whose child the request is.
    pub span: SpanId,
    flags: u8,
}

/// Our own span in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: TraceId,
    /// Our own span.
    pub span: SpanId,
    /// The client's, where it is one of the trace.
    pub parent: Option<SpanId>,
    flags: u8,
}

/// Which part of new traces is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    /// Traces whose last eight bytes are a smaller number are.
    below: u128,
}

// === impl Ratio ===

impl Ratio {
    /// From 0, none, to 1, all.
    pub fn new(part: f64) -> Ratio {
        Ratio { below: (part.clamp(0.0, 1.0) * (1_u128 << 64) as f64) as u128 }
    }

    fn takes(self, trace: TraceId) -> bool {
        let [.., a, b, c, d, e, f, g, h] = trace.0;
        u128::from(u64::from_be_bytes([a, b, c, d, e, f, g, h])) < self.below
    }
}

// === impl Parent ===

impl Parent {
    /// Reads a `traceparent`; `None` where it is not valid.
    ///
    /// ```
    /// use muster_balancer::trace::Parent;
    /// let parent = Parent::parse(b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
    /// assert!(parent.is_sampled());
    /// assert_eq!(parent.span.to_string(), "00f067aa0ba902b7");
    /// ```
    pub fn parse(text: &[u8]) -> Option<Parent> {
        let (known, rest) = text.split_at_checked(LENGTH)?;
        let (version, known) = (bytes::<1>(known.get(..2)?)?[0], &known[2..]);
        let is_whole = match version {
            0 => rest.is_empty(),
            // A later one may have more behind another dash.
            1..=254 => rest.first().is_none_or(|byte| *byte == b'-'),
            255 => false,
        };
        let dashes = [known[0], known[33], known[50]];
        let trace = TraceId(bytes(&known[1..33])?);
        let span = SpanId(bytes(&known[34..50])?);
        let flags = bytes::<1>(&known[51..])?[0] & KNOWN;
        let is_none = trace.0 == [0; 16] || span.0 == [0; 8];
        (is_whole && dashes == *b"---" && !is_none).then_some(Parent { trace, span, flags })
    }

    /// Whether the client records the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// Pairs of hexadecimal digits, in lower case.
fn bytes<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut all = [0; N];
    for (at, byte) in all.iter_mut().enumerate() {
        *byte = digit(*text.get(2 * at)?)? << 4 | digit(*text.get(2 * at + 1)?)?;
    }
    (text.len() == 2 * N).then_some(all)
}

// === impl Context ===

impl Context {
    /// Our own span for a request: a child of the client's where it has one, else the first of a new
    /// trace. `chance` is 24 random bytes.
    pub fn follow(parent: Option<Parent>, ratio: Ratio, chance: [u8; 24]) -> Context {
        let [trace @ .., _, _, _, _, _, _, _, _] = chance;
        let [_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, span @ ..] = chance;
        let span = SpanId::of(span);
        match parent {
            Some(Parent { trace, span: parent, flags }) => {
                Context { trace, span, parent: Some(parent), flags }
            }
            None => {
                let trace = TraceId(if trace == [0; 16] { [1; 16] } else { trace });
                let flags = if ratio.takes(trace) { SAMPLED } else { 0 };
                Context { trace, span, parent: None, flags }
            }
        }
    }

    /// Whether the trace is recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The `traceparent` for a node whose attempt is the span `child`.
    pub fn traceparent(&self, child: SpanId) -> [u8; LENGTH] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        digits(&self.trace.0, &mut text[3..35]);
        digits(&child.0, &mut text[36..52]);
        digits(&[self.flags], &mut text[53..]);
        text
    }
}

// === impl SpanId ===

impl SpanId {
    /// From random bytes.
    pub fn of(chance: [u8; 8]) -> SpanId {
        SpanId(if chance == [0; 8] { [1; 8] } else { chance })
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

// === impl TraceId ===

impl TraceId {
    /// Its 32 digits.
    pub fn text(&self) -> [u8; 32] {
        let mut text = [0; 32];
        digits(&self.0, &mut text);
        text
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn digits(bytes: &[u8], to: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(to.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn chance() -> [u8; 24] {
        std::array::from_fn(|at| at as u8 + 1)
    }

    fn follow(said: &str, ratio: f64) -> Context {
        Context::follow(Parent::parse(said.as_bytes()), Ratio::new(ratio), chance())
    }

    #[test]
    fn a_valid_parent_is_continued_by_a_span_of_our_own() {
        let own = follow(GOOD, 0.0);
        assert_eq!(own.trace.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(own.parent.unwrap().to_string(), "00f067aa0ba902b7");
        assert_eq!(own.span.to_string(), "1112131415161718");
        assert!(own.is_sampled(), "whatever the ratio, its own flag counts");
        let told = own.traceparent(SpanId::of([0xab; 8]));
        let told = std::str::from_utf8(&told).unwrap();
        assert_eq!(told, "00-4bf92f3577b34da6a3ce929d0e0e4736-abababababababab-01");
        assert!(!follow(&GOOD.replace("-01", "-00"), 1.0).is_sampled());
    }

    #[test]
    fn what_is_not_valid_begins_a_new_trace() {
        let zeros = "0".repeat(32);
        for said in [
            String::new(),
            GOOD[..54].to_owned(),
            GOOD.to_uppercase(),
            GOOD.replace("00-4", "ff-4"),
            GOOD.replace("00-4", "0g-4"),
            GOOD.replace('-', "_"),
            format!("{GOOD}-"),
            format!("{GOOD}0"),
            format!("00-{zeros}-00f067aa0ba902b7-01"),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01".to_owned(),
        ] {
            let own = follow(&said, 1.0);
            assert_eq!(own.parent, None, "{said:?}");
            assert_eq!(own.trace.to_string(), "0102030405060708090a0b0c0d0e0f10");
            assert!(own.is_sampled());
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = GOOD.replace("00-4", "cc-4");
        for said in [later.clone(), format!("{later}-what-comes-then")] {
            let own = follow(&said, 0.0);
            assert!(own.parent.is_some() && own.is_sampled(), "{said}");
            assert!(own.traceparent(own.span).starts_with(b"00-4bf9"));
        }
        assert!(Parent::parse(format!("{later}x").as_bytes()).is_none());
    }

    #[test]
    fn unknown_flags_are_not_told_on() {
        let own = follow(&GOOD.replace("-01", "-ff"), 0.0);
        assert!(own.traceparent(own.span).ends_with(b"-03"));
    }

    #[test]
    fn a_ratio_takes_its_part_of_new_traces() {
        let taken = |ratio| {
            let ratio = Ratio::new(ratio);
            let sampled = (0..=255_u8).filter(|first| {
                let mut chance = chance();
                chance[8] = *first;
                Context::follow(None, ratio, chance).is_sampled()
            });
            sampled.count()
        };
        assert_eq!([taken(0.0), taken(0.25), taken(1.0)], [0, 64, 256]);
    }

    #[test]
    fn chance_that_is_all_zero_is_no_id() {
        let own = Context::follow(None, Ratio::new(0.0), [0; 24]);
        assert!(Parent::parse(&own.traceparent(own.span)).is_some());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(chance: [u8; 24], child: [u8; 8], ratio in 0.0..1.0) {
            let own = Context::follow(None, Ratio::new(ratio), chance);
            let read = Parent::parse(&own.traceparent(SpanId::of(child))).unwrap();
            prop_assert_eq!(read.trace, own.trace);
            prop_assert_eq!(read.span, SpanId::of(child));
            prop_assert_eq!(read.is_sampled(), own.is_sampled());
        }

        #[test]
        fn no_bytes_make_it_panic(text: Vec<u8>) {
            let _ = Parent::parse(&text);
        }
    }
}
