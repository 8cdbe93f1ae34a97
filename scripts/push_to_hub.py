"""Publish a model or label sets on the Hub: python scripts/push_to_hub.py model RUN_DIR OWNER/NAME.

The token is the one of `hf auth login`, or HF_TOKEN. (Audio is published by prepare_data.py --push.)
"""

import argparse

from psla_hf.commands.arguments import command_line
from psla_hf.hub.publish import push_labels, push_model


def main() -> None:
    arguments = parse()
    how = {
        "private": not arguments.public,
        "revision": arguments.revision,
        "create_pr": arguments.pr,
        "license": arguments.license,
        "dry_run": arguments.dry_run,
    }
    if arguments.what == "model":
        print(push_model(arguments.folder, arguments.repo, **how))
    else:
        print(push_labels(arguments.config, arguments.repo, teacher=arguments.teacher, **how))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="what", required=True)
    model = kinds.add_parser("model", help="a trained or aggregated model", allow_abbrev=False)
    model.add_argument("folder", metavar="RUN_DIR", help="output folder of train.py or aggregate.py, or its last_epoch")
    model.add_argument("--license", default="apache-2.0", help="of weights and code, as the Hub names it (%(default)s)")
    labels = kinds.add_parser("labels", help="label sets, as configurations of one data set", allow_abbrev=False)
    labels.add_argument(
        "--config",
        metavar="NAME=DIR",
        type=configuration,
        action="append",
        required=True,
        help="a configuration's name, such as mean, and the output folder of enhance_labels.py; can be given again",
    )
    labels.add_argument("--license", required=True, help="of the labels, as the Hub names it, such as cc-by-4.0")
    labels.add_argument("--teacher", help="what to call the teacher, such as its Hub id; default: as the reports do")
    for kind in (model, labels):
        kind.add_argument("repo", metavar="OWNER/NAME", help="made if it does not exist")
        kind.add_argument("--public", action="store_true", help="make the repository public; default: private")
        where = kind.add_mutually_exclusive_group()
        where.add_argument("--revision", metavar="BRANCH", help="made if it does not exist; default: main")
        where.add_argument("--pr", action="store_true", help="open a pull request instead")
        kind.add_argument(
            "--dry-run", action="store_true", help="check, write a model's card, list the files; send none"
        )
    arguments = parser.parse_args()
    if arguments.what == "labels":
        names = [name for name, _ in arguments.config]
        if len(set(names)) < len(names):
            labels.error(f"expected every --config once, got {', '.join(names)}")
        arguments.config = dict(arguments.config)
    return arguments


def configuration(text: str) -> tuple[str, str]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder) or "/" in name:
        raise argparse.ArgumentTypeError(f"expected NAME=DIR, such as mean=runs/labels/mean, got {text!r}")
    return name, folder


if __name__ == "__main__":
    with command_line():
        main()
