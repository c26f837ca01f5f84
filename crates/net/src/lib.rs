//! Resolve, connect, read and write over `wasi:sockets`, under one deadline.
