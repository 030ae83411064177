use crate::support::{Given, IDENTITY, SHAPES, accepted_in, and, refused_in};
use shapegate::config::Tls;

const TLS: &str = "server: { tls: { certificates: [{ certificate: tls/cert.pem, key: tls/key.pem }] } }\n";

/// A certificate and its key, in PEM.
fn pair(name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

#[test]
fn a_certificate_with_its_key_is_taken_and_a_key_that_all_may_read_is_refused() {
    let (certificate, key) = pair("sync.example.com");
    let given = Given::new().file("/etc/tls/cert.pem", &certificate);
    let told = refused_in(&and(TLS), &given.world_readable_file("/etc/tls/key.pem", &key));
    assert!(
        told.contains("every account of this machine can read the private key /etc/tls/key.pem"),
        "{told}"
    );
    let given = Given::new()
        .file("/etc/tls/cert.pem", &certificate)
        .file("/etc/tls/key.pem", &key);
    let loaded = accepted_in(&and(TLS), &given);
    let Some(Tls::Certificates(list)) = &loaded.config.server.tls else {
        panic!("no certificates")
    };
    assert_eq!((list.len(), list[0].chain.len()), (1, 1));
    assert!(!format!("{:?}{}", loaded.config, loaded.print()).contains("PRIVATE"));
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let ((certificate, _), (_, key)) = (pair("sync.example.com"), pair("sync.example.com"));
    let given = Given::new()
        .file("/etc/tls/cert.pem", &certificate)
        .file("/etc/tls/key.pem", &key);
    let rendered = refused_in(&and(TLS), &given);
    assert!(
        rendered.contains("the key /etc/tls/key.pem cannot serve /etc/tls/cert.pem"),
        "{rendered}"
    );
    assert!(rendered.contains("--> /etc/shapegate.yaml:4:67"), "{rendered}");
}

#[test]
fn files_without_certificates_or_keys_are_refused() {
    let (certificate, key) = pair("a");
    let swapped = Given::new()
        .file("/etc/tls/cert.pem", &key)
        .file("/etc/tls/key.pem", &certificate);
    assert!(refused_in(&and(TLS), &swapped).contains("there is no certificate in /etc/tls/cert.pem"));
    let keyless = Given::new()
        .file("/etc/tls/cert.pem", &certificate)
        .file("/etc/tls/key.pem", "");
    assert!(refused_in(&and(TLS), &keyless).contains("there is no private key in /etc/tls/key.pem"));
    assert!(
        refused_in(&and(TLS), &Given::new())
            .matches("there is no such file")
            .count()
            == 2
    );
}

#[test]
fn an_authority_of_the_operators_own_is_for_https_alone() {
    let electric = |url: &str| {
        format!(
            "electric: {{ url: '{url}', secret: {{ env: ELECTRIC_SECRET }}, ca: ca.pem }}\n{IDENTITY}{SHAPES}"
        )
    };
    let given = Given::new().file("/etc/ca.pem", &pair("ca").0);
    let loaded = accepted_in(&electric("https://electric.internal:3000"), &given);
    assert_eq!(
        loaded.config.tenants[0]
            .electric
            .ca
            .as_ref()
            .unwrap()
            .certificates
            .len(),
        1
    );
    assert!(shapegate::tenant::compile(&loaded.config).is_ok());
    assert!(refused_in(&electric("http://electric"), &given).contains("`ca` has no meaning for an http URL"));
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let rendered = refused_in(
        &electric("https://electric"),
        &Given::new().file("/etc/ca.pem", garbage),
    );
    assert!(
        rendered.contains("a certificate of /etc/ca.pem cannot be trusted"),
        "{rendered}"
    );
}
