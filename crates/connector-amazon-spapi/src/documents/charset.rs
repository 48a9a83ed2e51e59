//! Charsets of documents.

use std::borrow::Cow;

use encoding_rs::{Encoding, SHIFT_JIS, UTF_8, WINDOWS_1252};

/// Bytes without a character in windows-1252. The WHATWG encoding decodes them as control
/// characters. In a report, they indicate a different charset.
const UNASSIGNED: [u8; 5] = [0x81, 0x8d, 0x8f, 0x90, 0x9d];

/// The charset of a document, with the names of the WHATWG Encoding Standard.
///
/// In that standard, `ISO-8859-1` is a name for its superset windows-1252, and CP932 is named
/// `Shift_JIS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charset(&'static Encoding);

impl Charset {
    /// UTF-8.
    pub const UTF_8: Self = Self(UTF_8);
    /// windows-1252, a superset of ISO-8859-1: most flat-file reports of Europe and North America.
    pub const WINDOWS_1252: Self = Self(WINDOWS_1252);
    /// CP932, a superset of `Shift_JIS`: reports of Japan.
    pub const CP932: Self = Self(SHIFT_JIS);

    /// Returns the charset with this label, ignoring case: `utf-8`, `iso-8859-1`, `Cp1252`,
    /// `shift_jis`, `cp932`. Returns `None` for unknown labels, and for charsets in which tabs and
    /// line ends are not single bytes (UTF-16, ISO-2022-JP).
    #[must_use]
    pub fn named(label: &str) -> Option<Self> {
        let label = label.trim();
        // Java's names, which the standard does not list.
        let label = match label.to_ascii_lowercase().as_str() {
            "cp932" | "ms932" | "windows-932" => "shift_jis",
            "utf8" => "utf-8",
            _ => label,
        };
        let encoding = Encoding::for_label(label.as_bytes())?;
        encoding.is_ascii_compatible().then_some(Self(encoding))
    }

    /// Returns the label in a content type: `text/plain; charset="Cp1252"`.
    pub(super) fn label(content_type: &str) -> Option<&str> {
        content_type
            .split(';')
            .skip(1)
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
            .map(|(_, label)| label.trim().trim_matches('"'))
            .filter(|label| !label.is_empty())
    }

    /// Decodes whole lines; `None` if the bytes are not valid in this charset.
    pub(super) fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        if self.0 == UTF_8 {
            return std::str::from_utf8(bytes).ok().map(Cow::Borrowed);
        }
        if self.0 == WINDOWS_1252
            && !bytes.is_ascii()
            && bytes.iter().any(|byte| UNASSIGNED.contains(byte))
        {
            return None;
        }
        self.0
            .decode_without_bom_handling_and_without_replacement(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_from_content_types() {
        for (content_type, expected) in [
            ("text/plain; charset=Cp1252", Some("Cp1252")),
            ("text/plain;charset=\"UTF-8\" ; x=y", Some("UTF-8")),
            ("text/plain", None),
            ("text/plain; charset=", None),
        ] {
            assert_eq!(Charset::label(content_type), expected, "{content_type}");
        }
        for (label, expected) in [
            ("Cp1252", Some(Charset::WINDOWS_1252)),
            ("ISO-8859-1", Some(Charset::WINDOWS_1252)),
            ("latin1", Some(Charset::WINDOWS_1252)),
            ("CP932", Some(Charset::CP932)),
            ("Shift_JIS", Some(Charset::CP932)),
            ("windows-31j", Some(Charset::CP932)),
            ("UTF8", Some(Charset::UTF_8)),
            ("utf-16le", None),
            ("ISO-2022-JP", None),
            ("klingon", None),
        ] {
            assert_eq!(Charset::named(label), expected, "{label}");
        }
    }

    #[test]
    fn text_of_another_charset_is_refused() {
        let decode = |charset: Charset, bytes: &[u8]| charset.decode(bytes).map(Cow::into_owned);
        assert_eq!(
            decode(Charset::WINDOWS_1252, b"\xfcber"),
            Some("über".to_owned())
        );
        assert_eq!(
            decode(Charset::WINDOWS_1252, b"\x80 5"),
            Some("€ 5".to_owned())
        );
        assert_eq!(
            decode(Charset::CP932, b"\x83\x65\x83\x58\x83\x67"),
            Some("テスト".to_owned())
        );
        // 〜 and ① exist only in CP932.
        assert_eq!(decode(Charset::CP932, b"\x87\x40"), Some("①".to_owned()));
        assert_eq!(decode(Charset::UTF_8, b"\xfcber"), None);
        assert_eq!(decode(Charset::CP932, b"\xfdx"), None);
        assert_eq!(decode(Charset::WINDOWS_1252, "Á".as_bytes()), None);
    }
}
