import subprocess
import sys

CHECK = """
import sys
import automoe.search
heavy = {"torch", "sklearn", "scipy", "pandas", "optuna", "matplotlib"} & set(sys.modules)
print(sorted(heavy))
"""


def test_the_search_loads_nothing_heavy():
    loaded = subprocess.run([sys.executable, "-c", CHECK], check=True, capture_output=True, text=True).stdout
    assert loaded.strip() == "[]"
