use std::time::Duration;

/// How long each target runs: 2 s, or `FUZZ_SECONDS`.
pub fn time() -> Duration {
    let seconds = std::env::var("FUZZ_SECONDS").map_or(2, |seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds)
}

/// Reads each byte from 128 on as a word of the target, and each one below as itself.
pub fn spell(bytes: &[u8], words: &[&str]) -> Vec<u8> {
    let word = |byte: u8| words[usize::from(byte - 128) % words.len()].as_bytes();
    bytes
        .iter()
        .flat_map(|byte| {
            if *byte < 128 {
                std::slice::from_ref(byte)
            } else {
                word(*byte)
            }
        })
        .copied()
        .collect()
}

/// What is no UTF-8 in it is replaced.
pub fn spell_text(bytes: &[u8], words: &[&str]) -> String {
    String::from_utf8_lossy(&spell(bytes, words)).into_owned()
}
