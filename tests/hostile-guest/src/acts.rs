//! What the guest can be told to do, by its path. The test that plays it includes this
//! file too, and may leave none of them out: there, one that is never made is an error.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// GET the URL, and tell the status or the code.
    Http,
    /// GET the URL, and tell the body too.
    Fetch,
    /// GET the URL so many times (`501:http://a/`), and tell how often there was a status.
    Flood,
    /// GET the URL, and return so many milliseconds later without its answer (`300:http://a/`).
    Leave,
    /// Have the component of that name do the same.
    Cycle,
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
    /// Use the default store: `set:key:bytes`, `get:key`, `delete:key`, `exists:key`, `keys:`,
    /// or set so many keys in a row (`fill::30`), and tell how many of them were taken.
    KeyValue,
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
    /// Answer 202, and sleep then.
    Afterwards,
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
            Self::Fetch => "fetch",
            Self::Flood => "flood",
            Self::Leave => "leave",
            Self::Cycle => "cycle",
            Self::Tcp => "tcp",
            Self::Listen => "listen",
            Self::Udp => "udp",
            Self::Lookup => "lookup",
            Self::Store => "store",
            Self::KeyValue => "key-value",
            Self::Variable => "variable",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Headers => "headers",
            Self::Count => "count",
            Self::Print => "print",
            Self::Sleep => "sleep",
            Self::Afterwards => "afterwards",
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
