//! Where the values of labels come from.

use crate::Vocabulary;
use std::borrow::Cow;
use std::rc::Rc;

/// The texts of one value: one for each label that it fills.
pub type Row = Vec<Cow<'static, str>>;

/// What is counted under `other` when there is no room for its name.
pub const OTHER: &str = "other";

/// What documents say of a domain.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// What its values mean, in a sentence.
    pub what: &'static str,
    /// Which there are.
    pub values: Values,
}

/// Which values a domain has.
#[derive(Clone, Copy, Debug)]
pub enum Values {
    /// These, whatever the policy says.
    Fixed(fn() -> Vec<Row>),
    /// Those that the policy names.
    Policy,
    /// Those that the policy names from the start, others when they first occur, `other` when there is no room for more.
    Open,
    /// At most so many of those that occur most; the rest is `other`.
    Heaviest(usize),
}

/// The values of one or more labels of a family. A type of this trait is a label's type: what it cannot say cannot be counted.
pub trait Domain: 'static {
    /// What is counted under.
    type Value<'v>;
    /// For documents.
    const ABOUT: &'static About;

    /// The values that exist from the start under a policy.
    fn axis(vocabulary: &Vocabulary) -> Axis;

    /// The place of a value among them; `None` for one that is not.
    fn place(value: &Self::Value<'_>, axis: &Axis) -> Option<usize>;

    /// The text of a value that is not among them; `None` where there cannot be any.
    fn text<'v>(_value: &'v Self::Value<'_>) -> Option<Cow<'v, str>> {
        None
    }

    /// Whether a text could be that of a value which is not among them.
    fn admits(_text: &str) -> bool {
        false
    }
}

/// Values in order. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Axis {
    rows: Rc<[Row]>,
    /// The numbers that some domains find their values by.
    codes: Rc<[u16]>,
}

impl Axis {
    /// The values of a single label.
    pub fn of<T: Into<Cow<'static, str>>>(values: impl IntoIterator<Item = T>) -> Self {
        Self::of_rows(values.into_iter().map(|value| vec![value.into()]).collect())
    }

    /// The values of several labels.
    #[must_use]
    pub fn of_rows(rows: Vec<Row>) -> Self {
        Self { rows: rows.into(), codes: Rc::default() }
    }

    /// The same with a number for each value, to find it by.
    #[must_use]
    pub fn with_codes(self, codes: Vec<u16>) -> Self {
        Self { codes: codes.into(), ..self }
    }

    /// The place of the value with this number.
    #[must_use]
    pub fn place_of(&self, code: u16) -> Option<usize> {
        self.codes.iter().position(|known| *known == code)
    }

    /// The values.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(crate) fn find(&self, texts: &[&str]) -> Option<usize> {
        self.rows.iter().position(|row| row.iter().map(|text| &**text).eq(texts.iter().copied()))
    }
}

/// One value of a key, before it is known whether its series exists.
#[derive(Debug)]
pub enum Spelling<'v> {
    /// At this place of the axis.
    At(usize),
    /// Not on the axis.
    Text(Cow<'v, str>),
}

/// The domains of all keys of a family: none, one, or a tuple.
pub trait Domains: 'static {
    /// What is counted under.
    type Values<'v>;

    /// The place of the series among those that exist from the start.
    fn offset(values: &Self::Values<'_>, axes: &[Axis]) -> Option<usize>;

    /// What a series that does not exist yet is called; `None` for one that cannot exist.
    fn spell<'v>(values: &'v Self::Values<'_>, axes: &[Axis]) -> Option<Vec<Spelling<'v>>>;
}

impl Domains for () {
    type Values<'v> = ();

    fn offset((): &(), _: &[Axis]) -> Option<usize> {
        Some(0)
    }

    fn spell<'v>((): &'v (), _: &[Axis]) -> Option<Vec<Spelling<'v>>> {
        None
    }
}

/// The place of one more key's value.
fn step<D: Domain>(before: usize, value: &D::Value<'_>, axis: Option<&Axis>) -> Option<usize> {
    let axis = axis?;
    let place = D::place(value, axis).filter(|place| *place < axis.rows.len())?;
    Some(before.wrapping_mul(axis.rows.len()).wrapping_add(place))
}

fn spelling<'v, D: Domain>(value: &'v D::Value<'_>, axis: Option<&Axis>) -> Option<Spelling<'v>> {
    let place = axis.and_then(|axis| D::place(value, axis).filter(|place| *place < axis.rows.len()));
    place.map(Spelling::At).or_else(|| D::text(value).map(Spelling::Text))
}

impl<A: Domain> Domains for A {
    type Values<'v> = A::Value<'v>;

    fn offset(values: &Self::Values<'_>, axes: &[Axis]) -> Option<usize> {
        step::<A>(0, values, axes.first())
    }

    fn spell<'v>(values: &'v Self::Values<'_>, axes: &[Axis]) -> Option<Vec<Spelling<'v>>> {
        Some(vec![spelling::<A>(values, axes.first())?])
    }
}

impl<A: Domain, B: Domain> Domains for (A, B) {
    type Values<'v> = (A::Value<'v>, B::Value<'v>);

    fn offset((a, b): &Self::Values<'_>, axes: &[Axis]) -> Option<usize> {
        step::<B>(step::<A>(0, a, axes.first())?, b, axes.get(1))
    }

    fn spell<'v>((a, b): &'v Self::Values<'_>, axes: &[Axis]) -> Option<Vec<Spelling<'v>>> {
        Some(vec![spelling::<A>(a, axes.first())?, spelling::<B>(b, axes.get(1))?])
    }
}

impl<A: Domain, B: Domain, C: Domain> Domains for (A, B, C) {
    type Values<'v> = (A::Value<'v>, B::Value<'v>, C::Value<'v>);

    fn offset((a, b, c): &Self::Values<'_>, axes: &[Axis]) -> Option<usize> {
        let before = step::<B>(step::<A>(0, a, axes.first())?, b, axes.get(1))?;
        step::<C>(before, c, axes.get(2))
    }

    fn spell<'v>((a, b, c): &'v Self::Values<'_>, axes: &[Axis]) -> Option<Vec<Spelling<'v>>> {
        let (first, second) = (spelling::<A>(a, axes.first())?, spelling::<B>(b, axes.get(1))?);
        Some(vec![first, second, spelling::<C>(c, axes.get(2))?])
    }
}

#[cfg(test)]
#[path = "domain_tests.rs"]
mod tests;
