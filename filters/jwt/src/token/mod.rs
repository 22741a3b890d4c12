//! What a token says: where it stands in a request (`source`), its form and header (`jose`), its claims (`json`, `registered`,
//! `identity`, `claim_header`). Nothing here knows a key or a policy's section.

mod alg;
pub(crate) mod base64url;
mod claim_header;
mod cross_site;
mod identity;
mod issuer;
mod jose;
mod json;
mod json_nodes;
mod json_reader;
mod pointer;
mod registered;
mod source;
mod subprotocol;

pub use alg::{Alg, Family};
pub use claim_header::ClaimEncoding;
pub(crate) use claim_header::{ClaimHeader, fits_header, fits_list, is_printable};
pub(crate) use identity::{Chosen, Facts, signing_input, texts, user};
pub use identity::{Handed, Identity};
pub use issuer::{IssuedBy, Issuer};
pub(crate) use jose::{Compact, Header, HeaderMemo, is_b64token, same_type};
pub(crate) use json::without_bom;
pub use json::{Json, JsonRef, Value};
pub use pointer::Pointer;
pub(crate) use registered::{Registered, numeric_date};
pub(crate) use source::{
    Cookie, KINDS, Place, Source, answered_protocol, check_site, clear, find, strip, take_out,
};
pub use source::{Found, Strip};
