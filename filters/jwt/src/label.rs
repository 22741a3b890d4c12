//! Enumerations whose labels are derived from them: no value can be without one, and none can be missing from the list.

/// Declares an enumeration without fields, each value with its label.
macro_rules! labelled {
    ($(#[$outer:meta])* pub enum $type:ident { $($(#[$doc:meta])* $name:ident = $label:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type { $($(#[$doc])* $name,)+ }

        impl $type {
            /// All of them, so that each one's counter exists from the start.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// As a label and log value.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// Its place in `ALL`.
            #[must_use]
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

pub(crate) use labelled;
