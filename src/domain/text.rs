/// The rule as a regular expression (ECMA 262), for the documents; noncharacters beyond the first plane are not in it, because
/// not every engine can write them.
pub(super) const PATTERN: &str = r"^[^\u0000-\u001F\u007F-\u009F\uFDD0-\uFDEF\uFFFE\uFFFF]*$";

/// Whether every format and protocol that a text may pass through can carry it: no control characters (XML and MQTT
/// refuse them) and no Unicode noncharacters (RFC 7493 §2.1 refuses them).
pub(super) fn is_portable(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || is_noncharacter(c))
}

fn is_noncharacter(c: char) -> bool {
    let code_point = u32::from(c);
    (0xFDD0..=0xFDEF).contains(&code_point) || code_point & 0xFFFE == 0xFFFE
}
