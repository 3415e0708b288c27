use super::faulty_disk::FaultyDisk;
use crate::journal::marks::{Mark, MarksFile, read};

/// The name was changed, so marks behind that stand in the file that is read.
#[test]
fn a_folder_that_cannot_be_synced_loses_no_marks() {
    let folder = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let mut marks = MarksFile::new(folder.path());
    for is_synced in [true, false, true] {
        disk.fail_folder_syncs(usize::from(!is_synced));
        let floor = Mark::Floor { number: 1 }.encode();
        assert_eq!(marks.replace(&disk, &floor).is_ok(), is_synced);
        marks.add(Mark::Removed {
            segment_id: 7,
            sequence: 9,
        });
        marks.write();
        let mut removed = Vec::new();
        let found = read(&disk, folder.path(), |id, sequence| {
            removed.push((id, sequence));
        });
        let (history, damaged) = found.unwrap().unwrap();
        assert_eq!((history.floor, damaged), (1, 0));
        assert_eq!(removed, [(7, 9)], "synced: {is_synced}");
    }
}
