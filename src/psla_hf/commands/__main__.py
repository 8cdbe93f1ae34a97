"""`python -m psla_hf.commands`, which is `psla`, for `accelerate launch -m psla_hf.commands enhance …`."""

from .main import run

if __name__ == "__main__":
    run()
