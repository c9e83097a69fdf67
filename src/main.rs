//! The `kferry` binary: everything is in the library.

fn main() -> std::process::ExitCode {
    kferry::cli::main()
}
