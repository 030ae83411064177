//! Clients who do a thing once: good ones, bad ones, and such as leave in the middle of everything.

use std::sync::Arc;

use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream};

use crate::chance::Chance;
use crate::rows::{self, Rows};
use crate::support::raw::{Answer, Raw};
use crate::users::{ORGS, User};
use crate::world::{Moment, Shared, in_time};

/// What slow readers take in at once, in bytes.
const SIP: usize = 4096;
/// What others do, who read everything: the kernel's smallest window would make that take a minute.
const GULP: usize = 128 * 1024;

pub async fn pass_by(shared: Arc<Shared>, seed: u64) {
    let mut passer = PasserBy {
        shared,
        chance: Chance::new(seed),
    };
    while passer.shared.leaving().is_none() {
        passer.do_something().await;
    }
}

struct PasserBy {
    shared: Arc<Shared>,
    chance: Chance,
}

impl PasserBy {
    async fn do_something(&mut self) {
        match self.chance.below(12) {
            0 => self.with_a_wrong_token().await,
            1 => self.asks_another_tenant().await,
            2 => self.wrongly().await,
            3 => self.says_half_of_it().await,
            4 => self.reads_slowly_and_leaves().await,
            5 => self.reads_all_of_much().await,
            6 => self.breaks_its_body_off().await,
            7 => self.asks_for_a_subset().await,
            8 | 9 => self.waits_and_leaves().await,
            _ => drop(self.reads_a_snapshot().await),
        }
    }

    fn user(&mut self) -> User {
        let org = ORGS.start + i64::try_from(self.chance.below(8)).unwrap();
        User::new(org, "passer_by")
    }

    /// What is answered on a new connection; none if that is closed, for a good reason.
    async fn ask(&self, user: &User, before: Moment, request: &str) -> Option<Answer> {
        let mut client = Raw::connect(self.shared.address).await;
        client.send(request).await;
        let answer = in_time(request, client.answer()).await;
        if answer.is_none() {
            self.shared.judge_silence(user, before);
        }
        answer
    }

    /// What must be refused at once, whatever happens at the moment.
    async fn ask_wrongly(&self, request: &str, status: u16, why: &str) {
        let mut client = Raw::connect(self.shared.address).await;
        client.send(request).await;
        let answer = in_time(request, client.answer()).await.expect("an answer");
        let told = (answer.status, answer.complete);
        assert_eq!(told, (status, true), "{why}: {}", answer.text());
        self.shared.answered(why, status);
    }

    fn get(&self, user: &User, target: &str) -> String {
        let (host, token) = (user.host(), self.shared.token(user));
        format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n")
    }

    async fn with_a_wrong_token(&mut self) {
        let user = self.user();
        let mut token = self.shared.token(&user).into_bytes();
        let end = token.len() - 10;
        token[end] = if token[end] == b'A' { b'B' } else { b'A' };
        let token = String::from_utf8(token).unwrap();
        let request = format!(
            "GET /api/shapes/notes?offset=-1 HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\r\n",
            user.host()
        );
        self.ask_wrongly(&request, 401, "wrong token").await;
    }

    async fn asks_another_tenant(&mut self) {
        let user = self.user();
        let other = if user.tenant() == "acme" {
            "beta.test"
        } else {
            "acme.test"
        };
        let before = self.shared.moment(&user);
        let request = self
            .get(&user, "/api/shapes/notes?offset=-1")
            .replace(&user.host(), other);
        let Some(answer) = self.ask(&user, before, &request).await else {
            return;
        };
        if answer.status != 403 {
            // Whose credentials are about to change is nobody for a moment.
            assert_ne!(answer.status, 200, "{}", answer.text());
            self.shared.judge(&user, before, &answer);
        }
        self.shared.answered("other tenant", answer.status);
    }

    async fn wrongly(&mut self) {
        for (request, status, why) in [
            (
                "GET /api/shapes/notes?offset=-1 HTTP/1.1\r\nhost: acme.test\r\n\r\n",
                401,
                "no token",
            ),
            (
                "GET /api/shapes/notes?offset=-1 HTTP/1.1\r\nhost: nobody.test\r\n\r\n",
                404,
                "no tenant",
            ),
            (
                "GET /api/shapes/notes?offset=-1&offset=-1 HTTP/1.1\r\nhost: acme.test\r\n\r\n",
                400,
                "twice",
            ),
            (
                "DELETE /api/shapes/notes HTTP/1.1\r\nhost: beta.test\r\n\r\n",
                405,
                "deletion",
            ),
        ] {
            self.ask_wrongly(request, status, why).await;
        }
    }

    async fn says_half_of_it(&mut self) {
        let request = self.get(&User::new(1, "passer_by"), "/api/shapes/notes?offset=-1");
        let said = usize::try_from(self.chance.below(request.len() as u64)).unwrap();
        let mut client = Raw::connect(self.shared.address).await;
        client.send(&request[..said]).await;
        self.shared.a_while(&mut self.chance).await;
    }

    /// A client that takes in little: what it does not read stays in the gateway, or is not asked for.
    async fn sipping(&self, request: &str, at_once: usize) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket
            .set_recv_buffer_size(u32::try_from(at_once).unwrap())
            .unwrap();
        let mut client = socket.connect(self.shared.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut client, request.as_bytes())
            .await
            .unwrap();
        client
    }

    async fn reads_slowly_and_leaves(&mut self) {
        let request = self.get(&User::new(1, "passer_by"), "/api/shapes/large?offset=-1");
        let mut client = self.sipping(&request, SIP).await;
        let mut sip = vec![0; SIP];
        for _ in 0..=self.chance.below(10) {
            // Whose window was full is asked again later and later: it need not be waited for.
            tokio::select! {
                read = client.read(&mut sip) => if !matches!(read, Ok(1..)) { return },
                () = self.shared.meanwhile(u64::MAX) => {}
            }
        }
        self.shared.answered("slow reader", "left");
    }

    async fn reads_all_of_much(&mut self) {
        let user = User::new(1, "passer_by");
        let before = self.shared.moment(&user);
        let request = self.get(&user, "/api/shapes/large?offset=-1");
        let mut client = Raw::over(self.sipping(&request, GULP).await);
        let Some(answer) = in_time(&request, client.answer()).await else {
            return self.shared.judge_silence(&user, before);
        };
        self.takes(&user, before, &answer, "large");
    }

    /// Judges an answer and whose rows are in it.
    fn takes(&self, user: &User, before: Moment, answer: &Answer, what: &str) {
        self.shared.judge(user, before, answer);
        if answer.status == 200 && answer.complete {
            let json = answer.json();
            rows::apply(&mut Rows::new(), user.org, json.as_array().expect("messages"));
        }
        self.shared.answered(what, answer.status);
    }

    async fn breaks_its_body_off(&mut self) {
        let user = self.user();
        let head = self.get(&user, "/api/shapes/notes?offset=-1");
        let head = head.replacen("GET", "POST", 1).trim_end().to_owned();
        let mut client = Raw::connect(self.shared.address).await;
        let body = "\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{\"subset\":{\"li";
        client.send(head + body).await;
        self.shared.a_while(&mut self.chance).await;
    }

    async fn asks_for_a_subset(&mut self) {
        let user = self.user();
        let before = self.shared.moment(&user);
        let query = "/api/shapes/notes?offset=-1&subset__limit=5&subset__order_by=id";
        let request = self.get(&user, query);
        let Some(answer) = self.ask(&user, before, &request).await else {
            return;
        };
        self.shared.judge(&user, before, &answer);
        if answer.status == 200 && answer.complete {
            let json = answer.json();
            let messages = json["data"].as_array().expect("rows");
            messages
                .iter()
                .for_each(|message: &Value| rows::assert_is_of(user.org, message));
        }
        self.shared.answered("subset", answer.status);
    }

    async fn reads_a_snapshot(&mut self) -> Option<(User, Answer)> {
        let user = self.user();
        let before = self.shared.moment(&user);
        let coding = self.chance.of(&["", "accept-encoding: identity\r\n"]);
        let request = self.get(&user, "/api/shapes/notes?offset=-1");
        let request = request.replacen("\r\n", &format!("\r\n{coding}"), 1);
        let answer = self.ask(&user, before, &request).await?;
        self.takes(&user, before, &answer, "snapshot");
        Some((user, answer))
    }

    async fn waits_and_leaves(&mut self) {
        let Some((user, answer)) = self.reads_a_snapshot().await else {
            return;
        };
        let (Some(handle), Some(offset)) =
            (answer.header("electric-handle"), answer.header("electric-offset"))
        else {
            return;
        };
        let stream = self.chance.of(&["", "&live_sse=true"]);
        let target = format!("/api/shapes/notes?offset={offset}&handle={handle}&live=true{stream}");
        let mut client = Raw::connect(self.shared.address).await;
        client.send(self.get(&user, &target)).await;
        self.shared.a_while(&mut self.chance).await;
        self.shared.answered("wait", "left");
    }
}
