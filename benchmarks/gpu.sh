#!/usr/bin/env bash
# The GPU's part of the figures in one command, within 8 minutes:
#
#     benchmarks/gpu.sh OUTPUT PICTURE [LARGE_PICTURE]
#
# tests of the kernels on CUDA, one fit and one edited frame timed and profiled, a large picture, frames of edits, cages and
# particles, a simulation, views of a lifted photo, and every method for 5 seconds on the picture. What each part prints is in
# OUTPUT, a file a part; a part that fails does not stop the others. Where there is no GPU, all of it runs on the processor.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
output=${1:?name a folder for the results} picture=${2:?name a picture, such as kodim14.png} large=${3:-}
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}
mkdir -p "$output"
failed=0

part() { # NAME SECONDS COMMAND...
    local name=$1 limit=$2
    shift 2
    echo "== $name"
    timeout "$limit" "$@" > "$output/$name.txt" 2>&1 || { failed=1; echo "failed or out of time: $output/$name.txt"; }
    tail -n 3 "$output/$name.txt"
}

if command -v nvidia-smi > /dev/null; then part device 10 nvidia-smi; fi
part tests 80 "$python" -m pytest -q -k "cuda or gpu" tests/gaussians tests/fields tests/fitting tests/rendering \
    tests/gainer_bench/baselines
part fit 45 "$python" benchmarks/profile_fit.py "$picture"
[ -z "$large" ] || part large 70 "$python" benchmarks/profile_fit.py "$large" --repeats 1 --rows 0
part frames 30 "$python" benchmarks/frame_cost.py "$picture"
part model 15 "$python" -m gainer_ns.cli.main fit "$picture" --output "$output/picture.safetensors"
part simulation 40 "$python" -m gainer_ns.cli.main simulate --load-config "$output/picture.safetensors" \
    --scene configs/physics/jelly.yaml --output "$output/jelly.mp4" --preview --restart
part views 30 "$python" benchmarks/view_cost.py "$picture"
part bench 150 "$python" -m gainer_ns.cli.main bench configs/benchmarks/kodak.yaml --images "$picture" --seconds 5 \
    --output "$output/bench"
exit "$failed"
