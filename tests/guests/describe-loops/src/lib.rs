//! A component whose `describe` never ends.

skeleton::component!({
    let mut turns = 0_u64;
    while std::hint::black_box(turns) != u64::MAX {
        turns += 1;
    }
    Vec::new()
});
