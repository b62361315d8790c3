"""What `fairseq-train --user-dir "$(automoe fairseq-plugin)"` imports.

fairseq imports a user folder as a top-level package of the folder's name, so this one has a name of its
own and only points to the package.
"""

import automoe.training.registration  # noqa: F401
