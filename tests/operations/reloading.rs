//! The real program, whose files change while it runs.

use std::fs;
use std::os::unix::fs::symlink;

use crate::program::{Program, Setup};
use crate::support::patience::until;
use crate::support::token::member;
use crate::tls::{certificate, client, url};

const TARGET: &str = "/api/shapes/users?offset=-1";

fn rewrite(program: &Program, change: impl FnOnce(String) -> String) {
    let path = program.setup.path("shapegate.yaml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, change(text)).unwrap();
}

#[tokio::test]
async fn a_file_that_is_written_is_noticed_without_a_word() {
    let program = Setup::new().start().await;
    let token = member(1);
    assert_eq!(program.get(TARGET, Some(&token)).await.status, 200);
    rewrite(&program, |text| {
        text.replace("user.org_id != 0", "user.org_id == 7")
    });
    until("the change is served", || {
        program.output().contains("the configuration changed")
    })
    .await;
    assert_eq!(program.get(TARGET, Some(&token)).await.status, 403);
}

/// As Kubernetes mounts a ConfigMap: every file is a link through `..data`, which is swapped.
#[tokio::test]
async fn a_mounted_folder_that_is_swapped_is_noticed_without_a_word() {
    let setup = Setup::new();
    for version in ["..one", "..two"] {
        fs::create_dir(setup.path(version)).unwrap();
    }
    symlink("..one", setup.path("..data")).unwrap();
    symlink("..data/shapegate.yaml", setup.path("shapegate.yaml")).unwrap();
    let program = setup.start().await;
    let (folder, token) = (program.setup.folder.path(), member(1));
    assert_eq!(program.get(TARGET, Some(&token)).await.status, 200);
    let text = fs::read_to_string(folder.join("..one/shapegate.yaml")).unwrap();
    let stricter = text.replace("user.org_id != 0", "user.org_id == 7");
    fs::write(folder.join("..two/shapegate.yaml"), stricter).unwrap();
    symlink("..two", folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    until("the change is served", || {
        program.output().contains("the configuration changed")
    })
    .await;
    assert_eq!(program.get(TARGET, Some(&token)).await.status, 403);
}

#[tokio::test]
async fn a_signal_makes_it_look_and_a_mistake_is_told_with_its_place_while_all_stays_as_it_was() {
    let program = Setup::new().start().await;
    rewrite(&program, |text| format!("{text}\nunknown: 1\n"));
    program.signal("HUP");
    until("the mistake is told", || {
        program.output().contains("unknown key `unknown`")
    })
    .await;
    let output = program.output();
    assert!(output.contains("shapegate.yaml:"), "{output}");
    assert!(output.contains("served there as it was before"), "{output}");
    assert_eq!(program.get(TARGET, Some(&member(1))).await.status, 200);
}

#[tokio::test]
async fn certificates_are_replaced_while_it_runs() {
    let mut setup = Setup::new();
    let before = certificate(&setup, "a", &["a.test"]);
    setup.server = ", tls: { certificates: [ { certificate: a.pem, key: a.key } ] }".to_owned();
    let program = setup.start().await;
    let reaches = async |trusted| {
        let client = client(&program, trusted, &["a.test"], false);
        client
            .get(url(&program, "a.test", "/nowhere"))
            .send()
            .await
            .is_ok()
    };
    assert!(reaches(&before).await);
    let after = certificate(&program.setup, "a", &["a.test"]);
    program.signal("HUP");
    until("they are taken", || {
        program.output().contains("the configuration changed")
    })
    .await;
    assert!(reaches(&after).await);
    assert!(!reaches(&before).await);
}

#[tokio::test]
async fn what_cannot_change_while_it_runs_is_named_in_the_log() {
    let program = Setup::new().start().await;
    rewrite(&program, |text| {
        format!("{text}\nlimits: {{ connections_max: 17 }}\nhealth: {{ listen: \"127.0.0.1:1\" }}\n")
    });
    until("it is told", || {
        program.output().contains("until the process is started anew")
    })
    .await;
    let output = program.output();
    assert!(
        output.contains("health, limits of sizes, connections and deadlines changed in the configuration"),
        "{output}"
    );
    assert_eq!(program.get(TARGET, Some(&member(1))).await.status, 200);
}
