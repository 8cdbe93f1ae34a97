#!/usr/bin/env bash
# Train on two hosts that are network namespaces of this machine: as root, scripts/two_hosts.sh DATA_DIR OUTPUT_DIR.
# Each has an address and an interface of its own; they share the disk, as the nodes of a cluster do. The settings are
# small: what is tried is that two machines find each other, share the batches and end with one model.
set -euo pipefail
data_dir=$1 output_dir=$2
names=("psla-first-$$" "psla-second-$$")
links=("psla0-$$" "psla1-$$")
trap 'for name in "${names[@]}"; do ip netns del "$name" 2>/dev/null || true; done' EXIT
for host in 0 1; do ip netns add "${names[$host]}"; done
ip link add "${links[0]}" netns "${names[0]}" type veth peer name "${links[1]}" netns "${names[1]}"
for host in 0 1; do
  ip -n "${names[$host]}" address add "10.77.0.$((host + 1))/24" dev "${links[$host]}"
  ip -n "${names[$host]}" link set "${links[$host]}" up
  ip -n "${names[$host]}" link set lo up
done
launch() {
  ip netns exec "${names[$1]}" env GLOO_SOCKET_IFNAME="${links[$1]}" OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE \
    accelerate launch --multi_gpu --num_machines 2 --num_processes 2 --machine_rank "$1" \
    --main_process_ip 10.77.0.1 --main_process_port 29577 \
    -m psla_hf.commands.train "$data_dir" --recipe esc10 --output-dir "$output_dir" \
    --pretraining none --max-length 48 --epochs 2 --average-last 1 --cpu
}
launch 1 >"${output_dir%/}.second.log" 2>&1 &
launch 0
wait $!
