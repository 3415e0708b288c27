#!/bin/sh
# Runs the fuzz targets of processors/artifact/fuzz, one after the other, for FUZZ_SECONDS in all. What
# it needs beyond Rust goes into .tools/ (ignored by git); inputs that were found stay in the
# folder corpus/ beside the targets, and the next run goes on from them.
set -u
cd "$(dirname "$0")/../.."

seconds="${FUZZ_SECONDS:-1800}"
version=0.13.2
targets="text generated request json"
tools="$PWD/.tools"
fuzz="$PWD/processors/artifact/fuzz"
built="${CARGO_TARGET_DIR:-$fuzz/target}"

case "$seconds" in
'' | *[!0-9]*)
    echo "FUZZ_SECONDS=$seconds is no number of seconds" >&2
    exit 2
    ;;
esac

if [ "$("$tools/bin/cargo-fuzz" --version 2>/dev/null)" != "cargo-fuzz $version" ]; then
    if ! cargo install cargo-fuzz --version "$version" --locked --quiet --root "$tools"; then
        echo "CANNOT FUZZ: cargo-fuzz $version could not be installed; see above" >&2
        exit 2
    fi
fi

# AddressSanitizer needs nightly. All that is ours is safe Rust, so without it only the unsafe code
# of dependencies goes unwatched.
toolchain=+nightly
sanitizer="${FUZZ_SANITIZER:-address}"
if [ "$sanitizer" != none ] && ! rustup run nightly rustc --version >/dev/null 2>&1; then
    # Into .tools/, because nobody asked for another compiler in their home.
    export RUSTUP_HOME="$tools/rustup"
    if ! rustup run nightly rustc --version >/dev/null 2>&1 &&
        ! rustup toolchain install nightly --profile minimal --no-self-update; then
        unset RUSTUP_HOME
        echo "NO NIGHTLY TOOLCHAIN: fuzzing without AddressSanitizer" >&2
        sanitizer=none
    fi
fi
if [ "$sanitizer" = none ]; then
    toolchain=
fi

# The toolchain is given to each command: rust-toolchain.toml is for everything else.
if ! cargo $toolchain run --quiet --locked --target-dir "$built" \
    --manifest-path "$fuzz/Cargo.toml" --example seeds -- "$built/seeds"; then
    echo "CANNOT FUZZ: no inputs to start from; see above" >&2
    exit 2
fi

share=$((seconds / 4))
export PATH="$tools/bin:$PATH"
for target in $targets; do
    # Release, with debug assertions.
    set -- --fuzz-dir "$fuzz" --target-dir "$built" --release --debug-assertions \
        --sanitizer "$sanitizer" "$target"
    if ! cargo $toolchain fuzz build "$@"; then
        echo "CANNOT FUZZ: $target could not be built; see above" >&2
        exit 2
    fi
    mkdir -p "$fuzz/corpus/$target"
    echo "fuzzing $target for $share s, sanitizer: $sanitizer"
    # One process: other things need the other cores.
    cargo $toolchain fuzz run "$@" \
        "$fuzz/corpus/$target" "$fuzz/seeds/$target" "$built/seeds/$target" -- \
        -dict="$fuzz/tokens.dict" -max_total_time="$share" -max_len=16384 -timeout=10 \
        -rss_limit_mb=2048 -print_final_stats=1
    result=$?
    if [ "$result" -ne 0 ]; then
        echo "FOUND by $target (exit code $result). The input is the newest of:" >&2
        ls -t "$fuzz/artifacts/$target" 2>/dev/null | head -3 |
            sed "s|^|    $fuzz/artifacts/$target/|" >&2
        echo "Run it again:" >&2
        echo "    PATH=$tools/bin:\$PATH cargo $toolchain fuzz run --fuzz-dir processors/artifact/fuzz -s $sanitizer $target INPUT" >&2
        exit 1
    fi
done
