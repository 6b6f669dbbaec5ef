//! A session as one record: its metadata and all its attributes, whatever its granularity.

use bytes::Bytes;

use super::super::attributes::Attributes;
use super::super::metadata::Metadata;
use super::super::plan;
use super::SessionRecord;
use crate::cluster::codec::{CodecError, decode, encode};

/// A session as the store keeps it, until then.
pub(super) fn record(
    metadata: &Metadata,
    attributes: &Attributes,
    ends_ms: Option<u64>,
) -> SessionRecord {
    let parts = (metadata.encode(), plan::unit(attributes));
    let Metadata { version, commit, .. } = *metadata;
    let body = encode(&parts).expect("memory is its only limit").into();
    SessionRecord { version, commit, ends_ms, body }
}

/// The session of a record.
///
/// # Errors
/// When it is another release's, or none.
pub(super) fn session(record: &SessionRecord) -> Result<(Metadata, Attributes), CodecError> {
    let (metadata, unit): (Vec<u8>, Vec<u8>) = decode(&record.body)?;
    let metadata = Metadata::decode(&metadata)?;
    let unit = Bytes::from(unit);
    let part = |part: &[u8]| unit.slice_ref(part);
    let all = plan::unit_of(&unit)?;
    let values = all.iter().map(|(name, value)| (part(name.as_bytes()), part(value))).collect();
    Ok((metadata, Attributes::found(values)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_from_its_record_as_it_was() {
        let mut metadata = Metadata::new(7, None);
        (metadata.version, metadata.commit) = (3, 9);
        let mut attributes = Attributes::default();
        attributes.set("name", "x", 99).unwrap();
        attributes.set("gone", "y", 99).unwrap();
        attributes.remove("gone").unwrap();
        let record = record(&metadata, &attributes, Some(9));
        assert_eq!((record.version, record.commit, record.ends_ms), (3, 9, Some(9)));
        let (read, values) = session(&record).unwrap();
        assert_eq!(read, metadata);
        assert_eq!(
            (values.names(), values.get("name")),
            (vec!["name".to_owned()], Ok(Some("x".to_owned())))
        );
        let torn = SessionRecord { body: record.body.slice(..5), ..record };
        assert!(session(&torn).is_err());
    }
}
