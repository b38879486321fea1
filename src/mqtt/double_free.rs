//! A cure for a double free in the bundled Paho C library, which aborts the process when a broker dies.
//!
//! When the socket write of a `QoS` 1 or 2 PUBLISH fails, `MQTTProtocol_startPublish` returns `SOCKET_ERROR` although the
//! message is in the list of outbound messages already, and both the caller and the clean-up of that list free it
//! (paho.mqtt.c issues [#1621](https://github.com/eclipse-paho/paho.mqtt.c/issues/1621), #1622, #1459, #1532). The
//! wrapper says "write not complete" instead: the message stays with the list alone, and the broken socket is found by
//! the next read. The build script puts the wrapper in place with the linker's `--wrap`.
//!
//! To be removed when those issues are fixed in the version that `paho-mqtt-sys` bundles.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many messages went through the wrapper in this process. Zero after a publish means that a binary was linked
/// without it.
#[must_use]
pub fn wrapped_publishes() -> u64 {
    WRAPPED_PUBLISHES.load(Ordering::Relaxed)
}

static WRAPPED_PUBLISHES: AtomicU64 = AtomicU64::new(0);

/// Makes a linker that reads its libraries in order keep the wrapper: called by whoever uses Paho.
pub(super) fn keep_linked() {
    #[cfg(target_os = "linux")]
    std::hint::black_box(linux::__wrap_MQTTProtocol_startPublish as *const ());
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a C function can be wrapped in no other way")]
mod linux {
    use std::ffi::{c_int, c_void};
    use std::sync::atomic::Ordering;

    /// Paho's `SOCKET_ERROR`.
    const SOCKET_ERROR: c_int = -1;
    /// Paho's `TCPSOCKET_INTERRUPTED`: the rest of the packet will be written later.
    const WRITE_NOT_COMPLETE: c_int = -22;

    unsafe extern "C" {
        /// The function itself, under the name that the linker gives it.
        fn __real_MQTTProtocol_startPublish(
            client: *mut c_void,
            publish: *mut c_void,
            qos: c_int,
            retained: c_int,
            message: *mut *mut c_void,
        ) -> c_int;
    }

    /// What every caller of `MQTTProtocol_startPublish` calls instead.
    #[unsafe(no_mangle)]
    pub(super) unsafe extern "C" fn __wrap_MQTTProtocol_startPublish(
        client: *mut c_void,
        publish: *mut c_void,
        qos: c_int,
        retained: c_int,
        message: *mut *mut c_void,
    ) -> c_int {
        super::WRAPPED_PUBLISHES.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the arguments are passed on as they came from the caller of the same signature (MQTTProtocolClient.h).
        let code = unsafe { __real_MQTTProtocol_startPublish(client, publish, qos, retained, message) };
        if code == SOCKET_ERROR && qos > 0 {
            WRITE_NOT_COMPLETE
        } else {
            code
        }
    }
}
