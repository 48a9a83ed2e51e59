//! Request targets from URL templates and from next-page URLs.

use percent_encoding::utf8_percent_encode;
use url::Url;

use crate::api::request::RESERVED;
use crate::error::{Error, ErrorKind, Result};
use crate::http::Origin;

const TEMPLATE: &str = "api.request.template";
const NEXT: &str = "api.request.next";

fn invalid(operation: &'static str, message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, operation, message)
}

/// Expands `template` with its arguments to a path and a query.
pub(super) fn expand(template: &str, arguments: &[(&str, &str)]) -> Result<String> {
    let malformed = || {
        invalid(
            TEMPLATE,
            "the template is not a path of URL characters with {names}; correct it",
        )
    };
    if !template.starts_with('/') {
        return Err(malformed());
    }
    let mut target = String::with_capacity(template.len() + 32);
    let mut used = 0_usize;
    let mut rest = template;
    while let Some(start) = rest.find(['{', '}']) {
        let (literal, from) = rest.split_at(start);
        push_literal(&mut target, literal).ok_or_else(malformed)?;
        let (name, after) = from
            .strip_prefix('{')
            .and_then(|from| from.split_once('}'))
            .ok_or_else(malformed)?;
        let (_, value) = arguments
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| invalid(TEMPLATE, "a name in the template has no argument"))?;
        used += 1;
        if value.is_empty() && !target.contains('?') {
            return Err(invalid(
                TEMPLATE,
                "an argument in the path is empty; pass the intended id",
            ));
        }
        target.extend(utf8_percent_encode(value, RESERVED));
        rest = after;
    }
    push_literal(&mut target, rest).ok_or_else(malformed)?;
    let names = arguments
        .iter()
        .filter(|(name, _)| template.contains(&format!("{{{name}}}")));
    if used < arguments.len() || names.count() != arguments.len() {
        return Err(invalid(
            TEMPLATE,
            "an argument does not occur in the template; correct its name",
        ));
    }
    let path = target.split('?').next().unwrap_or_default();
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(invalid(
            TEMPLATE,
            "a path segment is `.` or `..`; pass the intended id",
        ));
    }
    Ok(target)
}

/// Appends characters that are allowed unescaped in a path or a query (RFC 3986 sections 3.3 and
/// 3.4).
fn push_literal(target: &mut String, literal: &str) -> Option<()> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&b);
    literal
        .bytes()
        .all(is_allowed)
        .then(|| target.push_str(literal))
}

/// Splits a URL from the provider into its origin and its target. The target is unchanged if it
/// contains only URL characters.
pub(super) fn split(text: &str) -> Result<(Origin, String)> {
    let refused = || {
        Error::new(
            ErrorKind::UnexpectedResponse,
            NEXT,
            "the provider's next-page address is not an https URL with a host name; report it",
        )
    };
    let url = Url::parse(text).map_err(|_| refused())?;
    // `Origin::of` accepts only https, a host name and no userinfo.
    let origin = Origin::of(&url).map_err(|_| refused())?;
    let text = text.trim();
    let verbatim = text
        .split_once("://")
        .map(|(_, rest)| &rest[rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len())..])
        .map(|target| target.split('#').next().unwrap_or_default());
    let has_url_characters = |target: &str| {
        target
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b))
    };
    let target = match verbatim {
        Some(target) if target.starts_with('/') && has_url_characters(target) => target.to_owned(),
        _ => match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        },
    };
    Ok((origin, target))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn templates_are_expanded_and_arguments_stay_in_their_segment() {
        for (template, arguments, expected) in [
            ("/v2/user/info/", &[][..], "/v2/user/info/"),
            ("/files/{id}", &[("id", "a/b?c#d")], "/files/a%2Fb%3Fc%23d"),
            (
                "/{a}/{b}.json",
                &[("a", "x y"), ("b", "ü")],
                "/x%20y/%C3%BC.json",
            ),
            ("/{a}/{a}", &[("a", "1")], "/1/1"),
            ("/s?q={q}&f=*", &[("q", "a&b=c")], "/s?q=a%26b%3Dc&f=*"),
            ("/s?q={q}", &[("q", "")], "/s?q="),
            ("/me:{verb}", &[("verb", "run")], "/me:run"),
        ] {
            assert_eq!(expand(template, arguments).unwrap(), expected, "{template}");
        }
        for (template, arguments) in [
            ("", &[][..]),
            ("files", &[]),
            ("/a b", &[]),
            ("/a#b", &[]),
            ("/a\\b", &[]),
            ("/é", &[]),
            ("/{a", &[("a", "1")]),
            ("/a}", &[]),
            ("/{a}", &[]),
            ("/{a}", &[("b", "1")]),
            ("/{a}", &[("a", "1"), ("b", "1")]),
            ("/{a}/{a}", &[("a", "1"), ("b", "1")]),
            ("/{a}", &[("a", "")]),
            ("/{a}/x", &[("a", "..")]),
            ("/{a}{b}/x", &[("a", "."), ("b", ".")]),
            ("/../x", &[]),
        ] {
            let error = expand(template, arguments).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{template}");
        }
    }

    #[test]
    fn a_next_page_url_is_sent_unchanged_and_only_to_its_origin() {
        for (text, origin, target) in [
            (
                "https://a.example/x?c=%2f%2F&d=a+b",
                "https://a.example",
                "/x?c=%2f%2F&d=a+b",
            ),
            (
                "https://A.example:443/x/../y",
                "https://a.example",
                "/x/../y",
            ),
            ("https://a.example?c=1", "https://a.example", "/?c=1"),
            ("https://a.example", "https://a.example", "/"),
            ("https://a.example/x?c=1#f", "https://a.example", "/x?c=1"),
            ("https://a.example/a b", "https://a.example", "/a%20b"),
            (
                "https://a.example\\@evil.example/",
                "https://a.example",
                "/@evil.example/",
            ),
            ("https:/a.example/x", "https://a.example", "/x"),
        ] {
            let (found, path) = split(text).unwrap();
            assert_eq!((&*found.to_string(), &*path), (origin, target), "{text}");
        }
        for bad in [
            "",
            "/x",
            "http://a.example/",
            "https://u:p@a.example/",
            "https://10.0.0.1/",
        ] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_argument_is_decoded_unchanged(value in "\\PC{1,12}", other in "\\PC{0,12}") {
            prop_assume!(!matches!(&*value, "." | ".."));
            let target = expand("/v1/{id}/files?name={name}", &[("id", &value), ("name", &other)]);
            let url = Url::parse(&format!("https://a.example{}", target.unwrap())).unwrap();
            let segments: Vec<&str> = url.path_segments().unwrap().collect();
            prop_assert_eq!(segments.len(), 3);
            let read = percent_encoding::percent_decode_str(segments[1]).decode_utf8().unwrap();
            prop_assert_eq!(&*read, &*value);
            let (_, name) = url.query_pairs().next().unwrap();
            // Plus signs are encoded, so form decoding also returns the original argument.
            prop_assert_eq!(&*name, &*other);
        }

        #[test]
        fn no_template_panics(template in "[/{}a-c?%.\\PC]{0,20}", value in "\\PC{0,6}") {
            if let Ok(target) = expand(&template, &[("a", &value)]) {
                prop_assert!(target.starts_with('/') && target.is_ascii());
            }
        }

        /// For any URL from a provider, the request is sent to the origin that the check accepted.
        #[test]
        fn a_next_page_url_never_reaches_another_origin(
            text in "https:[/\\\\]{1,3}[a-z@:.\\\\]{0,9}a\\.example[/\\\\?#@:.%a-z \\PC]{0,16}"
        ) {
            if let Ok((origin, target)) = split(&text) {
                prop_assert!(target.starts_with('/'));
                if let Ok(uri) = format!("{origin}{target}").parse::<http::Uri>() {
                    prop_assert_eq!(uri.host(), Some(origin.host()));
                    let whole = Url::parse(&text).unwrap();
                    prop_assert_eq!(uri.host(), whole.host_str());
                }
            }
        }
    }
}
