//! HTTP/2 by hand: a peer that keeps to the letter of the protocol, and sends what no client would.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use slimspan_proto::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::soon;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
/// The flag of the last frame of a request or an answer.
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// What a listener speaks over HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    Http,
}

/// One connection, and what the other side lets it send before it is read.
pub(crate) struct Peer {
    stream: TcpStream,
    pub(crate) stream_window: usize,
    pub(crate) connection_window: usize,
    pub(crate) frame_size: usize,
    /// All that it was told at the beginning, by number (RFC 9113, section 6.5.2).
    pub(crate) settings: BTreeMap<u16, u32>,
}

/// How a connection ended that was flooded.
#[derive(Debug)]
pub(crate) struct End {
    /// How often the frames were sent before they could be sent no more.
    pub(crate) sent: usize,
    /// Each frame that came back: its type and what is in it.
    pub(crate) heard: Vec<(u8, Vec<u8>)>,
}

impl Peer {
    /// Connects; `None` where the connection is closed at once.
    pub(crate) async fn connect(address: SocketAddr) -> Option<Self> {
        Self::connect_from(Ipv4Addr::LOCALHOST, address).await
    }

    /// Connects from an address of this machine.
    pub(crate) async fn connect_from(from: Ipv4Addr, address: SocketAddr) -> Option<Self> {
        let mut stream = open_from(from, address).await.unwrap();
        // Where it is closed at once, this comes too late.
        stream.write_all(&hello()).await.ok()?;
        let mut peer = Self {
            stream,
            stream_window: 65_535,
            connection_window: 65_535,
            frame_size: 16_384,
            settings: BTreeMap::new(),
        };
        // It tells its limits before it answers a second question, if not before the first.
        (peer.ask().await && peer.ask().await).then_some(peer)
    }

    /// Asks whether it is there, and waits for the answer: everything sent before has been read.
    pub(crate) async fn ask(&mut self) -> bool {
        if self.send(&frame(PING, 0, 0, &[0; 8])).await.is_err() {
            return false;
        }
        loop {
            match self.next().await {
                Some((PING, ACK, _)) => return true,
                Some(_) => {}
                None => return false,
            }
        }
    }

    /// Whether a request is answered, before the connection ends or the request is reset.
    pub(crate) async fn answered(&mut self) -> bool {
        self.headers().await.is_some()
    }

    /// The status of the first answer of a connection; none where it ends, or the request is reset, before.
    pub(crate) async fn status(&mut self) -> Option<u16> {
        self.headers().await.map(|block| status(&block))
    }

    /// The headers of an answer, in HPACK.
    async fn headers(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.next().await? {
                (HEADERS, _, block) => return Some(block),
                (RST_STREAM | GOAWAY, ..) => return None,
                _ => {}
            }
        }
    }

    /// The next frame that comes; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<(u8, u8, Vec<u8>)> {
        let (kind, flags, _, payload) = self.next_of_stream().await?;
        Some((kind, flags, payload))
    }

    /// The same with the number of its stream, which is 0 where it is about the connection.
    pub(crate) async fn next_of_stream(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        let read = soon("a frame", self.stream.read_exact(&mut head)).await;
        read.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let stream = u32::from_be_bytes(stream);
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        match kind {
            SETTINGS => {
                for setting in payload.as_chunks::<6>().0 {
                    let [a, b, value @ ..] = *setting;
                    let (id, value) = (u16::from_be_bytes([a, b]), u32::from_be_bytes(value));
                    self.settings.insert(id, value);
                    match id {
                        4 => self.stream_window = value as usize,
                        5 => self.frame_size = value as usize,
                        _ => {}
                    }
                }
            }
            WINDOW_UPDATE if stream == 0 => {
                let more = u32::from_be_bytes(payload.clone().try_into().unwrap());
                self.connection_window += more as usize;
            }
            _ => {}
        }
        Some((kind, flags, stream, payload))
    }

    /// Sends what `frames` makes of 0, 1, 2 and so on until the connection ends, and reads what
    /// comes meanwhile.
    pub(crate) async fn flood(mut self, frames: impl Fn(u32) -> Vec<u8>) -> End {
        let (mut from, mut to) = self.stream.split();
        let sending = async {
            let mut sent = 0;
            while let Ok(()) = to.write_all(&frames(sent)).await {
                sent += 1;
            }
            sent as usize
        };
        let mut bytes = Vec::new();
        let hearing = async {
            // It ends with an error where more was on its way.
            let _ = from.read_to_end(&mut bytes).await;
        };
        let both = async { tokio::join!(sending, hearing) };
        let (sent, ()) = soon("the connection is cut", both).await;
        let mut heard = Vec::new();
        let mut bytes = bytes.as_slice();
        while let [a, b, c, kind, ..] = *bytes {
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            let Some(payload) = bytes.get(9..9 + length) else {
                break;
            };
            heard.push((kind, payload.to_vec()));
            bytes = &bytes[9 + length..];
        }
        End { sent, heard }
    }

    /// Sends frames.
    pub(crate) async fn send(&mut self, frames: &[u8]) -> std::io::Result<()> {
        soon("it is read", self.stream.write_all(frames)).await
    }
}

impl End {
    /// What was heard of this type.
    pub(crate) fn of(&self, kind: u8) -> Vec<&[u8]> {
        let of_kind = self.heard.iter().filter(|one| one.0 == kind);
        of_kind.map(|one| one.1.as_slice()).collect()
    }
}

/// A connection from an address of this machine.
pub(crate) async fn open_from(from: Ipv4Addr, address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// What a connection begins with.
pub(crate) fn hello() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()
}

/// The beginning of a request to the traces service over gRPC.
pub(crate) fn request(stream: u32) -> Vec<u8> {
    Protocol::Grpc.request(stream)
}

impl Protocol {
    pub(crate) const ALL: [Self; 2] = [Self::Grpc, Self::Http];

    /// The beginning of a request with traces, whose body is still to come.
    pub(crate) fn request(self, stream: u32) -> Vec<u8> {
        frame(HEADERS, END_HEADERS, stream, &self.headers(&[]))
    }

    /// The headers of a request with traces, and these, which need not be sound.
    pub(crate) fn headers(self, more: &[(&[u8], &[u8])]) -> Vec<u8> {
        let (path, content_type) = match self {
            Self::Grpc => (Signal::Traces.grpc_path(), "application/grpc"),
            Self::Http => (Signal::Traces.http_path(), "application/x-protobuf"),
        };
        // POST and http from the table, then names from the table with literal values.
        let mut block = vec![0x83, 0x86];
        let mut literal = |name: &[u8], value: &[u8]| {
            block.extend_from_slice(name);
            integer(&mut block, value.len());
            block.extend_from_slice(value);
        };
        literal(&[0x04], path.as_bytes());
        literal(&[0x01], b"slimspan");
        literal(&[0x0f, 0x10], content_type.as_bytes());
        for (name, value) in more {
            let mut new = vec![0];
            integer(&mut new, name.len());
            new.extend_from_slice(name);
            literal(&new, value);
        }
        block
    }
}

/// The status that headers begin with, as RFC 7541 has it in its tables, or in Huffman's code behind their eighth name.
fn status(block: &[u8]) -> u16 {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    match *block {
        [index @ 0x88..=0x8e, ..] => INDEXED[usize::from(index - 0x88)],
        [0x08 | 0x48, 0x82 | 0x83, a, b, c, ..] => {
            let mut bits = u32::from_be_bytes([a, b, c, 0]);
            (0..3).fold(0, |status, _| {
                // Digits up to 2 have five bits, the others six.
                let (five, six) = (bits >> 27, bits >> 26);
                let (digit, len) = if five < 3 { (five, 5) } else { (six - 0x16, 6) };
                bits <<= len;
                status * 10 + u16::try_from(digit).unwrap()
            })
        }
        _ => panic!("no status at the beginning of {block:02x?}"),
    }
}

/// A length in HPACK, whose first bit says that the text is not in Huffman's code.
fn integer(block: &mut Vec<u8>, number: usize) {
    const PREFIX: usize = 127;
    if number < PREFIX {
        block.push(u8::try_from(number).unwrap());
        return;
    }
    block.push(u8::try_from(PREFIX).unwrap());
    let mut rest = number - PREFIX;
    while rest >= 128 {
        block.push(u8::try_from(rest % 128 + 128).unwrap());
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// A part of the body of a request.
pub(crate) fn data(stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(DATA, 0, stream, payload)
}

/// Any frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}
