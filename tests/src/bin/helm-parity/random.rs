//! A small generator of random numbers: the same seed gives the same cases everywhere.

/// Splitmix64.
pub(crate) struct Random(u64);

impl Random {
    /// A generator for one batch of one family.
    pub(crate) fn new(seed: u64, family: &str) -> Self {
        let mut random = Self(seed);
        for byte in family.bytes() {
            random.0 = random.next() ^ u64::from(byte);
        }
        random
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these, of which there is at least one.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        #[allow(clippy::indexing_slicing, reason = "below the length")]
        choices[self.below(choices.len())]
    }

    /// Any number.
    pub(crate) fn number(&mut self) -> i64 {
        let bits = self.below(63);
        let number = (self.next() & ((1 << bits) - 1)).cast_signed();
        if self.once_in(2) { -number } else { number }
    }
}
