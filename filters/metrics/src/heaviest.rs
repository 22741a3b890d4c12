use crate::{About, Axis, Domain, OTHER, Values, Vocabulary};
use core::marker::PhantomData;
use std::borrow::Cow;

/// A text of which there can be very many: a masked address.
pub trait Heavy: 'static {
    /// What it is, in a phrase.
    const WHAT: &'static str;

    /// The text as a label's value.
    fn text(&self) -> &str;

    /// Whether a text could be one of these.
    fn admits(text: &str) -> bool;
}

/// At most `N` of the texts that occur most, as one worker sees it; what is not named is `other`. A text is named from its eighth
/// occurrence on, if it is one in `4 * N` of all. As names are never taken back, no more than `4 * N` are given in all.
pub struct Heaviest<T, const N: usize>(PhantomData<fn() -> T>);

impl<T: Heavy, const N: usize> Domain for Heaviest<T, N> {
    type Value<'v> = &'v T;
    const ABOUT: &'static About = &About { what: T::WHAT, values: Values::Heaviest(N) };

    fn axis(_: &Vocabulary) -> Axis {
        Axis::of([OTHER])
    }

    fn place(_: &&T, _: &Axis) -> Option<usize> {
        None
    }

    fn text<'v>(value: &'v &T) -> Option<Cow<'v, str>> {
        Some(value.text().into())
    }

    fn admits(text: &str) -> bool {
        T::admits(text)
    }
}
