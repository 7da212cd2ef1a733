"""Projects and workflow files."""
