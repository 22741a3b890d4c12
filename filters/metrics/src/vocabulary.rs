use crate::{Axis, Row};
use core::any::TypeId;
use rustc_hash::FxHashMap;

/// When a family exists, in words that end "exists where".
#[derive(Debug, PartialEq, Eq)]
pub struct Condition(pub &'static str);

/// What a policy makes countable: the values of the labels that it defines, and which conditional families there are. Each
/// stage adds what its section says; see [`crate::Domain`].
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    axes: FxHashMap<TypeId, Axis>,
    conditions: Vec<&'static Condition>,
    statuses: Vec<u16>,
    instance: String,
}

impl Vocabulary {
    /// That of the instance with this name, with the statuses whose series exist from the start. `""` for the only instance.
    #[must_use]
    pub fn new(instance: &str, statuses: &[u16]) -> Self {
        Self { statuses: statuses.to_vec(), instance: instance.to_owned(), ..Self::default() }
    }

    /// Says which values `D` has, in the order by which they are counted; before, it has none.
    pub fn define<D: 'static>(&mut self, rows: impl IntoIterator<Item = Row>) {
        self.axes.insert(TypeId::of::<D>(), Axis::of_rows(rows.into_iter().collect()));
    }

    /// Lets the families exist that need this condition.
    pub fn allow(&mut self, condition: &'static Condition) {
        self.conditions.push(condition);
    }

    /// The values of `D`.
    #[must_use]
    pub fn axis<D: 'static>(&self) -> Axis {
        self.axes.get(&TypeId::of::<D>()).cloned().unwrap_or_default()
    }

    /// The statuses whose series exist from the start.
    #[must_use]
    pub fn statuses(&self) -> &[u16] {
        &self.statuses
    }

    /// The name of this instance among several in one proxy; `""` for the only one.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    pub(crate) fn allows(&self, condition: Option<&'static Condition>) -> bool {
        condition.is_none_or(|condition| self.conditions.contains(&condition))
    }
}
