//! The HTTP server of a listener, with everything limited that a peer could otherwise have without
//! limit.

use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;

use super::heads::LIST_SIZE;

/// What a connection, and a stream of it, may send before it is read. It bounds what a stranger can
/// pin in memory, and throughput over distance: 25 MB/s of each connection at 10 ms of round trip.
const WINDOW: u32 = 256 << 10;
/// The largest frame. Small ones cost time, and one that is not whole is in memory.
const FRAME_SIZE: u32 = 64 << 10;
/// Resets that a peer causes and has not caused us to forget yet (RUSTSEC-2024-0003, "rapid
/// reset" and its relatives): a connection with more is closed.
const PENDING_RESETS: usize = 20;
const LOCAL_RESETS: usize = 1024;
/// The silence after which a peer is asked whether it is there, and the time that it has for its answer.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(30);
pub(super) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is read of an HTTP/1 connection at a time, and the most of a head that is not whole. One that has become
/// whole may have less: [`super::heads`].
const HTTP1_BUFFER: usize = 64 << 10;

/// What the head of a request takes as long as nobody has let it in: all that it may have, of which each header
/// takes a hundred bytes more than its text.
const HEAD: u64 = 32 << 10;
/// What serves a request, before anything has come of its body.
const REQUEST: u64 = 8 << 10;
/// The headers that are kept where processors and exporters may see them: a copy.
const METADATA: u64 = 24 << 10;

/// A server whose connections may have `streams` requests under way at a time.
pub(super) fn server(streams: u32) -> Builder<TokioExecutor> {
    let mut server = Builder::new(TokioExecutor::new());
    server
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME_SIZE)
        .max_header_list_size(LIST_SIZE)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    // How long a head may take, and a pause between two requests, is seen to elsewhere.
    server.http1().max_buf_size(HTTP1_BUFFER);
    server
}

/// The most bytes that one connection can pin beside the requests that are read from it: what is in
/// its window, and as much again for the book-keeping of small frames; a frame that is not whole, in a
/// buffer that doubles as it grows; and the heads of its requests, whose headers may be kept. Frames that wait for
/// memory have a limit together. A connection of HTTP/1 has a request at a time and pins less.
pub(super) fn pinned_by_connection(streams: u32, keeps_headers: bool) -> u64 {
    let of_stream = HEAD + REQUEST + if keeps_headers { METADATA } else { 0 };
    2 * u64::from(WINDOW) + 2 * u64::from(FRAME_SIZE) + u64::from(streams) * of_stream
}
