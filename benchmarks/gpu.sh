#!/usr/bin/env bash
# The GPU's part of the figures in one command, within 8 minutes:
#
#     benchmarks/gpu.sh OUTPUT PICTURE [LARGE_PICTURE]
#
# tests of parity on CUDA, fits, frames of edits, cages and particles, what dominates a frame and the floor beside it, a simulation,
# views of a lifted photo, and every method for 10 seconds on the picture. What each part prints is in OUTPUT, a file a part; a part
# that fails does not stop the others, and each has a limit in seconds: 480 in all. Where there is no GPU, all of it runs on the
# processor; SECONDS_EACH=1 PARTICLES=2000 PATIENCE=3 makes that dry run short, and lets each part take three times as long.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
output=${1:?name a folder for the results} picture=${2:?name a picture, such as kodim14.png} large=${3:-}
python=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}
seconds=${SECONDS_EACH:-10} particles=${PARTICLES:-20000}
device=$("$python" -c "from gainer_ns.devices import best_device; print(best_device())")
mkdir -p "$output"
failed=0

part() { # NAME SECONDS COMMAND...
    local name=$1 limit=$2
    shift 2
    echo "== $name"
    timeout "$((limit * ${PATIENCE:-1}))" "$@" > "$output/$name.txt" 2>&1 || { failed=1; echo "failed or out of time: $output/$name.txt"; }
    tail -n 3 "$output/$name.txt"
}

if command -v nvidia-smi > /dev/null; then part device 10 nvidia-smi; fi
part parity 60 "$python" -m pytest -q -k cuda tests/pretended_gpu tests/gaussians tests/fields tests/fitting tests/rendering tests/motion \
    tests/gainer_bench/baselines
part fit 35 "$python" benchmarks/profile_fit.py "$picture"
[ -z "$large" ] || part large 35 "$python" benchmarks/profile_fit.py "$large" --repeats 1 --rows 0
part frames 25 "$python" benchmarks/frame_cost.py "$picture"
part floor 15 "$python" benchmarks/frame_floor.py "$picture"
part steps 20 "$python" -m gainer_bench mpm-speed --material water --device "$device" --particles "$particles"
part model 15 "$python" -m gainer_ns.cli.main fit "$picture" --output "$output/picture.safetensors"
part simulation 40 "$python" -m gainer_ns.cli.main simulate --load-config "$output/picture.safetensors" \
    --scene configs/physics/jelly.yaml --output "$output/jelly.mp4" --preview --restart
part views 25 "$python" benchmarks/view_cost.py "$picture"
part bench 200 "$python" -m gainer_ns.cli.main bench configs/benchmarks/kodak.yaml --images "$picture" --seconds "$seconds" \
    --output "$output/bench"
exit "$failed"
