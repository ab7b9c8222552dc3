//! Checkpoint files whose checksums are right and whose claims may be lies.

use xxhash_rust::xxh3::xxh3_64;

use crate::choices::Choices;

/// A file of the documented layout; every number in it may be wrong.
pub(super) fn file(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut file = b"weir.kst\x01\0\0\0\0\0\0\0".to_vec();
    let stamped = if choices.one_in(3) { 0x80 } else { 0 };
    file[8] += u8::from(stamped > 0);
    let mut blocks = Vec::new();
    let count = choices.below(3);
    let mut records = 0_u64;
    for _ in 0..count {
        let (block, claimed) = block(choices, &mut file);
        blocks.extend_from_slice(&block);
        records += u64::from(claimed);
    }
    let mut footer = Vec::new();
    let max = choices.u16();
    footer.extend_from_slice(&lie(choices, 128, max).to_le_bytes());
    footer.extend_from_slice(&[0, 0, 128, 0, u8::from(choices.one_in(3)), u8::from(choices.one_in(30))]);
    footer.extend_from_slice(&records.wrapping_add(u64::from(choices.one_in(20))).to_le_bytes());
    rows(choices, stamped, &mut footer);
    let claimed = u32::try_from(count).expect("at most two");
    footer.extend_from_slice(&if choices.one_in(20) { choices.u32() } else { claimed }.to_le_bytes());
    footer.extend_from_slice(&blocks);
    let bytes = u32::try_from(footer.len()).expect("it is small");
    file.extend_from_slice(&footer);
    file.extend_from_slice(&if choices.one_in(20) { choices.u32() } else { bytes }.to_le_bytes());
    file.extend_from_slice(&xxh3_64(&footer).to_le_bytes());
    file.extend_from_slice(b"weir.end");
    file
}

fn lie<T>(choices: &mut Choices<'_>, truth: T, lie: T) -> T {
    if choices.one_in(10) { lie } else { truth }
}

/// Appends a block to the file; its entry in the footer, and how many records that claims.
fn block(choices: &mut Choices<'_>, file: &mut Vec<u8>) -> (Vec<u8>, u32) {
    let (runs, records) = runs(choices);
    let bytes = if choices.one_in(10) { choices.bytes(60) } else { lz4_flex::block::compress(&runs) };
    let offset = file.len() as u64;
    file.extend_from_slice(&bytes);
    let length = u32::try_from(bytes.len()).expect("it is small");
    let run_bytes = u32::try_from(runs.len()).expect("it is small");
    let wrong = [choices.u32(), choices.u32(), choices.u32()];
    let records = lie(choices, records, wrong[2]);
    let mut entry = lie(choices, offset, u64::from(wrong[0])).to_le_bytes().to_vec();
    entry.extend_from_slice(&lie(choices, length, wrong[1]).to_le_bytes());
    entry.extend_from_slice(&lie(choices, run_bytes, wrong[0]).to_le_bytes());
    entry.extend_from_slice(&[choices.byte() % 3, 0, choices.byte() % 200, choices.byte() % 2]);
    entry.extend_from_slice(&records.to_le_bytes());
    entry.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
    (entry, records)
}

/// Runs of records, or what might look like some.
fn runs(choices: &mut Choices<'_>) -> (Vec<u8>, u32) {
    let mut runs = Vec::new();
    let mut all = 0_u32;
    for _ in 0..choices.below(4) {
        let records = u32::from(choices.byte() % 4);
        runs.extend_from_slice(&[choices.byte() % 8, 0, choices.byte() % 4, 0]);
        runs.extend_from_slice(&lie(choices, records, u32::MAX).to_le_bytes());
        for _ in 0..records {
            let kind = choices.byte() % 4;
            runs.push(kind);
            for _ in 0..if kind == 0 { 3 } else { 2 } {
                let part = choices.bytes(40);
                let length = u8::try_from(part.len()).expect("it is short");
                runs.extend_from_slice(lie(choices, &[length], &[0xff, 0xff, 0xff, 0xff, 0x7f]));
                runs.extend_from_slice(&part);
            }
        }
        all += records;
    }
    (runs, all)
}

/// Of a stamped file, most rows are.
fn rows(choices: &mut Choices<'_>, stamped: u8, footer: &mut Vec<u8>) {
    let count = choices.below(4);
    let claimed = u16::try_from(count).expect("there are few");
    footer.extend_from_slice(&lie(choices, claimed, u16::MAX).to_le_bytes());
    for number in 0..count {
        let kind = choices.byte() % 5;
        footer.push(kind | lie(choices, stamped, 0));
        footer.extend_from_slice(&choices.u32().to_le_bytes());
        let name = [b'a' + u8::try_from(number).expect("there are few")];
        footer.extend_from_slice(&lie(choices, 1_u16, u16::MAX).to_le_bytes());
        footer.extend_from_slice(&name);
        footer.extend_from_slice(&[0, 0]);
    }
}
