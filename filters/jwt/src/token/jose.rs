//! The compact form of a token (RFC 7515 section 7.1) and its header.

use super::alg::Alg;
use super::base64url;
use super::json::{Json, Value};
use crate::error::{Refusal, TokenError, refuse};

/// A token in its three parts, still encoded.
#[derive(Clone, Copy)]
pub(crate) struct Compact<'t> {
    header: &'t [u8],
    payload: &'t [u8],
    signature: &'t [u8],
    /// The JWS signing input: header, `.`, payload.
    pub(crate) signed: &'t [u8],
}

impl<'t> Compact<'t> {
    /// Cuts a token at its dots.
    pub(crate) fn split(token: &'t [u8]) -> Result<Self, Refusal> {
        let mut parts = token.split(|b| *b == b'.');
        let (header, payload, signature) = match (parts.next(), parts.next(), parts.next()) {
            (Some(header), Some(payload), Some(signature)) => (header, payload, signature),
            _ => return Err(refuse(TokenError::Malformed, "not three parts with dots between")),
        };
        match parts.count() {
            0 => {}
            2 if token.iter().all(is_compact_byte) => {
                return Err(refuse(TokenError::Encrypted, "five parts: a JWE"));
            }
            _ => return Err(refuse(TokenError::Malformed, "not three parts with dots between")),
        }
        let signed_len = token.len().saturating_sub(signature.len()).saturating_sub(1);
        let signed = token.get(..signed_len).unwrap_or_default();
        Ok(Self { header, payload, signature, signed })
    }

    /// The decoded header.
    pub(crate) fn header(&self) -> Result<Json, Refusal> {
        object(
            self.header,
            "the header is not base64url",
            "the header is not a JSON object, each member once",
        )
    }

    /// The decoded claims.
    pub(crate) fn claims(&self) -> Result<Json, Refusal> {
        object(
            self.payload,
            "the payload is not base64url",
            "the claims are not a JSON object, each member once",
        )
    }

    /// The decoded signature.
    pub(crate) fn signature(&self) -> Result<Vec<u8>, Refusal> {
        base64url::decode(self.signature)
            .ok_or(refuse(TokenError::Malformed, "the signature is not base64url"))
    }
}

fn is_compact_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(byte)
}

fn object(part: &[u8], not_base64: &'static str, not_object: &'static str) -> Result<Json, Refusal> {
    let bytes = base64url::decode(part).ok_or(refuse(TokenError::Malformed, not_base64))?;
    match Json::of(bytes) {
        Ok(json) if json.root().value() == Value::Object => Ok(json),
        _ => Err(refuse(TokenError::Malformed, not_object)),
    }
}

/// The header that was read last: an issuer's tokens have the same, letter by letter.
#[derive(Default)]
pub(crate) struct HeaderMemo {
    encoded: Vec<u8>,
    json: Json,
}

impl HeaderMemo {
    /// The decoded header of a token.
    pub(crate) fn header_of(&mut self, token: &Compact<'_>) -> Result<&Json, Refusal> {
        if self.encoded.is_empty() || self.encoded != token.header {
            self.json = token.header()?;
            token.header.clone_into(&mut self.encoded);
        }
        Ok(&self.json)
    }
}

/// What a header says that matters here. Everything else is ignored, above all the keys and addresses of keys that a token
/// brings along (`jwk`, `jku`, `x5u`, `x5c`): a token does not choose what it is checked with.
pub(crate) struct Header<'j> {
    pub(crate) alg: Alg,
    pub(crate) kid: Option<&'j str>,
    pub(crate) typ: Option<&'j str>,
}

impl<'j> Header<'j> {
    /// Reads a header.
    pub(crate) fn read(json: &'j Json) -> Result<Self, Refusal> {
        let (mut alg, mut kid, mut typ) = (None, None, None);
        for (name, value) in json.root().children() {
            match name {
                "alg" => alg = Some(text(value.value(), "`alg` is not text")?),
                "kid" => kid = Some(text(value.value(), "`kid` is not text")?),
                "typ" => typ = Some(text(value.value(), "`typ` is not text")?),
                "cty" => drop(text(value.value(), "`cty` is not text")?),
                "enc" => return Err(refuse(TokenError::Encrypted, "`enc`: a JWE")),
                "crit" => {
                    return Err(refuse(TokenError::CriticalHeader, "`crit`: no extension is understood"));
                }
                // RFC 7797 wants `crit` beside it; whoever forgets that still means another signing input.
                "b64" if value.value() != Value::Bool(true) => {
                    return Err(refuse(
                        TokenError::CriticalHeader,
                        "`b64`: unencoded payloads are not understood",
                    ));
                }
                _ => {}
            }
        }
        let name = alg.ok_or(refuse(TokenError::Malformed, "`alg` is absent"))?;
        let alg =
            Alg::parse(name).map_err(|error| refuse(error, "`alg` is no signature algorithm known here"))?;
        Ok(Self { alg, kid, typ })
    }
}

fn text<'j>(value: Value<'j>, detail: &'static str) -> Result<&'j str, Refusal> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err(refuse(TokenError::Malformed, detail)),
    }
}

/// Whether `typ` names the media type `wanted`: without case, and with or without `application/` (RFC 7515 section 4.1.9).
pub(crate) fn same_type(typ: &str, wanted: &str) -> bool {
    let short = |name: &str| {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix("application/") {
            Some(rest) if !rest.contains('/') => rest.to_owned(),
            _ => name,
        }
    };
    short(typ) == short(wanted)
}

/// Whether `token` may be a bearer token at all (RFC 6750 section 2.1, `b64token`); no question is asked about others.
pub(crate) fn is_b64token(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|b| **b == b'=').count();
    let body = token.get(..token.len().saturating_sub(padding)).unwrap_or_default();
    !body.is_empty() && body.iter().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    fn split_error(token: &str) -> Option<TokenError> {
        Compact::split(token.as_bytes()).err().map(|r| r.error)
    }

    fn header_error(header: &str) -> Option<TokenError> {
        Header::read(&Json::parse(header.as_bytes()).unwrap()).err().map(|r| r.error)
    }

    #[test]
    fn three_parts_are_a_jws_five_a_jwe_and_others_nothing() {
        assert_eq!(split_error("a.b.c"), None);
        assert_eq!(split_error(".."), None);
        assert_eq!(split_error("a.b.c.d.e"), Some(TokenError::Encrypted));
        for other in ["", "a", "a.b", "a.b.c.d", "a.b.c.d.e.f", "a.b.c,a.b.c"] {
            assert_eq!(split_error(other), Some(TokenError::Malformed), "{other}");
        }
        let token = Compact::split(b"head.pay.sig").ok().unwrap();
        assert_eq!(token.signed, b"head.pay");
    }

    #[test]
    fn a_remembered_header_is_the_tokens_own() {
        let token = |header: &str| format!("{}.e30.", base64url::encode(header.as_bytes()));
        let alg = |memo: &mut HeaderMemo, token: &str| {
            let compact = Compact::split(token.as_bytes()).ok().unwrap();
            memo.header_of(&compact).map(|json| Header::read(json).unwrap().alg).map_err(|r| r.error)
        };
        let mut memo = HeaderMemo::default();
        let [hs, rs] = [r#"{"alg":"HS256"}"#, r#"{"alg":"RS256"}"#].map(token);
        assert_eq!(alg(&mut memo, ".e30."), Err(TokenError::Malformed), "no header at all");
        for (token, expected) in
            [(&hs, Ok(Alg::HS256)), (&hs, Ok(Alg::HS256)), (&rs, Ok(Alg::RS256)), (&hs, Ok(Alg::HS256))]
        {
            assert_eq!(alg(&mut memo, token), expected);
        }
        assert_eq!(alg(&mut memo, "!.e30."), Err(TokenError::Malformed));
        assert_eq!(alg(&mut memo, ".e30."), Err(TokenError::Malformed));
        assert_eq!(alg(&mut memo, &hs), Ok(Alg::HS256), "a bad header changes nothing");
    }

    #[test]
    fn a_header_that_asks_for_more_than_a_signature_is_refused() {
        assert_eq!(header_error(r#"{"alg":"HS256"}"#), None);
        assert_eq!(header_error(r#"{"alg":"HS256","b64":true,"x":[1]}"#), None);
        assert_eq!(header_error(r#"{"alg":"HS256","cty":"JWT"}"#), None);
        for (header, error) in [
            (r#"{"alg":"HS256","crit":["exp"]}"#, TokenError::CriticalHeader),
            (r#"{"alg":"HS256","crit":[]}"#, TokenError::CriticalHeader),
            (r#"{"alg":"HS256","crit":null}"#, TokenError::CriticalHeader),
            (r#"{"alg":"HS256","b64":false}"#, TokenError::CriticalHeader),
            (r#"{"alg":"dir","enc":"A128GCM"}"#, TokenError::Encrypted),
            (r#"{"alg":"none"}"#, TokenError::UnsupportedAlgorithm),
            (r#"{"alg":"nOnE"}"#, TokenError::UnsupportedAlgorithm),
            (r#"{"alg":["HS256"]}"#, TokenError::Malformed),
            (r#"{"alg":null}"#, TokenError::Malformed),
            (r#"{}"#, TokenError::Malformed),
            (r#"{"alg":"HS256","kid":1}"#, TokenError::Malformed),
            (r#"{"alg":"HS256","typ":null}"#, TokenError::Malformed),
            (r#"{"alg":"HS256","cty":["JWT"]}"#, TokenError::Malformed),
        ] {
            assert_eq!(header_error(header), Some(error), "{header}");
        }
    }

    #[test]
    fn types_compare_without_case_and_prefix() {
        assert!(same_type("application/AT+JWT", "at+jwt"));
        assert!(same_type("JWT", "application/jwt"));
        assert!(!same_type("application/a/b", "a/b"));
        assert!(!same_type("dpop+jwt", "at+jwt"));
    }

    #[test]
    fn only_what_may_be_a_token_is_asked_about() {
        assert!(is_b64token(b"abc-._~+/09=="));
        for bad in [&b""[..], b"=", b"a b", b"a=b", b"\xff", b"a,b", b"a\0"] {
            assert!(!is_b64token(bad), "{bad:?}");
        }
    }
}
