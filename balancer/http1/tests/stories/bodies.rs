//! Bodies as they arrive.

use muster_http1::{
    BadChunk, BodyReader, Keep, LAST_CHUNK, RequestBody, ResponseBody, Taken, write_chunk_head,
};

/// What is kept of a body in chunks, and what follows it.
fn read(keep: Keep, body: &[u8]) -> Result<(Vec<u8>, Vec<u8>, u64), BadChunk> {
    let (mut reader, mut bytes) = (BodyReader::chunked(keep), body.to_vec());
    let taken = reader.take(&mut bytes)?;
    reader.end()?;
    Ok((bytes[..taken.kept].to_vec(), bytes[taken.consumed..].to_vec(), reader.data()))
}

/// Why a body in chunks is refused.
fn refused(body: &[u8]) -> BadChunk {
    let verdict = read(Keep::Data, body).unwrap_err();
    assert_eq!(read(Keep::Framing, body).unwrap_err(), verdict);
    verdict
}

#[test]
fn a_body_with_a_length_ends_after_it() {
    let mut reader = BodyReader::length(5);
    assert_eq!(reader.take(&mut b"abc".to_vec()), Ok(Taken { consumed: 3, kept: 3 }));
    assert_eq!(reader.end(), Err(BadChunk::Premature));
    assert_eq!(reader.take(&mut b"deGET".to_vec()), Ok(Taken { consumed: 2, kept: 2 }));
    assert!(reader.is_done() && reader.end().is_ok());
    assert_eq!(reader.data(), 5);
}

#[test]
fn no_body_is_done_at_once() {
    let mut reader = BodyReader::none();
    assert!(reader.is_done());
    assert_eq!(reader.take(&mut b"GET".to_vec()), Ok(Taken::default()));
}

#[test]
fn a_body_until_close_ends_with_the_stream() {
    let mut reader = BodyReader::until_close();
    assert_eq!(reader.take(&mut b"abc".to_vec()), Ok(Taken { consumed: 3, kept: 3 }));
    assert!(!reader.is_done() && reader.end().is_ok() && reader.is_large());
}

#[test]
fn chunks_pass_as_they_are_or_as_their_data() {
    let body = b"3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\nGET";
    let (kept, rest, data) = read(Keep::Framing, body).unwrap();
    assert_eq!((&kept[..], &rest[..], data), (&body[..body.len() - 3], &b"GET"[..], 13));
    let (kept, rest, data) = read(Keep::Data, body).unwrap();
    assert_eq!((&kept[..], &rest[..], data), (&b"abc0123456789"[..], &b"GET"[..], 13));
}

#[test]
fn extensions_and_trailers_are_left_out() {
    let body = b"3;a=b;c=\"d\"\r\nabc\r\n0;x\r\nX-Sum: 1\r\nY:\r\n\r\nGET";
    let (kept, rest, _) = read(Keep::Framing, body).unwrap();
    assert_eq!((&kept[..], &rest[..]), (&b"3\r\nabc\r\n0\r\n\r\n"[..], &b"GET"[..]));
    assert_eq!(read(Keep::Data, body).unwrap().0, b"abc");
}

#[test]
fn a_size_is_hexadecimal_digits_and_nothing_else() {
    let sizes: [&[u8]; 9] =
        [b"", b"+3", b"-3", b" 3", b"3 ", b"0x3", b"g", b"\t3", b"00000000000000003"];
    for size in sizes {
        let body = [size, b"\r\nabc\r\n0\r\n\r\n"].concat();
        assert_eq!(refused(&body), BadChunk::Size, "{}", size.escape_ascii());
    }
    assert_eq!(refused(b";a=b\r\n\r\n"), BadChunk::Size);
    assert_eq!(refused(b"3 ;a=b\r\nabc\r\n0\r\n\r\n"), BadChunk::Size);
    assert_eq!(refused(b"8000000000000000\r\nabc"), BadChunk::Size);
    assert_eq!(refused(b"7FFFFFFFFFFFFFFF\r\nabc"), BadChunk::Premature);
}

#[test]
fn lines_end_with_carriage_return_and_line_feed() {
    assert_eq!(refused(b"3\nabc\r\n0\r\n\r\n"), BadChunk::LineEnd);
    assert_eq!(refused(b"3\rabc\r\n0\r\n\r\n"), BadChunk::LineEnd);
    assert_eq!(refused(b"3;a\nabc\r\n0\r\n\r\n"), BadChunk::LineEnd);
    assert_eq!(refused(b"3;a\rabc\r\n0\r\n\r\n"), BadChunk::LineEnd);
    assert_eq!(refused(b"3\r\nabc\n0\r\n\r\n"), BadChunk::DataEnd);
    assert_eq!(refused(b"3\r\nabc\r0\r\n\r\n"), BadChunk::DataEnd);
    assert_eq!(refused(b"3\r\nabcd\r\n0\r\n\r\n"), BadChunk::DataEnd);
    assert_eq!(refused(b"3\r\nabcX\n0\r\n\r\n"), BadChunk::DataEnd);
    assert_eq!(refused(b"0\r\n\n"), BadChunk::Trailer);
    assert_eq!(refused(b"0\r\n\rX"), BadChunk::LineEnd);
    assert_eq!(refused(b"0\n\n"), BadChunk::LineEnd);
}

#[test]
fn trailers_are_header_lines() {
    assert_eq!(refused(b"0\r\nX: a\nY: b\r\n\r\n"), BadChunk::LineEnd);
    assert_eq!(refused(b"0\r\nX: a\rb\r\n\r\n"), BadChunk::LineEnd);
    for trailer in [&b"X"[..], b": a", b"X : a", b" X: a", b"X: a\0", b"X: a\r\n b"] {
        let body = [b"0\r\n", trailer, b"\r\n\r\n"].concat();
        assert_eq!(refused(&body), BadChunk::Trailer, "{}", trailer.escape_ascii());
    }
}

#[test]
fn extensions_and_trailers_are_bounded() {
    let extension = |length| [b"3;", &vec![b'x'; length][..], b"\r\nabc\r\n0\r\n\r\n"].concat();
    assert!(read(Keep::Data, &extension(254)).is_ok());
    assert_eq!(refused(&extension(255)), BadChunk::LineTooLong);
    assert_eq!(refused(b"3;\x1b\r\nabc\r\n0\r\n\r\n"), BadChunk::Extension);
    let trailers = |lines| [b"0\r\n", &b"X: 67\r\n"[..].repeat(lines)[..], b"\r\n"].concat();
    assert!(read(Keep::Data, &trailers(1170)).is_ok());
    assert_eq!(refused(&trailers(1171)), BadChunk::TrailersTooLong);
}

#[test]
fn a_body_that_breaks_off_is_premature() {
    let body = b"3\r\nabc\r\n0\r\nX: y\r\n\r\n";
    for end in 0..body.len() {
        assert_eq!(refused(&body[..end]), BadChunk::Premature, "{end}");
    }
}

#[test]
fn a_reader_follows_what_the_head_says() {
    let request = |body| BodyReader::of_request(&body, Keep::Data);
    let response = |body| BodyReader::of_response(&body, Keep::Data);
    assert!(request(RequestBody::None).is_done() && response(ResponseBody::None).is_done());
    assert!(!request(RequestBody::Length(1)).is_done() && !request(RequestBody::Chunked).is_done());
    assert!(response(ResponseBody::Length(0)).is_done());
    assert!(response(ResponseBody::Close).end().is_ok());
    assert!(response(ResponseBody::Chunked).end().is_err());
}

#[test]
fn large_is_what_is_more_than_a_buffer_or_unknown() {
    assert!(!BodyReader::length(16 * 1024).is_large());
    assert!(BodyReader::length(16 * 1024 + 1).is_large());
    let mut chunks = BodyReader::chunked(Keep::Data);
    assert!(chunks.is_large());
    chunks.take(&mut LAST_CHUNK.to_vec()).unwrap();
    assert!(!chunks.is_large());
}

#[test]
fn a_chunks_head_is_its_size_in_hexadecimal() {
    for length in [1, 9, 10, 15, 16, 255, 4096, 65_535, 1 << 20, usize::MAX] {
        let mut out = Vec::new();
        write_chunk_head(length, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("{length:x}\r\n"));
    }
}
