"""Takes over an installation of ComfyTavern."""
