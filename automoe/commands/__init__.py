"""Commands on files, one module each with `add_parser(subparsers)` and `run(arguments) -> int`.

`automoe.cli` imports a module only when its command is called.
"""
