//! Charsets of documents.

use std::borrow::Cow;

use encoding_rs::{Encoding, SHIFT_JIS, UTF_8, WINDOWS_1252};

/// The bytes that windows-1252 gives no character. The WHATWG encoding reads them as control
/// characters; in a report they mean that the charset is another one.
const UNASSIGNED: [u8; 5] = [0x81, 0x8d, 0x8f, 0x90, 0x9d];

/// The charset of a document, by the names of the WHATWG Encoding Standard.
///
/// `ISO-8859-1` names windows-1252 there, of which it is a part. CP932 is `Shift_JIS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charset(&'static Encoding);

impl Charset {
    /// UTF-8.
    pub const UTF_8: Self = Self(UTF_8);
    /// windows-1252, which contains ISO-8859-1: most flat-file reports of Europe and North America.
    pub const WINDOWS_1252: Self = Self(WINDOWS_1252);
    /// CP932, which contains `Shift_JIS`: reports of Japan.
    pub const CP932: Self = Self(SHIFT_JIS);

    /// The charset with this label, in any case: `utf-8`, `iso-8859-1`, `Cp1252`, `shift_jis`,
    /// `cp932`. `None` if it is not known, or if tabs and line ends are not single bytes in it
    /// (UTF-16, ISO-2022-JP).
    #[must_use]
    pub fn named(label: &str) -> Option<Self> {
        let label = label.trim();
        // Names of Java's that the standard does not list.
        let label = match label.to_ascii_lowercase().as_str() {
            "cp932" | "ms932" | "windows-932" => "shift_jis",
            "utf8" => "utf-8",
            _ => label,
        };
        let encoding = Encoding::for_label(label.as_bytes())?;
        encoding.is_ascii_compatible().then_some(Self(encoding))
    }

    /// The label in a content type: `text/plain; charset="Cp1252"`.
    pub(super) fn label(content_type: &str) -> Option<&str> {
        content_type
            .split(';')
            .skip(1)
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))
            .map(|(_, label)| label.trim().trim_matches('"'))
            .filter(|label| !label.is_empty())
    }

    /// The text of whole lines; `None` if it is none in this charset.
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
        // 〜 and ① are in CP932 only.
        assert_eq!(decode(Charset::CP932, b"\x87\x40"), Some("①".to_owned()));
        assert_eq!(decode(Charset::UTF_8, b"\xfcber"), None);
        assert_eq!(decode(Charset::CP932, "\u{fd}x".as_bytes()), None);
        assert_eq!(decode(Charset::WINDOWS_1252, "Á".as_bytes()), None);
    }
}
