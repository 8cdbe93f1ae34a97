"""The metric's page in a Space."""

import evaluate
from evaluate.utils import launch_gradio_widget

launch_gradio_widget(evaluate.load("audio_tagging.py"))
