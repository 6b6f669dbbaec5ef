//! What is too long, and what is not yet.

use super::BODY_LIMIT;
use crate::hostile::vector::{HOST, Vector, Wanted, get, path, post, raw};

pub(super) fn vectors() -> Vec<Vector> {
    let many = |count: usize| (0..count).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    let long = |bytes: usize| format!("X-Long: {}\r\n", "y".repeat(bytes));
    let name = format!("{}: y\r\n", "X".repeat(40 << 10));
    let target = |bytes: usize| path(&"a".repeat(bytes));
    let host = format!("Host: {HOST}\r\n");
    let ask = |target: &[u8]| raw([b"GET ", target, b" HTTP/1.1"].concat(), &host, "");
    let half = "x".repeat(BODY_LIMIT / 2);
    let over = "x".repeat(BODY_LIMIT + 1);
    let announced = format!("Content-Length: {}\r\n", over.len());
    vec![
        Vector::refused("a header of 40 KiB", get(long(40 << 10))).with(&[431]),
        Vector::refused("a header of 2 MiB", get(long(2 << 20))).with(&[431]),
        Vector::refused("a header name of 40 KiB", get(name)).with(&[400, 431]),
        Vector::refused("200 headers", get(many(200))).with(&[431]),
        Vector::refused("5,000 headers", get(many(5_000))).with(&[431]),
        Vector::refused("a target of 40 KiB", ask(&target(40 << 10))).with(&[414]),
        Vector::refused("a target of 2 MiB", ask(&target(2 << 20))).with(&[414]),
        Vector::refused("a body that announces too much", post(&announced, "")).with(&[413]),
        Vector::refused("a body of more than the limit", post(&announced, &over))
            .in_body()
            .with(&[413]),
        Vector::refused("chunks of more than the limit", {
            let chunks = format!("{:x}\r\n{over}\r\n0\r\n\r\n", over.len());
            post("Transfer-Encoding: chunked\r\n", chunks)
        })
        .in_body()
        .with(&[413]),
        Vector::served("80 headers", get(many(80)), Wanted::get().has("x-79", b"y")),
        Vector::served("headers of 24 KiB", get(long(24 << 10)), Wanted::get()),
        Vector::served(
            "a target of 4 KiB",
            ask(&target(4 << 10)),
            Wanted::get().at(target(4 << 10)),
        ),
        Vector::served(
            "a body of half the limit",
            post(format!("Content-Length: {}\r\n", half.len()), &half),
            Wanted::post(&half[..]),
        ),
        Vector::served(
            "a chunk of half the limit",
            post(
                "Transfer-Encoding: chunked\r\n",
                format!("{:x}\r\n{half}\r\n0\r\n\r\n", half.len()),
            ),
            Wanted::post(half),
        ),
    ]
}
