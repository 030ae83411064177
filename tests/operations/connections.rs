//! A connection that brings requests of every kind: which of them Pingora's proxying serves is nothing that its
//! client could tell.

use crate::support::gateway::{Gateway, get, request};
use crate::support::raw::{Answer, Raw};
use crate::support::token::{IDENTITY, member};

const USERS: &str = "/api/shapes/users?offset=-1";

async fn start() -> Gateway {
    let shapes = r#"
shapes:
  users:
    table: users
    columns: [id, name, org_id]
    rules: [ { rows: { where: '"org_id" = $1', params: [user.org_id] } } ]
"#;
    Gateway::start(&format!("{IDENTITY}{shapes}")).await
}

fn of(method: &str) -> String {
    request(method, USERS, Some(&member(1)), &[], "")
}

fn assert_served(answer: &Answer, method: &str) {
    let served = match method {
        "GET" => answer.status == 200 && answer.text().contains("Alice"),
        "HEAD" => answer.status == 200 && answer.body.is_empty(),
        "OPTIONS" => answer.status == 204,
        _ => answer.status == 405 && answer.code() == "method_not_allowed",
    };
    assert!(served, "{method}: {} {}", answer.status, answer.text());
}

#[tokio::test]
async fn requests_of_all_kinds_follow_each_other_in_any_order() {
    let gateway = start().await;
    let mut client = gateway.connect().await;
    let kinds = ["GET", "HEAD", "PUT"];
    for before in kinds {
        for after in kinds {
            for method in [before, after] {
                let answer = client.ask_as(method, of(method)).await;
                assert_served(&answer, method);
            }
        }
    }
}

#[tokio::test]
async fn a_head_may_come_in_pieces_wherever_they_are_cut() {
    let gateway = start().await;
    let mut client = gateway.connect().await;
    for method in ["GET", "HEAD"] {
        let whole = of(method);
        for cut in [1, 3, 4, 5, 20, whole.len() - 3, whole.len() - 1] {
            let (start, rest) = whole.split_at(cut);
            client.send(start).await;
            // Another connection is served meanwhile: what came first has been looked at.
            assert_served(&gateway.connect().await.ask(of("GET")).await, "GET");
            let answer = client.ask_as(method, rest).await;
            assert_served(&answer, method);
        }
    }
}

#[tokio::test]
async fn what_comes_before_an_answer_is_not_taken_for_the_next_request() {
    let gateway = start().await;
    let twice = format!("{}{}", of("GET"), of("GET"));
    let with_body = request("GET", USERS, Some(&member(1)), &[], "GET / HTTP/1.1\r\n\r\n");
    for (sent, status) in [(twice, 200), (with_body, 400)] {
        let mut client = gateway.connect().await;
        let answer = client.ask(&sent).await;
        assert_eq!(answer.status, status, "{sent}");
        assert!(answer.complete && client.answer().await.is_none(), "{sent}");
    }
}

#[tokio::test]
async fn what_is_no_request_is_told_so_and_ends_its_connection_alone() {
    let gateway = start().await;
    let mut other = gateway.connect().await;
    for nonsense in [
        "GET / HTTP/9.9\r\n\r\n",
        "GET \r\n\r\n",
        "GET /\u{1} HTTP/1.1\r\nhost\r\n\r\n",
        "\u{16}\u{3}\u{1}\r\n\r\n",
    ] {
        let mut client: Raw = gateway.connect().await;
        let answer = client.ask(nonsense).await;
        assert_eq!(answer.status, 400, "{nonsense:?}");
        assert!(client.is_closed().await, "{nonsense:?}");
    }
    assert_served(&other.ask(of("GET")).await, "GET");
    let health = gateway.connect().await.ask(get("/nowhere", None)).await;
    assert_eq!(health.status, 404);
}
