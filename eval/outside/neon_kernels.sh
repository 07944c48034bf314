#!/bin/sh
# Runs the kernels for aarch64 under QEMU, where no such machine is at hand, and sets their results beside plain C's. With NATIVE=1
# those of this machine.
#
# usage: eval/outside/neon_kernels.sh      (Debian: gcc-aarch64-linux-gnu, qemu-user)
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
made=$(mktemp)
trap 'rm -f "$made"' EXIT
build() {
    "$@" -O2 -std=gnu11 -ffp-contract=off -I"$root/src/main/c" "$root"/src/main/c/*.c "$root/eval/outside/neon_kernels.c" \
        -lm -lpthread -o "$made"
}
if [ -n "${NATIVE:-}" ]; then
    build gcc
    "$made"
else
    build aarch64-linux-gnu-gcc -static
    qemu-aarch64 "$made"
fi
