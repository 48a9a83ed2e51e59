//! Signed queries of callbacks and of the App URL. The signature proves that the query comes from
//! Shopify.

use connector_core::App;
use connector_core::clock::Timestamp;
use connector_shopify::{Shopify, ShopifyConfig};
use ring::hmac;
use url::form_urlencoded;

type Pairs = &'static [(&'static str, &'static str)];

const SHOP: (&str, &str) = ("shop", "some-shop.myshopify.com");
const TIME: (&str, &str) = ("timestamp", "1337178173");
/// The end of a signed text with [`SHOP`] and [`TIME`].
const END: &str = "&shop=some-shop.myshopify.com&timestamp=1337178173";

/// A published signature: the secret, the signed text, the parameters and the signature.
type Vector = (&'static str, &'static str, Pairs, &'static str);

/// Test vectors that Shopify publishes in the tests of its libraries, or that were generated with
/// its Node library.
const VECTORS: [Vector; 9] = [
    (
        "hush",
        "code=0907a61c0c8d55e99db179b68161bc00&shop=some-shop.myshopify.com\
         &state=0.6784241404160823&timestamp=1337178173",
        &[
            ("code", "0907a61c0c8d55e99db179b68161bc00"),
            SHOP,
            ("state", "0.6784241404160823"),
            TIME,
        ],
        "700e2dadb827fcc8609e9d5ce208b2e9cdaab9df07390d2cbca10d7c328fc4bf",
    ),
    (
        "hush",
        "code=0907a61c0c8d55e99db179b68161bc00&shop=some-shop.myshopify.com&timestamp=1337178173",
        &[("code", "0907a61c0c8d55e99db179b68161bc00"), SHOP, TIME],
        "4712bf92ffc2917d15a2f5a273e39f0116667419aa4b6ac0b3baaf26fa3c4d20",
    ),
    (
        "hush",
        "code=a94a110d86d2452eb3e2af4cfb8a3828&shop=some-shop.myshopify.com&timestamp=1337178173",
        &[TIME, SHOP, ("code", "a94a110d86d2452eb3e2af4cfb8a3828")],
        "2cb1a277650a659f1b11e92a4a64275b128e037f2c3390e3c8fd2d8721dac9e2",
    ),
    (
        "hush",
        r#"ids=["2", "1"]&shop=some-shop.myshopify.com"#,
        &[("ids[]", "2"), ("ids[]", "1"), SHOP],
        "b93b9f82996f6f8bf9f1b7bbddec284c8fabacdc4e12dc80550b4705f3003b1e",
    ),
    (
        "secret",
        "shop=sqd-dev.myshopify.com&timestamp=1639749203",
        &[
            ("shop", "sqd-dev.myshopify.com"),
            ("timestamp", "1639749203"),
        ],
        "c0ffe062d215a3fa772aa0985dbae97db17a4c1996dc3f94ee1ae2bb097614e8",
    ),
    (
        "secret",
        "a=1%26b=2&c%3D3%26d=4",
        &[("a", "1&b=2"), ("c=3&d", "4")],
        "8de3c7e965d22fa21e059868e4004f5b6fbdcef293d1622ff9408edd6325bc6b",
    ),
    (
        "hush",
        "a=x*y%20z%7E&b=1",
        &[("a", "x*y z~"), ("b", "1")],
        "f637624ced4e8fa69557f5ce0fa83977a114c6c4d1c47bb87e38caca05a82833",
    ),
    (
        "my super secret key",
        "custom=hello%20world&shop=myshop.myshopify.com&timestamp=1700000000",
        &[
            ("custom", "hello world"),
            ("shop", "myshop.myshopify.com"),
            ("timestamp", "1700000000"),
        ],
        "0a3f0b1091a26eab3ab75d96d4cdbba10a3f06e015b95cc989656ddf6c1ce1d9",
    ),
    (
        "API_SECRET_KEY",
        "code=somecode&host=host&shop=some-shop.myshopify.com&state=1234&timestamp=123456",
        &[
            ("code", "somecode"),
            ("host", "host"),
            SHOP,
            ("state", "1234"),
            ("timestamp", "123456"),
        ],
        "d7591e2c6e30a97f3eacf1f824ef316842a1b0f3dde947b5043d5331e42086fd",
    ),
];

fn sign(secret: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, text.as_bytes());
    let hex = |hex: String, byte: &u8| format!("{hex}{byte:02x}");
    tag.as_ref().iter().fold(String::new(), hex)
}

/// Returns true if the query is accepted with this signature, at the time in its timestamp.
fn accepts(secret: &str, pairs: &[(&str, &str)], signature: &str) -> bool {
    let value = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|it| it.1);
    let at = value("timestamp").and_then(|at| at.parse().ok());
    let now = Timestamp::from_unix_seconds(at.unwrap_or(1_337_178_173));
    let mut query = form_urlencoded::Serializer::new(String::new());
    let query = query
        .extend_pairs(pairs)
        .append_pair("hmac", signature)
        .finish();
    let shopify = Shopify::new(ShopifyConfig::builder().build().unwrap());
    let app = App::new("client").with_client_secret(secret);
    let shop = shopify.verify_app_url(&app, now, &query).ok();
    assert!(
        shop.as_ref()
            .is_none_or(|it| Some(it.as_str()) == value("shop"))
    );
    shop.is_some()
}

/// Returns true if the query is accepted with a signature of `text`.
fn accepts_signed(text: &str, pairs: &[(&str, &str)]) -> bool {
    accepts("hush", pairs, &sign("hush", text))
}

#[test]
fn published_signatures_are_accepted_and_others_are_not() {
    for (secret, text, pairs, signature) in VECTORS {
        assert_eq!(sign(secret, text), signature, "{pairs:?}");
        let has = |name: &str| pairs.iter().any(|(key, _)| *key == name);
        assert_eq!(
            accepts(secret, pairs, signature),
            has("timestamp"),
            "{pairs:?}"
        );
        assert!(!accepts("another", pairs, signature), "{pairs:?}");
        // The same parameters with a shop and a timestamp, signed in the published form.
        let (mut text, mut pairs) = (text.to_owned(), pairs.to_vec());
        for (name, value) in [SHOP, TIME] {
            if pairs.iter().all(|(key, _)| *key != name) {
                text.extend(["&", name, "=", value]);
                pairs.push((name, value));
            }
        }
        assert!(accepts_signed(&text, &pairs), "{pairs:?}");
        pairs[0].1 = "another";
        assert!(!accepts_signed(&text, &pairs), "{pairs:?}");
    }
    println!("published callback signatures: {}", VECTORS.len());
}

#[test]
fn parameters_that_differ_are_never_signed_alike() {
    let differing: [(&[&str], Pairs, Pairs); 4] = [
        (
            &["a=1%26b=2", "a=1%26b%3D2"],
            &[("a", "1&b=2")],
            &[("a", "1"), ("b", "2")],
        ),
        (
            &["a=1%2526b=2", "a=1%2526b%3D2"],
            &[("a", "1%26b=2")],
            &[("a", "1&b=2")],
        ),
        (&["a%3Db=c"], &[("a=b", "c")], &[("a", "b=c")]),
        (
            &["a=1&b=2"],
            &[("a", "1"), ("b", "2")],
            &[("a", "1"), ("b", "3")],
        ),
    ];
    let mut checked = 0;
    for (texts, signed, other) in differing {
        for text in texts {
            let text = format!("{text}{END}");
            let ended = |pairs: Pairs| [pairs, &[SHOP, TIME]].concat();
            assert!(accepts_signed(&text, &ended(signed)), "{text}");
            assert!(!accepts_signed(&text, &ended(other)), "{text}");
            checked += 1;
        }
    }
    println!("signed texts that fit one query only: {checked}");
}

#[test]
fn nested_parameters_are_accepted_as_each_library_signs_them() {
    let one: Pairs = &[("filter[status]", "live"), SHOP, TIME];
    let deep: Pairs = &[
        ("f[a][b]", "1"),
        ("f[a][c][]", "2"),
        ("f[a][c][]", "3"),
        ("f[d]", "x&y"),
        SHOP,
        TIME,
    ];
    let accepted = [
        ("filter[status]=live", one),
        ("filter%5Bstatus%5D=live", one),
        (r#"filter={"status"=>"live"}"#, one),
        (r#"filter={"status" => "live"}"#, one),
        (
            r#"f={"a"=>{"b"=>"1", "c"=>["2", "3"]}, "d"=>"x%26y"}"#,
            deep,
        ),
    ];
    let refused: [(&str, Pairs); 5] = [
        (
            r#"filter={"status"=>"live"}"#,
            &[("filter[status]", "dead"), SHOP, TIME],
        ),
        (
            r#"filter={"a"=>"1", "b"=>"2"}"#,
            &[("filter[a]", "1\", \"b\"=>\"2"), SHOP, TIME],
        ),
        (
            r#"filter={"a"=>"1", "b"=>"2"}"#,
            &[("filter[a\"=>\"1\", \"b]", "2"), SHOP, TIME],
        ),
        (r#"shop={"x"=>"y"}"#, &[("shop[x]", "y"), SHOP, TIME]),
        (r#"state={"x"=>"y"}"#, &[("state[x]", "y"), SHOP, TIME]),
    ];
    for (signed, pairs) in accepted {
        assert!(accepts_signed(&format!("{signed}{END}"), pairs), "{signed}");
    }
    for (signed, pairs) in refused {
        assert!(
            !accepts_signed(&format!("{signed}{END}"), pairs),
            "{signed}"
        );
    }
    println!(
        "nested parameters: {} forms accepted, {} changed ones refused",
        accepted.len(),
        refused.len()
    );
}

/// Queries that are refused although their signature fits.
const AMBIGUOUS_OR_UNDATED: [(&str, Pairs); 8] = [
    // A quotation mark shifts the border between two values of an array.
    (
        r#"ids=["2", "1"]&shop=some-shop.myshopify.com&timestamp=1337178173"#,
        &[("ids[]", "2\", \"1"), SHOP, TIME],
    ),
    // A backslash could hide a quotation mark.
    (
        r#"ids=["2\"]&shop=some-shop.myshopify.com&timestamp=1337178173"#,
        &[("ids[]", "2\\"), SHOP, TIME],
    ),
    // A security-relevant parameter occurs twice, or also as an array.
    (
        r#"shop=["other"]&shop=some-shop.myshopify.com&timestamp=1337178173"#,
        &[("shop[]", "other"), SHOP, TIME],
    ),
    (
        "shop=other&shop=some-shop.myshopify.com&timestamp=1337178173",
        &[("shop", "other"), SHOP, TIME],
    ),
    // A timestamp that is missing or does not consist of digits only.
    (
        "shop=some-shop.myshopify.com&timestamp=+1337178173",
        &[SHOP, ("timestamp", "+1337178173")],
    ),
    (
        "shop=some-shop.myshopify.com&timestamp=now",
        &[SHOP, ("timestamp", "now")],
    ),
    (
        "shop=some-shop.myshopify.com&timestamp=",
        &[SHOP, ("timestamp", "")],
    ),
    ("shop=some-shop.myshopify.com", &[SHOP]),
];

#[test]
fn a_fitting_signature_does_not_excuse_an_ambiguous_or_undated_query() {
    let text = format!(r#"ids=["2", "1"]{END}"#);
    assert!(accepts_signed(
        &text,
        &[("ids[]", "2"), ("ids[]", "1"), SHOP, TIME]
    ));
    assert!(accepts_signed(&END[1..], &[SHOP, TIME]));
    for (text, pairs) in AMBIGUOUS_OR_UNDATED {
        assert!(!accepts_signed(text, pairs), "{pairs:?}");
    }
    println!(
        "ambiguous or undated queries refused: {}",
        AMBIGUOUS_OR_UNDATED.len()
    );
}
