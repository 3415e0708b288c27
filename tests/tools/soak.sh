#!/bin/bash
# The long forms of the tests in tests/delivery, one after the other, for about SOAK_SECONDS in all, and
# the other tests that keep a promise with a number; and what they measured as a table: printed, and
# put into docs/reliability.md if SOAK_SECONDS is 1800 at least. Each is held to the very number that its row says
# (SLIMSPAN_STRICT). What is set already stays as it is, so SLIMSPAN_LIVES=2000 makes as many lives however long that
# takes.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds="${SOAK_SECONDS:-7200}"
case "$seconds" in
'' | *[!0-9]*)
    echo "SOAK_SECONDS=$seconds is no number of seconds" >&2
    exit 2
    ;;
esac

# What was asked for, besides.
given="$(env | grep -E '^SLIMSPAN_[A-Z_]+=[0-9]+$' | grep -v '^SLIMSPAN_LIVES=' | LC_ALL=C sort | tr '\n' ' ' || true)"

# A number that grows with the time: what it is in the whole of it, and the least.
share() {
    local number=$(($1 * seconds / 7200))
    echo $((number > $2 ? number : $2))
}

export SLIMSPAN_STRICT=1
export SLIMSPAN_LIVES="${SLIMSPAN_LIVES:-$(share 2000 40)}"
export SLIMSPAN_POINTS="${SLIMSPAN_POINTS:-$(share 20 2)}"
export SLIMSPAN_REQUESTS="${SLIMSPAN_REQUESTS:-$(share 16000 160)}"
export SLIMSPAN_FAULT_REQUESTS="${SLIMSPAN_FAULT_REQUESTS:-$(share 1000 16)}"
export SLIMSPAN_NETWORK_CHANGES="${SLIMSPAN_NETWORK_CHANGES:-$(share 3000 30)}"
export SLIMSPAN_DIFFERENTIAL="${SLIMSPAN_DIFFERENTIAL:-$(share 1000000 300)}"
export SLIMSPAN_EXTRACTIONS="${SLIMSPAN_EXTRACTIONS:-$(share 10000000 3000)}"
export SLIMSPAN_SCHEDULES="${SLIMSPAN_SCHEDULES:-$(share 10000 2500)}"
export SLIMSPAN_STARTS="${SLIMSPAN_STARTS:-$(share 9362 67)}"
export SLIMSPAN_READS="${SLIMSPAN_READS:-$(share 1000 100)}"
export SLIMSPAN_AWAY_SECONDS="${SLIMSPAN_AWAY_SECONDS:-$(share 1800 5)}"
export SLIMSPAN_HUNG_SECONDS="${SLIMSPAN_HUNG_SECONDS:-$(share 300 10)}"
export SLIMSPAN_STOPPED_SECONDS="${SLIMSPAN_STOPPED_SECONDS:-$(share 60 10)}"
export SLIMSPAN_ILL_SECONDS="${SLIMSPAN_ILL_SECONDS:-$(share 20 2)}"
export SLIMSPAN_FULL_SECONDS="${SLIMSPAN_FULL_SECONDS:-$(share 60 2)}"
export SLIMSPAN_STRANGER_SECONDS="${SLIMSPAN_STRANGER_SECONDS:-$(share 60 4)}"
export SLIMSPAN_STOPS="${SLIMSPAN_STOPS:-$(share 100 10)}"
export SLIMSPAN_RELOADS="${SLIMSPAN_RELOADS:-$(share 100 10)}"
export SLIMSPAN_READERS="${SLIMSPAN_READERS:-200}"
export SLIMSPAN_FILES="${SLIMSPAN_FILES:-12000}"
export SLIMSPAN_KILLS="${SLIMSPAN_KILLS:-$(share 500 10)}"
export SLIMSPAN_CUTS="${SLIMSPAN_CUTS:-$(share 100 12)}"
export SLIMSPAN_OVERLOAD_SECONDS="${SLIMSPAN_OVERLOAD_SECONDS:-$(share 600 60)}"
export SLIMSPAN_STEADY_SECONDS="${SLIMSPAN_STEADY_SECONDS:-$(share 1800 60)}"
export SLIMSPAN_REFERENCES="${SLIMSPAN_REFERENCES:-$(share 1000000 130000)}"
export SLIMSPAN_UPLOADS="${SLIMSPAN_UPLOADS:-$(share 5000 100)}"
export SLIMSPAN_TIMED_READS="${SLIMSPAN_TIMED_READS:-$(share 5000 20)}"
export SLIMSPAN_ROUNDS="${SLIMSPAN_ROUNDS:-$(share 50 1)}"
export SLIMSPAN_FILE_BYTES="${SLIMSPAN_FILE_BYTES:-8388608}"
export SLIMSPAN_SENDERS="${SLIMSPAN_SENDERS:-64}"

built="$(cargo metadata --locked --no-deps --format-version 1 |
    sed -E 's/.*"target_directory":"([^"]*)".*/\1/')"
mkdir -p "$built"
export SLIMSPAN_MEASURED="$built/measured.tsv" SLIMSPAN_CONSERVED="$built/conserved"
for file in "$SLIMSPAN_MEASURED" "$SLIMSPAN_CONSERVED"; do
    rm -f "$file"
    touch "$file"
done

# What must be measured, of which no row may be missing.
rows=tests/tools/rows.txt

# Whether tests can have disks of their own.
can_mount() {
    local place image
    place="$(mktemp -d)"
    image="$(mktemp)"
    truncate -s 8M "$image"
    if mkfs.ext4 -q "$image" >/dev/null 2>&1 && mount -o loop "$image" "$place" 2>/dev/null; then
        umount "$place"
        rmdir "$place"
        rm -f "$image"
        return 0
    fi
    rmdir "$place"
    rm -f "$image"
    return 1
}

mounts=yes
if ! can_mount; then
    mounts=no
    echo "NOT MEASURED: nothing can be mounted here, which takes root and loop devices. These are left out:" >&2
    grep ' | mount$' "$rows" >&2
fi

began=$SECONDS
profile="${SOAK_PROFILE:-release}"
head="$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)"
result=0

# Adds a row: promise, test, number to reach, number measured.
row() {
    printf '%s\t%s\t%s\t%s\n' "$@" >>"$SLIMSPAN_MEASURED"
}

tests() {
    cargo test --profile "$profile" --locked --test integration -- "$@" \
        --skip program::delivery --include-ignored --nocapture || result=$?
}

# These wait for most of their time, so that they do not measure each other.
tests delivery::backend_away delivery::store_away --test-threads=3
tests delivery::hung_store program::store_recovery delivery::full_disk delivery::failing_disk --test-threads=4

# What the emulators of stores need beside the tests.
cargo build --profile "$profile" --locked --examples || result=$?
# One at a time, or each would measure the others, too.
tests delivery:: store::lifecycle program::background::a_power_cut program::background::a_full_disk program::queue::a_power_cut \
    program::queue::a_full_disk program::bombs program::bad_protobuf program::artifact_server::slow_readers \
    program::items program::memory program::isolation program::limits program::linear program::http::bodies \
    program::http::answers program::floods program::strangers program::connections::what_connections \
    program::connections::the_heads_of_requests \
    program::leftovers program::shutdown program::tenants program::sizes program::retries program::transport \
    program::http_answers program::artifact_server::ranges program::artifact_server::reading \
    program::artifact_server::alike store::backends store::catalog::what_one_writes_down \
    program::quoting program::framing program::http::json program::artifact_server::within \
    program::configuration program::artifact_server::tenants store::gc store::compaction \
    --skip delivery::backend_away --skip delivery::store_away --skip delivery::hung_store \
    --skip delivery::full_disk --skip delivery::failing_disk --skip delivery::points --test-threads=1
# The points at which the program ends itself are in no other profile.
cargo test --profile dev --locked --test integration -- delivery::points --nocapture --test-threads=1 || result=$?
cargo test --profile "$profile" --locked --lib -- journal::tests pipeline::schedules config::tests::mutated || result=$?

# What cannot be fuzzed is told; what was found fails.
fuzzed=yes
fuzzing="${FUZZ_SECONDS:-$(share 1800 60)}"
FUZZ_SECONDS=$fuzzing tests/tools/fuzz.sh && found=0 || found=$?
case "$found" in
0) row 'P15' 'make fuzz' 'what is restored is what was sent: 0 differences' "0 in $fuzzing s, by all targets" ;;
2)
    fuzzed=no
    echo "NOT FUZZED: what that needs could not be had; see above" >&2
    ;;
*) result=1 ;;
esac

# Each line ends with: how often the time doubles with the input, and the time for a byte. A star is behind the
# first where that says which of the two fits into the caches. The allocator keeps what it has: the system clears what
# was given back to it before it gives it again, and how long a machine takes for that is no matter of the input.
target='doubling the input < 2.3x the time, unless a byte takes < 0.5 ns; <= 50 ns a byte'
linear="$built/linear.txt"
for mib in 8 32; do
    if SLIMSPAN_LINEAR_MIB=$mib MIMALLOC_PURGE_DELAY=-1 cargo run --release --locked --quiet --package slimspan-bench --bin linear |
        tee "$linear"; then
        awk -v OFS='\t' -v target="$target" -v mib=$mib '/ ns a byte$/ {
            inputs++; ratio = $(NF - 4) + 0; time = $(NF - 3) + 0
            if ($(NF - 4) ~ /[*]/) plain++
            else if (ratio > worst) worst = ratio
            if (time > slowest) slowest = time
        } END { print "P20", "make bench, linear: " mib " and " 2 * mib " MiB", target,
            inputs " inputs: at most " worst + 0 "x, without " plain + 0 " that take < 0.5 ns a byte; all " \
            "at most " slowest + 0 " ns a byte" }' "$linear" \
            >>"$SLIMSPAN_MEASURED"
    else
        result=1
    fi
done

# A catalog of a million entries, in objects as they are put where there is much, and as a month of little leaves them.
target='1,000,000 entries listed <= 30 s after a start, < 300 MiB, p99 of each question <= 100 ms'
catalog="$built/catalog.txt"
cargo build --release --locked --quiet --bin slimspan || result=$?
for lines in 2000 20; do
    if cargo run --release --locked --quiet --package slimspan-bench --bin catalog -- --lines-per-object $lines |
        tee "$catalog"; then
        awk -v OFS='\t' -v target="$target" -v lines=$lines '
            /^PASS  process start to a listing of all of it / { listed = $(NF - 1) }
            /^PASS  a start with the index that is there / { again = $(NF - 1) }
            /^PASS  a second start until every object was listed / { again = $(NF - 1) }
            /^PASS  peak memory of the (second )?process / { mib = $(NF - 1) + 0; if (mib > most) most = mib }
            / p99 +[0-9.]+ ms$/ { questions++; time = $(NF - 1) + 0; if (time > slowest) slowest = time }
            END { print "catalog", "make bench, catalog: " lines " lines an object", target,
                "listed after " listed " s, and after " again " s with the index that is there; " most \
                " MiB at most; p99 of " questions " questions <= " slowest " ms" }' "$catalog" \
            >>"$SLIMSPAN_MEASURED"
    else
        result=1
    fi
done

# What a value costs that comes again, of the whole program: the rows that this is told by, and no others.
target='CPU time: repeated <= 0.6 of new, new <= 1.15 of what they take without known_values'
images="$built/images.txt"
if cargo run --release --locked --quiet --package slimspan-bench --bin end_to_end -- \
    --only 'images, artifacts recalled' --only 'images, artifacts, the second time' \
    --only 'images, artifacts, none remembered' --only 'images, artifacts in memory' |
    tee "$images"; then
    awk -v OFS='\t' -v target="$target" '
        / repeated images, of the CPU of new ones / { repeated = $2 }
        / new images, of the CPU where none is remembered / { fresh = $2 }
        / images that come for the second time, / { second = $1 }
        END {
            if (repeated == "" || fresh == "" || second == "") exit 1
            print "repeats", "make bench, images", target, "repeated " repeated " of new, new " fresh \
                " of what they take without; the second time " second " of new"
        }' "$images" \
        >>"$SLIMSPAN_MEASURED" || result=1
else
    result=1
fi

# What all of them come to together.
least=$((seconds < 1800 ? 100000 * seconds / 1800 : 100000))
references="$(awk -F '\t' '$1 ~ /P1|P3/ && $4 ~ /^0 (lost, 0 )?early/ && match($4, /[0-9]+ references/) {
    sum += substr($4, RSTART) + 0
} END { print sum + 0 }' "$SLIMSPAN_MEASURED")"
if [ "$references" -ge "$least" ]; then
    row 'P3' 'all rows of P1 and P3' "0 early references in $least" "0 in $references"
else
    echo "FAILED: $references references in all rows of P1 and P3, not $least" >&2
    result=1
fi
row 'P31' 'each slimspan that was stopped in all of these' \
    'received - delivered - rejected - refused - queued = 0' \
    "$(awk '{ sum += $1 } END { print NR " ends, " sum + 0 " items, 0" }' "$SLIMSPAN_CONSERVED")"

# A test that was skipped, or that nobody runs any more, has no row, and no other way to fail.
expected() {
    if [ "$mounts" = yes ]; then
        sed -E '/^(#|$)/d; s/ \| mount$//' "$rows"
    else
        sed -E '/^(#|$)/d; / \| mount$/d' "$rows"
    fi | if [ "$fuzzed" = yes ]; then
        cat
    else
        grep -vx 'P15 | make fuzz'
    fi | LC_ALL=C sort
}
measured() {
    cut -f 1,2 "$SLIMSPAN_MEASURED" | sed 's/\t/ | /' | LC_ALL=C sort
}
missing="$(LC_ALL=C comm -23 <(expected) <(measured))"
if [ -n "$missing" ]; then
    printf 'FAILED: not measured, because the test failed, was skipped or was not run:\n%s\n' "$missing" >&2
    echo "What is told as SKIPPED above says what it needs; servers are installed by tests/tools/install.sh." >&2
    result=1
fi
unknown="$(LC_ALL=C comm -13 <(expected) <(measured))"
if [ -n "$unknown" ]; then
    printf 'FAILED: measured, and not in %s, so that nobody would miss it:\n%s\n' "$rows" "$unknown" >&2
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
if [ "$mounts" = no ]; then
    echo "NOT MEASURED: what needs a disk of its own, for nothing can be mounted here" >&2
fi
if [ "$fuzzed" = no ]; then
    echo "NOT FUZZED: what that needs could not be had" >&2
fi
if [ "$result" -ne 0 ]; then
    echo "FAILED: what is missing in the table did not reach its number; see above" >&2
    exit 1
fi

took=$((SECONDS - began))
# The table of a longer run tells more.
if [ "$seconds" -lt 1800 ]; then
    echo "docs/reliability.md stays as it is: SOAK_SECONDS=$seconds is less than 1800" >&2
    exit 0
fi
with="SOAK_SECONDS=$seconds SLIMSPAN_LIVES=$SLIMSPAN_LIVES${given:+ ${given% }}"
{
    sed '/^<!-- measured -->$/q' docs/reliability.md
    echo
    echo "Measured on $(date -u +%Y-%m-%d) at $head with \`$with\`, in $took s, on $(nproc) cores, profile $profile:"
    echo
    echo "$table"
} >"$built/reliability.md"
cp "$built/reliability.md" docs/reliability.md
