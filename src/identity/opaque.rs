//! Which method a request's credential is for, by what carries it.

use std::sync::Arc;

use http::HeaderName;
use shapegate_core::identity::Identity;

use super::api_keys::{ApiKey, KeyBook};
use super::carrier::{BEARER, CREDENTIAL_BYTES_MAX, Carried, Carrier, CredentialHeaders, with_scheme};
use super::fault::Fault;
use super::provider::{Ended, Provider};
use super::{IdentityError, TOKEN_BYTES_MAX};

/// The methods whose credentials say nothing themselves, and how to tell them from tokens.
#[derive(Default)]
pub(super) struct Opaque {
    methods: Vec<(Carrier, Method)>,
    /// The headers besides `Authorization` that carry credentials.
    headers: Vec<HeaderName>,
    /// The cookies that carry tokens.
    token_cookies: Vec<String>,
    /// Whether no issuer could have signed a token.
    no_issuers: bool,
}

/// Who knows the credentials of a carrier.
enum Method {
    Provider(Arc<Provider>),
    Keys(Arc<KeyBook>),
}

/// What a request's credential is for.
pub(super) enum Chosen<'a> {
    /// No credential came.
    Nothing,
    /// A signed token, to be verified by its issuer's keys.
    Token(&'a [u8]),
    /// A credential that a provider knows.
    Provider(&'a Provider, &'a [u8]),
    /// A key that is known by its hash or not at all.
    Key(&'a KeyBook, &'a [u8]),
}

impl Opaque {
    pub(super) fn compile(
        providers: Vec<Arc<Provider>>,
        keys: Option<(Vec<Carrier>, Vec<ApiKey>)>,
        token_cookies: Vec<String>,
        no_issuers: bool,
    ) -> Result<Self, IdentityError> {
        let mut known = Self {
            no_issuers,
            token_cookies,
            ..Self::default()
        };
        for provider in providers {
            known.add(provider.carrier().clone(), Method::Provider(provider))?;
        }
        if let Some((carriers, keys)) = keys {
            let book = KeyBook::new(keys).map_err(|_| IdentityError::ApiKeySubject)?;
            let book = Arc::new(book);
            for carrier in carriers {
                known.add(carrier, Method::Keys(Arc::clone(&book)))?;
            }
        }
        Ok(known)
    }

    fn add(&mut self, carrier: Carrier, method: Method) -> Result<(), IdentityError> {
        let is_token_cookie = |name: &String| carrier == Carrier::Cookie(name.clone());
        let is_taken = self.methods.iter().any(|(known, _)| *known == carrier);
        if is_taken || self.token_cookies.iter().any(is_token_cookie) {
            return Err(IdentityError::CarrierTwice {
                place: self.methods.len(),
            });
        }
        if let Carrier::Header(name) = &carrier {
            self.headers.push(name.clone());
        }
        self.methods.push((carrier, method));
        Ok(())
    }

    pub(super) fn providers(&self) -> impl Iterator<Item = &Provider> {
        self.methods.iter().filter_map(|(_, method)| match method {
            Method::Provider(provider) => Some(&**provider),
            Method::Keys(_) => None,
        })
    }

    pub(super) fn watch(&self, identity: &Identity) -> Option<Ended> {
        let mut telling = self
            .providers()
            .filter(|provider| provider.may_tell_of(identity))
            .peekable();
        telling.peek()?;
        // Whoever was known a moment ago and is not any more has ended in between.
        Some(
            telling
                .find_map(|provider| provider.watch(identity))
                .unwrap_or_else(Ended::already),
        )
    }

    /// Whether there is no such method.
    pub(super) fn is_empty(&self) -> bool {
        self.methods.is_empty()
    }

    pub(super) fn remembered(&self) -> usize {
        self.providers().map(Provider::remembered).sum()
    }

    /// The one method that is asked. Headers that a client sets on purpose come before cookies, which browsers
    /// add by themselves; two such headers are none that could be chosen from.
    pub(super) fn choose<'a>(&'a self, headers: &CredentialHeaders<'a>) -> Result<Chosen<'a>, Fault> {
        if self.methods.is_empty() && self.token_cookies.is_empty() {
            return Ok(headers.bearer()?.map_or(Chosen::Nothing, Chosen::Token));
        }
        let others = self
            .headers
            .iter()
            .filter(|name| headers.header(name) != Carried::Nothing);
        let carriers = others.count() + usize::from(headers.authorization() != Carried::Nothing);
        match (carriers, headers.authorization()) {
            (0, _) => self.by_cookie(headers),
            (1, Carried::Nothing) => {
                self.by_carrier(|carrier| matches!(carrier, Carrier::Header(_)), headers)
            }
            (1, Carried::One(value)) => self.by_scheme(value),
            (1, Carried::Several) => Err(Fault::SeveralHeaders),
            _ => Err(Fault::SeveralCredentials),
        }
    }

    /// The first cookie that came, tokens before what somebody must be asked about.
    fn by_cookie<'a>(&'a self, headers: &CredentialHeaders<'a>) -> Result<Chosen<'a>, Fault> {
        for name in &self.token_cookies {
            if let Some(token) = headers.credential_cookie(name)? {
                return Ok(Chosen::Token(token));
            }
        }
        self.by_carrier(|carrier| matches!(carrier, Carrier::Cookie(_)), headers)
    }

    /// Whether a cookie is a credential here.
    pub(super) fn reads_cookies(&self) -> bool {
        let is_cookie = |carrier: &Carrier| matches!(carrier, Carrier::Cookie(_));
        !self.token_cookies.is_empty() || self.methods.iter().any(|(carrier, _)| is_cookie(carrier))
    }

    /// The first method among some whose carrier came.
    fn by_carrier<'a>(
        &'a self,
        among: impl Fn(&Carrier) -> bool,
        headers: &CredentialHeaders<'a>,
    ) -> Result<Chosen<'a>, Fault> {
        for (carrier, provider) in self.methods.iter().filter(|(carrier, _)| among(carrier)) {
            let carried = match carrier {
                Carrier::Header(name) => headers.header(name),
                Carrier::Cookie(name) => headers
                    .credential_cookie(name)?
                    .map_or(Carried::Nothing, Carried::One),
                Carrier::Authorization { .. } => Carried::Nothing,
            };
            match carried {
                Carried::Nothing => {}
                Carried::One(credential) => return sized(provider, credential),
                Carried::Several => return Err(Fault::SeveralCredentials),
            }
        }
        Ok(Chosen::Nothing)
    }

    /// Prefixes first; then what has the form of a signed token, where there are issuers; then whoever takes the
    /// scheme's other credentials.
    fn by_scheme<'a>(&'a self, value: &'a [u8]) -> Result<Chosen<'a>, Fault> {
        let prefixed = self.methods.iter().find_map(|(carrier, provider)| match carrier {
            Carrier::Authorization {
                scheme,
                prefix: Some(prefix),
            } => {
                let credential = with_scheme(value, scheme)?;
                credential
                    .starts_with(prefix.as_bytes())
                    .then_some((provider, credential))
            }
            _ => None,
        });
        if let Some((provider, credential)) = prefixed {
            return sized(provider, credential);
        }
        let bearer = with_scheme(value, BEARER);
        if let Some(token) = bearer.filter(|token| !self.no_issuers && is_signed_token(token)) {
            return Ok(Chosen::Token(token));
        }
        let plain = self.methods.iter().find_map(|(carrier, provider)| match carrier {
            Carrier::Authorization { scheme, prefix: None } => Some((provider, with_scheme(value, scheme)?)),
            _ => None,
        });
        match (plain, bearer) {
            (Some((provider, credential)), _) => sized(provider, credential),
            // What is no token by form is refused as one: there is nobody else who could know it.
            (None, Some(token)) => Ok(Chosen::Token(token)),
            (None, None) => Err(Fault::NotBearer),
        }
    }
}

/// Providers are not asked about what cannot be a credential.
fn sized<'a>(method: &'a Method, credential: &'a [u8]) -> Result<Chosen<'a>, Fault> {
    let printable = credential.iter().all(|byte| (0x21..=0x7e).contains(byte));
    if credential.is_empty() || credential.len() > CREDENTIAL_BYTES_MAX || !printable {
        return Err(Fault::CredentialForm);
    }
    Ok(match method {
        Method::Provider(provider) => Chosen::Provider(provider, credential),
        Method::Keys(book) => Chosen::Key(book, credential),
    })
}

/// Three parts, the first of which begins as the base64url of an object does. Whether it is a token that anybody
/// signed is another question; whatever looks like one is judged as one.
fn is_signed_token(credential: &[u8]) -> bool {
    let dots = credential
        .iter()
        .take(TOKEN_BYTES_MAX)
        .filter(|&&byte| byte == b'.')
        .count();
    credential.starts_with(b"eyJ") && dots == 2
}
