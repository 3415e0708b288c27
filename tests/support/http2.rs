//! HTTP/2 by hand: a peer that keeps to the letter of the protocol, and sends what no client would.

use std::net::{Ipv4Addr, SocketAddr};

use slimspan_proto::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::soon;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// One connection, and what the other side lets it send before it is read.
pub(crate) struct Peer {
    stream: TcpStream,
    pub(crate) stream_window: usize,
    pub(crate) connection_window: usize,
    pub(crate) frame_size: usize,
}

impl Peer {
    /// Connects; `None` where the connection is closed at once.
    pub(crate) async fn connect(address: SocketAddr) -> Option<Self> {
        Self::connect_from(Ipv4Addr::LOCALHOST, address).await
    }

    /// Connects from an address of this machine.
    pub(crate) async fn connect_from(from: Ipv4Addr, address: SocketAddr) -> Option<Self> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let mut stream = socket.connect(address).await.unwrap();
        // Where it is closed at once, this comes too late.
        let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        stream.write_all(&hello).await.ok()?;
        let mut peer = Self {
            stream,
            stream_window: 65_535,
            connection_window: 65_535,
            frame_size: 16_384,
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

    /// The next frame that comes; `None` at the end.
    async fn next(&mut self) -> Option<(u8, u8, Vec<u8>)> {
        let mut head = [0; 9];
        let read = soon("a frame", self.stream.read_exact(&mut head)).await;
        read.ok()?;
        let [a, b, c, kind, flags, ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.stream.read_exact(&mut payload).await.ok()?;
        match kind {
            SETTINGS => {
                for setting in payload.as_chunks::<6>().0 {
                    let [_, id, value @ ..] = *setting;
                    match id {
                        4 => self.stream_window = u32::from_be_bytes(value) as usize,
                        5 => self.frame_size = u32::from_be_bytes(value) as usize,
                        _ => {}
                    }
                }
            }
            WINDOW_UPDATE if head[5..] == [0; 4] => {
                let more = u32::from_be_bytes(payload.clone().try_into().unwrap());
                self.connection_window += more as usize;
            }
            _ => {}
        }
        Some((kind, flags, payload))
    }

    /// Sends frames.
    pub(crate) async fn send(&mut self, frames: &[u8]) -> std::io::Result<()> {
        soon("it is read", self.stream.write_all(frames)).await
    }
}

/// The beginning of a request to the traces service.
pub(crate) fn request(stream: u32) -> Vec<u8> {
    // POST and http from the table, then names from the table with literal values.
    let mut block = vec![0x83, 0x86];
    let literal = |block: &mut Vec<u8>, name: &[u8], value: &str| {
        block.extend_from_slice(name);
        block.push(u8::try_from(value.len()).unwrap());
        block.extend_from_slice(value.as_bytes());
    };
    literal(&mut block, &[0x04], Signal::Traces.grpc_path());
    literal(&mut block, &[0x01], "slimspan");
    literal(&mut block, &[0x0f, 0x10], "application/grpc");
    frame(HEADERS, END_HEADERS, stream, &block)
}

/// A part of the body of a request.
pub(crate) fn data(stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(DATA, 0, stream, payload)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}
