//! Tokens on which an auth service has the last word. It may think for long: what made the token good by itself is looked at
//! again when the answer is there.

use crate::error::{Refusal, TokenError, refuse};
use crate::keys::KeySet;
use crate::pending::Pending;
use crate::section::{Provider, Signed};
use crate::token::{Chosen, Compact, Facts, Header, Identity, Json, Registered, signing_input};
use crate::tokens::{Authn, Tokens};
use portcullis_edge_core::{CallError, Host, HttpCall, Now, Wall};
use rsa::sha2::{Digest as _, Sha256};
use std::rc::Rc;

impl Tokens {
    /// The question to the auth service.
    #[must_use]
    pub fn question(&self, pending: &Pending) -> Option<HttpCall> {
        let provider = self.jwt.providers().get(pending.question.provider)?;
        provider.introspection.as_ref().map(|introspection| introspection.call(&pending.token))
    }

    /// The auth service's answer, or the lack of one. May ask again ([`Authn::Ask`]).
    pub fn on_answer(
        &mut self,
        pending: Pending,
        answer: Result<(u16, &[u8]), CallError>,
        now: Now,
        host: &dyn Host,
    ) -> Authn {
        let index = pending.question.provider;
        let no_service = refuse(TokenError::RevocationUnknown, "the auth service does not answer").of(index);
        let provider = self.jwt.providers().get(index);
        let Some((provider, service)) = provider.and_then(|p| Some((p, p.introspection.as_ref()?))) else {
            return Authn::Refused(no_service);
        };
        let answer = answer.map_err(|_| "no answer").and_then(|(status, body)| service.read(status, body));
        self.answers = self.answers.saturating_add(u64::from(answer.is_ok()));
        if let Err(refusal) = self.check_again(provider, &pending, now.wall, host) {
            return Authn::Refused(refusal.of(index));
        }
        match answer {
            Ok(Some(json)) => {
                let fresh_until = now.wall.plus(service.cache);
                match confirmed(provider, &pending, json, now.wall) {
                    Ok(identity) => {
                        // Of a time before it the answer says nothing: a clock that is set back does not make it last.
                        let from = identity.from.max(now.wall);
                        self.keep(&pending.token, Identity { from, fresh_until, ..identity }, now.mono)
                    }
                    Err(refusal) => Authn::Refused(refusal.of(index)),
                }
            }
            Ok(None) => {
                let detail = "the auth service says that the token is not active";
                Authn::Refused(refuse(TokenError::Revoked, detail).of(index))
            }
            Err(_) if pending.tries < service.retries => {
                Authn::Ask(Box::new(Pending { tries: pending.tries.saturating_add(1), ..pending }))
            }
            Err(_) => match pending.question.identity {
                Some(identity) if service.allow_unavailable => {
                    self.finish(Rc::new(identity), false, now.mono)
                }
                _ => Authn::Refused(no_service),
            },
        }
    }

    /// Whether the token is still good by itself: by now it may have expired, or its key may be gone.
    fn check_again(
        &self,
        provider: &Provider,
        pending: &Pending,
        now: Wall,
        host: &dyn Host,
    ) -> Result<(), Refusal> {
        let question = &pending.question;
        let Some(identity) = &question.identity else { return Ok(()) };
        if now >= identity.until {
            return Err(refuse(TokenError::Expired, "`exp` was reached while the auth service was asked"));
        }
        // The clock may have been set back.
        if now < identity.from {
            return Err(refuse(TokenError::NotYetValid, "`nbf` is ahead"));
        }
        if pending.generation == self.keys.generation() {
            return Ok(());
        }
        check_signature(provider, &pending.token, self.keys.of(question.provider), host)
    }
}

fn check_signature(
    provider: &Provider,
    token: &[u8],
    keys: Option<&KeySet>,
    host: &dyn Host,
) -> Result<(), Refusal> {
    let compact = Compact::split(token)?;
    let json = compact.header()?;
    let (header, signature) = (Header::read(&json)?, compact.signature()?);
    let token = Signed { header: &header, signed: compact.signed, signature: &signature };
    provider.check_signature(&token, keys, host).map(drop)
}

/// The identity of an active token: its own, or what the answer says, which has the form of claims (RFC 7662 section 2.2).
fn confirmed(provider: &Provider, pending: &Pending, json: Json, now: Wall) -> Result<Identity, Refusal> {
    let question = &pending.question;
    if let Some(identity) = &question.identity {
        return Ok(identity.clone());
    }
    let claims = Registered::read(&json)?;
    let (from, until) = provider.check_answer(&claims, json.root(), now, false)?;
    let signed = signed_hash(provider, pending);
    let identity = provider.identify(question.provider, json, Facts { from, until, signed })?;
    Ok(Identity { chosen: question.chosen.clone(), ..identity })
}

/// What a deny list may name a JWT by that only the auth service can read; an opaque token has nothing that is signed.
fn signed_hash(provider: &Provider, pending: &Pending) -> Option<[u8; 32]> {
    let is_jwt = matches!(pending.question.chosen, Chosen::ByToken(_));
    let may_be_listed = provider.revocation.is_some() && is_jwt;
    may_be_listed.then(|| Sha256::digest(signing_input(&pending.token)).into())
}
