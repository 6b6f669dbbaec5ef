//! Numbers and addresses as text, without the machinery of `format!`: heads and log lines are
//! written for each request, and that machinery was a third of its instructions.

use std::io::Write as _;
use std::net::IpAddr;

/// Appends a number.
pub(crate) fn push_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends a header line.
pub(crate) fn push_line(name: &str, value: &[u8], out: &mut Vec<u8>) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// A byte as digits.
fn octet(byte: u8) -> &'static [u8] {
    static DIGITS: [[u8; 3]; 256] = digits();
    let leading_zeros = usize::from(byte < 100) + usize::from(byte < 10);
    &DIGITS[usize::from(byte)][leading_zeros..]
}

const fn digits() -> [[u8; 3]; 256] {
    let mut all = [[b'0'; 3]; 256];
    let mut byte = 0;
    while byte < 256 {
        let digits = [byte / 100, byte / 10 % 10, byte % 10];
        all[byte] = [b'0' + digits[0] as u8, b'0' + digits[1] as u8, b'0' + digits[2] as u8];
        byte += 1;
    }
    all
}

/// Appends an address.
pub(crate) fn push_ip(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            for (at, part) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(octet(part));
            }
        }
        // Writing into a Vec cannot fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

/// Appends seconds with six digits behind the point.
pub(crate) fn push_seconds(time: std::time::Duration, out: &mut Vec<u8>) {
    push_number(time.as_secs(), out);
    out.push(b'.');
    let mut text = itoa::Buffer::new();
    // A seventh digit in front keeps the zeros.
    out.extend_from_slice(&text.format(1_000_000 + time.subsec_micros()).as_bytes()[1..]);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn text(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_header_line_ends_as_lines_do() {
        assert_eq!(text(|out| push_line("X-A", b"b", out)), "X-A: b\r\n");
    }

    #[test]
    fn numbers_addresses_and_times_read_as_usual() {
        assert_eq!(text(|out| push_number(u64::MAX, out)), u64::MAX.to_string());
        for address in ["127.0.0.1", "10.0.200.255", "::1", "fd00::1:2"] {
            assert_eq!(text(|out| push_ip(address.parse().unwrap(), out)), address);
        }
        assert_eq!(text(|out| push_seconds(Duration::from_micros(1_234), out)), "0.001234");
        assert_eq!(
            text(|out| push_seconds(Duration::from_nanos(61_999_999_999), out)),
            "61.999999"
        );
    }
}
