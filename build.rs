//! Wraps one function of the bundled Paho C library; see `src/mqtt/double_free.rs` for the reason.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // `--wrap` is an option of the linkers of ELF systems; elsewhere the wrapper is not compiled either.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-link-arg=-Wl,--wrap=MQTTProtocol_startPublish");
    }
}
