//! A broker with TLS: where the authority may be named, and what tells why there is no connection.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::{Mosquitto, Process, Settings, eventually};

const PASSWORD: &str = "a-secret-word";

/// `openssl` in the folder; `None` where there is no such command.
fn openssl(folder: &Path, arguments: &str) -> Option<()> {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .ok()?;
    assert!(output.status.success(), "{output:?}");
    Some(())
}

/// An authority of our own, `ca.crt`, and what it has certified for a host: `<host>.crt`.
fn certify(folder: &Path, hosts: &[&str]) -> Option<()> {
    let key = "-newkey rsa:2048 -nodes -days 2";
    openssl(
        folder,
        &format!("req -x509 {key} -subj /CN=authority -keyout ca.key -out ca.crt"),
    )?;
    for host in hosts {
        openssl(
            folder,
            &format!(
                "req -x509 {key} -CA ca.crt -CAkey ca.key -subj /CN={host} -addext subjectAltName=DNS:{host} \
                 -addext basicConstraints=critical,CA:FALSE -keyout {host}.key -out {host}.crt"
            ),
        )?;
    }
    Some(())
}

async fn start_broker(folder: &Path, host: &str) -> Mosquitto {
    let file = |end: &str| folder.join(format!("{host}.{end}"));
    let mut broker = Mosquitto::stopped_with(&format!(
        "certfile {}\nkeyfile {}",
        file("crt").display(),
        file("key").display()
    ));
    broker.run().await;
    broker
}

/// The service without what this machine's environment says of authorities.
fn start(folder: &Path, broker: &Mosquitto) -> Process {
    let words = [
        "env",
        "--unset=SSL_CERT_FILE",
        "--unset=SSL_CERT_DIR",
        "RUST_LOG=info,paho_mqtt_c=debug",
    ];
    let settings = Settings {
        folder: folder.to_owned(),
        mqtt_url: Some(format!("mqtts://user:{PASSWORD}@localhost:{}", broker.addr().port())),
    };
    Process::spawn_under(&words.map(str::to_owned), &settings)
}

async fn assert_says(service: &Process, words: &str) {
    eventually(words, || async { service.output().contains(words) }).await;
    assert!(!service.output().contains(PASSWORD), "{}", service.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_may_be_named_in_dotenv_and_the_log_of_paho_tells_why_there_is_no_connection() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    if certify(folder, &["localhost", "elsewhere"]).is_none() {
        println!("SKIPPED: TLS was not tried, because there is no command openssl");
        return;
    }
    let broker = start_broker(folder, "localhost").await;
    assert_says(&start(folder, &broker), "SSL alert write:fatal:unknown CA").await;
    fs::write(
        folder.join(".env"),
        format!("SSL_CERT_FILE={}\n", folder.join("ca.crt").display()),
    )
    .unwrap();
    assert_says(&start(folder, &broker), "connected to the broker").await;
    let other = start_broker(folder, "elsewhere").await;
    assert_says(&start(folder, &other), "X509_check_host for hostname localhost failed").await;
    let plain = Mosquitto::start().await;
    assert_says(&start(folder, &plain), "in SSL_connect for socket").await;
    assert_says(&start(folder, &Mosquitto::stopped()), "rc 111").await;
}
