use crate::support::{Given, IDENTITY, SHAPES, accepted, accepted_in, and, refused, refused_in};
use shapegate::config::{REDACTED, SecretOrigin, Surroundings as _};

fn electric(secret: &str) -> String {
    format!("electric: {{ url: 'http://127.0.0.1:3000', secret: {secret} }}\n{IDENTITY}{SHAPES}")
}

#[test]
fn a_secret_comes_from_a_variable_a_file_or_a_credential() {
    let given = Given::new()
        .file("/etc/secret.txt", "from-file\n")
        .file("/run/credentials/electric-secret", "from-credential\r\n")
        .variable("CREDENTIALS_DIRECTORY", "/run/credentials");
    for (written, text, origin) in [
        (
            "{ env: ELECTRIC_SECRET }",
            "electric-secret",
            SecretOrigin::Variable("ELECTRIC_SECRET".into()),
        ),
        (
            "{ file: secret.txt }",
            "from-file",
            SecretOrigin::File("secret.txt".into()),
        ),
        (
            "{ credential: electric-secret }",
            "from-credential",
            SecretOrigin::Credential("electric-secret".into()),
        ),
    ] {
        let loaded = accepted_in(&electric(written), &given);
        let secret = loaded.config.tenants[0].electric.secret.clone().unwrap();
        assert_eq!((secret.text.as_str(), &secret.origin), (text, &origin));
        assert!(
            !format!("{:?}", loaded.config).contains(text),
            "a debug form shows the secret"
        );
        assert!(!loaded.print().contains(text));
        assert_eq!(loaded.warnings.render(), "");
    }
}

#[test]
fn a_secret_that_is_not_there_is_refused() {
    assert!(
        refused(&electric("{ file: gone.txt }"))
            .contains("the file /etc/gone.txt cannot be read: there is no such file")
    );
    assert!(refused(&electric("{ env: GONE }")).contains("the environment variable GONE is not set"));
    assert!(refused(&electric("{ credential: x }")).contains("CREDENTIALS_DIRECTORY is not set"));
    assert!(refused(&electric("{ credential: ../x }")).contains("is no name of a credential"));
    assert!(refused(&electric("{ env: $GONE }")).contains("is no name of an environment variable"));
    assert!(refused(&electric("{}")).contains("must name one source"));
    assert!(refused(&electric("{ env: ELECTRIC_SECRET, file: x }")).contains("must name one source"));
}

#[test]
fn a_secret_that_looks_wrong_is_refused_without_being_shown() {
    for (text, fault) in [
        ("", "is blank"),
        ("  ", "is blank"),
        ("ab\ncd", "control characters"),
        (" pad", "begins or ends with a space"),
    ] {
        let rendered = refused_in(
            &electric("{ env: ELECTRIC_SECRET }"),
            &Given::new().variable("ELECTRIC_SECRET", text),
        );
        assert!(rendered.contains(fault), "{text:?}: {rendered}");
        assert!(
            !rendered.contains("ab") || !rendered.contains("cd\n"),
            "{rendered}"
        );
    }
}

#[test]
fn a_world_readable_secret_is_warned_of() {
    let given = Given::new().world_readable_file("/etc/secret.txt", "s3cret");
    let warnings = accepted_in(&electric("{ file: secret.txt }"), &given)
        .warnings
        .render();
    assert!(
        warnings.starts_with("warning: every account of this machine can read /etc/secret.txt\n"),
        "{warnings}"
    );
    assert!(
        warnings.contains("--> /etc/shapegate.yaml:1:") && warnings.contains("chmod o-r"),
        "{warnings}"
    );
}

#[test]
fn a_secret_in_the_file_needs_its_insecure_name_and_is_redacted() {
    assert!(refused(&electric("hunter2")).contains("where it does not stay secret"));
    assert!(refused(&electric("{ env: GONE, default: hunter2 }")).contains("`secret` cannot have a default"));
    let loaded = accepted(&electric("{ insecure_value: hunter2 }"));
    assert!(loaded.warnings.render().starts_with("warning: insecure_value: "));
    assert!(
        !loaded.print().contains("hunter2") && loaded.print().contains(REDACTED),
        "{}",
        loaded.print()
    );
}

#[test]
fn any_scalar_may_come_from_the_environment() {
    let text = format!(
        "electric: {{ url: {{ env: URL }}, secret: {{ env: ELECTRIC_SECRET }} }}\n{IDENTITY}{SHAPES}limits: {{ body_bytes_max: {{ env: MAX, default: 64KiB }} }}\n"
    );
    let loaded = accepted_in(
        &text,
        &Given::new()
            .variable("URL", "http://electric:3000")
            .variable("MAX", " "),
    );
    assert_eq!(
        loaded.config.tenants[0].electric.url.to_string(),
        "http://electric:3000"
    );
    assert_eq!(loaded.config.server.limits.body_bytes_max, 65_536);
    let missing = refused(&text);
    assert!(
        missing.contains("the environment variable URL is not set, or blank"),
        "{missing}"
    );
    assert!(missing.contains("{ env: URL, default: … }"), "{missing}");
    let wrong = refused_in(
        &text,
        &Given::new()
            .variable("URL", "http://u:pa55w0rd@e")
            .variable("MAX", "lots"),
    );
    assert!(!wrong.contains("pa55w0rd"), "{wrong}");
    assert!(
        wrong.contains("not the value of the environment variable MAX"),
        "{wrong}"
    );
}

#[test]
fn shell_spelling_is_pointed_at_the_right_one() {
    let text =
        format!("electric: {{ url: '${{URL:-x}}', secret: {{ env: ELECTRIC_SECRET }} }}\n{IDENTITY}{SHAPES}");
    let rendered = refused(&text);
    assert!(
        rendered.contains("`${…}` is not replaced in this file") && rendered.contains("{ env: URL }"),
        "{rendered}"
    );
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let text = and(
        "server: { listen: { env: LISTEN, default: '127.0.0.1:8080' } }\ncors: { origins: ['https://*.acme.app'], credentials: true }\n",
    );
    let printed = accepted(&text).print();
    for line in [
        "  body_bytes_max: 256KiB",
        "    path: /api/shapes/users",
        "      subset: off",
        "    env: ELECTRIC_SECRET",
    ] {
        assert!(printed.contains(&format!("{line}\n")), "{line}\n{printed}");
    }
    let again = accepted(&printed);
    assert_eq!(again.print(), printed);
}

#[test]
fn a_credential_needs_systemds_folder() {
    assert_eq!(Given::new().credential("x"), None);
    assert_eq!(
        Given::new().variable("CREDENTIALS_DIRECTORY", "").credential("x"),
        None
    );
}
