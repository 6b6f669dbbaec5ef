//! A frame: `len u32, service u16, id u64`, all little-endian, then `len` bytes of payload.

use thiserror::Error;

/// Bytes before the payload.
pub(crate) const HEAD: usize = 14;

/// What stands before a payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    /// Bytes of payload.
    pub(crate) len: usize,
    /// Whose frame it is.
    pub(crate) service: u16,
    /// The service's own number.
    pub(crate) id: u64,
}

/// A frame that is larger than the bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a frame of {len} bytes for service {service}: at most {most} are possible")]
pub(crate) struct TooLong {
    /// Its payload.
    pub(crate) len: usize,
    /// Its service.
    pub(crate) service: u16,
    /// The bound.
    pub(crate) most: usize,
}

/// Appends a frame whose payload `write` appends.
///
/// # Errors
/// When the payload is larger than `most`. The buffer is then as it was.
pub(crate) fn append(
    buffer: &mut Vec<u8>,
    service: u16,
    id: u64,
    most: usize,
    write: impl FnOnce(&mut Vec<u8>),
) -> Result<(), TooLong> {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&service.to_le_bytes());
    buffer.extend_from_slice(&id.to_le_bytes());
    write(buffer);
    let len = buffer.len() - start - HEAD;
    match u32::try_from(len) {
        Ok(short) if len <= most => {
            buffer[start..start + 4].copy_from_slice(&short.to_le_bytes());
            Ok(())
        }
        _ => {
            buffer.truncate(start);
            Err(TooLong { len, service, most })
        }
    }
}

/// The head of the first frame; none when there are not enough bytes for one.
///
/// # Errors
/// When its payload is larger than `most`: nothing was allocated for it.
pub(crate) fn head(bytes: &[u8], most: usize) -> Result<Option<Head>, TooLong> {
    let Some((len, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let Some((service, rest)) = rest.split_first_chunk::<2>() else { return Ok(None) };
    let Some((id, _)) = rest.split_first_chunk::<8>() else { return Ok(None) };
    let service = u16::from_le_bytes(*service);
    let len = usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX);
    if len > most {
        return Err(TooLong { len, service, most });
    }
    Ok(Some(Head { len, service, id: u64::from_le_bytes(*id) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_above_the_bound_is_neither_written_nor_read() {
        let mut buffer = b"before".to_vec();
        let long = append(&mut buffer, 3, 9, 4, |buffer| buffer.extend(b"12345"));
        assert_eq!(long, Err(TooLong { len: 5, service: 3, most: 4 }));
        assert_eq!(buffer, b"before");
        assert!(head(&[255; HEAD], 1 << 20).is_err());
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(service: u16, id: u64, payload: Vec<u8>, cut in 0usize..HEAD) {
            let mut buffer = Vec::new();
            append(&mut buffer, service, id, 1 << 20, |buffer| buffer.extend(&payload))?;
            let expected = Head { len: payload.len(), service, id };
            prop_assert_eq!(head(&buffer, 1 << 20), Ok(Some(expected)));
            prop_assert_eq!(&buffer[HEAD..], &payload[..]);
            prop_assert_eq!(head(&buffer[..cut], 1 << 20), Ok(None));
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, most in 0usize..1000) {
            if let Ok(Some(head)) = head(&bytes, most) {
                prop_assert!(head.len <= most);
            }
        }
    }
}
