//! What the guests import from us beside WASI, and what they export to us.

/// `fermyon:spin/key-value` and `fermyon:spin/variables`.
pub mod spin {
    wasmtime::component::bindgen!({
        path: "../wit/spin.wit",
        world: "imports",
        imports: {
            // Known beforehand: nothing to wait for, in what a guest calls most.
            "fermyon:spin/variables": trappable,
            default: async | trappable,
        },
        with: { "fermyon:spin/key-value.store": crate::key_value::OpenStore },
    });
}

/// The cron trigger's export.
pub mod cron {
    wasmtime::component::bindgen!({
        path: "../wit/cron.wit",
        world: "spin-cron",
        exports: { default: async },
    });
}
