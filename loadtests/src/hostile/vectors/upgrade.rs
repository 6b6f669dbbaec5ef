//! Upgrades: only an exact one becomes a tunnel.

use crate::hostile::vector::{Ends, Vector, Wanted, get, path, post, raw};

const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

const H2C: &str = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                   HTTP2-Settings: AAMAAABkAAQAAP__\r\n";

pub(super) fn vectors() -> Vec<Vector> {
    let plain = |lacks: &[&'static str]| Wanted::get().lacks(lacks);
    let second = [b"GET ", &path("second")[..], b" HTTP/1.1"].concat();
    let behind = [get(H2C), raw(second, "Host: h.example\r\n", "")].concat();
    vec![
        Vector::served(
            "an upgrade to WebSocket",
            get(WEBSOCKET),
            Wanted::get().has("upgrade", b"websocket").status(101),
        )
        .ends(Ends::Tunnel),
        Vector::served(
            "an upgrade to WebSocket beside keep-alive",
            get("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"),
            Wanted::get().has("upgrade", b"websocket").status(101),
        )
        .ends(Ends::Tunnel),
        Vector::served(
            "an upgrade to h2c is not passed on",
            get(H2C),
            plain(&["upgrade", "http2-settings"]),
        ),
        Vector::served_all(
            "a request behind an upgrade to h2c",
            behind,
            vec![plain(&["upgrade", "http2-settings"]), Wanted::get().at(path("second"))],
        ),
        Vector::either(
            "an upgrade to h2c or WebSocket",
            get("Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n"),
            plain(&["upgrade"]),
        ),
        Vector::either(
            "an upgrade of a POST with a body",
            post("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n", "abc"),
            Wanted::post("abc").lacks(&["upgrade"]),
        ),
        Vector::either(
            "an upgrade of a chunked POST",
            post(
                "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
                "3\r\nabc\r\n0\r\n\r\n",
            ),
            Wanted::post("abc").lacks(&["upgrade"]),
        ),
        Vector::either(
            "an upgrade in HTTP/1.0",
            raw("GET /@TOKEN@/ HTTP/1.0", format!("Host: h.example\r\n{WEBSOCKET}"), ""),
            plain(&["upgrade"]),
        )
        .ends(Ends::Closed),
        Vector::either(
            "an empty Upgrade",
            get("Connection: Upgrade\r\nUpgrade:\r\n"),
            plain(&["upgrade"]),
        ),
        Vector::served(
            "Connection: Upgrade without an Upgrade",
            get("Connection: Upgrade\r\n"),
            plain(&["upgrade"]),
        ),
    ]
}
