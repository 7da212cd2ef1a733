"""The policy for outgoing HTTP requests. What other plugins may use of this one is in `contracts`."""
