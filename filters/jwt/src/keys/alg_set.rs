use crate::token::Alg;

/// A set of algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct AlgSet(u16);

impl AlgSet {
    /// Adds one.
    #[must_use]
    pub const fn with(self, alg: Alg) -> Self {
        Self(self.0 | Self::bit(alg))
    }

    /// Whether it has one.
    #[must_use]
    pub const fn contains(self, alg: Alg) -> bool {
        self.0 & Self::bit(alg) != 0
    }

    const fn bit(alg: Alg) -> u16 {
        1_u16.wrapping_shl(alg as u32)
    }
}

impl FromIterator<Alg> for AlgSet {
    fn from_iter<I: IntoIterator<Item = Alg>>(algs: I) -> Self {
        algs.into_iter().fold(Self::default(), Self::with)
    }
}
