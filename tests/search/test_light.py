import subprocess
import sys

CHECK = """
import sys
import automoe.search
heavy = {"torch", "sklearn", "scipy", "pandas", "optuna", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
"""


def test_the_search_loads_nothing_heavy():
    subprocess.run([sys.executable, "-c", CHECK], check=True)
