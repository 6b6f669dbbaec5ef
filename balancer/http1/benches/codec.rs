//! What the codec costs: a small request and one with fourteen more headers, read and written as
//! the engine does it, an answer, and bodies in chunks.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use muster_http1::{
    BodyReader, HeadLimits, Keep, LAST_CHUNK, Question, RequestChanges, ResponseChanges,
    parse_request, parse_response, write_chunk_head,
};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/html;charset=UTF-8\r\n\
    Content-Length: 1024\r\nDate: Sun, 22 Nov 2026 07:00:00 GMT\r\nConnection: keep-alive\r\n\r\n";

const FORWARDED: &[u8] = b"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: shop.example\r\n\
    X-Forwarded-Proto: http\r\n";

/// A sticky request with so many more headers.
fn request(more: usize) -> Vec<u8> {
    let mut head = b"GET /app/page?x=1 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: wrk/4.1\r\n\
        Accept: */*\r\nCookie: JSESSIONID=0123456789abcdef.n1\r\n"
        .to_vec();
    for n in 0..more {
        let line = format!("X-Header-Number-{n}: a value of the usual length {n}\r\n");
        head.extend_from_slice(line.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// A body of 64 KiB in chunks of this size.
fn chunked(size: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for _ in 0..(64 * 1024 / size) {
        write_chunk_head(size, &mut body);
        body.extend(std::iter::repeat_n(b'x', size));
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(LAST_CHUNK);
    body
}

fn heads(criterion: &mut Criterion) {
    let limits = HeadLimits::default();
    let changes = RequestChanges { lines: &[FORWARDED], ..RequestChanges::default() };
    let mut out = Vec::with_capacity(4096);
    for (name, more) in [("request", 0), ("request with 14 more headers", 14)] {
        let bytes = request(more);
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                let head = parse_request(black_box(&bytes), &limits);
                let head = head.expect("the bench asks well").expect("the head is whole");
                head.write(&bytes, &changes, &mut out);
                black_box(out.len())
            });
        });
    }
    criterion.bench_function("answer", |bencher| {
        bencher.iter(|| {
            out.clear();
            let head = parse_response(black_box(ANSWER), &limits, Question::default());
            let head = head.expect("the bench answers well").expect("the head is whole");
            head.write(ANSWER, &ResponseChanges::default(), &mut out);
            black_box(out.len())
        });
    });
}

fn bodies(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("64 KiB in chunks of");
    for size in [64, 1024, 16 * 1024] {
        let mut body = chunked(size);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(size.to_string(), |bencher| {
            bencher.iter(|| {
                // Nothing is left out of such chunks, so the body is the same the next time.
                let mut reader = BodyReader::chunked(Keep::Framing);
                reader.take(black_box(&mut body)).expect("the bench frames well")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, heads, bodies);
criterion_main!(benches);
