//! A file that is written by one process and read by the next.

use super::*;
use rand::{Rng as _, SeedableRng as _};

fn key(name: u8) -> Key {
    [name; 20]
}

/// What is there, by reading each.
fn all(shelf: &FileShelf) -> HashMap<u8, Vec<u8>> {
    let found = (0..=255).filter_map(|name| Some((name, shelf.get(&key(name)).unwrap()?)));
    found.collect()
}

#[test]
fn what_was_put_is_found_by_this_process_and_the_next_and_room_that_came_free_is_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shelf");
    let mut rng = rand::rngs::StdRng::seed_from_u64(7);
    let mut expected: HashMap<u8, Vec<u8>> = HashMap::new();
    for round in 0..5 {
        let shelf = FileShelf::keep(&path).unwrap();
        assert_eq!((all(&shelf), shelf.damaged()), (expected.clone(), 0), "round {round}");
        assert_eq!(shelf.left().len(), expected.len());
        for _ in 0..1_000 {
            let name = rng.random_range(0..50u8);
            if rng.random_bool(0.3) {
                shelf.remove(&key(name)).unwrap();
                expected.remove(&name);
            } else {
                let record = vec![rng.random(); rng.random_range(0..9_000)];
                shelf.put(&key(name), &record).unwrap();
                expected.insert(name, record);
            }
            assert_eq!(shelf.get(&key(name)).unwrap().as_ref(), expected.get(&name));
        }
        assert_eq!(all(&shelf), expected);
    }
    // Fifty records of at most 9,000 bytes each, of some thousand that were put.
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size < 1_000 * 9_000, "{size} bytes");
}

#[test]
fn a_file_is_one_process_s_alone_and_empty_where_it_is_not_to_be_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shelf");
    let shelf = FileShelf::open(&path).unwrap();
    shelf.put(&key(1), b"record").unwrap();
    let taken = FileShelf::keep(&path).unwrap_err().to_string();
    assert!(taken.contains("shelf: "), "{taken}");
    drop(shelf);
    let shelf = FileShelf::open(&path).unwrap();
    assert_eq!(shelf.get(&key(1)), Ok(None));
    assert!(shelf.left().is_empty() && !shelf.keeps());
}

#[test]
fn a_temporary_file_has_no_name_any_more() {
    let shelf = FileShelf::temporary().unwrap();
    shelf.put(&key(1), b"record").unwrap();
    assert_eq!(shelf.get(&key(1)), Ok(Some(b"record".to_vec())));
    assert!(!shelf.path.exists());
}

#[test]
fn a_record_that_is_torn_or_damaged_is_left_out_and_the_others_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shelf");
    let shelf = FileShelf::keep(&path).unwrap();
    for name in 0..9 {
        shelf.put(&key(name), &[name; 5_000]).unwrap();
    }
    let places: Vec<u64> =
        (0..9).map(|name| offset(shelf.inner.lock().records[&key(name)].unit)).collect();
    drop(shelf);
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    // One bit of a value, one of a head, and the end of the last.
    file.write_all_at(&[0xaa], places[2] + 300).unwrap();
    file.write_all_at(&[0xaa], places[5] + 9).unwrap();
    file.set_len(places[8] + 2_000).unwrap();
    drop(file);
    let shelf = FileShelf::keep(&path).unwrap();
    let mut found: Vec<u8> = all(&shelf).into_keys().collect();
    found.sort_unstable();
    assert_eq!(found, [0, 1, 3, 4, 6, 7]);
    assert_eq!(shelf.damaged(), 3);
    // It goes on being used.
    shelf.put(&key(2), b"again").unwrap();
    drop(shelf);
    assert_eq!(all(&FileShelf::keep(&path).unwrap())[&2], b"again");
}

#[test]
fn what_is_damaged_while_the_process_runs_is_an_error_that_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shelf");
    let shelf = FileShelf::keep(&path).unwrap();
    shelf.put(&key(1), b"record").unwrap();
    let unit = shelf.inner.lock().records[&key(1)].unit;
    shelf.file.write_all_at(b"X", offset(unit) + HEAD as u64).unwrap();
    let error = shelf.get(&key(1)).unwrap_err().to_string();
    assert_eq!(error, format!("{}: a record is damaged", path.display()));
}

#[test]
fn a_record_s_bytes_are_never_taken_for_another_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shelf");
    let shelf = FileShelf::keep(&path).unwrap();
    // As somebody might put it into a session who knows the format and not the file's seed.
    let forged = Head::of(key(9), b"forged", (u64::MAX, 1), 0).encode(0);
    let mut record = vec![0; 4 * UNIT as usize];
    for at in (UNIT as usize - HEAD..record.len() - HEAD).step_by(UNIT as usize) {
        record[at..at + HEAD].copy_from_slice(&forged);
    }
    shelf.put(&key(1), &record).unwrap();
    let unit = shelf.inner.lock().records[&key(1)].unit;
    shelf.file.write_all_at(b"XXXX", offset(unit)).unwrap();
    drop(shelf);
    assert!(all(&FileShelf::keep(&path).unwrap()).is_empty());
}

#[test]
fn a_file_that_is_full_or_no_shelf_s_says_so_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shelf");
    let shelf = FileShelf::keep(&path).unwrap().most_bytes(20 * UNIT).sync();
    shelf.put(&key(1), &[1; 4_000]).unwrap();
    shelf.put(&key(2), &[2; 4_000]).unwrap();
    let error = shelf.put(&key(1), &[3; 4_000]).unwrap_err().to_string();
    assert_eq!(error, format!("{}: the file has no more room", path.display()));
    assert_eq!(shelf.get(&key(1)).unwrap(), Some(vec![1; 4_000]));
    shelf.remove(&key(2)).unwrap();
    shelf.put(&key(1), &[3; 4_000]).unwrap();
    drop(shelf);
    assert_eq!(all(&FileShelf::keep(&path).unwrap()), [(1, vec![3; 4_000])].into());

    let other = dir.path().join("other");
    std::fs::write(&other, "what somebody wrote, and needs").unwrap();
    let padded = vec![b'x'; 4_096];
    for content in [&b"short"[..], &padded] {
        std::fs::write(&other, content).unwrap();
        let error = FileShelf::keep(&other).unwrap_err().to_string();
        assert!(error.starts_with(&other.display().to_string()), "{error}");
        assert_eq!(std::fs::read(&other).unwrap(), content);
    }
    let nowhere = dir.path().join("nowhere").join("shelf");
    let error = FileShelf::keep(&nowhere).unwrap_err().to_string();
    assert!(error.starts_with(&nowhere.display().to_string()), "{error}");
}
