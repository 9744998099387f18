"""The documentation site: what gathers its pages. The documents themselves are in docs."""
