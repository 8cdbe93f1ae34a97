#!/usr/bin/env bash
# From recordings to a published model: three seeds, each averaged, one ensemble, its figures, its card, and a stranger
# who loads it by its name. With the Hub (hf auth login), or offline with the tests' Hub on the loopback interface:
#   python -m tests.fake_hub bash scripts/end_to_end.sh esc10 user/esc10-ensemble
set -euo pipefail
data=${1:?usage: end_to_end.sh DATA_DIR OWNER/NAME [OUTPUT_DIR]} repo=${2:?as which repository} out=${3:-runs/end_to_end}
fold="--data-dir $data --fold 1"

for seed in 0 1 2; do
    psla train --recipe esc10 $fold --seed $seed --output-dir "$out/seed$seed" \
        --epochs 6 --halve_from_epoch 3 --halve_every 1 --keep-epochs --resume
    psla aggregate average "$out/seed$seed/epochs/00[456]" --output-dir "$out/average$seed" $fold --overwrite
done
psla aggregate ensemble "$out"/average{0,1,2} --output-dir "$out/ensemble" $fold --overwrite
psla publish model "$out/ensemble" "$repo"

# As anybody else would, in a fresh process that knows the name alone.
clips=("$data"/audio/*)
psla evaluate "$repo" $fold
psla tag "$repo" "${clips[0]}" --top-k 3
python - "$repo" "${clips[0]}" <<'PYTHON'
import sys

sys.modules["psla_hf"] = None  # as if it were not installed: the model brings its own code
import soundfile
from transformers import pipeline

tagger = pipeline("audio-classification", model=sys.argv[1], trust_remote_code=True)
audio, sampling_rate = soundfile.read(sys.argv[2], dtype="float32")
print(type(tagger.model).__name__, tagger({"raw": audio, "sampling_rate": sampling_rate}, top_k=3))
PYTHON
