//! Expect: 100-continue.

use crate::hostile::vector::{Ends, Step, Vector, Wanted, get, post, raw};

pub(super) fn vectors() -> Vec<Vector> {
    let expecting = "Expect: 100-continue\r\nContent-Length: 3\r\n";
    let all = vec![
        Vector::served(
            "a client that waits for 100 Continue",
            post(expecting, ""),
            Wanted::post("abc"),
        )
        .then(Step::Interim)
        .then(Step::Write(b"abc".to_vec())),
        Vector::served(
            "a client that waits for 100 Continue before its chunks",
            post("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", ""),
            Wanted::post("abc"),
        )
        .then(Step::Interim)
        .then(Step::Write(b"3\r\nabc\r\n0\r\n\r\n".to_vec())),
        Vector::served(
            "a client that does not wait for 100 Continue",
            post(expecting, "abc"),
            Wanted::post("abc"),
        ),
        Vector::served(
            "100-continue in odd case",
            post("eXPECT: 100-CONTINUE\r\nContent-Length: 3\r\n", "abc"),
            Wanted::post("abc"),
        ),
        Vector::served(
            "100-continue without a body",
            get("Expect: 100-continue\r\n"),
            Wanted::get(),
        ),
        Vector::served(
            "100-continue in HTTP/1.0",
            raw("POST /@TOKEN@/ HTTP/1.0", format!("Host: h.example\r\n{expecting}"), "abc"),
            Wanted::post("abc"),
        )
        .ends(Ends::Closed),
        Vector::either(
            "an expectation that nobody knows",
            post("Expect: 200-perhaps\r\nContent-Length: 3\r\n", "abc"),
            Wanted::post("abc"),
        )
        .with(&[400, 417]),
    ];
    // Whether the connection goes on after that is the proxy's affair.
    let any = |vector: Vector| match vector.ends {
        Ends::Open => vector.ends(Ends::Any),
        _ => vector,
    };
    all.into_iter().map(any).collect()
}
