"""Takes over an installation of ComfyTavern, or a user's folder of SillyTavern."""
