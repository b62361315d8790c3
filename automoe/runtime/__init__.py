"""Translation with a finished bundle: `load(path).translate(sentences)`."""

from automoe.runtime.translator import Translation, TranslationWarning, Translator, load

__all__ = ["Translation", "TranslationWarning", "Translator", "load"]
