//! Damage as disks, networks and cut-off writes do it.

use crate::choices::Choices;

/// How many kinds there are.
const KINDS: usize = 6;

/// Damages bytes somewhere. `None`: the damage would have changed nothing.
pub fn damage(whole: &[u8], choices: &mut Choices<'_>) -> Option<Vec<u8>> {
    let kind = choices.below(KINDS);
    // Half of it near the beginning, where every byte means something.
    let within = if choices.one_in(2) { 32 } else { usize::MAX };
    let at = usize::try_from(choices.u32()).expect("32 bits fit") % whole.len().clamp(1, within);
    let mut damaged = whole.to_vec();
    match kind {
        0 => *damaged.get_mut(at)? ^= 1 << choices.below(8),
        1 => damaged.truncate(at),
        2 => {
            let any = choices.byte();
            damaged.insert(at, *choices.pick(&[any, b'0', b'+', b' ', 0]));
        }
        3 => drop(damaged.get(at).is_some().then(|| damaged.remove(at))),
        4 => {
            let other = choices.below(damaged.len().max(1));
            (at < damaged.len() && other < damaged.len()).then(|| damaged.swap(at, other))?;
        }
        _ => damaged.extend_from_slice(&choices.bytes(40)),
    }
    (damaged != whole).then_some(damaged)
}
