//! The program under test: tests of this package get no binary of another package, so it has one of its own.

fn main() -> std::process::ExitCode {
    kferry::cli::main()
}
