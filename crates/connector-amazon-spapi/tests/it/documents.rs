//! Documents: gzip, charsets, rows, faults, and requests to the document host.

use std::io::Write;

use bytes::Bytes;
use connector_amazon_spapi::documents::{
    Charset, Compression, Document, DocumentContent, DocumentFault, DocumentOptions, FaultKind,
};
use connector_amazon_spapi::endpoints::GetReportDocument;
use connector_amazon_spapi::flows::{FeedFlow, ReportFlow, ReportOutcome};
use connector_amazon_spapi::models::report::{Report, ReportSpecification};
use connector_amazon_spapi::sim::{Fault, SimulatedDocument, SimulatedReport};
use connector_core::api::OnProgress;
use connector_core::provider::ProviderClient as _;
use connector_core::{Error, ErrorKind, Result, Retry};
use connector_testkit::leak::canary;
use flate2::write::GzEncoder;
use futures_util::{StreamExt, stream};
use http::Method;
use serde::Deserialize;

use crate::rig::Rig;

pub(crate) const US: &str = "ATVPDKIKX0DER";
const HOST_PATHS: &str = "/amzn1.tortuga.*";

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Listing {
    item_name: String,
    seller_sku: String,
    price: f64,
    quantity: Option<u32>,
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Splits a document into chunks of this length.
fn document(bytes: &[u8], piece: usize, content_type: &str, options: DocumentOptions) -> Document {
    let pieces: Vec<Result<Bytes>> = bytes
        .chunks(piece)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    let is_gzip = bytes.starts_with(&[0x1f, 0x8b]);
    Document::from_stream(
        stream::iter(pieces),
        is_gzip.then_some(&Compression::Gzip),
        Some(content_type.to_owned()),
        options,
    )
}

/// Returns all readable rows and all faults.
async fn read(document: Document) -> (Vec<Listing>, Vec<(u64, FaultKind)>) {
    let fault = |error: &Error| {
        let fault = DocumentFault::of(error).unwrap_or_else(|| panic!("{}", error.report()));
        (fault.row(), fault.kind())
    };
    let mut rows = match document.typed_rows::<Listing>().await {
        Ok(rows) => rows,
        Err(error) => return (Vec::new(), vec![fault(&error)]),
    };
    let (mut read, mut faults) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next().await {
        match row {
            Ok(row) => read.push(row),
            Err(error) => faults.push(fault(&error)),
        }
    }
    assert_eq!(
        usize::try_from(rows.progress().rows).unwrap(),
        read.len() + value_faults(&faults)
    );
    (read, faults)
}

/// Rows that were returned and could not be decoded.
fn value_faults(faults: &[(u64, FaultKind)]) -> usize {
    let is_value = |(_, kind): &&(u64, FaultKind)| matches!(kind, FaultKind::Value { .. });
    faults.iter().filter(is_value).count()
}

const HEADER: &str = "item-name\tseller-sku\tprice\tquantity\n";

fn plain(rows: u32) -> String {
    let rows = (1..=rows).map(|row| format!("name {row}\tSKU-{row}\t{row}.5\t{row}\r\n"));
    HEADER.to_owned() + &rows.collect::<String>()
}

#[tokio::test]
async fn charsets_and_compressions_give_the_same_rows_whatever_the_pieces() {
    let text = "\u{feff}item-name\tseller-sku\tprice\tquantity\r\n\
                Caf\u{e9} \"cup, large\tA/B\t1.50\t\r\n\
                \r\n\
                Stra\u{df}e\tC\t2\t7";
    let japanese = "item-name\tseller-sku\tprice\tquantity\n\
                    \u{30c6}\u{30b9}\u{30c8}\u{30bd}\u{2460}\tJ-1\t3\t1\n";
    let latin = |text: &str| -> Vec<u8> {
        text.trim_start_matches('\u{feff}')
            .chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap())
            .collect()
    };
    // テストソ①: the second byte of ソ is a backslash, and ① exists only in CP932.
    let mut cp932 = b"item-name\tseller-sku\tprice\tquantity\n".to_vec();
    cp932.extend(b"\x83\x65\x83\x58\x83\x67\x83\x5c\x87\x40\tJ-1\t3\t1\n");
    let mut count = 0;
    for (bytes, content_type, names) in [
        (
            text.as_bytes().to_vec(),
            "text/plain",
            ["Caf\u{e9} \"cup, large", "Stra\u{df}e"].as_slice(),
        ),
        (
            text.as_bytes().to_vec(),
            "text/tab-separated-values; charset=UTF-8",
            &["Caf\u{e9} \"cup, large", "Stra\u{df}e"],
        ),
        (
            latin(text),
            "text/plain;charset=Cp1252",
            &["Caf\u{e9} \"cup, large", "Stra\u{df}e"],
        ),
        (
            latin(text),
            "text/plain; charset=\"ISO-8859-1\"",
            &["Caf\u{e9} \"cup, large", "Stra\u{df}e"],
        ),
        (
            cp932.clone(),
            "text/plain; charset=Shift_JIS",
            &["\u{30c6}\u{30b9}\u{30c8}\u{30bd}\u{2460}"],
        ),
        (
            cp932.clone(),
            "text/plain; charset=windows-31j",
            &["\u{30c6}\u{30b9}\u{30c8}\u{30bd}\u{2460}"],
        ),
        (
            japanese.as_bytes().to_vec(),
            "text/plain",
            &["\u{30c6}\u{30b9}\u{30c8}\u{30bd}\u{2460}"],
        ),
    ] {
        for bytes in [
            bytes.clone(),
            gzip(&bytes),
            [gzip(&bytes[..20]), gzip(&bytes[20..])].concat(),
        ] {
            for piece in [1, 2, 3, 7, 64, 10_000] {
                let (rows, faults) = read(document(
                    &bytes,
                    piece,
                    content_type,
                    DocumentOptions::new(),
                ))
                .await;
                assert_eq!(faults, [], "{content_type}");
                let found: Vec<&str> = rows.iter().map(|it| it.item_name.as_str()).collect();
                assert_eq!(found, names, "{content_type}, pieces of {piece}");
                count += 1;
            }
        }
    }
    // A charset set by the caller, and a fallback charset.
    for options in [
        DocumentOptions::new().with_charset(Charset::CP932),
        DocumentOptions::new().with_fallback_charset(Charset::CP932),
    ] {
        let (rows, _) = read(document(&cp932, 100, "text/plain", options)).await;
        assert_eq!(rows.len(), 1);
        count += 1;
    }
    println!("documents decoded in every charset, compression and division: {count}");
    assert_eq!(count, 128);
}

#[tokio::test]
async fn each_fault_has_its_row_and_the_rows_before_it_are_kept() {
    let good = |row: u32| format!("n\tS{row}\t1\t1\n");
    let with = |bad: &[u8]| {
        let mut bytes = (HEADER.to_owned() + &good(1) + &good(2)).into_bytes();
        bytes.extend_from_slice(bad);
        bytes.extend(good(4).into_bytes());
        bytes
    };
    let mut count = 0;
    // Faults in one row: the next row can be read.
    for (bad, kind) in [
        (
            b"n\tS3\t1\n".as_slice(),
            FaultKind::Columns {
                expected: 4,
                found: 3,
            },
        ),
        (
            b"n\n",
            FaultKind::Columns {
                expected: 4,
                found: 1,
            },
        ),
        (
            b"n\tS3\t1\t1\t9\n",
            FaultKind::Columns {
                expected: 4,
                found: 5,
            },
        ),
        (b"Caf\xe9\tS3\t1\t1\n", FaultKind::Charset),
        (b"n\tS3\tfree\t1\n", FaultKind::Value { column: Some(2) }),
        (b"n\tS3\t1\t-1\n", FaultKind::Value { column: Some(3) }),
    ] {
        for bytes in [with(bad), gzip(&with(bad))] {
            let (rows, faults) =
                read(document(&bytes, 9, "text/plain", DocumentOptions::new())).await;
            let skus: Vec<&str> = rows.iter().map(|it| it.seller_sku.as_str()).collect();
            assert_eq!(faults, [(3, kind)]);
            assert!(kind.is_of_row());
            assert_eq!(skus, ["S1", "S2", "S4"], "{kind:?}");
            count += 1;
        }
    }
    // Bytes without a character in windows-1252, and CP932 text labeled as another charset.
    for (charset, bad) in [
        ("Cp1252", b"\xc3\x81\tS3\t1\t1\n".as_slice()),
        ("CP932", b"\xfd\tS3\t1\t1\n"),
    ] {
        let content_type = format!("text/plain; charset={charset}");
        let read = read(document(
            &with(bad),
            9,
            &content_type,
            DocumentOptions::new(),
        ))
        .await;
        assert_eq!(
            (read.0.len(), read.1),
            (3, vec![(3, FaultKind::Charset)]),
            "{charset}"
        );
        count += 1;
    }
    // Empty columns after the last one are ignored; short rows can be allowed.
    let (rows, faults) = read(document(
        &with(b"n\tS3\t1\t1\t\t\n"),
        9,
        "",
        DocumentOptions::new(),
    ))
    .await;
    assert_eq!((rows.len(), faults.len()), (4, 0));
    let options = DocumentOptions::new().with_short_rows();
    let (rows, faults) = read(document(&with(b"n\tS3\t1\n"), 9, "", options)).await;
    assert_eq!((rows[2].quantity, faults.len()), (None, 0));
    // Faults that end the document.
    let longest_row = DocumentOptions::new().with_longest_row(100);
    let too_long = DocumentOptions::new().with_longest(200);
    let long = "x".repeat(101);
    for (bytes, options, content_type, expected, kind) in [
        (
            with(long.as_bytes()),
            longest_row,
            "",
            2,
            FaultKind::LongRow,
        ),
        (plain(100).into_bytes(), too_long, "", 0, FaultKind::TooLong),
        (
            with(b"n\tS3\t1\t1\n"),
            DocumentOptions::new(),
            "a/b; charset=klingon",
            0,
            FaultKind::UnknownCharset,
        ),
        (
            with(b"n\tS3\t1\t1\n"),
            DocumentOptions::new(),
            "a/b; charset=UTF-16",
            0,
            FaultKind::UnknownCharset,
        ),
    ] {
        let (rows, faults) = read(document(&bytes, 64, content_type, options)).await;
        assert_eq!(faults.iter().map(|it| it.1).collect::<Vec<_>>(), [kind]);
        assert!(!kind.is_of_row() && rows.len() >= expected);
        let row = faults[0].0;
        let next = if kind == FaultKind::UnknownCharset {
            0
        } else {
            rows.len() as u64 + 1
        };
        assert_eq!(row, next, "{kind:?}");
        count += 1;
    }
    // A fault in the header.
    let bytes = b"item\xff-name\tseller-sku\n";
    let (rows, faults) = read(document(bytes, 9, "text/plain", DocumentOptions::new())).await;
    assert_eq!((rows.len(), faults), (0, vec![(0, FaultKind::Charset)]));
    // Error messages do not contain any part of the document.
    let secret = canary("row");
    let bytes = with(format!("{secret}\tS3\t{secret}\t1\n").as_bytes());
    let mut rows = document(&bytes, 9, "text/plain", DocumentOptions::new())
        .typed_rows::<Listing>()
        .await
        .unwrap();
    let error = loop {
        if let Err(error) = rows.next().await.unwrap() {
            break error;
        }
    };
    let shown = format!("{error} {error:?} {} {rows:?}", error.report());
    assert!(!shown.contains(&secret), "{shown}");
    println!("faults with the number of their row: {}", count + 1);
    assert_eq!(count, 18);
}

#[tokio::test]
async fn a_truncated_damaged_or_exploding_document_keeps_its_whole_rows() {
    let text = plain(2000);
    let whole = gzip(text.as_bytes());
    let (mut truncated, mut damaged) = (0, 0);
    for cut in (0..whole.len())
        .step_by(97)
        .chain(whole.len() - 9..whole.len())
    {
        let pieces = document(&whole[..cut], 1000, "text/plain", DocumentOptions::new());
        let pieces = if cut < 2 {
            let bytes = Bytes::copy_from_slice(&whole[..cut]);
            let pieces = stream::iter([Ok(bytes)]);
            Document::from_stream(
                pieces,
                Some(&Compression::Gzip),
                None,
                DocumentOptions::new(),
            )
        } else {
            pieces
        };
        let (rows, faults) = read(pieces).await;
        assert_eq!(faults.len(), 1, "cut at {cut}");
        assert_eq!(faults[0].1, FaultKind::Truncated, "cut at {cut}");
        let expected: Vec<String> = (1..=rows.len()).map(|row| format!("SKU-{row}")).collect();
        assert!(
            rows.iter().map(|it| &it.seller_sku).eq(&expected),
            "cut at {cut}"
        );
        if !rows.is_empty() {
            assert_eq!(faults[0].0, rows.len() as u64 + 1, "cut at {cut}");
        }
        truncated += 1;
    }
    for at in (10..whole.len()).step_by(131) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        let (rows, faults) =
            read(document(&bytes, 1000, "text/plain", DocumentOptions::new())).await;
        let last = faults.last().expect("damage was not noticed").1;
        assert!(
            matches!(
                last,
                FaultKind::Damaged | FaultKind::Truncated | FaultKind::LongRow
            ),
            "{last:?}"
        );
        assert!(rows.len() <= 2000);
        damaged += 1;
    }
    // 24 MiB of line ends, compressed to 24 KiB, after some rows.
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain(10).as_bytes()).unwrap();
    let ends = vec![b'\n'; 1 << 20];
    for _ in 0..24 {
        encoder.write_all(&ends).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let read_bomb = read(document(
        &bomb,
        1 << 20,
        "text/plain",
        DocumentOptions::new(),
    ))
    .await;
    assert_eq!(
        (read_bomb.0.len(), read_bomb.1),
        (10, vec![(11, FaultKind::Bomb)])
    );
    // The caller may raise the limit.
    let options = DocumentOptions::new().with_largest_ratio(2000);
    let (rows, faults) = read(document(&bomb, 1 << 20, "text/plain", options)).await;
    assert_eq!((rows.len(), faults.len()), (10, 0));
    // Content that a proxy has already decompressed is accepted.
    let pieces = stream::iter([Ok(Bytes::from(plain(3)))]);
    let decoded = Document::from_stream(
        pieces,
        Some(&Compression::Gzip),
        None,
        DocumentOptions::new(),
    );
    assert_eq!(read(decoded).await.0.len(), 3);
    println!("truncated documents: {truncated}, damaged documents: {damaged}, bombs: 1");
    assert!(truncated > 50 && damaged > 50);
}

#[tokio::test]
async fn other_formats_are_read_whole_within_a_bound() {
    let json = r#"{"a":["é"]}"#;
    let open = || {
        document(
            &gzip(json.as_bytes()),
            5,
            "application/json",
            DocumentOptions::new(),
        )
    };
    let value: serde_json::Value = open().json(100).await.unwrap();
    assert_eq!(value["a"][0], "é");
    assert_eq!(open().text(100).await.unwrap(), json);
    assert_eq!(open().bytes(100).await.unwrap(), json.as_bytes());
    let error = open().bytes(5).await.unwrap_err();
    assert_eq!(
        DocumentFault::of(&error).unwrap().kind(),
        FaultKind::TooLong
    );
    let lines = "{\"n\":1}\n\n{\"n\":}\n{\"n\":3}";
    let lines = document(
        lines.as_bytes(),
        4,
        "application/jsonl",
        DocumentOptions::new(),
    );
    let mut lines = lines.json_lines::<serde_json::Value>();
    let mut found = Vec::new();
    while let Some(line) = lines.next().await {
        found.push(match line {
            Ok(value) => value["n"].as_i64().unwrap(),
            Err(error) => {
                let fault = DocumentFault::of(&error).unwrap();
                assert_eq!(
                    (fault.row(), fault.kind()),
                    (2, FaultKind::Value { column: None })
                );
                -1
            }
        });
    }
    assert_eq!(found, [1, -1, 3]);
    // Column names for a document without a header, and untyped rows.
    let options = DocumentOptions::new().with_columns(["a", "b"]);
    let mut rows = document(b"1\t2\n3\t4\n", 3, "", options)
        .rows()
        .await
        .unwrap();
    assert_eq!(rows.columns().collect::<Vec<_>>(), ["a", "b"]);
    let mut sum = 0;
    while let Some(row) = rows.next().await.unwrap() {
        #[derive(Deserialize)]
        struct Borrowed<'a> {
            a: &'a str,
            b: i64,
        }
        let decoded: Borrowed<'_> = row.decode().unwrap();
        assert_eq!(row.get("a"), Some(decoded.a));
        assert_eq!((row.get("c"), row.fields().count()), (None, 2));
        sum += decoded.b + i64::try_from(row.number()).unwrap();
    }
    assert_eq!(sum, 2 + 4 + 1 + 2);
}

/// Creates a finished report with this document.
async fn report(rig: &Rig, flow: &ReportFlow, document: SimulatedDocument) -> Report {
    rig.sim
        .set_report("GET_TEST", SimulatedReport::Document(document));
    let wanted = ReportSpecification::new("GET_TEST", [US]);
    match rig.drive(flow.run(&wanted)).await.unwrap() {
        ReportOutcome::Done(report) => report,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_document_host_never_sees_a_token_and_a_broken_download_goes_on() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let flow = ReportFlow::new(client.clone());
    let content = SimulatedDocument::gzip("text/plain; charset=UTF-8", plain(50_000).as_bytes());
    let report = report(&rig, &flow, content).await;
    // The first response is interrupted.
    rig.sim.server().fault(HOST_PATHS, Fault::Truncate);
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let last = std::sync::Arc::clone(&seen);
    let options = DocumentOptions::new().with_progress(OnProgress::new(move |it| {
        assert!(it.total.is_some_and(|total| it.bytes <= total));
        last.store(it.bytes, std::sync::atomic::Ordering::Relaxed);
    }));
    let rows = rig.drive(async {
        let document = flow.open(&report, options).await.unwrap();
        let mut rows = document.rows().await.unwrap();
        let mut count = 0;
        while let Some(row) = rows.next().await.unwrap() {
            count += 1;
            assert_eq!(row.number(), count);
        }
        let progress = rows.progress();
        assert_eq!(
            (progress.rows, Some(progress.bytes)),
            (count, progress.total)
        );
        assert!(progress.decoded_bytes > progress.bytes);
        count
    });
    assert_eq!(rows.await, 50_000);
    assert!(seen.load(std::sync::atomic::Ordering::Relaxed) > 0);
    let requests = rig.sim.server().count(&Method::GET, HOST_PATHS);
    assert_eq!((rig.sim.leaked_tokens(), requests), (0, 2));
    println!("requests to the document host: {requests}, tokens seen there: 0");
}

#[tokio::test]
async fn an_expired_url_is_replaced_once_and_other_hosts_are_refused() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let flow = ReportFlow::new(client.clone());
    let content = SimulatedDocument::gzip("text/plain", plain(3).as_bytes());
    let report = report(&rig, &flow, content).await;
    let id = report.report_document_id.clone().unwrap();
    let place = client
        .send(&GetReportDocument::new(id.as_str()))
        .await
        .unwrap();
    rig.sim.expire_document_urls();
    let session = client.session();
    let options = DocumentOptions::new;
    let expired = Document::open(session, &place.url, None, options()).await;
    assert_eq!(expired.unwrap_err().kind(), ErrorKind::Forbidden);
    // The flow requests the document again: S3 rejects the first URL.
    rig.sim
        .server()
        .fault(HOST_PATHS, Fault::answer(403, "<Error/>"));
    let rows = rig
        .drive(async { read(flow.open(&report, options()).await.unwrap()).await })
        .await;
    assert_eq!(rows.0.len(), 3);
    for _ in 0..2 {
        rig.sim
            .server()
            .fault(HOST_PATHS, Fault::answer(403, "<Error/>"));
    }
    let refused = rig.drive(flow.open(&report, options())).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
    let mut refusals = 0;
    for url in [
        "https://amazonaws.com.evil.example/x",
        "https://evil.example/amazonaws.com",
        "http://tortuga-prod-na.s3.amazonaws.com/x",
        "https://d34o8swod1owfl.cloudfront.net/x",
        "https://sellingpartnerapi-na.amazon.com/reports/2021-06-30/reports",
    ] {
        let error = Document::open(session, url, None, options())
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddressRefused, "{url}");
        assert!(!error.report().contains("evil"));
        refusals += 1;
    }
    println!("links to other hosts refused: {refusals}");
    // Redirects are not followed.
    let redirect = Fault::Answer {
        status: 302,
        headers: vec![(
            "location",
            "https://tortuga-prod-na.s3.amazonaws.com/y".to_owned(),
        )],
        body: String::new(),
    };
    rig.sim.server().fault(HOST_PATHS, redirect);
    let error = rig.drive(flow.open(&report, options())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedResponse);
    assert_eq!(rig.sim.leaked_tokens(), 0);
}

#[tokio::test]
async fn an_upload_has_its_content_type_and_its_checksum() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let flow = FeedFlow::new(client.clone());
    let content = || DocumentContent::bytes("text/xml; charset=UTF-8", "<a>é</a>");
    let id = flow.upload(&content()).await.unwrap();
    assert_eq!(rig.sim.uploaded(&id).unwrap(), "<a>é</a>".as_bytes());
    let id = flow.upload(&content().with_content_md5()).await.unwrap();
    assert!(rig.sim.uploaded(&id).is_some());
    // Upload from a file, which is first read for its checksum.
    let path = std::env::temp_dir().join(format!("amazon-feed-{}", std::process::id()));
    std::fs::write(&path, plain(5000)).unwrap();
    let file = DocumentContent::file("text/tab-separated-values; charset=UTF-8", &path)
        .await
        .unwrap();
    assert_eq!(file.length(), plain(5000).len() as u64);
    let id = rig.drive(flow.upload(&file)).await.unwrap();
    assert_eq!(rig.sim.uploaded(&id).unwrap(), plain(5000).as_bytes());
    std::fs::write(&path, "changed").unwrap();
    let changed = rig.drive(flow.upload(&file)).await.unwrap_err();
    assert_eq!(changed.kind(), ErrorKind::InvalidInput);
    std::fs::remove_file(&path).unwrap();
    // S3 receives only a part of the content. The mismatch is detected from the checksum that S3
    // returns, or S3 rejects the upload because of `Content-MD5`.
    rig.sim.set_uploads_damaged(true);
    let damaged = flow.upload(&content()).await.unwrap_err();
    assert_eq!(
        (damaged.kind(), damaged.retry()),
        (ErrorKind::UnexpectedResponse, Retry::Backoff)
    );
    let refused = flow
        .upload(&content().with_content_md5())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Rejected);
    assert_eq!(rig.sim.leaked_tokens(), 0);
    println!("uploads accepted: 3, damaged uploads noticed: 2");
}
