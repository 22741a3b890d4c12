//! What a token says: where it stands in a request (`source`), its form and header (`jose`), its claims (`json`, `registered`,
//! `identity`, `claim_header`). Nothing here knows a key or a policy's section.

mod alg;
pub(crate) mod base64url;
mod claim_header;
mod identity;
mod jose;
mod json;
mod pointer;
mod registered;
mod source;

pub use alg::{Alg, Family};
pub use claim_header::ClaimEncoding;
pub(crate) use claim_header::{ClaimHeader, fits_header, fits_list, is_printable};
pub use identity::Identity;
pub(crate) use identity::{Chosen, Facts, signing_input, texts, user};
pub(crate) use jose::{Compact, Header, HeaderMemo, is_b64token, same_type};
pub use json::{Json, JsonRef, Value};
pub use pointer::Pointer;
pub(crate) use registered::{Registered, numeric_date};
pub use source::{Found, Strip};
pub(crate) use source::{KINDS, Place, Source, find, strip};
