"""What is installed: node types and plugins."""
