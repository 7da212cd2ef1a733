"""The nodes that connect a workflow with the outside."""
