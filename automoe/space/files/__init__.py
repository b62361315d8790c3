"""YAML and JSON: search spaces, architectures and placements as files, ours and HAT's."""
