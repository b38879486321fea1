use std::time::Duration;

/// Of each target, unless `make fuzz` says otherwise.
pub const TIME: Duration = Duration::from_secs(2);

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
