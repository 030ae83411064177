//! The program, what stands behind it, and what clients know of the times they live in.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::chance::Chance;
use crate::electric::Electric;
use crate::program::{Program, Setup};
use crate::rows::Rows;
use crate::support::gateway::origin;
use crate::support::patience::until;
use crate::support::raw::Answer;
use crate::users::{self, Publisher, User};

pub const ADMIN_TOKEN: &str = "the-admin-token-of-the-tests-canary";

/// Freed memory goes back to the system at once, so that what is left can be seen.
const ALLOCATOR: (&str, &str) = ("_RJEM_MALLOC_CONF", "dirty_decay_ms:0,muzzy_decay_ms:0");

/// Lines of the log that are shown after a failure.
const LOG_SHOWN: usize = 60;

/// How long a client waits for anything: much longer than Electric's polls last.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// How often it is looked whether others were answered.
const LOOKS_MAX: u32 = 100;

pub struct World {
    pub program: Program,
    pub electric: Electric,
    pub shared: Arc<Shared>,
    pub revoked: Vec<User>,
    pub touched: u64,
}

impl World {
    /// A program whose Electric has not been started yet.
    pub async fn start() -> Self {
        let (electric, publisher) = (Electric::new(), Publisher::start().await);
        let mut setup = Setup::new();
        setup.variables = vec![(ALLOCATOR.0, ALLOCATOR.1.to_owned())];
        for folder in ["tenants", "templates"] {
            fs::create_dir(setup.path(folder)).unwrap();
        }
        for (name, text) in [
            ("admin-token", ADMIN_TOKEN.to_owned()),
            ("jwt-secret", users::secret(0).to_owned()),
            (
                "templates/base.yaml",
                template(&electric.url(), &publisher.provider.issuer()),
            ),
            ("tenants/acme.yaml", tenant("acme", 0)),
            ("tenants/beta.yaml", tenant("beta", 0)),
        ] {
            fs::write(setup.path(name), text).unwrap();
        }
        let shared = Arc::new(Shared::new(setup.address, publisher));
        let text = config(&setup, 0);
        Self {
            program: setup.start_with(origin(), &text).await,
            electric,
            shared,
            revoked: Vec::new(),
            touched: 0,
        }
    }

    pub fn assert_log_is_calm(&self) {
        let log = self.program.output();
        for word in ["panicked", "canary", "Too many", "BUG"] {
            let line = log.lines().find(|line| line.contains(word));
            assert_eq!(line, None, "{word}");
        }
    }
}

/// A failure is explained by what the program has said last.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.program.output();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines.len().saturating_sub(LOG_SHOWN);
            println!("{}\n{}", self.shared.tally(), lines[last..].join("\n"));
        }
    }
}

/// What a future gives, for which nobody waits long; `of` tells who waits for what.
pub async fn in_time<T>(of: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(SILENCE_MAX, future).await {
        Ok(given) => given,
        Err(_) => panic!("nothing comes for {of}"),
    }
}

/// The configuration, for the time that it has been changed this often.
pub fn config(setup: &Setup, changes: u64) -> String {
    let (address, admin) = (setup.address, setup.admin);
    let requests = 900_000 + changes % 2;
    format!(
        "server: {{ listen: \"{address}\" }}\n\
         admin: {{ listen: \"{admin}\", token: {{ file: admin-token }} }}\n\
         tenants: {{ folder: tenants }}\ntemplates: {{ folder: templates }}\n\
         limits:\n  hub_bytes_max: 8MiB\n  per_tenant: {{ requests_per_minute: {requests} }}\n  \
         per_subject: {{ held_polls: none, new_shapes_per_minute: none, subsets_per_minute: none }}\n"
    )
}

fn template(electric: &str, publisher: &str) -> String {
    format!(
        r#"
electric: {{ url: "{electric}", secret: {{ env: ELECTRIC_SECRET }} }}
identity:
  - jwt: {{ issuer: https://issuer.test, audience: sync, keys: [ {{ alg: HS256, secret: {{ file: ../jwt-secret }} }} ] }}
  - jwt: {{ issuer: "{publisher}", audience: sync, insecure_allow_http: true, insecure_allow_private_addresses: true }}
member: user.tenant == tenant.id
shapes:
  notes:
    table: notes
    columns: [id, org_id, text]
    client: {{ subset: {{ limit_max: 100 }} }}
    rules: [ {{ when: has(user.org_id), rows: {{ where: '"org_id" = $1', params: [user.org_id] }} }} ]
  large:
    table: large
    columns: [id, org_id, text]
    rules: [ {{ when: has(user.org_id), rows: {{ where: '"org_id" = $1', params: [user.org_id] }} }} ]
"#
    )
}

/// A tenant's file, for the time that it has been changed this often.
pub fn tenant(id: &str, changes: u64) -> String {
    format!("extends: base\nhosts: {id}.test\ncors: {{ origins: ['https://{changes}.test'] }}\n")
}

/// Something that changes at moments of its own: a number, and whether it is just about to be the next one.
#[derive(Default)]
pub struct Period(AtomicU64);

impl Period {
    pub fn begin_change(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub fn end_change(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// The last number that was certain.
    pub fn number(&self) -> u64 {
        self.0.load(Ordering::SeqCst) / 2
    }
}

/// What clients share.
pub struct Shared {
    pub address: SocketAddr,
    pub publisher: Publisher,
    /// Of the secret in the file.
    pub secret: Period,
    /// Of the published keys.
    pub keys: Period,
    /// Of Electric, which is well unless that is about to change.
    pub electric: Period,
    /// Of whether a user is revoked: with an odd number.
    revoked: HashMap<String, Period>,
    answers: AtomicU64,
    tally: Mutex<BTreeMap<String, u64>>,
    /// What there is at the end of a round: then all leave.
    all_rows: Mutex<Option<Arc<Rows>>>,
}

/// The periods that matter to a user, at one moment.
#[derive(Clone, Copy)]
pub struct Moment {
    credential: u64,
    electric: u64,
    revoked: u64,
}

impl Moment {
    /// What was so at both moments and in between.
    fn lasted(self, later: Self, of: fn(&Self) -> u64) -> Option<u64> {
        let (before, after) = (of(&self), of(&later));
        (before == after && before % 2 == 0).then_some(before / 2)
    }
}

impl Shared {
    fn new(address: SocketAddr, publisher: Publisher) -> Self {
        let followers = users::followers(crate::FOLLOWERS);
        Self {
            address,
            publisher,
            secret: Period::default(),
            keys: Period::default(),
            electric: Period::default(),
            revoked: followers.map(|user| (user.subject, Period::default())).collect(),
            answers: AtomicU64::default(),
            tally: Mutex::default(),
            all_rows: Mutex::default(),
        }
    }

    pub fn revoked(&self, user: &User) -> &Period {
        &self.revoked[&user.subject]
    }

    pub fn moment(&self, user: &User) -> Moment {
        let credential = if user.is_of_publisher() {
            &self.keys
        } else {
            &self.secret
        };
        let read = |period: &Period| period.0.load(Ordering::SeqCst);
        Moment {
            credential: read(credential),
            electric: read(&self.electric),
            revoked: self.revoked.get(&user.subject).map_or(0, read),
        }
    }

    /// A good token, as of now.
    pub fn token(&self, user: &User) -> String {
        if user.is_of_publisher() {
            self.publisher.token(user, self.keys.number())
        } else {
            user.token_by_secret(self.secret.number())
        }
    }

    /// Fails unless an answer's status is right for a user who asked with a good token at a moment before.
    pub fn judge(&self, user: &User, before: Moment, answer: &Answer) {
        let after = self.moment(user);
        let credential = before.lasted(after, |moment| moment.credential);
        let electric = before.lasted(after, |moment| moment.electric);
        let revoked = before
            .lasted(after, |moment| moment.revoked)
            .map(|number| number % 2 == 1);
        let told = || {
            let text = String::from_utf8_lossy(&answer.body);
            format!("{} to {}: {text:.300}", answer.status, user.subject)
        };
        let right = match answer.status {
            // Also to whoever asks for a shape that rotates while it is made.
            200 | 409 => revoked != Some(true),
            403 => revoked != Some(false),
            401 => credential.is_none(),
            502..=504 => electric.is_none() || credential.is_none(),
            _ => false,
        };
        assert!(right, "{}", told());
        let may_break_off = electric.is_none() || credential.is_none() || revoked.is_none();
        assert!(answer.complete || may_break_off, "broken off: {}", told());
    }

    /// Fails unless there was a reason to close a connection instead of answering.
    pub fn judge_silence(&self, user: &User, before: Moment) {
        let after = self.moment(user);
        let lasted = |of: fn(&Moment) -> u64| before.lasted(after, of).is_some();
        let calm = lasted(|moment| moment.credential)
            && lasted(|moment| moment.electric)
            && lasted(|moment| moment.revoked);
        assert!(!calm, "closed without an answer to {}", user.subject);
        self.answered("connection", "closed");
    }

    /// Somebody was answered.
    pub fn answered(&self, whom: &str, what: impl std::fmt::Display) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        *self
            .tally
            .lock()
            .unwrap()
            .entry(format!("{whom} {what}"))
            .or_default() += 1;
    }

    pub fn tally(&self) -> String {
        let mut text = format!("{} answers", self.answers.load(Ordering::Relaxed));
        for (what, times) in &*self.tally.lock().unwrap() {
            write!(text, "\n{times:8} {what}").unwrap();
        }
        text
    }

    /// Until so many more were answered, or everybody leaves; not for long if nobody is answered.
    pub async fn meanwhile(&self, more: u64) {
        let enough = self.answers.load(Ordering::Relaxed).saturating_add(more);
        let mut looks = 0;
        until("it is over", || {
            looks += 1;
            let answers = self.answers.load(Ordering::Relaxed);
            answers >= enough || looks > LOOKS_MAX || self.leaving().is_some()
        })
        .await;
    }

    /// For a while, by chance.
    pub async fn a_while(&self, chance: &mut Chance) {
        self.meanwhile(1 + chance.below(20)).await;
    }

    pub fn tell_to_leave(&self, rows: Option<Rows>) {
        *self.all_rows.lock().unwrap() = rows.map(Arc::new);
    }

    /// The rows that there are, once it is time to leave.
    pub fn leaving(&self) -> Option<Arc<Rows>> {
        self.all_rows.lock().unwrap().clone()
    }
}
