//! `logs` and `metrics`: where lines go, and what is named where requests are counted.

use std::path::PathBuf;

use shapegate::journal::Destination;

use super::support::{Given, accepted, accepted_in, and, refused};

#[test]
fn nothing_is_logged_and_nobody_named_unless_that_is_written() {
    let server = accepted(&and("")).config.server;
    assert_eq!((server.logs.access, server.logs.decisions), (None, None));
    assert_eq!(
        (server.metrics.tenant_label, server.metrics.series_max),
        (false, 10_000)
    );
}

#[test]
fn logs_go_to_a_stream_or_to_a_file_beside_the_configuration() {
    let text = "logs: { access: { file: logs/access.log }, decisions: { env: DECISIONS } }\n\
                metrics: { tenant_label: true, series_max: 500 }\n";
    let given = Given::new().variable("DECISIONS", "stderr");
    let loaded = accepted_in(&and(text), &given);
    let server = &loaded.config.server;
    assert_eq!(
        server.logs.access,
        Some(Destination::File(PathBuf::from("/etc/logs/access.log")))
    );
    assert_eq!(server.logs.decisions, Some(Destination::Stderr));
    assert_eq!(
        (server.metrics.tenant_label, server.metrics.series_max),
        (true, 500)
    );
    let printed = loaded.print();
    assert!(printed.contains("series_max: 500"), "{printed}");
    assert_eq!(accepted_in(&printed, &given).print(), printed);
    for (word, destination) in [("off", None), ("stdout", Some(Destination::Stdout))] {
        let server = accepted(&and(&format!("logs: {{ access: {word} }}\n")))
            .config
            .server;
        assert_eq!(server.logs.access, destination);
    }
}

#[test]
fn what_is_no_place_for_a_log_and_no_number_of_series_is_refused() {
    for (text, part) in [
        ("logs: { access: syslog }\n", "`access` cannot go to `syslog`"),
        (
            "logs: { access: access.log }\n",
            "{ file: /var/log/shapegate/access.log }",
        ),
        ("logs: { access: { path: a } }\n", "`access` lacks the key `file`"),
        ("logs: { acces: stdout }\n", "did you mean `access`?"),
        ("logs: stdout\n", "`logs` must be a map"),
        ("logs: { access: { file: '' } }\n", "`file` is blank"),
        ("metrics: { series_max: 9 }\n", "series_max"),
        ("metrics: { tenant_label: yes }\n", "must be true or false"),
    ] {
        let said = refused(&and(text));
        assert!(said.contains(part), "{text}\n{said}");
    }
}
