//! What the guest can be told to do, by its path. The test that plays it includes this
//! file too, and may leave none of them out: there, one that is never made is an error.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// GET the URL.
    Http,
    /// Connect to the address.
    Tcp,
    /// Listen on loopback.
    Listen,
    /// Send a datagram to the address.
    Udp,
    /// Resolve the name through the host.
    Lookup,
    /// Open the key-value store of that label.
    Store,
    /// Read the variable.
    Variable,
    /// Tell the environment and the arguments.
    Environment,
    /// Open the file; with no name, count the folders given.
    File,
    /// Tell the request's headers that begin so.
    Headers,
    /// Count in a static.
    Count,
    /// Print the text to standard output and error.
    Print,
    /// Sleep so many milliseconds, between a line "begin" and a line "end".
    Sleep,
    /// Return an error (a firing's) with that text.
    Fail,
    Panic,
    /// End the process that a guest thinks it is.
    Exit,
    /// Call itself without end.
    Recurse,
    /// Allocate without end.
    Allocate,
    /// Compute without end.
    Loop,
    /// Return without an answer.
    Silent,
}

impl Act {
    /// Its word in a path.
    pub fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Listen => "listen",
            Self::Udp => "udp",
            Self::Lookup => "lookup",
            Self::Store => "store",
            Self::Variable => "variable",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Headers => "headers",
            Self::Count => "count",
            Self::Print => "print",
            Self::Sleep => "sleep",
            Self::Fail => "fail",
            Self::Panic => "panic",
            Self::Exit => "exit",
            Self::Recurse => "recurse",
            Self::Allocate => "allocate",
            Self::Loop => "loop",
            Self::Silent => "silent",
        }
    }
}
