//! Tokens on which an auth service has the last word. It may think for long: what made the token good by itself is looked at
//! again when the answer is there.

use crate::error::{Refusal, TokenError, refuse};
use crate::keys::KeySet;
use crate::pending::{INACTIVE, Pending};
use crate::remote::Answer;
use crate::section::{Provider, Signed};
use crate::token::{Chosen, Compact, Facts, Header, Identity, IssuedBy, Json, Registered, signing_input};
use crate::tokens::{Authn, Tokens};
use portcullis_edge_core::{CallError, Host, HttpCall, Now, Wall};
use rsa::sha2::{Digest as _, Sha256};
use std::rc::Rc;

/// What an answer led to.
enum Conclusion {
    /// The question is asked again.
    Again(Box<Pending>),
    /// The token is good.
    Good(Rc<Identity>),
}

impl Tokens {
    /// The question to the auth service.
    #[must_use]
    pub fn question(&self, pending: &Pending) -> Option<HttpCall> {
        let provider = self.jwt.providers().get(pending.question.provider)?;
        provider.introspection.as_ref().map(|introspection| introspection.call(&pending.token))
    }

    /// The auth service's answer, or the lack of one. May ask again ([`Authn::Ask`]). Requests that wait for this answer should
    /// look again when the next [`Tokens::poll`] says `wakes`.
    pub fn on_answer(
        &mut self,
        pending: Pending,
        answer: Result<(u16, &[u8]), CallError>,
        now: Now,
        host: &dyn Host,
    ) -> Authn {
        let (key, index) = (pending.key, pending.question.provider);
        match self.conclude(pending, answer, now, host) {
            Ok(Conclusion::Again(pending)) => Authn::Ask(pending),
            Ok(Conclusion::Good(identity)) => {
                self.questions.answered(key, Ok(Rc::clone(&identity)), now.mono);
                self.finish(identity, false, now.mono)
            }
            Err(refusal) => {
                let refusal = refusal.of(index);
                self.questions.answered(key, Err(refusal), now.mono);
                Authn::Refused(refusal)
            }
        }
    }

    fn conclude(
        &mut self,
        pending: Pending,
        answer: Result<(u16, &[u8]), CallError>,
        now: Now,
        host: &dyn Host,
    ) -> Result<Conclusion, Refusal> {
        let no_answer = refuse(TokenError::RevocationUnknown, "the auth service does not answer");
        let jwt = Rc::clone(&self.jwt);
        let provider = jwt.providers().get(pending.question.provider);
        let (provider, service) =
            provider.and_then(|p| Some((p, p.introspection.as_ref()?))).ok_or(no_answer)?;
        let answer = service.read(answer);
        let is_believed = matches!(answer, Answer::Active(_) | Answer::Inactive);
        self.answers = self.answers.saturating_add(u64::from(is_believed));
        self.check_again(provider, &pending, now.wall, host)?;
        match answer {
            Answer::Active(json) => {
                let identity = confirmed(provider, &pending, json, now.wall)?;
                // Of a time before it the answer says nothing: a clock that is set back does not make it last.
                let from = identity.from.max(now.wall);
                let fresh_until = now.wall.plus(service.cache);
                let identity = Rc::new(Identity { from, fresh_until, ..identity });
                self.remember(&pending.token, &identity);
                Ok(Conclusion::Good(identity))
            }
            Answer::Inactive => {
                if !service.negative_cache.is_zero() {
                    self.questions.remember_inactive(pending.key, now.mono.plus(service.negative_cache));
                }
                Err(INACTIVE)
            }
            Answer::Unavailable if pending.tries < service.retries => {
                let tries = pending.tries.saturating_add(1);
                Ok(Conclusion::Again(Box::new(Pending { tries, ..pending })))
            }
            Answer::Unavailable if service.allow_unavailable => {
                pending.question.identity.map(|identity| Conclusion::Good(Rc::new(identity))).ok_or(no_answer)
            }
            Answer::Unavailable => Err(no_answer),
            Answer::Unusable => Err(refuse(
                TokenError::RevocationUnknown,
                "the auth service does not say whether the token is active",
            )),
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
        check_signature(provider, identity.issued_by(), &pending.token, self.keys.of(question.provider), host)
    }
}

fn check_signature(
    provider: &Provider,
    by: IssuedBy<'_>,
    token: &[u8],
    keys: Option<&KeySet>,
    host: &dyn Host,
) -> Result<(), Refusal> {
    let compact = Compact::split(token)?;
    let json = compact.header()?;
    let (header, signature) = (Header::read(&json)?, compact.signature()?);
    let token = Signed { header: &header, by, signed: compact.signed, signature: &signature };
    provider.check_signature(&token, keys, host).map(drop)
}

/// The identity of an active token: its own, or what the answer says, which has the form of claims (RFC 7662 section 2.2).
fn confirmed(provider: &Provider, pending: &Pending, json: Json, now: Wall) -> Result<Identity, Refusal> {
    let question = &pending.question;
    if let Some(identity) = &question.identity {
        return Ok(identity.clone());
    }
    let claims = Registered::read(&json)?;
    check_issuer(provider, &claims)?;
    let (from, until) = provider.check_answer(&claims, json.root(), now, false)?;
    let signed = signed_hash(provider, pending);
    let identity = provider.identify(question.provider, json, Facts { from, until, signed })?;
    Ok(Identity { chosen: question.chosen.clone(), ..identity })
}

/// An answer need not say who issued the token (RFC 7662 section 2.2); one that does must say that it was the provider's issuer.
fn check_issuer(provider: &Provider, claims: &Registered<'_>) -> Result<(), Refusal> {
    let by = claims.issued_by();
    if by.iss.is_none() || provider.takes_any_issuer() || provider.issued(by) {
        return Ok(());
    }
    Err(refuse(TokenError::InvalidIssuer, "the auth service names another issuer"))
}

/// What a deny list may name a JWT by that only the auth service can read; an opaque token has nothing that is signed.
fn signed_hash(provider: &Provider, pending: &Pending) -> Option<[u8; 32]> {
    let is_jwt = matches!(pending.question.chosen, Chosen::ByToken(..));
    let may_be_listed = provider.revocation.is_some() && is_jwt;
    may_be_listed.then(|| Sha256::digest(signing_input(&pending.token)).into())
}
