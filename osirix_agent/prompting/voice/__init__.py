"""Offline speech: from samples to a sentence and its typed intents (`listener.Listener`)."""
