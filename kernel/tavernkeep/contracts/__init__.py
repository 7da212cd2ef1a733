"""What plugins and the kernel agree on; `tavernkeep` itself exports what most plugins need of it."""
