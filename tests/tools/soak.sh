#!/bin/bash
# The long forms of the tests in tests/delivery, one after the other, for about SOAK_SECONDS in all, and
# the other tests that keep a promise with a number; and what they measured as a table: printed, and
# put into docs/reliability.md. What is set already stays as it is, so SLIMSPAN_LIVES=2000 makes as many
# lives however long that takes.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds="${SOAK_SECONDS:-3600}"
case "$seconds" in
'' | *[!0-9]*)
    echo "SOAK_SECONDS=$seconds is no number of seconds" >&2
    exit 2
    ;;
esac

# A number that grows with the time: what it is in an hour, and the least.
share() {
    local number=$(($1 * seconds / 3600))
    echo $((number > $2 ? number : $2))
}

export SLIMSPAN_LIVES="${SLIMSPAN_LIVES:-$(share 2000 40)}"
export SLIMSPAN_REQUESTS="${SLIMSPAN_REQUESTS:-$(share 16000 160)}"
export SLIMSPAN_FAULT_REQUESTS="${SLIMSPAN_FAULT_REQUESTS:-$(share 1000 16)}"
export SLIMSPAN_NETWORK_CHANGES="${SLIMSPAN_NETWORK_CHANGES:-$(share 3000 30)}"
export SLIMSPAN_DIFFERENTIAL="${SLIMSPAN_DIFFERENTIAL:-$(share 50000 300)}"
export SLIMSPAN_READS="${SLIMSPAN_READS:-$(share 1000 100)}"
export SLIMSPAN_AWAY_SECONDS="${SLIMSPAN_AWAY_SECONDS:-$(share 120 5)}"
export SLIMSPAN_CUTS="${SLIMSPAN_CUTS:-$(share 100 10)}"
export SLIMSPAN_OVERLOAD_SECONDS="${SLIMSPAN_OVERLOAD_SECONDS:-$(share 600 60)}"
export SLIMSPAN_REFERENCES="${SLIMSPAN_REFERENCES:-$(share 1000000 130000)}"
export SLIMSPAN_UPLOADS="${SLIMSPAN_UPLOADS:-$(share 5000 100)}"
export SLIMSPAN_ROUNDS="${SLIMSPAN_ROUNDS:-$(share 50 1)}"
export SLIMSPAN_FILE_BYTES="${SLIMSPAN_FILE_BYTES:-8388608}"
export SLIMSPAN_SENDERS="${SLIMSPAN_SENDERS:-64}"
export SLIMSPAN_ALLOWANCE_MS="${SLIMSPAN_ALLOWANCE_MS:-250}"
export SLIMSPAN_DRAINED_PERCENT="${SLIMSPAN_DRAINED_PERCENT:-80}"

built="$(cargo metadata --locked --no-deps --format-version 1 |
    sed -E 's/.*"target_directory":"([^"]*)".*/\1/')"
mkdir -p "$built"
export SLIMSPAN_MEASURED="$built/measured.tsv"
rm -f "$SLIMSPAN_MEASURED"
touch "$SLIMSPAN_MEASURED"

# One at a time, or each would measure the others, too.
began=$SECONDS
profile="${SOAK_PROFILE:-release}"
head="$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)"
result=0
cargo test --profile "$profile" --locked --test integration -- delivery:: store::lifecycle \
    program::background::a_power_cut program::queue::a_power_cut program::items program::memory \
    program::isolation program::limits program::floods program::connections::what_connections program::leftovers \
    program::store_recovery \
    --skip program::delivery --include-ignored --nocapture --test-threads=1 || result=$?

# Each line ends with: how often the time doubles with the input, and the time for a byte.
target='doubling the input < 2.3x the time, <= 50 ns a byte'
linear="$built/linear.txt"
if cargo run --release --locked --quiet --package slimspan-bench --bin linear | tee "$linear"; then
    awk -v OFS='\t' -v target="$target" '/ ns a byte$/ {
        inputs++; ratio = $(NF - 4) + 0; time = $(NF - 3) + 0
        if (ratio > worst) worst = ratio
        if (time > slowest) slowest = time
    } END { print "P20", "make bench, linear", target,
        inputs " inputs: at most " worst "x, and " slowest " ns a byte" }' "$linear" \
        >>"$SLIMSPAN_MEASURED"
else
    result=1
fi

table="$(
    echo '| promise | test | number to reach | number measured |'
    echo '|---|---|---|---|'
    sort -t "$(printf '\t')" -k1,1V -k2,2 "$SLIMSPAN_MEASURED" |
        sed -E 's/\|/\\|/g; s/\t/ | /g; s/^/| /; s/$/ |/'
)"
echo
echo "$table"
if [ "$result" -ne 0 ]; then
    echo "FAILED: what is missing in the table did not reach its number; see above" >&2
    exit 1
fi

took=$((SECONDS - began))
{
    sed '/^<!-- measured -->$/q' docs/reliability.md
    echo
    echo "Measured on $(date -u +%Y-%m-%d) at $head in $took s, on $(nproc) cores, profile $profile:"
    echo
    echo "$table"
} >"$built/reliability.md"
cp "$built/reliability.md" docs/reliability.md
