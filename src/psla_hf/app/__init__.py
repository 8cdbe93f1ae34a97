"""The web page: taggers to try in a browser, and the Hugging Face Space of such a page."""
