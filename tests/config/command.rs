//! The real program.

use std::path::Path;
use std::process::{Command, Output};

fn shapegate(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_shapegate"))
        .current_dir(folder)
        .args(arguments)
        .env_clear()
        .env("ELECTRIC_SECRET", "a-secret-to-hide")
        .env("JWT_SECRET", "0123456789abcdef0123456789abcdef")
        .output()
        .unwrap()
}

fn conf() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf")
}

#[test]
fn check_ends_with_0_for_a_right_file_and_with_1_for_a_wrong_one() {
    let right = shapegate(&conf(), &["check", "-c", "minimal.yaml"]);
    assert_eq!(right.status.code(), Some(0));
    assert_eq!(
        String::from_utf8(right.stdout).unwrap(),
        "The configuration is right: 1 shape, 0 warnings.\n\
         Limits and revocations made over the admin listener are of each process alone; `cluster` shares them.\n"
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("wrong.yaml"), "electric: {}\n").unwrap();
    let wrong = shapegate(folder.path(), &["check", "-c", "wrong.yaml"]);
    assert_eq!(wrong.status.code(), Some(1));
    let complaint = String::from_utf8(wrong.stderr).unwrap();
    assert!(
        complaint.contains("--> wrong.yaml:1:11")
            && complaint.ends_with("The configuration is refused: 3 errors.\n"),
        "{complaint}"
    );
    assert!(wrong.stdout.is_empty());
}

#[test]
fn check_warns_of_every_insecure_switch_and_still_ends_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let text = "\
server: { tls: { insecure_self_signed: localhost } }
electric: { url: http://127.0.0.1:3000, insecure_no_secret: true }
identity:
  - insecure_dev_user: { sub: me }
  - jwt: { issuer: a, insecure_any_audience: true, keys: [{ alg: HS256, secret: { insecure_value: 0123456789abcdef0123456789abcdef } }] }
shapes: { a: { table: a, columns: all, rules: [{ rows: all }] } }
";
    std::fs::write(folder.path().join("a.yaml"), text).unwrap();
    let checked = shapegate(folder.path(), &["check", "--config", "a.yaml", "--print"]);
    assert_eq!(checked.status.code(), Some(0));
    let warnings = String::from_utf8(checked.stderr).unwrap();
    for name in [
        "insecure_self_signed",
        "insecure_no_secret",
        "insecure_dev_user",
        "insecure_any_audience",
        "insecure_value",
    ] {
        assert!(
            warnings.contains(&format!("warning: {name}: ")),
            "{name}\n{warnings}"
        );
    }
    let printed = String::from_utf8(checked.stdout).unwrap();
    assert!(
        printed.contains("insecure_value: \"<redacted>\"") && !printed.contains("0123456789abcdef"),
        "{printed}"
    );
}

#[test]
fn check_prints_what_several_files_amount_to_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(conf().join("minimal.yaml"), folder.path().join("base.yaml")).unwrap();
    std::fs::write(
        folder.path().join("more.yaml"),
        "electric: { url: https://electric.acme.com }\n",
    )
    .unwrap();
    let checked = shapegate(
        folder.path(),
        &["check", "-c", "base.yaml", "-c", "more.yaml", "--print"],
    );
    let printed = String::from_utf8(checked.stdout).unwrap();
    assert!(
        printed.contains("https://electric.acme.com") && printed.contains("env: ELECTRIC_SECRET"),
        "{printed}"
    );
    assert!(
        !printed.contains("a-secret-to-hide") && !printed.contains("0123456789abcdef"),
        "{printed}"
    );
}

#[test]
fn help_and_version_help() {
    let folder = conf();
    let help = String::from_utf8(shapegate(&folder, &["--help"]).stdout).unwrap();
    for word in [
        "serve",
        "check",
        "demo",
        "Examples:",
        "shapegate check -c shapegate.yaml",
    ] {
        assert!(help.contains(word), "{word}\n{help}");
    }
    let version = String::from_utf8(shapegate(&folder, &["--version"]).stdout).unwrap();
    assert_eq!(version, format!("shapegate {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(shapegate(&folder, &["check"]).status.code(), Some(2));
}
