//! Providers that are asked: who is asked, how often, and for how long the answer holds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue};
use shapegate::clock::{Clock, ManualClock};
use shapegate::identity::provider::{Credential, Found, Lookup, NEGATIVE_TTL_MAX, Provider, ProviderSource};
use shapegate::identity::{
    Algorithm, Authentication, Carrier, CredentialHeaders, IdentityError, IdentityMethods, IdentitySources,
};
use shapegate_core::code::{Code, Refusal};
use shapegate_core::identity::Identity;
use shapegate_core::time::UnixMillis;
use shapegate_core::value::Value;
use tokio::sync::Semaphore;

use crate::support::{self, Signer, good_claims, issuer, signer};

pub(crate) const TTL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(3);
const NOW: UnixMillis = UnixMillis::from_seconds(support::NOW_SECONDS);

/// A provider that knows whoever it was told of, and counts who asks it.
#[derive(Clone)]
struct Book(Arc<Inner>);

struct Inner {
    users: Mutex<BTreeMap<Vec<u8>, Found>>,
    asked: AtomicUsize,
    broken: Mutex<Option<String>>,
    gate: Semaphore,
}

impl Book {
    fn of(users: &[(&str, &str)]) -> Self {
        let book = Self(Arc::new(Inner {
            users: Mutex::default(),
            asked: AtomicUsize::new(0),
            broken: Mutex::default(),
            gate: Semaphore::new(1_000_000),
        }));
        users
            .iter()
            .for_each(|(credential, subject)| book.put(credential, subject, None));
        book
    }

    fn put(&self, credential: &str, subject: &str, ends: Option<UnixMillis>) {
        let claims = BTreeMap::from([(Arc::from("sub"), Value::from(subject))]);
        let found = Found { claims, ends };
        self.0.users.lock().unwrap().insert(credential.into(), found);
    }

    fn break_down(&self, why: Option<&str>) {
        *self.0.broken.lock().unwrap() = why.map(str::to_owned);
    }

    fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Lookup for Book {
    async fn look_up(&self, credential: &Credential, _: &Arc<dyn Clock>) -> Result<Option<Found>, String> {
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        self.0.gate.acquire().await.unwrap().forget();
        if let Some(why) = &*self.0.broken.lock().unwrap() {
            return Err(why.clone());
        }
        Ok(self.0.users.lock().unwrap().get(credential.reveal()).cloned())
    }
}

fn provided(sources: impl IntoIterator<Item = ProviderSource>) -> Vec<Arc<Provider>> {
    sources.into_iter().map(Provider::new).map(Arc::new).collect()
}

fn source(name: &str, from: Carrier, book: &Book) -> ProviderSource {
    ProviderSource {
        name: name.into(),
        from,
        lookup: Arc::new(book.clone()),
        ttl: TTL,
        timeout: TIMEOUT,
        claims: Vec::new(),
        remembered_max: 1_000,
        remembered_bytes_max: 16 * 1024 * 1024,
    }
}

/// Methods with a clock that stands still.
struct World {
    methods: Arc<IdentityMethods>,
    clock: ManualClock,
    shared: Arc<dyn Clock>,
}

impl World {
    fn new(providers: Vec<ProviderSource>, signer: Option<&Signer>) -> Self {
        let sources = IdentitySources {
            issuers: signer
                .iter()
                .map(|signer| issuer(vec![signer.source()]))
                .collect(),
            providers: provided(providers),
            ..IdentitySources::default()
        };
        let clock = ManualClock::at(NOW);
        Self {
            methods: Arc::new(IdentityMethods::compile(sources).unwrap().0),
            shared: Arc::new(clock.clone()),
            clock,
        }
    }

    /// One provider that takes bearer credentials.
    fn bearer(book: &Book) -> Self {
        Self::new(vec![source("book", Carrier::bearer(), book)], None)
    }

    async fn ask(&self, headers: &[(&str, &str)]) -> Result<Option<Arc<Identity>>, Refusal> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::try_from(*name).unwrap(),
                    HeaderValue::try_from(*value).unwrap(),
                )
            })
            .collect();
        match self
            .methods
            .authenticate(&CredentialHeaders::of(&headers), self.clock.now())?
        {
            Authentication::Known(identity) => Ok(identity),
            Authentication::Pending(pending) => pending.identity(&self.shared).await.map(Some),
        }
    }

    async fn subject(&self, headers: &[(&str, &str)]) -> Result<String, Code> {
        match self.ask(headers).await {
            Ok(Some(identity)) => Ok(identity.subject().unwrap().to_string()),
            Ok(None) => Ok("nobody".to_owned()),
            Err(refusal) => Err(refusal.code),
        }
    }

    async fn bearer_subject(&self, credential: &str) -> Result<String, Code> {
        self.subject(&[("authorization", &format!("Bearer {credential}"))])
            .await
    }
}

#[tokio::test]
async fn whoever_is_known_is_not_asked_for_again_until_his_time_is_over() {
    let book = Book::of(&[("s1", "alice")]);
    let world = World::bearer(&book);
    for _ in 0..30 {
        assert_eq!(world.bearer_subject("s1").await, Ok("alice".to_owned()));
        world.clock.advance(Duration::from_millis(999));
    }
    assert_eq!(book.asked(), 1);
    world.clock.advance(Duration::from_millis(30));
    assert_eq!(world.bearer_subject("s1").await, Ok("alice".to_owned()));
    assert_eq!(book.asked(), 2, "asking in between puts nothing off");
}

#[tokio::test]
async fn an_answer_holds_from_the_question_on_and_not_from_its_coming() {
    let book = Book::of(&[("s1", "alice")]);
    let world = World::bearer(&book);
    book.0.gate.forget_permits(1_000_000);
    let asking = world.bearer_subject("s1");
    tokio::pin!(asking);
    assert!(futures_util::poll!(&mut asking).is_pending());
    world.clock.until_asleep(1).await;
    tokio::task::yield_now().await;
    world.clock.advance(Duration::from_secs(2));
    book.0.gate.add_permits(1);
    asking.await.unwrap();
    let identity = world
        .ask(&[("authorization", "Bearer s1")])
        .await
        .unwrap()
        .unwrap();
    assert_eq!(identity.valid_until().unwrap().wall, NOW.plus(TTL));
}

#[tokio::test]
async fn a_credential_that_ends_earlier_is_forgotten_with_its_end_and_refused_after() {
    let book = Book::of(&[]);
    book.put("s1", "alice", Some(NOW.plus(Duration::from_secs(10))));
    let world = World::bearer(&book);
    assert_eq!(world.bearer_subject("s1").await, Ok("alice".to_owned()));
    world.clock.advance(Duration::from_secs(9));
    assert_eq!(world.bearer_subject("s1").await, Ok("alice".to_owned()));
    assert_eq!(book.asked(), 1);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(world.bearer_subject("s1").await, Err(Code::TokenExpired));
}

#[tokio::test]
async fn r17_a_wall_clock_that_jumps_prolongs_nothing_and_ends_what_ends_by_it() {
    let hour = Duration::from_secs(3_600);
    let book = Book::of(&[("s1", "alice")]);
    book.put("s2", "bob", Some(NOW.plus(hour / 2)));
    let world = World::bearer(&book);
    for credential in ["s1", "s2"] {
        assert!(world.bearer_subject(credential).await.is_ok());
    }
    world.clock.set_wall(UnixMillis(NOW.0 - 3_600_000));
    world.clock.advance(TTL - Duration::from_millis(1));
    assert!(world.bearer_subject("s1").await.is_ok());
    assert_eq!(book.asked(), 2, "remembered still");
    world.clock.advance(Duration::from_millis(1));
    assert!(world.bearer_subject("s1").await.is_ok());
    assert_eq!(book.asked(), 3, "and not for another hour");
    world.clock.set_wall(NOW.plus(hour));
    assert!(world.bearer_subject("s1").await.is_ok());
    assert_eq!(book.asked(), 4, "whoever may have changed meanwhile is asked for");
    assert_eq!(world.bearer_subject("s2").await, Err(Code::TokenExpired));
}

#[tokio::test]
async fn nobodys_credential_is_refused_and_only_shortly_remembered() {
    let book = Book::of(&[]);
    let world = World::bearer(&book);
    for _ in 0..5 {
        assert_eq!(world.bearer_subject("s1").await, Err(Code::TokenInvalid));
    }
    assert_eq!((book.asked(), world.methods.answers_remembered()), (1, 0));
    book.put("s1", "alice", None);
    world.clock.advance(NEGATIVE_TTL_MAX);
    assert_eq!(
        world.bearer_subject("s1").await,
        Ok("alice".to_owned()),
        "it has begun to exist"
    );
}

#[tokio::test]
async fn a_flood_of_made_up_credentials_drives_nobody_out() {
    let book = Book::of(&[("s1", "alice")]);
    let world = World::bearer(&book);
    world.bearer_subject("s1").await.unwrap();
    for number in 0..20_000 {
        assert_eq!(
            world.bearer_subject(&format!("x{number}")).await,
            Err(Code::TokenInvalid)
        );
    }
    let asked = book.asked();
    assert_eq!(world.bearer_subject("s1").await, Ok("alice".to_owned()));
    assert_eq!(book.asked(), asked);
}

#[tokio::test]
async fn requests_that_come_together_ask_once() {
    let book = Book::of(&[("s1", "alice")]);
    let world = Arc::new(World::bearer(&book));
    book.0.gate.forget_permits(1_000_000);
    let asking: Vec<_> = (0..100)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.bearer_subject("s1").await })
        })
        .collect();
    while book.asked() == 0 {
        tokio::task::yield_now().await;
    }
    book.0.gate.add_permits(1);
    for one in asking {
        assert_eq!(one.await.unwrap(), Ok("alice".to_owned()));
    }
    assert_eq!(book.asked(), 1);
}

#[tokio::test]
async fn a_provider_that_is_down_is_503_and_changes_nothing_for_those_known() {
    let book = Book::of(&[("s1", "alice"), ("s2", "bob")]);
    let world = World::bearer(&book);
    world.bearer_subject("s1").await.unwrap();
    book.break_down(Some("it is on fire"));
    for _ in 0..20 {
        let refusal = world.ask(&[("authorization", "Bearer s2")]).await.unwrap_err();
        assert_eq!((refusal.code, refusal.status()), (Code::IdentityUnavailable, 503));
        assert!(
            refusal
                .retry_after
                .is_some_and(|after| after >= Duration::from_secs(1))
        );
        assert!(!refusal.to_string().contains("fire"), "{refusal}");
    }
    assert_eq!(book.asked(), 6, "five failures are enough");
    assert_eq!(world.bearer_subject("s1").await, Ok("alice".to_owned()));
    book.break_down(None);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(
        world.bearer_subject("s2").await,
        Ok("bob".to_owned()),
        "no failure is remembered"
    );
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_503_after_the_timeout() {
    let book = Book::of(&[("s1", "alice")]);
    let world = World::bearer(&book);
    book.0.gate.forget_permits(1_000_000);
    let asking = world.bearer_subject("s1");
    tokio::pin!(asking);
    assert!(futures_util::poll!(&mut asking).is_pending());
    world.clock.until_asleep(1).await;
    world.clock.advance(TIMEOUT);
    assert_eq!(asking.await, Err(Code::IdentityUnavailable));
}

#[tokio::test]
async fn the_memory_is_bounded_in_count_and_bytes() {
    let book = Book::of(&[]);
    let long = "x".repeat(1_000);
    (0..300).for_each(|number| book.put(&format!("s{number}"), &format!("{number}{long}"), None));
    let few = ProviderSource {
        remembered_max: 50,
        ..source("book", Carrier::bearer(), &book)
    };
    let small = ProviderSource {
        remembered_bytes_max: 256 * 1024,
        ..source("book", Carrier::bearer(), &book)
    };
    for (bounded, at_most) in [(few, 50), (small, 256 / 5)] {
        let world = World::new(vec![bounded], None);
        for number in 0..300 {
            world.bearer_subject(&format!("s{number}")).await.unwrap();
            assert!(world.methods.answers_remembered() <= at_most);
        }
        assert!(world.methods.answers_remembered() > at_most / 3);
    }
}

/// A method of each kind of carrier, named by it, and an issuer of tokens.
fn one_of_each(signer: &Signer) -> World {
    let books: Vec<Book> = ["bearer", "key", "header", "cookie", "other"]
        .iter()
        .map(|name| Book::of(&[("c1", name), ("sk_1", name)]))
        .collect();
    let key = Carrier::Authorization {
        scheme: "bearer".to_owned(),
        prefix: Some("sk_".to_owned()),
    };
    let other = Carrier::Authorization {
        scheme: "Session".to_owned(),
        prefix: None,
    };
    let carriers = [
        Carrier::bearer(),
        key,
        Carrier::Header(HeaderName::from_static("x-api-key")),
        Carrier::Cookie("sid".to_owned()),
        other,
    ];
    let providers = carriers
        .into_iter()
        .zip(&books)
        .map(|(from, book)| source("book", from, book));
    World::new(providers.collect(), Some(signer))
}

#[tokio::test]
async fn the_method_is_chosen_by_what_carries_the_credential() {
    let signer = signer(Algorithm::HS256);
    let world = one_of_each(&signer);
    let token = format!("Bearer {}", signer.token(&good_claims()));
    for (headers, who) in [
        (&[("authorization", "Bearer c1")][..], "bearer"),
        (&[("authorization", "BEARER  c1")], "bearer"),
        (&[("authorization", "Bearer sk_1")], "key"),
        (&[("authorization", "session c1")], "other"),
        (&[("authorization", token.as_str())], "alice"),
        (&[("x-api-key", "c1")], "header"),
        (&[("cookie", "a=b; sid=c1; sid2=x")], "cookie"),
        (&[("cookie", "a=b"), ("cookie", "sid=c1")], "cookie"),
        (
            &[("authorization", "Bearer c1"), ("cookie", "sid=sk_1")],
            "bearer",
        ),
        (&[("x-api-key", "c1"), ("cookie", "sid=c1")], "header"),
        (&[("cookie", "a=sid=c1; xsid=c1; SID=c1; sid")], "nobody"),
        (&[("proxy-authorization", "Bearer c1")], "nobody"),
    ] {
        assert_eq!(world.subject(headers).await, Ok(who.to_owned()), "{headers:?}");
    }
}

#[tokio::test]
async fn what_no_method_takes_is_refused_and_several_credentials_are_malformed() {
    let world = one_of_each(&signer(Algorithm::HS256));
    for (headers, code) in [
        (&[("authorization", "Basic c1")][..], Code::TokenInvalid),
        (&[("authorization", "Bearer sk_2")], Code::TokenInvalid),
        (
            &[("authorization", "Bearer c1"), ("authorization", "Bearer c1")],
            Code::MalformedRequest,
        ),
        (
            &[("authorization", "Bearer c1"), ("x-api-key", "c1")],
            Code::MalformedRequest,
        ),
        (
            &[("x-api-key", "c1"), ("x-api-key", "c1")],
            Code::MalformedRequest,
        ),
        (&[("cookie", "sid=c1; sid=c1")], Code::MalformedRequest),
        (
            &[("cookie", "sid=c1"), ("cookie", "sid=c2")],
            Code::MalformedRequest,
        ),
        (&[("cookie", "sid=")], Code::TokenInvalid),
        (&[("x-api-key", "")], Code::TokenInvalid),
        (&[("x-api-key", "c 1")], Code::TokenInvalid),
    ] {
        assert_eq!(world.subject(headers).await, Err(code), "{headers:?}");
    }
}

#[tokio::test]
async fn what_fails_in_one_method_is_tried_in_no_other() {
    let signer = signer(Algorithm::HS256);
    let (bearer, cookie) = (Book::of(&[]), Book::of(&[("c1", "alice")]));
    let providers = vec![
        source("bearer", Carrier::bearer(), &bearer),
        source("cookie", Carrier::Cookie("sid".to_owned()), &cookie),
    ];
    let world = World::new(providers, Some(&signer));
    let refused = world
        .subject(&[("authorization", "Bearer c1"), ("cookie", "sid=c1")])
        .await;
    assert_eq!((refused, cookie.asked()), (Err(Code::TokenInvalid), 0));

    let token = signer.token(&good_claims());
    let (signed, _) = token.rsplit_once('.').unwrap();
    let forged = format!("{signed}.AAAA");
    bearer.put(&forged, "mallory", None);
    let asked = bearer.asked();
    assert_eq!(world.bearer_subject(&forged).await, Err(Code::TokenInvalid));
    assert_eq!(bearer.asked(), asked, "a token is nobody's but its issuer's");
}

#[tokio::test]
async fn what_cannot_be_a_credential_reaches_no_provider() {
    let book = Book::of(&[]);
    let providers = vec![source("book", Carrier::Cookie("sid".to_owned()), &book)];
    let world = World::new(providers, None);
    let long = format!("sid={}", "a".repeat(4_097));
    for cookie in [long.as_str(), "sid=a b", "sid=a\tb", "sid="] {
        assert_eq!(
            world.subject(&[("cookie", cookie)]).await,
            Err(Code::TokenInvalid),
            "{cookie}"
        );
    }
    assert_eq!(book.asked(), 0);
}

#[test]
fn two_methods_of_one_carrier_are_refused() {
    let book = Book::of(&[]);
    let providers = ["one", "two"].map(|name| source(name, Carrier::bearer(), &book));
    let sources = IdentitySources {
        providers: provided(providers),
        ..IdentitySources::default()
    };
    let errors = IdentityMethods::compile(sources).err().unwrap();
    assert_eq!(errors, [IdentityError::CarrierTwice { place: 1 }]);
}
