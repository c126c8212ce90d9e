//! SPDY/3.1, as far as one forwarded port needs it: two streams that the client opens, and their data.
//!
//! The header blocks are one zlib stream of stored blocks, without the protocol's dictionary: a peer that is not told of one
//! uses none. Answers' headers say nothing that the frames do not, so they are not unpacked. Flow control is not part of what
//! API servers and kubelets speak here.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The stream on which the far end says why it failed.
const ERROR_STREAM: u32 = 1;
/// The port's bytes.
const DATA_STREAM: u32 = 3;
/// Flag of a control frame, and the version.
const CONTROL: u16 = 0x8003;
const SYN_STREAM: u16 = 1;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
/// The sender's side of the stream ends.
const FIN: u8 = 1;
const HEAD_BYTES: usize = 8;
/// Peers send what they read at once, 32 KiB.
const MAX_FRAME_BYTES: usize = 1 << 20;
/// zlib, fastest, no dictionary.
const ZLIB_HEAD: [u8; 2] = [0x78, 0x01];
/// An empty stored block: what came before is to be handed on.
const ZLIB_FLUSH: [u8; 5] = [0, 0, 0, 0xff, 0xff];

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Bytes of the port.
    Data(Bytes),
    /// The far end says why it failed.
    Failed(Bytes),
    /// To be sent back.
    Reply(Bytes),
    /// Nothing will come any more.
    Over,
}

/// The reading side.
#[derive(Debug, Default)]
pub(crate) struct Spdy {
    unread: BytesMut,
    /// Whether the far end is done with the errors, and with the data.
    ended: [bool; 2],
}

/// Opens both streams to a port.
pub(crate) fn hello(port: u16) -> Bytes {
    let mut out = BytesMut::new();
    open(&mut out, ERROR_STREAM, "error", port, &ZLIB_HEAD);
    open(&mut out, DATA_STREAM, "data", port, &[]);
    out.freeze()
}

fn open(out: &mut BytesMut, stream: u32, kind: &str, port: u16, head: &[u8]) {
    let port = port.to_string();
    let headers = [
        ("port", port.as_str()),
        ("requestid", "0"),
        ("streamtype", kind),
    ];
    let mut block = BytesMut::new();
    put_length(&mut block, headers.len());
    for (name, value) in headers {
        for text in [name, value] {
            put_length(&mut block, text.len());
            block.put_slice(text.as_bytes());
        }
    }
    // Three short headers: far below the 64 KiB of a stored block.
    let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
    let mut packed = BytesMut::from(head);
    packed.put_u8(0);
    packed.put_u16_le(length);
    packed.put_u16_le(!length);
    packed.put_slice(&block);
    packed.put_slice(&ZLIB_FLUSH);
    out.put_u16(CONTROL);
    out.put_u16(SYN_STREAM);
    // The stream, the one that it belongs to, priority and slot.
    put_flags_and_length(out, 0, 10 + packed.len());
    out.put_u32(stream);
    out.put_u32(0);
    out.put_u16(0);
    out.put_slice(&packed);
}

fn put_length(out: &mut BytesMut, length: usize) {
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

fn put_flags_and_length(out: &mut BytesMut, flags: u8, length: usize) {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    out.put_u32(u32::from(flags) << 24 | length & 0x00ff_ffff);
}

/// Bytes for the port, as a frame.
pub(crate) fn data(bytes: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEAD_BYTES + bytes.len());
    out.put_u32(DATA_STREAM);
    put_flags_and_length(&mut out, 0, bytes.len());
    out.put_slice(bytes);
    out.freeze()
}

impl Spdy {
    /// Takes bytes as they come; frames need not be whole.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
    }

    /// The next thing that came whole; an error is the end.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, &'static str> {
        loop {
            let Some((head, _)) = self.unread.split_first_chunk::<HEAD_BYTES>() else {
                return Ok(self.over());
            };
            let mut head = &head[..];
            let (first, second) = (head.get_u32(), head.get_u32());
            let flags = (second >> 24) as u8;
            let length = (second & 0x00ff_ffff) as usize;
            if length > MAX_FRAME_BYTES {
                return Err("a frame is larger than 1 MiB");
            }
            if self.unread.len() < HEAD_BYTES + length {
                return Ok(self.over());
            }
            let mut frame = self.unread.split_to(HEAD_BYTES + length).freeze();
            let whole = frame.clone();
            frame.advance(HEAD_BYTES);
            let event = if first >> 31 == 0 {
                of_data(first, frame)?
            } else if (first >> 16) as u16 == CONTROL {
                of_control((first & 0xffff) as u16, &whole, &frame)
            } else {
                return Err("a frame is not of SPDY/3");
            };
            let ended = match (first >> 31, (first & 0xffff) as u16) {
                (0, _) if flags & FIN != 0 => Some(first),
                // The stream that is ended, and why.
                (1, RST_STREAM) => whole
                    .get(HEAD_BYTES..)
                    .and_then(|mut rest| (rest.len() >= 4).then(|| rest.get_u32() & 0x7fff_ffff)),
                _ => None,
            };
            // Why it failed may come after the end of the data.
            match ended {
                Some(ERROR_STREAM) => self.ended[0] = true,
                Some(DATA_STREAM) => self.ended[1] = true,
                _ => {}
            }
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// Said once, after everything that came before.
    fn over(&mut self) -> Option<Event> {
        (self.ended == [true; 2]).then(|| {
            self.ended = [false; 2];
            Event::Over
        })
    }
}

fn of_data(stream: u32, bytes: Bytes) -> Result<Option<Event>, &'static str> {
    match stream {
        DATA_STREAM | ERROR_STREAM if bytes.is_empty() => Ok(None),
        DATA_STREAM => Ok(Some(Event::Data(bytes))),
        ERROR_STREAM => Ok(Some(Event::Failed(bytes))),
        _ => Err("data came on an unknown stream"),
    }
}

fn of_control(kind: u16, whole: &Bytes, frame: &[u8]) -> Option<Event> {
    match kind {
        GOAWAY => Some(Event::Over),
        // The peer's have even numbers; ours would be answers.
        PING if frame.last().is_some_and(|id| id % 2 == 0) => Some(Event::Reply(whole.clone())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Decompress, FlushDecompress};

    #[test]
    fn both_streams_are_opened_with_headers_that_zlib_reads() {
        let hello = hello(44134);
        let mut zlib = Decompress::new(true);
        let mut rest = &hello[..];
        for (stream, kind) in [(ERROR_STREAM, "error"), (DATA_STREAM, "data")] {
            assert_eq!(rest.get_u16(), CONTROL);
            assert_eq!(rest.get_u16(), SYN_STREAM);
            let length = rest.get_u32() as usize;
            let (mut frame, after) = rest.split_at(length);
            rest = after;
            assert_eq!(frame.get_u32(), stream);
            frame.advance(6);
            let mut plain = [0; 256];
            let before = zlib.total_out();
            zlib.decompress(frame, &mut plain, FlushDecompress::Sync)
                .unwrap();
            let count = usize::try_from(zlib.total_out() - before).unwrap();
            let mut plain = &plain[..count];
            assert_eq!(plain.get_u32(), 3);
            let mut texts = Vec::new();
            while plain.has_remaining() {
                let length = plain.get_u32() as usize;
                texts.push(String::from_utf8(plain.copy_to_bytes(length).to_vec()).unwrap());
            }
            assert_eq!(
                texts,
                ["port", "44134", "requestid", "0", "streamtype", kind]
            );
        }
        assert!(rest.is_empty());
    }

    #[test]
    fn frames_are_put_together_and_pings_answered() {
        let mut spdy = Spdy::default();
        let mut bytes = data(b"hello").to_vec();
        let ping = [0x80, 3, 0, 6, 0, 0, 0, 4, 0, 0, 0, 2];
        bytes.extend(ping);
        // A SYN_REPLY, whose headers nobody reads.
        bytes.extend([0x80, 3, 0, 2, 0, 0, 0, 4, 0, 0, 0, 3]);
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 2, b'n', b'o']);
        // The data ends first, and then there is more to be said.
        bytes.extend([0, 0, 0, 3, FIN, 0, 0, 0]);
        bytes.extend([0, 0, 0, 1, 0, 0, 0, 2, b'o', b'h']);
        bytes.extend([0x80, 3, 0, 3, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 5]);
        let (first, second) = bytes.split_at(6);
        spdy.take(first);
        assert_eq!(spdy.next(), Ok(None));
        spdy.take(second);
        assert_eq!(spdy.next(), Ok(Some(Event::Data(Bytes::from("hello")))));
        assert_eq!(
            spdy.next(),
            Ok(Some(Event::Reply(Bytes::copy_from_slice(&ping))))
        );
        assert_eq!(spdy.next(), Ok(Some(Event::Failed(Bytes::from("no")))));
        assert_eq!(spdy.next(), Ok(Some(Event::Failed(Bytes::from("oh")))));
        assert_eq!(spdy.next(), Ok(Some(Event::Over)));
        assert_eq!(spdy.next(), Ok(None));
    }

    #[test]
    fn the_end_that_comes_with_the_last_bytes_is_an_end() {
        let mut spdy = Spdy::default();
        spdy.take(&[0, 0, 0, 1, FIN, 0, 0, 0]);
        assert_eq!(spdy.next(), Ok(None));
        spdy.take(&[0, 0, 0, 3, FIN, 0, 0, 2, b'o', b'k']);
        assert_eq!(spdy.next(), Ok(Some(Event::Data(Bytes::from("ok")))));
        assert_eq!(spdy.next(), Ok(Some(Event::Over)));
        assert_eq!(spdy.next(), Ok(None));
    }

    #[test]
    fn what_is_no_frame_ends_it() {
        for bytes in [
            [0x80, 2, 0, 1, 0, 0, 0, 0],
            [0, 0, 0, 9, 0, 0, 0, 0],
            [0, 0, 0, 3, 0, 0xff, 0xff, 0xff],
        ] {
            let mut spdy = Spdy::default();
            spdy.take(&bytes);
            assert!(spdy.next().is_err(), "{bytes:?}");
        }
    }
}
