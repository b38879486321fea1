/// The rule as a regular expression (ECMA 262), for the documents; noncharacters beyond the first plane are not in it, because
/// not every engine can write them.
pub(super) const PATTERN: &str = r"^[^\u0000-\u001F\u007F-\u009F\uFDD0-\uFDEF\uFFFE\uFFFF]*$";

/// Why some format or protocol that a text may pass through cannot carry it: it has control characters (XML and MQTT
/// refuse them) or Unicode noncharacters (RFC 7493 §2.1 refuses them).
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    let fault = text.chars().find_map(|c| match c {
        c if c.is_control() => Some("text must not contain control characters"),
        c if is_noncharacter(c) => Some("text must not contain noncharacters of Unicode"),
        _ => None,
    });
    fault.map_or(Ok(()), Err)
}

fn is_noncharacter(c: char) -> bool {
    let code_point = u32::from(c);
    (0xFDD0..=0xFDEF).contains(&code_point) || code_point & 0xFFFE == 0xFFFE
}
