//! Reads response bodies within limits on length and compression ratio.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::GzDecoder;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue};

/// Decompressed length up to which the compression ratio is not checked.
const FREE_OF_RATIO: usize = 1024 * 1024;
/// Maximum compression ratio beyond this length. Text reaches a ratio of about 20, a decompression
/// bomb about 1,000.
const LARGEST_RATIO: usize = 100;
/// Number of gzip members up to which the length of the members is not checked.
const FREE_MEMBERS: usize = 1024;
/// Minimum mean length of gzip members, in compressed bytes, for bodies with more members. Each
/// member needs a new decoder. Block compression such as BGZF writes members of several KiB.
const SHORTEST_MEMBER: usize = 512;

/// The reason why a body could not be read completely. Contains no body bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyProblem {
    #[error("the body is longer than allowed")]
    TooLong,
    #[error("the compression ratio of the body is too high")]
    Ratio,
    #[error("the body has too many gzip members")]
    Members,
    #[error("the body has an encoding that was not requested")]
    Encoding,
    #[error("the body is not a complete gzip stream, as announced by its header")]
    Gzip,
}

/// The encoding of a body, according to its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Unasked,
}

impl Encoding {
    /// Returns the encoding of the response to a request that accepts gzip.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        match (values.next().map(HeaderValue::as_bytes), values.next()) {
            (None, _) => Self::Identity,
            (Some(one), None) if one.eq_ignore_ascii_case(b"identity") || one.is_empty() => {
                Self::Identity
            }
            (Some(one), None)
                if one.eq_ignore_ascii_case(b"gzip") || one.eq_ignore_ascii_case(b"x-gzip") =>
            {
                Self::Gzip
            }
            // Includes double gzip, which is never requested.
            _ => Self::Unasked,
        }
    }
}

/// A body that is read completely into memory.
#[derive(Debug)]
pub(crate) struct Body {
    longest: usize,
    wire: usize,
    decoder: Decoder,
}

#[derive(Debug)]
enum Decoder {
    Identity(Bounded),
    Gzip(Box<Members>),
    Unasked,
}

impl Body {
    /// Creates a body with a maximum length of `longest` bytes, both on the wire and decompressed.
    pub(crate) fn new(encoding: Encoding, longest: usize) -> Self {
        let bounded = Bounded {
            bytes: Vec::new(),
            drained: 0,
            longest,
            wire: 0,
            problem: None,
        };
        Self {
            longest,
            wire: 0,
            decoder: match encoding {
                Encoding::Identity => Decoder::Identity(bounded),
                Encoding::Gzip => Decoder::Gzip(Box::new(Members::new(bounded))),
                Encoding::Unasked => Decoder::Unasked,
            },
        }
    }

    /// Adds a chunk from the wire.
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), BodyProblem> {
        self.wire = self.wire.saturating_add(chunk.len());
        if self.wire > self.longest {
            return Err(BodyProblem::TooLong);
        }
        match &mut self.decoder {
            Decoder::Identity(bounded) => bounded.take(chunk),
            Decoder::Gzip(decoder) => decoder.push(chunk, self.wire),
            Decoder::Unasked if chunk.is_empty() => Ok(()),
            Decoder::Unasked => Err(BodyProblem::Encoding),
        }
    }

    /// Returns the whole body after the last chunk. Removes the headers that describe the wire
    /// format.
    pub(crate) fn finish(self, headers: &mut HeaderMap) -> Result<Bytes, BodyProblem> {
        match self.decoder {
            Decoder::Identity(bounded) => Ok(bounded.bytes.into()),
            // An empty body, as in a response to HEAD or a 304.
            Decoder::Unasked | Decoder::Gzip(_) if self.wire == 0 => Ok(Bytes::new()),
            Decoder::Unasked => Err(BodyProblem::Encoding),
            Decoder::Gzip(mut decoder) => {
                decoder.finish()?;
                headers.remove(CONTENT_ENCODING);
                headers.remove(CONTENT_LENGTH);
                Ok(decoder.drain())
            }
        }
    }
}

/// A body that is streamed while it arrives.
#[derive(Debug)]
pub(crate) struct Stream {
    longest: u64,
    wire: u64,
    decoder: Decoder,
}

impl Stream {
    /// Creates a body with a maximum length of `longest` bytes, both on the wire and decompressed.
    pub(crate) fn new(encoding: Encoding, longest: u64) -> Self {
        let bytes = usize::try_from(longest).unwrap_or(usize::MAX);
        let Body { decoder, .. } = Body::new(encoding, bytes);
        Self {
            longest,
            wire: 0,
            decoder,
        }
    }

    /// Adds a chunk from the wire. Returns the decoded bytes, which may be empty.
    pub(crate) fn push(&mut self, chunk: Bytes) -> Result<Bytes, BodyProblem> {
        self.wire = self.wire.saturating_add(chunk.len() as u64);
        if self.wire > self.longest {
            return Err(BodyProblem::TooLong);
        }
        match &mut self.decoder {
            Decoder::Identity(_) => Ok(chunk),
            Decoder::Gzip(decoder) => {
                let wire = usize::try_from(self.wire).unwrap_or(usize::MAX);
                decoder.push(&chunk, wire)?;
                decoder.flush()?;
                Ok(decoder.drain())
            }
            Decoder::Unasked if chunk.is_empty() => Ok(chunk),
            Decoder::Unasked => Err(BodyProblem::Encoding),
        }
    }

    /// Returns the remaining bytes of the body after the last chunk.
    pub(crate) fn finish(&mut self) -> Result<Bytes, BodyProblem> {
        match &mut self.decoder {
            Decoder::Gzip(decoder) if self.wire > 0 => {
                decoder.finish()?;
                Ok(decoder.drain())
            }
            _ => Ok(Bytes::new()),
        }
    }
}

/// A gzip body, which consists of consecutive members (RFC 1952 section 2.2).
#[derive(Debug)]
struct Members {
    decoder: GzDecoder<Bounded>,
    /// Number of members that ended.
    ended: usize,
}

impl Members {
    fn new(bounded: Bounded) -> Self {
        Self {
            decoder: GzDecoder::new(bounded),
            ended: 0,
        }
    }

    /// Decodes the next bytes of a body. `wire` is the number of compressed bytes that have arrived
    /// so far.
    fn push(&mut self, mut chunk: &[u8], wire: usize) -> Result<(), BodyProblem> {
        self.decoder.get_mut().wire = wire;
        while !chunk.is_empty() {
            match self.decoder.write(chunk) {
                Ok(0) => self.next_member(wire)?,
                Ok(read) => chunk = chunk.get(read..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(self.problem()),
            }
        }
        Ok(())
    }

    /// Begins another member if bytes follow the end of the previous member.
    fn next_member(&mut self, wire: usize) -> Result<(), BodyProblem> {
        self.finish()?;
        self.ended += 1;
        if self.ended > FREE_MEMBERS && wire / self.ended < SHORTEST_MEMBER {
            return Err(BodyProblem::Members);
        }
        let bounded = std::mem::take(self.decoder.get_mut());
        self.decoder = GzDecoder::new(bounded);
        Ok(())
    }

    /// Writes the bytes that the decoder still buffers.
    fn flush(&mut self) -> Result<(), BodyProblem> {
        self.decoder.flush().map_err(|_| self.problem())
    }

    /// Checks that the member has ended.
    fn finish(&mut self) -> Result<(), BodyProblem> {
        self.decoder.try_finish().map_err(|_| self.problem())
    }

    fn drain(&mut self) -> Bytes {
        self.decoder.get_mut().drain()
    }

    fn problem(&self) -> BodyProblem {
        self.decoder.get_ref().problem.unwrap_or(BodyProblem::Gzip)
    }
}

/// A buffer with a maximum length.
#[derive(Debug, Default)]
struct Bounded {
    bytes: Vec<u8>,
    /// Number of bytes that were already returned.
    drained: usize,
    longest: usize,
    wire: usize,
    problem: Option<BodyProblem>,
}

impl Bounded {
    /// Returns the total length after adding `more` bytes.
    fn length_with(&self, more: usize) -> usize {
        self.drained
            .saturating_add(self.bytes.len())
            .saturating_add(more)
    }

    fn drain(&mut self) -> Bytes {
        self.drained = self.length_with(0);
        std::mem::take(&mut self.bytes).into()
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), BodyProblem> {
        let length = self.length_with(bytes.len());
        if length > self.longest {
            return Err(BodyProblem::TooLong);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.length_with(bytes.len());
        let taken = if length > FREE_OF_RATIO && length / LARGEST_RATIO > self.wire {
            Err(BodyProblem::Ratio)
        } else {
            self.take(bytes)
        };
        match taken {
            Ok(()) => Ok(bytes.len()),
            Err(problem) => {
                self.problem = Some(problem);
                Err(io::Error::other(problem))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read(encoding: Encoding, longest: usize, wire: &[u8]) -> Result<Bytes, BodyProblem> {
        let mut body = Body::new(encoding, longest);
        for chunk in wire.chunks(1000) {
            body.push(chunk)?;
        }
        body.finish(&mut HeaderMap::new())
    }

    #[test]
    fn a_body_of_the_maximum_length_passes_and_one_byte_more_does_not() {
        let text = vec![b'x'; 5000];
        for (encoding, wire) in [
            (Encoding::Identity, text.clone()),
            (Encoding::Gzip, gzip(&text)),
        ] {
            assert_eq!(read(encoding, 5000, &wire).unwrap(), text);
            assert_eq!(read(encoding, 4999, &wire), Err(BodyProblem::TooLong));
        }
    }

    #[test]
    fn the_limit_applies_on_the_wire_and_after_decompression() {
        // Empty gzip members add length on the wire but no output.
        let wire = gzip(b"").repeat(100);
        assert_eq!(read(Encoding::Gzip, wire.len(), &wire).unwrap(), "");
        assert_eq!(
            read(Encoding::Gzip, wire.len() - 1, &wire),
            Err(BodyProblem::TooLong)
        );
    }

    #[test]
    fn a_truncated_gzip_body_or_trailing_garbage_is_rejected() {
        let whole = gzip(b"all of it");
        for end in 1..whole.len() {
            let read = read(Encoding::Gzip, 100, &whole[..end]);
            assert_eq!(read, Err(BodyProblem::Gzip), "{end}");
        }
        assert_eq!(
            read(Encoding::Gzip, 100, &[&whole[..], b"rubbish"].concat()),
            Err(BodyProblem::Gzip)
        );
        let twice = read(Encoding::Gzip, 100, &whole.repeat(2));
        assert_eq!(twice.unwrap(), "all of itall of it");
    }

    #[test]
    fn an_unrequested_encoding_is_rejected_unless_the_body_is_empty() {
        let encoding = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
            }
            Encoding::of(&headers)
        };
        assert_eq!(encoding(&[]), Encoding::Identity);
        assert_eq!(encoding(&["identity"]), Encoding::Identity);
        assert_eq!(encoding(&["GZIP"]), Encoding::Gzip);
        assert_eq!(encoding(&["x-gzip"]), Encoding::Gzip);
        for unasked in [
            &["br"][..],
            &["gzip, gzip"],
            &["gzip", "gzip"],
            &["deflate"],
            &["zstd"],
        ] {
            assert_eq!(encoding(unasked), Encoding::Unasked);
        }
        assert_eq!(
            read(Encoding::Unasked, 10, b"x"),
            Err(BodyProblem::Encoding)
        );
        assert_eq!(read(Encoding::Unasked, 10, b"").unwrap(), "");
        assert_eq!(read(Encoding::Gzip, 10, b"").unwrap(), "");
    }

    #[test]
    fn a_stream_is_bounded_in_total_length_and_ratio() {
        let wire = gzip(&vec![0; 8 * 1024 * 1024]);
        let mut stream = Stream::new(Encoding::Gzip, u64::MAX);
        let mut out = 0;
        let problem =
            wire.chunks(100)
                .find_map(|chunk| match stream.push(Bytes::copy_from_slice(chunk)) {
                    Ok(bytes) => {
                        out += bytes.len();
                        None
                    }
                    Err(problem) => Some(problem),
                });
        assert_eq!(problem, Some(BodyProblem::Ratio));
        assert!(out <= FREE_OF_RATIO);
        for encoding in [Encoding::Gzip, Encoding::Identity] {
            let wire = match encoding {
                Encoding::Gzip => gzip(&[b'x'; 5000]),
                _ => vec![b'x'; 5000],
            };
            let read = |longest| {
                let mut stream = Stream::new(encoding, longest);
                for chunk in wire.chunks(7) {
                    stream.push(Bytes::copy_from_slice(chunk))?;
                }
                stream.finish()
            };
            assert!(read(5000).is_ok());
            assert_eq!(read(4999), Err(BodyProblem::TooLong));
        }
        let mut cut = Stream::new(Encoding::Gzip, 1000);
        cut.push(Bytes::from(gzip(b"all of it")[..12].to_vec()))
            .unwrap();
        assert_eq!(cut.finish(), Err(BodyProblem::Gzip));
        let mut unasked = Stream::new(Encoding::Unasked, 10);
        assert_eq!(
            unasked.push(Bytes::from_static(b"x")),
            Err(BodyProblem::Encoding)
        );
    }

    #[test]
    fn a_bomb_is_rejected_by_its_ratio_before_its_length() {
        let wire = gzip(&vec![0; 4 * 1024 * 1024]);
        let mut body = Body::new(Encoding::Gzip, usize::MAX);
        assert_eq!(body.push(&wire), Err(BodyProblem::Ratio));
        let Decoder::Gzip(decoder) = &body.decoder else {
            panic!("gzip")
        };
        assert!(decoder.decoder.get_ref().bytes.len() <= FREE_OF_RATIO);
    }

    #[test]
    fn a_body_of_very_many_short_members_is_refused_and_one_of_long_members_is_read() {
        let short = gzip(b"").repeat(FREE_MEMBERS + 2);
        assert_eq!(
            read(Encoding::Gzip, usize::MAX, &short),
            Err(BodyProblem::Members)
        );
        let mut stream = Stream::new(Encoding::Gzip, u64::MAX);
        let pieces = short.chunks(1000).map(Bytes::copy_from_slice);
        let problem = pieces.map(|it| stream.push(it)).find_map(Result::err);
        assert_eq!(problem, Some(BodyProblem::Members));
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .take(600)
        .collect();
        let long = gzip(&noise).repeat(2 * FREE_MEMBERS);
        let all = read(Encoding::Gzip, usize::MAX, &long).unwrap();
        assert_eq!(all.len(), 2 * FREE_MEMBERS * noise.len());
    }

    proptest! {
        #[test]
        fn a_compressed_body_is_decompressed_unchanged(text: Vec<u8>, size in 1..64_usize) {
            let mut body = Body::new(Encoding::Gzip, usize::MAX);
            for chunk in gzip(&text).chunks(size) {
                body.push(chunk).unwrap();
            }
            prop_assert_eq!(body.finish(&mut HeaderMap::new()).unwrap(), text);
        }

        #[test]
        fn a_compressed_stream_is_decompressed_unchanged(text: Vec<u8>, size in 1..64_usize) {
            let mut stream = Stream::new(Encoding::Gzip, u64::MAX);
            let mut read = Vec::new();
            for chunk in gzip(&text).chunks(size) {
                read.extend(stream.push(Bytes::copy_from_slice(chunk)).unwrap());
            }
            read.extend(stream.finish().unwrap());
            prop_assert_eq!(read, text);
        }

        #[test]
        fn garbage_is_an_error_and_never_a_panic(wire: Vec<u8>) {
            prop_assume!(!wire.is_empty() && !wire.starts_with(&[0x1f, 0x8b]));
            prop_assert!(read(Encoding::Gzip, 1 << 20, &wire).is_err());
        }
    }
}
