//! A client that keeps its rows up to date by whatever means, and must end up with exactly those that there are.

use std::sync::Arc;

use serde_json::Value;

use crate::chance::Chance;
use crate::rows::{self, Rows};
use crate::support::raw::{Answer, Raw};
use crate::users::User;
use crate::world::{Moment, Shared, in_time};

struct Place {
    handle: String,
    offset: String,
    cursor: Option<String>,
    up_to_date: bool,
}

pub struct Follower {
    shared: Arc<Shared>,
    user: User,
    chance: Chance,
    client: Option<Raw>,
    place: Option<Place>,
    rows: Rows,
}

/// Follows until it is time to leave and every row is there.
pub async fn follow(shared: Arc<Shared>, user: User, seed: u64) {
    let mut follower = Follower {
        shared,
        user,
        chance: Chance::new(seed),
        client: None,
        place: None,
        rows: Rows::new(),
    };
    while !follower.has_everything() {
        follower.step().await;
    }
}

impl Follower {
    fn has_everything(&self) -> bool {
        let up_to_date = self.place.as_ref().is_some_and(|place| place.up_to_date);
        let all = self.shared.leaving().filter(|_| up_to_date);
        all.is_some_and(|all| rows::of_org(&all, self.user.org) == self.rows)
    }

    /// One request, and whatever comes of it.
    async fn step(&mut self) {
        let before = self.shared.moment(&self.user);
        let waits = self.place.as_ref().is_some_and(|place| place.up_to_date);
        let streams = waits && self.chance.once_in(4);
        let request = self.request(streams);
        let fresh = self.client.is_none();
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Raw::connect(self.shared.address).await,
        };
        client.try_send(&request).await;
        if waits && self.chance.once_in(6) {
            // It leaves in the middle of its wait.
            return self.shared.a_while(&mut self.chance).await;
        }
        if streams {
            return self.stream(client, before, &request).await;
        }
        let Some(answer) = in_time(&request, client.answer()).await else {
            // One that was kept may be closed at any time.
            if fresh {
                self.shared.judge_silence(&self.user, before);
            }
            return;
        };
        self.shared.judge(&self.user, before, &answer);
        self.shared.answered("follower", answer.status);
        if answer.complete && answer.header("connection") != Some("close") && !self.chance.once_in(20) {
            self.client = Some(client);
        }
        self.take(&answer).await;
    }

    fn request(&self, streams: bool) -> String {
        let target = match &self.place {
            None => "offset=-1".to_owned(),
            Some(place) => {
                let mut target = format!("offset={}&handle={}", place.offset, place.handle);
                if place.up_to_date {
                    target += if streams {
                        "&live=true&live_sse=true"
                    } else {
                        "&live=true"
                    };
                }
                if let Some(cursor) = &place.cursor {
                    target += &format!("&cursor={cursor}");
                }
                target
            }
        };
        let (host, token) = (self.user.host(), self.shared.token(&self.user));
        format!(
            "GET /api/shapes/notes?{target} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n"
        )
    }

    async fn take(&mut self, answer: &Answer) {
        match answer.status {
            200 if answer.complete => self.advance(answer),
            200 => {}
            409 => self.start_again(),
            // Whoever is shut out or put off tries again later.
            _ => self.shared.a_while(&mut self.chance).await,
        }
    }

    fn start_again(&mut self) {
        self.place = None;
        self.rows.clear();
    }

    fn advance(&mut self, answer: &Answer) {
        let json = answer.json();
        let messages = json.as_array().expect("messages");
        if messages.iter().any(is_must_refetch) {
            return self.start_again();
        }
        rows::apply(&mut self.rows, self.user.org, messages);
        let header = |name| answer.header(name).map(str::to_owned);
        self.place = Some(Place {
            handle: header("electric-handle").expect("a handle"),
            offset: header("electric-offset").expect("an offset"),
            cursor: header("electric-cursor"),
            up_to_date: header("electric-up-to-date").is_some(),
        });
    }

    /// Some pieces of a stream. Its place stays where it was: what comes again says the same.
    async fn stream(&mut self, mut client: Raw, before: Moment, request: &str) {
        let Some(head) = in_time(request, client.head()).await else {
            return;
        };
        if head.status != 200 {
            self.shared.answered("stream", head.status);
            return self.take(&head).await;
        }
        self.shared.answered("stream", "began");
        if head.header("content-length").is_some() {
            // What is there already is told at once, and is all.
            let answer = in_time(request, client.body_of(head)).await;
            self.shared.judge(&self.user, before, &answer);
            let text = String::from_utf8(answer.body).expect("text");
            return self.take_events(text);
        }
        for _ in 0..=self.chance.below(4) {
            let chunk = in_time(request, client.chunk()).await.unwrap_or_default();
            if chunk.is_empty() {
                break;
            }
            self.take_events(String::from_utf8(chunk).expect("a piece that ends with an event"));
        }
        let told = Answer {
            complete: true,
            ..head
        };
        self.shared.judge(&self.user, before, &told);
    }

    fn take_events(&mut self, mut text: String) {
        let messages = rows::events(&mut text);
        assert_eq!(text, "", "pieces are whole events");
        if messages.iter().any(is_must_refetch) {
            return self.start_again();
        }
        rows::apply(&mut self.rows, self.user.org, &messages);
        self.shared.answered("stream", "piece");
    }
}

fn is_must_refetch(message: &Value) -> bool {
    message["headers"]["control"] == "must-refetch"
}
