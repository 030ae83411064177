//! What happens to the program and to what is around it.

use std::fs;

use serde_json::json;
use shapegate_origin::{Fault, Misbehaviour};

use crate::chance::Chance;
use crate::support::patience::soon;
use crate::support::raw::{Answer, Raw};
use crate::users::{self, ORGS, User};
use crate::world::{ADMIN_TOKEN, World, config, tenant};

/// Answers between two events.
const PAUSE: u64 = 30;
/// Rows written with each.
const WRITES: u64 = 4;

impl World {
    /// Events by chance, after which everything is as it should be.
    pub async fn happen(&mut self, events: usize, seed: u64) {
        let mut chance = Chance::new(seed);
        for number in 0..events {
            for _ in 0..WRITES {
                self.electric.write(&mut chance);
            }
            // An issuer may not be asked for keys at any rate.
            if number == events / 2 {
                self.keys_rotate().await;
            }
            self.something_happens(&mut chance).await;
            self.shared.meanwhile(PAUSE).await;
        }
        for user in std::mem::take(&mut self.revoked) {
            self.takes_back(&user).await;
        }
    }

    async fn something_happens(&mut self, chance: &mut Chance) {
        match chance.below(24) {
            0..=3 => drop(self.electric.origin().rotate(Some("notes"))),
            4 => drop(self.electric.origin().rotate(None)),
            5..=8 => self.revocations_change(chance).await,
            9 | 10 => self.a_tenant_changes(chance).await,
            11 => self.the_configuration_changes().await,
            12 => self.a_tenant_is_broken_and_mended(chance).await,
            13 => self.a_tenant_comes_and_goes().await,
            14 | 15 => self.the_secret_changes().await,
            16 => self.program.signal("HUP"),
            17 => self.electric_restarts(None).await,
            18 => self.electric_restarts(Some(Fault::Stall)).await,
            19..=21 => self.electric_misbehaves(chance).await,
            _ => {}
        }
    }

    /// Replaces a file as editors do, and waits until it has been taken over.
    async fn changed(&self, name: &str, text: &str) {
        let taken = "shapegate_reloads_total{outcome=\"taken\"}";
        let before = self.program.metric(taken).await;
        self.write(name, text);
        let looking = async { while self.program.metric(taken).await <= before {} };
        soon(looking).await;
    }

    fn write(&self, name: &str, text: &str) {
        let (new, path) = (self.program.setup.path(".new"), self.program.setup.path(name));
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    fn next(&mut self) -> u64 {
        self.touched += 1;
        self.touched
    }

    async fn a_tenant_changes(&mut self, chance: &mut Chance) {
        let id = chance.of(&["acme", "beta"]);
        let text = tenant(id, self.next());
        self.changed(&format!("tenants/{id}.yaml"), &text).await;
    }

    async fn the_configuration_changes(&mut self) {
        let now = self.next();
        let text = [now, now + 1].map(|changes| config(&self.program.setup, changes));
        let path = self.program.setup.path("shapegate.yaml");
        let served = fs::read_to_string(path).unwrap();
        let other = text.iter().find(|text| **text != served).unwrap();
        self.changed("shapegate.yaml", other).await;
    }

    async fn a_tenant_is_broken_and_mended(&mut self, chance: &mut Chance) {
        let id = chance.of(&["acme", "beta"]);
        let name = format!("tenants/{id}.yaml");
        let current = "shapegate_reload_current ";
        self.write(&name, "extends: base\nhosts: [\n");
        self.program.until_metric(current, 0.0).await;
        self.shared.meanwhile(PAUSE).await;
        let text = tenant(id, self.next());
        self.write(&name, &text);
        self.program.until_metric(current, 1.0).await;
    }

    async fn a_tenant_comes_and_goes(&mut self) {
        let asked = "GET /api/shapes/notes?offset=-1 HTTP/1.1\r\nhost: gamma.test\r\n\r\n";
        let text = tenant("gamma", self.next());
        self.changed("tenants/gamma.yaml", &text).await;
        assert_eq!(self.ask(asked).await.status, 401, "it is there");
        let path = self.program.setup.path("tenants/gamma.yaml");
        fs::remove_file(path).unwrap();
        let leaving = async { while self.ask(asked).await.status != 404 {} };
        soon(leaving).await;
    }

    async fn the_secret_changes(&mut self) {
        let period = &self.shared.secret;
        period.begin_change();
        let secret = users::secret(period.number() + 1);
        self.changed("jwt-secret", secret).await;
        period.end_change();
        self.until_served(User::new(1, "probe")).await;
    }

    async fn keys_rotate(&mut self) {
        let period = &self.shared.keys;
        period.begin_change();
        let next = period.number() + 1;
        self.shared.publisher.publish(next);
        for org in [2, 6] {
            let user = User::new(org, "probe");
            let token = self.shared.publisher.token(&user, next);
            self.until_served_with(&user, &token).await;
        }
        period.end_change();
    }

    async fn electric_restarts(&mut self, after: Option<Fault>) {
        self.shared.electric.begin_change();
        if let Some(fault) = after {
            self.electric.origin().misbehave(Misbehaviour::always(fault));
            self.shared.meanwhile(PAUSE / 3).await;
        }
        self.electric.restart().await;
        self.electric_is_well().await;
    }

    async fn electric_misbehaves(&mut self, chance: &mut Chance) {
        let fault = match chance.below(8) {
            0 => Fault::Slow { ms: 300 },
            1 => Fault::CutOff { after_bytes: 3000 },
            2 => Fault::Status {
                status: 503,
                retry_after: Some(1),
            },
            3 => Fault::Status {
                status: 500,
                retry_after: None,
            },
            4 => Fault::HtmlPage,
            5 => Fault::MissingHeaders,
            6 => Fault::Gzip,
            _ => Fault::FalseGzip,
        };
        self.shared.electric.begin_change();
        // What waits would be answered wrongly only later.
        let mut plan = Misbehaviour::always(fault).only("offset=-1");
        plan.times = Some(5);
        self.electric.origin().misbehave(plan);
        self.shared.meanwhile(PAUSE).await;
        self.electric.origin().behave();
        self.electric_is_well().await;
    }

    /// Once everybody can be served again, whoever was not meanwhile has been told.
    async fn electric_is_well(&mut self) {
        for org in [1, 5] {
            self.until_served(User::new(org, "probe")).await;
        }
        self.shared.meanwhile(PAUSE).await;
        self.shared.electric.end_change();
    }

    async fn until_served(&mut self, user: User) {
        let token = self.shared.token(&user);
        self.until_served_with(&user, &token).await;
    }

    /// Asks for what is neither kept nor under way, and for what only an Electric gets that has told its version.
    async fn until_served_with(&self, user: &User, token: &str) {
        let asking = async {
            for number in 0_u32.. {
                let target = |more: &str| {
                    format!(
                        "GET /api/shapes/notes?offset=-1{more} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\r\n",
                        user.host()
                    )
                };
                let shape = self.ask(&target(&format!("&cache-buster={number}"))).await;
                let subset = self.ask(&target("&subset__limit=1&subset__order_by=id")).await;
                if (shape.status, subset.status) == (200, 200) {
                    return;
                }
            }
        };
        soon(asking).await;
    }

    async fn ask(&self, request: &str) -> Answer {
        let mut client = Raw::connect(self.shared.address).await;
        soon(client.ask(request)).await
    }

    async fn revocations_change(&mut self, chance: &mut Chance) {
        if self.revoked.len() > 4 || (chance.once_in(3) && !self.revoked.is_empty()) {
            let user = self.revoked.remove(0);
            return self.takes_back(&user).await;
        }
        let org = ORGS.start + i64::try_from(chance.below(8)).unwrap();
        let user = User::new(org, &chance.below(crate::FOLLOWERS).to_string());
        if self.revoked.iter().any(|revoked| revoked.subject == user.subject) {
            return;
        }
        self.revoke("POST", &user).await;
        self.revoked.push(user);
    }

    async fn takes_back(&self, user: &User) {
        self.revoke("DELETE", user).await;
    }

    async fn revoke(&self, method: &str, user: &User) {
        let period = self.shared.revoked(user);
        let body = json!({ "subject": user.subject }).to_string();
        let request = format!(
            "{method} /revocations HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {ADMIN_TOKEN}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        period.begin_change();
        let mut client = Raw::connect(self.program.setup.admin).await;
        let answer = soon(client.ask(request)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        period.end_change();
    }
}
