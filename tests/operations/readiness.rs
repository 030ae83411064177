//! Whether the process takes requests, and whether one tenant does, as both listeners say it.

use std::net::SocketAddr;

use shapegate_origin::Origin;

use crate::program::{Program, Setup, free_address};
use crate::support::gateway::origin;
use crate::support::patience::{soon, until};
use crate::support::raw::{Answer, Raw};

/// One tenant that can be served, one that nobody's keys have come for.
async fn gateway(tenants: &[(&str, bool)]) -> (Program, SocketAddr) {
    let (setup, health, origin) = (Setup::new(), free_address(), origin());
    let mut text = format!(
        "server: {{ listen: \"{}\", shutdown_delay: 60s }}\nadmin: {{ listen: \"{}\" }}\nhealth: {{ listen: \"{health}\" }}\ntenants:\n",
        setup.address, setup.admin
    );
    for (name, is_known) in tenants {
        text += &tenant(name, &origin, *is_known);
    }
    let program = setup.start_with(origin, &text).await;
    until("the health listener listens", || {
        std::net::TcpStream::connect(health).is_ok()
    })
    .await;
    (program, health)
}

fn tenant(name: &str, origin: &Origin, is_known: bool) -> String {
    let keys = match is_known {
        true => "keys: [ { alg: HS256, secret: { env: JWT_SECRET } } ]".to_owned(),
        // Nobody listens there.
        false => format!(
            "jwks_url: 'http://{}/jwks', insecure_allow_http: true, insecure_allow_private_addresses: true",
            free_address()
        ),
    };
    format!(
        "  {name}:
    hosts: [{name}.test]
    electric: {{ url: {}, secret: {{ env: ELECTRIC_SECRET }} }}
    identity: [ {{ jwt: {{ issuer: 'https://{name}.issuer.test', audience: sync, {keys} }} }} ]
    shapes: {{ users: {{ table: users, columns: all, rules: [ {{ rows: all }} ] }} }}
",
        origin.url()
    )
}

/// What both listeners answer, which is the same.
async fn readyz(program: &Program, health: SocketAddr, query: &str) -> Answer {
    let request = |host| format!("GET /readyz{query} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let admin = soon(Raw::connect(program.setup.admin).await.ask(request("localhost"))).await;
    let probe = soon(Raw::connect(health).await.ask(request("gateway.internal"))).await;
    assert_eq!(
        (admin.status, admin.text()),
        (probe.status, probe.text()),
        "{query}"
    );
    admin
}

#[tokio::test]
async fn a_tenant_is_ready_when_its_users_can_be_known_and_the_process_when_one_is() {
    let (program, health) = gateway(&[("acme", true), ("beta", false)]).await;
    let process = readyz(&program, health, "").await;
    assert_eq!(process.status, 200);
    assert_eq!(process.text(), "1 of 2 tenants wait for their issuers' keys\n");
    let acme = readyz(&program, health, "?tenant=acme").await;
    assert_eq!((acme.status, acme.text()), (200, "ready\n"));
    let beta = readyz(&program, health, "?tenant=beta").await;
    assert_eq!(beta.status, 503);
    assert_eq!(beta.text(), "1 of 1 tenants wait for their issuers' keys\n");
    for nobody in ["?tenant=gamma", "?tenant=", "?tenant=ACME", "?tenant=acme%00"] {
        let answer = readyz(&program, health, nobody).await;
        assert_eq!(
            (answer.status, answer.text()),
            (404, "there is no such tenant\n"),
            "{nobody}"
        );
    }
}

#[tokio::test]
async fn a_process_none_of_whose_tenants_can_be_served_lives_and_is_not_ready() {
    let (program, health) = gateway(&[("beta", false), ("gamma", false)]).await;
    let process = readyz(&program, health, "").await;
    assert_eq!(process.status, 503);
    assert_eq!(process.text(), "2 of 2 tenants wait for their issuers' keys\n");
    assert_eq!(program.admin("/healthz").await.status, 200);
}

#[tokio::test]
async fn who_is_going_away_is_not_ready_for_anybody_and_still_alive() {
    let (program, health) = gateway(&[("acme", true)]).await;
    assert_eq!(readyz(&program, health, "").await.status, 200);
    program.signal("TERM");
    // Balancers hear of it before anything is closed: `shutdown_delay`.
    let hearing = async {
        while program.admin("/readyz").await.status == 200 {
            tokio::task::yield_now().await;
        }
    };
    soon(hearing).await;
    for query in ["", "?tenant=acme"] {
        let answer = readyz(&program, health, query).await;
        assert_eq!((answer.status, answer.text()), (503, "draining\n"), "{query}");
    }
    assert_eq!(program.admin("/healthz").await.status, 200);
    let shape = "GET /api/shapes/users?offset=-1 HTTP/1.1\r\nhost: acme.test\r\n\r\n";
    let answer = soon(program.connect().await.ask(shape)).await;
    assert_eq!(
        answer.status,
        401,
        "who comes meanwhile is served: {}",
        answer.text()
    );
}
