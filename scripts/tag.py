"""Tag audio files, without FFmpeg: python scripts/tag.py MODEL FILE [FILE ...]."""

import argparse

from psla_hf.commands.arguments import command_line
from psla_hf.inference.tagger import AudioTagger
from psla_hf.reports.tables import print_tags


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="directory or Hub id of a saved tagger")
    parser.add_argument("files", nargs="+", help="audio files: wav, flac, ogg, mp3; any rate, channels and length")
    parser.add_argument("--top-k", type=int, default=5, help="tags per file")
    parser.add_argument("--device", default="cpu", help="where to run, for example cuda")
    arguments = parser.parse_args()

    tagger = AudioTagger.from_pretrained(arguments.model, device=arguments.device)
    for file in arguments.files:
        print_tags(tagger(file, top_k=arguments.top_k), title=file)


if __name__ == "__main__":
    with command_line():
        main()
