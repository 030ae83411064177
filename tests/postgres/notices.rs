use shapegate::clock::SystemClock;
use shapegate::postgres::Notice;

use super::pool;
use crate::support::patience::soon;
use crate::support::postgres::Server;

fn notice(payload: &str) -> Option<Notice> {
    Some(Notice {
        payload: payload.to_owned(),
    })
}

#[tokio::test]
async fn notices_of_the_channel_come_in_order_and_others_do_not() {
    let server = Server::start().await;
    let pool = pool(&server.url());
    let mut notices = pool.listen("Session \"ended\"", &SystemClock).await.unwrap();
    let client = server.client().await;
    let send = "notify \"Session \"\"ended\"\"\", 'one'; notify other, 'x'; notify \"Session \"\"ended\"\"\"";
    client.batch_execute(send).await.unwrap();
    assert_eq!(soon(notices.next(&SystemClock)).await, notice("one"));
    assert_eq!(soon(notices.next(&SystemClock)).await, notice(""));
    assert_eq!(pool.connections(), 0, "it takes none of the pool's");
}

#[tokio::test]
async fn the_end_of_the_connection_is_told() {
    let mut server = Server::start().await;
    let pool = pool(&server.url());
    let mut notices = pool.listen("ended", &SystemClock).await.unwrap();
    server.stop();
    assert_eq!(soon(notices.next(&SystemClock)).await, None);
    assert!(pool.listen("ended", &SystemClock).await.is_err());
    server.resume().await;
    let mut notices = pool.listen("ended", &SystemClock).await.unwrap();
    server.execute("notify ended, 'again'").await;
    assert_eq!(soon(notices.next(&SystemClock)).await, notice("again"));
}
