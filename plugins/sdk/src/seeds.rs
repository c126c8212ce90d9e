//! Seeds for hash maps of a library that asks the platform, where the platform is a component and has none.
//!
//! They are the same in every call, on purpose: dice of the host would make a plan one that cannot be shared. Texts that
//! were chosen to collide slow down only the call that they came with, and that has its limit of CPU time.
#![allow(
    unsafe_code,
    reason = "getrandom looks for this symbol, and gives it a pointer and a length"
)]

/// Steps of SplitMix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Fills `length` bytes at `bytes`.
///
/// # Safety
/// As getrandom calls it: `bytes` points at that many bytes that nobody else uses meanwhile.
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(
    bytes: *mut u8,
    length: usize,
) -> Result<(), getrandom::Error> {
    // SAFETY: see above; bytes that are not initialised are only written.
    let bytes = unsafe {
        std::ptr::write_bytes(bytes, 0, length);
        std::slice::from_raw_parts_mut(bytes, length)
    };
    let mut state = STEP;
    for part in bytes.chunks_mut(8) {
        state = state.wrapping_add(STEP);
        let mut word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let word = (word ^ (word >> 31)).to_le_bytes();
        for (to, from) in part.iter_mut().zip(word) {
            *to = from;
        }
    }
    Ok(())
}
