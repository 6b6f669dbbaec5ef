//! From what a balancer says to a datagram.

use super::digest::{hex, old};
use super::{Announcement, Key};

/// Writes a datagram, signed where there is a key. It has fewer than 512 bytes, which is all that
/// real clients read.
pub fn write(announcement: &Announcement, key: Option<&Key>) -> Vec<u8> {
    let date = httpdate::fmt_http_date(announcement.date);
    let sequence = announcement.sequence.to_string();
    let server = announcement.server.as_str();
    let digest = hex(&old(key, &date, &sequence, server));
    let mut text = format!(
        "{}\r\nDate: {date}\r\nSequence: {sequence}\r\nDigest: {digest}\r\nServer: {server}\r\n",
        announcement.phase.line()
    );
    if let Some(manager) = &announcement.manager {
        let (address, host) = (manager.address, manager.address.ip());
        let protocol = manager.protocol.word();
        text += &format!(
            "X-Manager-Address: {address}\r\nX-Manager-Url: /\r\n\
             X-Manager-Protocol: {protocol}\r\nX-Manager-Host: {host}\r\n"
        );
    }
    if let Some(key) = key {
        let digest = hex(&key.sign(text.as_bytes()));
        text += &format!("X-Digest-SHA256: {digest}\r\n");
    }
    text += "\r\n";
    text.into_bytes()
}
